// SPDX-License-Identifier: BSD-3-Clause
// What each block of a device may hold, from what was written to it and how that ended.
#pragma once

#include "pattern.hpp"
#include "splitmix.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace spdk_io_tool {

// Consecutive blocks of the device.
struct block_range {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

// Of a part of a device that one thread uses. A write that is acknowledged leaves one content that
// a block can have; one that failed, was stopped or destroyed leaves both, the old and the new,
// until a read tells. Each block is old or new as a whole.
class block_model {
 public:
  // All blocks are zero.
  block_model(std::uint64_t seed, block_range part, std::size_t block_size);

  block_range part() const noexcept { return part_; }
  void all_zero() noexcept;

  // At most `most` blocks for one operation alone, at a random place; none if all is taken there.
  std::optional<block_range> take(splitmix& random, std::uint64_t most) noexcept;
  void give_back(block_range range) noexcept;

  // Fills `bytes` with what no block has held before, and gives the number of that.
  std::uint64_t fill(block_range range, std::span<std::byte> bytes) noexcept;

  // How an operation on a taken range ended: surely done, or perhaps.
  void written(block_range range, std::uint64_t generation, bool surely) noexcept;
  void zeroed(block_range range, bool surely) noexcept;
  // Requires: known(from), and equal lengths.
  void copied(block_range from, block_range to, bool surely) noexcept;

  bool known(block_range range) const noexcept;         // one content for each block
  bool must_be_read(block_range range) const noexcept;  // before it can be written again

  // What was read is what each block may hold, and from now on is what it holds; or a text that
  // says what is wrong.
  std::optional<std::string> check(block_range range, std::span<const std::byte> bytes);

 private:
  struct content {
    std::uint64_t block = 0;
    std::uint64_t generation = 0;  // 0: zeroes
    friend bool operator==(const content&, const content&) = default;
  };
  struct block {
    std::array<content, 4> may_hold;
    std::uint8_t count = 1;
    bool taken = false;
  };

  block& at(std::uint64_t number) noexcept { return blocks_[number - part_.first]; }
  const block& at(std::uint64_t number) const noexcept { return blocks_[number - part_.first]; }
  static void note(block& b, content c, bool surely) noexcept;
  bool holds(const content& c, std::span<const std::byte> bytes) const noexcept;
  std::string explain(std::uint64_t number, std::span<const std::byte> bytes) const;

  std::uint64_t seed_;
  block_range part_;
  std::size_t block_size_;
  std::uint64_t generation_ = 0;
  std::vector<block> blocks_;
};

}  // namespace spdk_io_tool
