// SPDX-License-Identifier: BSD-3-Clause
// Coroutines of one thread that work together: a lock across awaits, an event, a scope that holds
// up whoever spawns, and the first of several.
#include <spdk_io/spdk_io.hpp>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <variant>

namespace sio = spdk_io;
using namespace std::chrono_literals;

// [mutex]
// A read, a change and a write that must not be mixed with those of another task.
sio::task<sio::result<void>> increment(const sio::bdev_desc& disk, sio::async_mutex& mutex) {
  auto block = sio::dma_buffer::allocate(512);
  if (!block) co_return std::unexpected(block.error());
  auto lock = co_await mutex.lock();
  if (!lock) co_return std::unexpected(lock.error());
  if (auto r = co_await disk.read(*block, 0); !r) co_return r;
  auto& counter = *reinterpret_cast<std::uint64_t*>(block->data());
  ++counter;
  co_return co_await disk.write(*block, 0);
}  // unlocked: whoever waits longest has it
// [/mutex]

// [limit]
// As many as there are blocks, but never more than 8 of them at once, nor the frames of more.
sio::task<sio::result<void>> check_all(const sio::bdev_desc& disk, sio::async_event& ready) {
  if (auto r = co_await ready.wait(); !r) co_return r;
  auto check = [&](std::uint64_t block) -> sio::task<sio::result<void>> {
    auto buffer = sio::dma_buffer::allocate(512);
    if (!buffer) co_return std::unexpected(buffer.error());
    co_return co_await disk.read(*buffer, block * 512);
  };
  sio::task_scope scope({.limit = 8});
  for (std::uint64_t block = 0; block < 2048; ++block) {
    if (auto r = co_await scope.spawn_when_free(check(block)); !r) break;  // stopped: no more
  }
  co_return co_await scope.join();  // the first error, if there was one
}
// [/limit]

// [any]
// Whichever leg of a mirror answers first; one that fails does not count while the other may
// answer.
sio::task<sio::result<std::size_t>> read_mirror(const sio::bdev_desc& left,
                                                const sio::bdev_desc& right, sio::dma_span a,
                                                sio::dma_span b) {
  auto first = co_await sio::when_any_success(left.read(a, 0), right.read(b, 0));
  // The other read has been stopped, and SPDK has let go of both buffers.
  auto result = std::visit([](auto r) { return r; }, first.value);
  if (!result) co_return std::unexpected(result.error());
  if (first.other_failure) std::cout << "on the way: " << *first.other_failure << '\n';
  co_return first.index;
}
// [/any]

// [semaphore]
// Blocks from one task to another, at most 4 on their way: room for more is waited for.
sio::task<sio::result<void>> produce(sio::async_semaphore& room, sio::async_semaphore& items) {
  for (int i = 0; i < 100; ++i) {
    auto place = co_await room.acquire();
    if (!place) co_return std::unexpected(place.error());
    place->detach();  // the consumer gives it back
    items.release();
  }
  co_return sio::result<void>();
}

sio::task<sio::result<void>> consume(sio::async_semaphore& room, sio::async_semaphore& items) {
  for (int i = 0; i < 100; ++i) {
    auto item = co_await items.acquire();
    if (!item) co_return std::unexpected(item.error());
    item->detach();
    room.release();
  }
  co_return sio::result<void>();
}
// [/semaphore]

sio::task<sio::result<void>> app() {
  for (const char* name : {"left", "right"}) {
    sio::malloc_bdev options{.name = name, .size = 1 << 20};
    if (auto made = co_await sio::create_bdev(options); !made)
      co_return std::unexpected(made.error());
  }
  auto failing = co_await sio::create_bdev(sio::error_bdev{.base = "left"});
  if (!failing) co_return std::unexpected(failing.error());
  auto left = sio::bdev_desc::open("EE_left");
  if (!left) co_return std::unexpected(left.error());
  auto right = sio::bdev_desc::open("right");
  if (!right) co_return std::unexpected(right.error());
  auto buffer = sio::dma_buffer::zeroed(1024);
  if (!buffer) co_return std::unexpected(buffer.error());

  sio::async_mutex mutex;
  sio::async_event ready;
  sio::task_scope scope;
  scope.spawn(check_all(*right, ready));
  sio::task_scope counting;
  for (int i = 0; i < 100; ++i) counting.spawn(increment(*right, mutex));
  if (auto r = co_await counting.join(); !r) co_return r;
  if (auto r = co_await right->read(buffer->first(512), 0); !r) co_return r;
  std::cout << "counted to " << *reinterpret_cast<std::uint64_t*>(buffer->data()) << '\n';
  ready.set();
  if (auto r = co_await scope.join(); !r) co_return r;
  std::cout << "checked\n";

  sio::async_semaphore room(4);
  sio::async_semaphore items(0);
  scope.spawn(produce(room, items));
  scope.spawn(consume(room, items));
  if (auto r = co_await scope.join(); !r) co_return r;
  std::cout << "handed over, with room for " << room.available() << '\n';

  auto injected = co_await sio::inject_error("EE_left", {.on = sio::inject_on::read, .count = 1});
  if (!injected) co_return injected;
  auto leg = co_await read_mirror(*left, *right, buffer->first(512), buffer->subspan(512, 512));
  if (!leg) co_return std::unexpected(leg.error());
  std::cout << "read from leg " << *leg << '\n';
  co_return sio::result<void>();
}

int main() {
  auto env = sio::env::start({.name = "together", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  if (auto r = sio::run_until(thread, app()); !r) std::cout << r.error() << '\n';
}
