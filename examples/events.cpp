// SPDX-License-Identifier: BSD-3-Clause
// A device that grows and goes while it is in use: one coroutine watches it, another one writes.
#include <spdk_io/spdk_io.hpp>

#include <cstdint>
#include <iostream>
#include <optional>

namespace sio = spdk_io;

// [watch]
// Tells what happens to the device, until it is removed; then gives the handle back.
sio::task<void> watch(std::optional<sio::bdev_desc>& disk) {
  while (disk) {
    auto event = co_await disk->next_event();
    if (!event) {
      std::cout << event.error() << '\n';
      co_return;
    }
    switch (event->what) {
      case sio::device_event::kind::resized:
        std::cout << "it has " << event->size << " bytes now\n";
        break;
      case sio::device_event::kind::removed:
        std::cout << "it is going: letting it\n";
        disk.reset();
        break;
    }
  }
}
// [/watch]

// [write]
// Writes block after block, until the device says no: then this says why. With it goes the channel,
// which keeps the device open as well.
sio::task<void> write(sio::io_channel disk, bool& writing, std::optional<sio::error>& end) {
  auto block = sio::dma_buffer::zeroed(4096).value();
  for (std::uint64_t i = 0; !end; i = (i + 1) % 256) {
    auto r = co_await disk.write(block, i * 4096);
    if (r) {
      writing = true;
    } else {
      end = r.error();
    }
  }
}
// [/write]

sio::task<sio::result<void>> app() {
  auto made = co_await sio::create_bdev(
      sio::null_bdev{.name = "null0", .size = 1 << 20, .block_size = 4096});
  if (!made) co_return std::unexpected(made.error());
  auto opened = sio::bdev_desc::open("null0");
  if (!opened) co_return std::unexpected(opened.error());
  std::optional<sio::bdev_desc> disk(std::move(*opened));
  auto channel = disk->channel();
  if (!channel) co_return std::unexpected(channel.error());

  bool writing = false;
  std::optional<sio::error> end;
  sio::task_scope scope;
  scope.spawn(watch(disk));
  scope.spawn(write(std::move(*channel), writing, end));
  while (!writing) co_await sio::yield();

  if (auto r = co_await sio::resize_bdev("null0", 2 << 20); !r) co_return r;
  // Comes back when nobody has the device open any more.
  if (auto r = co_await sio::delete_bdev("null0"); !r) co_return r;
  if (auto r = co_await scope.join(); !r) co_return r;
  const bool removed = end && end->why() == sio::fault::device_removed;
  std::cout << "it is gone; writes ended because " << (removed ? "of that" : "of something else")
            << '\n';
  co_return sio::result<void>();
}

int main() {
  auto env = sio::env::start({.name = "events", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  auto r = sio::run_until(thread, app());
  if (!r) std::cerr << r.error() << '\n';
  return r ? 0 : 1;
}
