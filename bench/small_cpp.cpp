// SPDX-License-Identifier: BSD-3-Clause
// A small program, for its compile time and its size: one read, written with the library. small_c.c
// does the same with SPDK's C API.
#include <spdk_io/spdk_io.hpp>

#include <iostream>

namespace sio = spdk_io;

static sio::task<sio::result<void>> read_one() {
  if (auto up = co_await sio::init_subsystems("{}"); !up) co_return up;
  auto made = co_await sio::create_bdev(sio::null_bdev{.name = "null", .size = 1 << 20});
  if (!made) co_return std::unexpected(made.error());
  auto disk = sio::bdev_desc::open("null");
  if (!disk) co_return std::unexpected(disk.error());
  auto buffer = sio::dma_buffer::zeroed(4096);
  if (!buffer) co_return std::unexpected(buffer.error());
  co_return co_await disk->read(*buffer, 0);
}

int main() {
  auto env = sio::env::start({.hugepages = false, .pci = false});
  if (!env) return 1;
  auto thread = sio::thread::attach("main");
  if (!thread) return 1;
  auto r = sio::block_on(*thread, read_one());
  if (!r) std::cerr << r.error() << '\n';
  return r ? 0 : 1;
}
