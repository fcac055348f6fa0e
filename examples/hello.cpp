// SPDX-License-Identifier: BSD-3-Clause
// The first I/O: a file as a block device, one block written and read back.
#include <spdk_io/spdk_io.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace sio = spdk_io;

sio::task<sio::result<void>> app() {
  auto made = co_await sio::create_bdev(sio::uring_bdev{.name = "disk0", .file = "hello.img"});
  if (!made)
    co_return std::unexpected(made.error());
  auto disk = sio::bdev_desc::open("disk0");
  if (!disk)
    co_return std::unexpected(disk.error());
  auto buf = sio::dma_buffer::zeroed(4096);
  if (!buf)
    co_return std::unexpected(buf.error());

  std::ranges::copy(std::as_bytes(std::span("hello, block 0")), buf->data());
  if (auto r = co_await disk->write(*buf, 0); !r)
    co_return r; // byte offset 0
  std::ranges::fill(*buf, std::byte{0});
  if (auto r = co_await disk->read(*buf, 0); !r)
    co_return r;
  std::cout << reinterpret_cast<const char*>(buf->data()) << '\n';
  co_return sio::result<void>();
}

int main() {
  std::ofstream("hello.img").close();
  std::filesystem::resize_file("hello.img", 1 << 20);
  auto env = sio::env::start({.name = "hello", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  auto r = sio::run_until(thread, app());
  if (!r)
    std::cerr << r.error() << '\n';
  std::filesystem::remove("hello.img");
  return r ? 0 : 1;
}
