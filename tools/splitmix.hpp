// SPDX-License-Identifier: BSD-3-Clause
// The splitmix64 generator: a few instructions for each 64 random bits.
#pragma once

#include <cstdint>

namespace spdk_io_tool {

// A bijection of 64 bits in which each bit of the input changes about half of the output.
constexpr std::uint64_t mix(std::uint64_t z) noexcept {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

class splitmix {
 public:
  constexpr explicit splitmix(std::uint64_t seed) noexcept : state_(seed) {}
  constexpr std::uint64_t operator()() noexcept { return mix(state_ += 0x9e3779b97f4a7c15); }

 private:
  std::uint64_t state_;
};

}  // namespace spdk_io_tool
