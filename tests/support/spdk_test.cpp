// SPDX-License-Identifier: BSD-3-Clause
// Devices for tests.
#include "spdk_test.hpp"

#include <chrono>

namespace spdk_io_test {
namespace {

template <class Options>
sio::bdev_desc open_new(const Options& options) {
  must(run(sio::create_bdev(options)));
  return must(sio::bdev_desc::open(options.name));
}

}  // namespace

bool on_spdk() { return sio::provider_name() == "spdk"; }

sio::bdev_desc open_malloc(std::string_view name, std::uint64_t size, std::uint32_t block_size) {
  return open_new(sio::malloc_bdev{.name = name, .size = size, .block_size = block_size});
}

sio::bdev_desc open_null(std::string_view name, std::uint64_t size, std::uint32_t block_size) {
  return open_new(sio::null_bdev{.name = name, .size = size, .block_size = block_size});
}

sio::bdev_desc open_delay(std::string_view name) {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "base", .size = 1 << 20})));
  must(run(sio::create_bdev(sio::delay_bdev{.name = name,
                                            .base = "base",
                                            .average_read = std::chrono::hours(1),
                                            .average_write = std::chrono::hours(1)})));
  return must(sio::bdev_desc::open(name));
}

}  // namespace spdk_io_test
