// SPDX-License-Identifier: BSD-3-Clause
// A program that sleeps while there is nothing to do, without a poll: SPDK in interrupt mode.
#include <spdk_io/spdk_io.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace sio = spdk_io;

sio::task<sio::result<void>> app() {
  auto made = co_await sio::create_bdev(
      sio::aio_bdev{.name = "disk0", .file = "disk0.img", .block_size = 4096});
  if (!made) co_return std::unexpected(made.error());
  auto disk = sio::bdev_desc::open("disk0");
  if (!disk) co_return std::unexpected(disk.error());
  auto buffer = sio::dma_buffer::zeroed(4096);
  if (!buffer) co_return std::unexpected(buffer.error());
  for (std::uint64_t block = 0; block < 16; ++block) {
    if (auto r = co_await disk->write(*buffer, block * 4096); !r) co_return r;
    if (auto r = co_await sio::sleep_for(std::chrono::milliseconds(1)); !r) co_return r;
  }
  std::cout << "16 blocks written, and slept in between\n";
  co_return sio::result<void>();
}

int main() {
  std::ofstream("disk0.img").close();
  std::filesystem::resize_file("disk0.img", 1 << 20);
  // [run]
  auto env = sio::env::start({.name = "quiet", .hugepages = false, .pci = false, .interrupt = true})
                 .value();
  auto thread = sio::thread::attach("main").value();
  auto r = sio::run_until(thread, app(), sio::idle::interrupt());
  // [/run]
  if (!r) std::cerr << r.error() << '\n';
  return r ? 0 : 1;
}
