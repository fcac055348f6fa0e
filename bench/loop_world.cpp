// SPDX-License-Identifier: BSD-3-Clause
#include "loop_world.hpp"

#include "must.hpp"

#include <cstdint>

namespace bench {
namespace {

constexpr std::uint64_t memory_size = std::uint64_t(1) << 20;

template <class Options>
std::string make(sio::thread& thread, const Options& options) {
  return must(sio::block_on(thread, sio::create_bdev(options)));
}

std::string make_malloc(sio::thread& thread) {
  return make(thread, sio::malloc_bdev{.name = "malloc", .size = memory_size});
}

std::string make_delay(sio::thread& thread) {
  constexpr std::chrono::microseconds shortest(1);
  const std::string base = make_malloc(thread);
  return make(thread, sio::delay_bdev{.name = "delay",
                                      .base = base,
                                      .average_read = shortest,
                                      .p99_read = shortest,
                                      .average_write = shortest,
                                      .p99_write = shortest});
}

std::string make_device(sio::thread& thread, const loop_device& device) {
  if (device.kind == "malloc") return make_malloc(thread);
  if (device.kind == "null") {
    return make(thread, sio::null_bdev{.name = "null", .size = memory_size});
  }
  if (device.kind == "uring") {
    return make(thread, sio::uring_bdev{.name = "uring", .file = device.file});
  }
  if (device.kind == "aio") return make(thread, sio::aio_bdev{.name = "aio", .file = device.file});
  if (device.kind == "delay") return make_delay(thread);
  if (device.kind == "error") {
    const std::string base = make_malloc(thread);
    return make(thread, sio::error_bdev{.base = base});
  }
  throw std::runtime_error("no device is called " + device.kind);
}

}  // namespace

loop_world::loop_world(const loop_device& device, bool interrupt_mode)
    : env_(must(sio::env::start({.name = "spdk_io_bench",
                                 .memory_mib = 1024,
                                 .hugepages = false,
                                 .pci = false,
                                 .interrupt = interrupt_mode}))),
      thread_(must(sio::thread::attach("bench"))),
      disk_(must(sio::bdev_desc::open(make_device(thread_, device)))),
      channel_(must(disk_.channel())),
      buffer_(must(sio::dma_buffer::zeroed(io_size, 4096))) {
  // It works; and whatever it does for the first I/O is done.
  must(sio::block_on(thread_, channel_.read(buffer_, 0)));
}

}  // namespace bench
