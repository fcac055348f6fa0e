// SPDX-License-Identifier: BSD-3-Clause
#include "io_world.hpp"

#include <string>

namespace bench {
namespace {

constexpr std::uint64_t null_size = std::uint64_t(1) << 30;

std::string configuration(bdev_io_pool pool) {
  if (pool.size == 0) return "{}";
  return R"({"subsystems": [{"subsystem": "bdev", "config": [{"method": "bdev_set_options", "params": )"
         R"({"bdev_io_pool_size": )" +
         std::to_string(pool.size) + R"(, "bdev_io_cache_size": )" + std::to_string(pool.cache) +
         "}}]}]}";
}

sio::bdev_desc open_null(sio::thread& thread, bdev_io_pool pool) {
  must(sio::block_on(thread, sio::init_subsystems(configuration(pool))));
  must(sio::block_on(thread, sio::create_bdev(sio::null_bdev{.name = "null", .size = null_size})));
  return must(sio::bdev_desc::open("null"));
}

}  // namespace

io_world::io_world(bdev_io_pool pool)
    : env_(must(sio::env::start(
          {.name = "spdk_io_bench", .memory_mib = 1024, .hugepages = false, .pci = false}))),
      thread_(must(sio::thread::attach("bench"))),
      disk_(open_null(thread_, pool)),
      channel_(must(disk_.channel())),
      buffer_(must(sio::dma_buffer::zeroed(io_size, 4096))),
      device_size_(null_size) {}

}  // namespace bench
