// SPDX-License-Identifier: BSD-3-Clause
// What is written to each block, and the check that every byte of it came back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace spdk_io_tool {

// What is wrong with a block that was read back.
struct mismatch {
  std::uint64_t block = 0;
  std::size_t first = 0;        // offset of the first wrong byte within the block
  std::size_t wrong_bytes = 0;  // at least 1
  std::byte expected{};         // at `first`
  std::byte found{};
  // What the block says of itself, if it begins like one of ours.
  bool has_header = false;
  std::uint64_t found_seed = 0;
  std::uint64_t found_block = 0;
  std::uint64_t found_generation = 0;
};

// A block holds a mark, the seed, its number and the generation, then bytes from a generator
// that is seeded by those: a block in the wrong place, of an earlier run or of an earlier
// generation differs in every word. Any thread.
class pattern {
 public:
  pattern(std::uint64_t seed, std::uint64_t generation) noexcept
      : seed_(seed), generation_(generation) {}

  // Requires: the size is a multiple of 8, at least 64.
  void fill(std::uint64_t block, std::span<std::byte> bytes) const noexcept;
  std::optional<mismatch> check(std::uint64_t block,
                                std::span<const std::byte> bytes) const noexcept;

  std::uint64_t seed() const noexcept { return seed_; }
  std::uint64_t generation() const noexcept { return generation_; }

  // Why, as far as the header tells: "holds block 7", "left from generation 1", …
  std::string explain(const mismatch& wrong) const;

 private:
  class words;

  std::uint64_t seed_;
  std::uint64_t generation_;
};

}  // namespace spdk_io_tool
