// SPDX-License-Identifier: BSD-3-Clause
// What a user of the installed package writes: a device, a block written and read back.
#include <spdk_io/spdk_io.hpp>

#include <algorithm>
#include <iostream>
#include <span>

namespace sio = spdk_io;

namespace {

sio::task<sio::result<void>> app() {
  auto made = co_await sio::create_bdev(sio::malloc_bdev{.name = "disk0", .size = 1 << 20});
  if (!made) co_return std::unexpected(made.error());
  auto disk = sio::bdev_desc::open("disk0");
  if (!disk) co_return std::unexpected(disk.error());
  auto buffer = sio::dma_buffer::zeroed(4096);
  if (!buffer) co_return std::unexpected(buffer.error());
  std::ranges::fill(*buffer, std::byte(0x5a));
  if (auto r = co_await disk->write(*buffer, 8192); !r) co_return r;
  std::ranges::fill(*buffer, std::byte(0));
  if (auto r = co_await disk->read(*buffer, 8192); !r) co_return r;
  if (!std::ranges::all_of(*buffer, [](std::byte b) { return b == std::byte(0x5a); })) {
    std::cout << "other bytes came back\n";
  }
  co_return sio::result<void>();
}

}  // namespace

int main() {
  auto env = sio::env::start({.name = "consumer", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  auto r = sio::run_until(thread, app());
  if (!r) std::cout << r.error() << '\n';
  std::cout << "provider: " << sio::provider_name() << '\n';
  return r ? 0 : 1;
}
