#include <spdk_io/spdk_io.hpp>

#include <algorithm>
#include <iostream>

namespace sio = spdk_io;

sio::task<sio::result<void>> app() {
  auto made = co_await sio::create_bdev(sio::malloc_bdev{.name = "disk0", .size = 1 << 20});
  if (!made) co_return std::unexpected(made.error());
  auto disk = sio::bdev_desc::open("disk0");
  if (!disk) co_return std::unexpected(disk.error());
  auto buffer = sio::dma_buffer::zeroed(4096);
  if (!buffer) co_return std::unexpected(buffer.error());

  std::ranges::copy(std::as_bytes(std::span("hello, block 0")), buffer->begin());
  if (auto r = co_await disk->write(*buffer, 0); !r) co_return r;  // byte offset 0
  std::ranges::fill(*buffer, std::byte(0));
  if (auto r = co_await disk->read(*buffer, 0); !r) co_return r;
  std::cout << reinterpret_cast<const char*>(buffer->data()) << '\n';
  co_return co_await disk->read(*buffer, 1 << 30);  // an error, to see one
}

int main() {
  auto env = sio::env::start({.name = "hello", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  if (auto r = sio::run_until(thread, app()); !r) std::cout << r.error() << '\n';
}
