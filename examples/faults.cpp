// SPDX-License-Identifier: BSD-3-Clause
// What a program does when storage fails, is slow, or changes its size: devices to find out with.
#include <spdk_io/spdk_io.hpp>

#include <chrono>
#include <iostream>

namespace sio = spdk_io;
using namespace std::chrono_literals;

// [stack]
// Reads through "slow" take 2 ms; its writes fail when told to.
sio::task<sio::result<void>> make_devices() {
  auto disk = co_await sio::create_bdev(
      sio::malloc_bdev{.name = "disk0", .size = 1 << 20, .block_size = 4096});
  if (!disk) co_return std::unexpected(disk.error());
  auto failing = co_await sio::create_bdev(sio::error_bdev{.base = *disk});  // "EE_disk0"
  if (!failing) co_return std::unexpected(failing.error());
  auto slow = co_await sio::create_bdev(
      sio::delay_bdev{.name = "slow", .base = *failing, .average_read = 2ms});
  if (!slow) co_return std::unexpected(slow.error());
  co_return sio::result<void>();
}
// [/stack]

// [inject]
sio::task<sio::result<void>> fail_twice(const sio::bdev_desc& disk, sio::dma_span block) {
  auto injected = co_await sio::inject_error("EE_disk0", {.on = sio::inject_on::write, .count = 2});
  if (!injected) co_return injected;
  for (int attempt = 1; attempt <= 3; ++attempt) {
    auto r = co_await disk.write(block, 8192);
    std::cout << "attempt " << attempt << ": " << (r ? "written" : r.error().message()) << '\n';
  }
  co_return sio::result<void>();
}
// [/inject]

// [resize]
sio::task<sio::result<void>> grow() {
  auto made = co_await sio::create_bdev(sio::null_bdev{.name = "null0", .size = 1 << 20});
  if (!made) co_return std::unexpected(made.error());
  auto disk = sio::bdev_desc::open("null0");
  if (!disk) co_return std::unexpected(disk.error());
  if (auto r = co_await sio::resize_bdev("null0", 2 << 20); !r) co_return r;
  std::cout << "null0 has " << disk->bdev().size() << " bytes now\n";
  co_return sio::result<void>();
}
// [/resize]

sio::task<sio::result<void>> app() {
  if (auto r = co_await make_devices(); !r) co_return r;
  auto disk = sio::bdev_desc::open("slow");
  if (!disk) co_return std::unexpected(disk.error());
  auto block = sio::dma_buffer::zeroed(4096);
  if (!block) co_return std::unexpected(block.error());

  if (auto r = co_await disk->read(*block, 0); !r) co_return r;
  if (auto r = co_await fail_twice(*disk, *block); !r) co_return r;
  co_return co_await grow();
}

int main() {
  auto env = sio::env::start({.name = "faults", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  auto r = sio::run_until(thread, app());
  if (!r) std::cerr << r.error() << '\n';
  return r ? 0 : 1;
}
