// SPDX-License-Identifier: BSD-3-Clause
// What the tests of copies share: contents in which no two places look alike, and the job.
#pragma once

#include "copy_job.hpp"
#include "stream_model.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <utility>
#include <vector>

namespace copy_test {

namespace sio = spdk_io;
using block_copy::copy_job;
using block_copy::copy_options;
using spdk_io_test::must;
using spdk_io_test::run;

using content = std::vector<std::byte>;

// Fills the whole device, and gives what it then holds.
inline content fill(const sio::bdev_desc& disk, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  auto all = must(sio::dma_buffer::allocate(disk.bdev().size()));
  for (std::size_t i = 0; i < all.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t next = random();
    std::memcpy(all.data() + i, &next, sizeof(next));
  }
  must(run(disk.write(all, 0)));
  return {all.begin(), all.end()};
}

inline std::span<const std::byte> part(const content& of, std::uint64_t from,
                                       std::uint64_t length) {
  return std::span(of).subspan(from, length);
}

// What is left where `length` bytes of the source are copied.
inline content with_copy(content target, const content& source, const copy_options& o,
                         std::uint64_t length) {
  std::ranges::copy(part(source, o.offset, length),
                    target.begin() + static_cast<std::ptrdiff_t>(o.to));
  return target;
}

// A range that lies on both.
inline copy_options random_options(spdk_io_test::dice& d, std::uint64_t source,
                                   std::uint64_t target) {
  copy_options o;
  o.offset = d.roll(0, source);
  o.to = d.roll(0, target);
  o.length = d.roll(0, std::min(source - o.offset, target - o.to));
  o.chunk = d.roll(1, d.once_in(2) ? 3000 : 30000);
  o.depth = static_cast<std::uint32_t>(d.roll(1, 8));
  return o;
}

}  // namespace copy_test
