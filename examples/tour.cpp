// SPDX-License-Identifier: BSD-3-Clause
// A tour: many requests in flight, messages between threads, timers, and what errors look like.
#include <spdk_io/spdk_io.hpp>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <vector>

namespace sio = spdk_io;
using namespace std::chrono_literals;

// Depth: one coroutine for each slot, all on one thread and one channel.
sio::task<sio::result<void>> fill(sio::io_channel& disk, std::uint64_t slot, std::uint64_t slots) {
  auto buffer = sio::dma_buffer::zeroed(4096);
  if (!buffer) co_return std::unexpected(buffer.error());
  for (std::uint64_t block = slot; block < 1024; block += slots) {
    if (auto r = co_await disk.write(*buffer, block * 4096); !r) co_return r;
  }
  co_return sio::result<void>();
}

sio::task<sio::result<void>> read_first(const sio::bdev_desc& disk) {
  auto buffer = sio::dma_buffer::allocate(4096);
  if (!buffer) co_return std::unexpected(buffer.error());
  co_return co_await disk.read(*buffer, 0);  // by the calling thread's own channel
}

sio::task<sio::result<void>> app() {
  // Devices: created at run time, or by co_await init_subsystems() from SPDK's JSON.
  auto made = co_await sio::create_bdev(
      sio::malloc_bdev{.name = "disk0", .size = 4 << 20, .block_size = 4096});
  if (!made) co_return std::unexpected(made.error());
  for (const auto& each : sio::list_bdevs()) {
    std::cout << each.name << ": " << each.product << ", " << each.size() << " bytes\n";
  }

  auto disk = sio::bdev_desc::open("disk0", sio::access::read_write);
  if (!disk) co_return std::unexpected(disk.error());
  auto channel = disk->channel();
  if (!channel) co_return std::unexpected(channel.error());

  // A scope runs any number side by side; join() gives the first error.
  sio::task_scope scope;
  for (std::uint64_t slot = 0; slot < 32; ++slot) scope.spawn(fill(*channel, slot, 32));
  if (auto r = co_await scope.join(); !r) co_return r;

  // Two at once, and both results.
  auto a = sio::dma_buffer::zeroed(4096).value();
  auto b = sio::dma_buffer::zeroed(4096).value();
  auto both = co_await sio::when_all(disk->read(a, 0), disk->read(b, 4096));
  if (!std::get<0>(both) || !std::get<1>(both)) std::cout << "a read failed\n";

  // Another thread, with an SPDK thread of its own. call() brings value or exception back here;
  // a device is used there through that thread's own channel.
  auto worker = sio::thread::spawn("worker");
  if (!worker) co_return std::unexpected(worker.error());
  auto read_there = [&] { return read_first(*disk); };
  auto there = co_await worker->ref().call(read_there);
  std::cout << "on " << worker->ref().name() << ": " << (there ? "done" : there.error().message())
            << '\n';

  // Timers and turns, on any executor.
  if (auto r = co_await sio::sleep_for(1ms); !r) co_return r;
  co_await sio::yield();

  // Errors say what failed, on what, why; they compare with std::errc.
  auto r = co_await disk->write(a, 4096 * 1024);
  if (!r && r.error() == std::errc::invalid_argument) std::cout << r.error() << '\n';
  auto none = sio::bdev_desc::open("disk9");
  if (!none) std::cout << none.error() << '\n';
  co_return sio::result<void>();
}

int main() {
  auto env = sio::env::start({.name = "tour", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  auto r = sio::run_until(thread, app());
  if (!r) std::cerr << r.error() << '\n';
  return r ? 0 : 1;
}
