// SPDX-License-Identifier: BSD-3-Clause
// The Feistel network behind a permutation.
#include "permutation.hpp"

#include "splitmix.hpp"

#include <algorithm>
#include <bit>
#include <cassert>

namespace spdk_io_tool {
namespace {

// Half of the bits that hold `largest`, rounded up.
unsigned half_of(std::uint64_t largest) noexcept {
  return std::max(1u, (static_cast<unsigned>(std::bit_width(largest)) + 1) / 2);
}

}  // namespace

permutation::permutation(std::uint64_t size, std::uint64_t seed) noexcept
    : size_(size), half_bits_(half_of(std::max<std::uint64_t>(size, 1) - 1)) {
  splitmix random(seed);
  for (auto& key : keys_) key = random();
}

std::uint64_t permutation::encrypt(std::uint64_t value) const noexcept {
  const std::uint64_t mask = (std::uint64_t(1) << half_bits_) - 1;
  std::uint64_t left = value >> half_bits_;
  std::uint64_t right = value & mask;
  for (std::uint64_t key : keys_) {
    const std::uint64_t mixed = left ^ (mix(right ^ key) & mask);
    left = right;
    right = mixed;
  }
  return left << half_bits_ | right;
}

// A bijection of a larger range, applied until it is back inside: again a bijection.
std::uint64_t permutation::operator[](std::uint64_t index) const noexcept {
  assert(index < size_);
  std::uint64_t value = encrypt(index);
  while (value >= size_) value = encrypt(value);
  return value;
}

}  // namespace spdk_io_tool
