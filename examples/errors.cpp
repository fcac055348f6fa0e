// SPDX-License-Identifier: BSD-3-Clause
// What errors look like, and the three ways to deal with them.
#include <spdk_io/spdk_io.hpp>

#include <iostream>

namespace sio = spdk_io;

// [result]
// result<T> is std::expected<T, error>: look at it, or hand it on.
sio::task<sio::result<std::uint64_t>> sum_of_block(const sio::bdev_desc& disk,
                                                   std::uint64_t offset) {
  auto buffer = sio::dma_buffer::zeroed(disk.bdev().block_size());
  if (!buffer) co_return std::unexpected(buffer.error());
  if (auto r = co_await disk.read(*buffer, offset); !r) co_return std::unexpected(r.error());
  std::uint64_t sum = 0;
  for (std::byte b : *buffer) sum += std::to_integer<std::uint64_t>(b);
  co_return sum;
}
// [/result]

// [exception]
// value() throws a std::system_error whose what() is the whole message.
sio::task<std::uint64_t> sum_or_throw(const sio::bdev_desc& disk, std::uint64_t offset) {
  auto sum = co_await sum_of_block(disk, offset);
  co_return sum.value();
}
// [/exception]

sio::task<sio::result<void>> app() {
  auto made = co_await sio::create_bdev(sio::malloc_bdev{.name = "disk0", .size = 1 << 20});
  if (!made) co_return std::unexpected(made.error());
  auto disk = sio::bdev_desc::open("disk0", sio::access::read_only);
  if (!disk) co_return std::unexpected(disk.error());
  auto buffer = sio::dma_buffer::zeroed(4096);
  if (!buffer) co_return std::unexpected(buffer.error());

  // [compare]
  // Compare with std::errc; print; or look at the parts.
  auto r = co_await disk->write(*buffer, 0);
  if (!r && r.error() == std::errc::bad_file_descriptor) {
    const sio::error& e = r.error();
    std::cout << e << '\n';
    std::cout << e.device() << ", " << e.length() << " bytes at " << e.offset() << '\n';
  }
  // [/compare]
  if (auto past = co_await sum_of_block(*disk, 1 << 20); !past) std::cout << past.error() << '\n';
  if (auto odd = co_await sum_of_block(*disk, 100); !odd) std::cout << odd.error() << '\n';
  if (auto none = sio::bdev_desc::open("disk9"); !none) std::cout << none.error() << '\n';
  try {
    co_await sum_or_throw(*disk, 1 << 20);
  } catch (const std::system_error& e) {
    std::cout << "thrown: " << e.what() << '\n';
  }
  co_return sio::result<void>();
}

int main() {
  auto env = sio::env::start({.name = "errors", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  auto r = sio::run_until(thread, app());
  if (!r) std::cerr << r.error() << '\n';
  return r ? 0 : 1;
}
