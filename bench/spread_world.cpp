// SPDX-License-Identifier: BSD-3-Clause
#include "spread_world.hpp"

#include <string>

namespace bench {
namespace {

std::string configuration(std::uint32_t devices) {
  std::string out = R"({"subsystems": [{"subsystem": "bdev", "config": [)";
  for (std::uint32_t i = 0; i < devices; ++i) {
    if (i > 0) out += ", ";
    out += R"({"method": "bdev_null_create", "params": {"name": ")" + null_devices::name(i) +
           R"(", "block_size": 512, "num_blocks": )" + std::to_string(null_devices::size / 512) +
           "}}";
  }
  return out + "]}]}";
}

}  // namespace

null_devices::null_devices(std::uint32_t count)
    : env_(must(sio::env::start(
          {.name = "spdk_io_spread", .memory_mib = 1024, .hugepages = false, .pci = false}))),
      thread_(must(sio::thread::attach("bench"))),
      count_(count) {
  must(sio::block_on(thread_, sio::init_subsystems(configuration(count))));
}

spread_world::spread_world(null_devices& devices, spread size)
    : devices_(devices),
      channels_(size.threads),
      buffer_(must(sio::dma_buffer::zeroed(io_world::io_size, 4096))) {
  for (std::uint32_t i = 1; i < size.threads; ++i) {
    others_.push_back(must(sio::thread::create("bench" + std::to_string(i))));
  }
  for (std::uint32_t i = 0; i < size.devices; ++i) {
    disks_.push_back(must(sio::bdev_desc::open(null_devices::name(i))));
  }
  for (std::uint32_t i = 0; i < size.threads; ++i) sio::block_on(thread(i), take_channels(i));
}

sio::task<> spread_world::take_channels(std::uint32_t thread) {
  for (sio::bdev_desc& disk : disks_) channels_[thread].push_back(must(disk.channel()));
  co_return;
}

}  // namespace bench
