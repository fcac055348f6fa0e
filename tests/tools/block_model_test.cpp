// SPDX-License-Identifier: BSD-3-Clause
// block_model: what a block may hold after operations that succeeded, failed, or nobody knows.
#include "block_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace spdk_io_tool {
namespace {

using testing::HasSubstr;

constexpr std::size_t block_size = 512;
constexpr block_range first{.first = 100, .count = 1};
constexpr block_range second{.first = 101, .count = 1};

class block_model_test : public testing::Test {
 protected:
  std::uint64_t write(block_range at, bool surely) {
    const std::uint64_t generation = model.fill(at, bytes);
    model.written(at, generation, surely);
    return generation;
  }
  bool holds(const std::vector<std::byte>& found, block_range at = first) {
    return !model.check(at, found);
  }

  block_model model{7, {.first = 100, .count = 10}, block_size};
  std::vector<std::byte> zeroes = std::vector<std::byte>(block_size);
  std::vector<std::byte> bytes = std::vector<std::byte>(block_size);
};

TEST_F(block_model_test, begins_with_zeroes) {
  EXPECT_TRUE(holds(zeroes));
  bytes[3] = std::byte{1};
  EXPECT_FALSE(holds(bytes));
}

TEST_F(block_model_test, holds_what_was_acknowledged_and_nothing_else) {
  write(first, true);
  const auto older = bytes;
  write(first, true);
  EXPECT_TRUE(holds(bytes));
  EXPECT_FALSE(holds(older));
  EXPECT_FALSE(holds(zeroes));
  auto damaged = bytes;
  damaged[block_size - 1] ^= std::byte{1};
  EXPECT_FALSE(holds(damaged));
  EXPECT_TRUE(holds(bytes));
}

TEST_F(block_model_test, holds_either_after_a_write_in_doubt_until_a_read_tells) {
  write(first, true);
  const auto older = bytes;
  write(first, false);
  EXPECT_FALSE(model.known(first));
  EXPECT_FALSE(holds(zeroes));
  EXPECT_TRUE(holds(older));
  EXPECT_TRUE(model.known(first));
  EXPECT_FALSE(holds(bytes));  // it was read as it was before
}

TEST_F(block_model_test, must_be_read_before_there_is_too_much_doubt) {
  std::vector<std::vector<std::byte>> all = {zeroes};
  while (!model.must_be_read(first)) {
    write(first, false);
    all.push_back(bytes);
    ASSERT_LT(all.size(), 10u);
  }
  EXPECT_GE(all.size(), 3u);
  for (const auto& each : all) {
    block_model copy = model;
    EXPECT_FALSE(copy.check(first, each));
  }
}

TEST_F(block_model_test, an_acknowledged_write_ends_all_doubt) {
  write(first, false);
  write(first, false);
  write(first, true);
  EXPECT_TRUE(model.known(first));
  EXPECT_TRUE(holds(bytes));
}

TEST_F(block_model_test, knows_copies_and_zeroes) {
  write(first, true);
  model.copied(first, second, true);
  EXPECT_TRUE(holds(bytes, second));
  model.zeroed(second, false);
  EXPECT_FALSE(model.known(second));
  model.zeroed(second, true);
  EXPECT_TRUE(holds(zeroes, second));
  model.all_zero();
  EXPECT_TRUE(holds(zeroes));
}

// A block in the place of another is wrong, however intact.
TEST_F(block_model_test, says_what_is_wrong) {
  const std::uint64_t generation = write(first, true);
  const auto wrong = model.check(second, bytes);
  ASSERT_TRUE(wrong);
  EXPECT_EQ(*wrong, "block 101 holds (by its header) generation " + std::to_string(generation) +
                        " of block 100; it may hold zeroes");
  EXPECT_THAT(model.check(first, zeroes).value_or(""), HasSubstr("block 100 holds zeroes; it may"));
  std::ranges::fill(bytes, std::byte{9});
  EXPECT_THAT(model.check(second, bytes).value_or(""), HasSubstr("holds something else"));
}

TEST_F(block_model_test, hands_out_each_block_once) {
  splitmix random(1);
  std::vector<block_range> taken;
  std::vector<bool> seen(10);
  for (int i = 0; i < 200; ++i) {
    const auto range = model.take(random, 4);
    if (!range) continue;
    ASSERT_LE(range->count, 4u);
    for (std::uint64_t b = range->first; b < range->first + range->count; ++b) {
      ASSERT_GE(b, 100u);
      ASSERT_LT(b, 110u);
      ASSERT_FALSE(seen[b - 100]) << b;
      seen[b - 100] = true;
    }
    taken.push_back(*range);
  }
  EXPECT_EQ(std::ranges::count(seen, true), 10);
  EXPECT_FALSE(model.take(random, 4));
  for (const auto& each : taken) model.give_back(each);
  EXPECT_TRUE(model.take(random, 4));
}

}  // namespace
}  // namespace spdk_io_tool
