// SPDX-License-Identifier: BSD-3-Clause
// pattern: every byte is checked, and what is wrong is said.
#include "pattern.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace spdk_io_tool {
namespace {

std::vector<std::byte> block_of(const pattern& p, std::uint64_t number, std::size_t size = 512) {
  std::vector<std::byte> block(size);
  p.fill(number, block);
  return block;
}

TEST(pattern, accepts_what_it_made) {
  pattern p(7, 1);
  for (std::size_t size : {64u, 512u, 4096u, 65536u}) {
    EXPECT_FALSE(p.check(3, block_of(p, 3, size))) << size;
  }
}

TEST(pattern, notices_each_byte) {
  pattern p(7, 1);
  auto block = block_of(p, 3);
  for (std::size_t i = 0; i < block.size(); ++i) {
    block[i] ^= std::byte{0x80};
    auto wrong = p.check(3, block);
    ASSERT_TRUE(wrong) << i;
    EXPECT_EQ(wrong->first, i);
    EXPECT_EQ(wrong->wrong_bytes, 1u);
    EXPECT_EQ(wrong->found, wrong->expected ^ std::byte{0x80});
    block[i] ^= std::byte{0x80};
  }
}

TEST(pattern, tells_a_block_of_another_place) {
  pattern p(7, 1);
  auto wrong = p.check(3, block_of(p, 4));
  ASSERT_TRUE(wrong);
  EXPECT_NE(p.explain(*wrong).find("the header is of block 4"), std::string::npos);
}

TEST(pattern, tells_an_earlier_generation) {
  pattern p(7, 2);
  auto wrong = p.check(3, block_of(pattern(7, 1), 3));
  ASSERT_TRUE(wrong);
  EXPECT_NE(p.explain(*wrong).find("of generation 1"), std::string::npos);
}

TEST(pattern, tells_another_seed) {
  pattern p(7, 1);
  auto wrong = p.check(3, block_of(pattern(9, 1), 3));
  ASSERT_TRUE(wrong);
  EXPECT_NE(p.explain(*wrong).find("of seed 0x9"), std::string::npos);
}

TEST(pattern, tells_what_is_no_block_of_it) {
  pattern p(7, 1);
  auto wrong = p.check(3, std::vector<std::byte>(512));
  ASSERT_TRUE(wrong);
  EXPECT_NE(p.explain(*wrong).find("not a block of this test"), std::string::npos);
}

// Stale data must not pass: blocks that differ in one input only have next to nothing in common.
TEST(pattern, differs_in_every_word_of_the_payload) {
  const auto one = block_of(pattern(7, 1), 3);
  for (const auto& other :
       {block_of(pattern(8, 1), 3), block_of(pattern(7, 2), 3), block_of(pattern(7, 1), 4)}) {
    for (std::size_t at = 32; at < one.size(); at += 8) {
      EXPECT_FALSE(std::equal(one.begin() + static_cast<std::ptrdiff_t>(at),
                              one.begin() + static_cast<std::ptrdiff_t>(at + 8),
                              other.begin() + static_cast<std::ptrdiff_t>(at)))
          << at;
    }
  }
}

}  // namespace
}  // namespace spdk_io_tool
