// SPDX-License-Identifier: BSD-3-Clause
// A seeded random order of the numbers 0 … n-1, computed one by one in constant memory.
#pragma once

#include <array>
#include <cstdint>

namespace spdk_io_tool {

// Each of 0 … size-1 comes exactly once as permuted[i], for i in 0 … size-1. A Feistel network
// over the next even number of bits, walked until it lands inside: four evaluations at most on
// average. Immutable; any thread.
class permutation {
 public:
  permutation(std::uint64_t size, std::uint64_t seed) noexcept;

  // Requires: index < size.
  std::uint64_t operator[](std::uint64_t index) const noexcept;

 private:
  std::uint64_t encrypt(std::uint64_t value) const noexcept;

  std::uint64_t size_;
  unsigned half_bits_;
  std::array<std::uint64_t, 4> keys_;
};

}  // namespace spdk_io_tool
