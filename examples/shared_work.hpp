// SPDX-License-Identifier: BSD-3-Clause
// What three programs run: one on the user's own loop, one under SPDK's application framework, and
// one that has a framework program's main already. Nothing here knows which.
#pragma once

#include <spdk_io/spdk_io.hpp>

#include <algorithm>
#include <cstdint>
#include <iostream>

namespace sio = spdk_io;

// [work]
// Writes every eighth block and reads it back.
inline sio::task<sio::result<void>> verify(const sio::bdev_desc& disk, std::uint64_t first) {
  auto out = sio::dma_buffer::zeroed(4096);
  if (!out) co_return std::unexpected(out.error());
  auto in = sio::dma_buffer::zeroed(4096);
  if (!in) co_return std::unexpected(in.error());
  for (std::uint64_t block = first; block < 256; block += 8) {
    std::ranges::fill(*out, static_cast<std::byte>(block));
    if (auto r = co_await disk.write(*out, block * 4096); !r) co_return r;
    if (auto r = co_await disk.read(*in, block * 4096); !r) co_return r;
    if (!std::ranges::equal(*in, *out)) std::cout << "block " << block << " differs\n";
  }
  co_return sio::result<void>();
}

inline sio::task<sio::result<void>> work() {
  auto made = co_await sio::create_bdev(
      sio::malloc_bdev{.name = "disk0", .size = 1 << 20, .block_size = 4096});
  if (!made) co_return std::unexpected(made.error());
  {
    auto disk = sio::bdev_desc::open("disk0");
    if (!disk) co_return std::unexpected(disk.error());
    sio::task_scope scope;
    for (std::uint64_t i = 0; i < 8; ++i) scope.spawn(verify(*disk, i));
    if (auto r = co_await scope.join(); !r) co_return r;
  }
  std::cout << "disk0: 256 blocks verified\n";
  co_return co_await sio::delete_bdev("disk0");
}
// [/work]
