// SPDX-License-Identifier: BSD-3-Clause
// A range cut into parts of nearly the same size, one for each thread.
#pragma once

#include <spdk_io/abi.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace spdk_io::inline SPDK_IO_ABI {

// Part `index` of a range: `count` elements (blocks, say) from `first` on.
struct shard {
  std::size_t index = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;

  std::uint64_t end() const noexcept { return first + count; }
  friend bool operator==(const shard&, const shard&) = default;
};

// The parts of [0, count) lie one behind the other without a gap; the first ones have one element
// more where it does not come out even, and the last ones none where there are too few.
// Requires: index < parts.
constexpr shard shard_of(std::uint64_t count, std::size_t parts, std::size_t index) noexcept {
  const std::uint64_t each = count / parts;
  const std::uint64_t larger = count % parts;
  return {.index = index,
          .first = index * each + std::min<std::uint64_t>(index, larger),
          .count = each + (index < larger ? 1 : 0)};
}

}  // namespace spdk_io::inline SPDK_IO_ABI
