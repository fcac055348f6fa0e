// SPDX-License-Identifier: BSD-3-Clause
// What the runtime examples run: the same coroutine, whatever the loop.
#pragma once

#include <spdk_io/spdk_io.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>

namespace sio = spdk_io;

// One of several workers on a device: writes its own blocks and reads them back.
inline sio::task<sio::result<void>> worker(const sio::io_channel& disk, std::uint64_t first) {
  auto buffer = sio::dma_buffer::zeroed(4096);
  if (!buffer) co_return std::unexpected(buffer.error());
  for (std::uint64_t block = first; block < first + 64; ++block) {
    if (auto r = co_await disk.write(*buffer, block * 4096); !r) co_return r;
    if (auto r = co_await disk.read(*buffer, block * 4096); !r) co_return r;
  }
  co_return sio::result<void>();
}

inline sio::task<sio::result<void>> run_app() {
  auto made = co_await sio::create_bdev(
      sio::malloc_bdev{.name = "disk0", .size = 16 << 20, .block_size = 4096});
  if (!made) co_return std::unexpected(made.error());
  auto disk = sio::bdev_desc::open("disk0");
  if (!disk) co_return std::unexpected(disk.error());
  auto channel = disk->channel();
  if (!channel) co_return std::unexpected(channel.error());

  sio::task_scope scope;
  for (std::uint64_t i = 0; i < 8; ++i) scope.spawn(worker(*channel, i * 64));
  if (auto r = co_await scope.join(); !r) co_return r;
  co_return co_await sio::sleep_for(std::chrono::milliseconds(20));
}

inline int report(const sio::result<void>& r, int fired) {
  if (!r) {
    std::cerr << r.error() << '\n';
    return 1;
  }
  std::cout << "done on " << sio::provider_name() << "; the application's timer fired " << fired
            << " times\n";
  return fired > 0 ? 0 : 1;
}
