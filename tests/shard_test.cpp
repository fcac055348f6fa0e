// SPDX-License-Identifier: BSD-3-Clause
// Ranges cut into parts.
#include <spdk_io/shard.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace {

namespace sio = spdk_io;

TEST(shard, parts_of_the_same_size) {
  EXPECT_EQ(sio::shard_of(12, 3, 0), (sio::shard{.index = 0, .first = 0, .count = 4}));
  EXPECT_EQ(sio::shard_of(12, 3, 1), (sio::shard{.index = 1, .first = 4, .count = 4}));
  EXPECT_EQ(sio::shard_of(12, 3, 2), (sio::shard{.index = 2, .first = 8, .count = 4}));
}

TEST(shard, of_a_range_that_has_fewer_elements_than_parts) {
  EXPECT_EQ(sio::shard_of(2, 3, 1), (sio::shard{.index = 1, .first = 1, .count = 1}));
  EXPECT_EQ(sio::shard_of(2, 3, 2), (sio::shard{.index = 2, .first = 2, .count = 0}));
  EXPECT_EQ(sio::shard_of(0, 3, 0).count, 0u);
}

TEST(shard, parts_follow_each_other_and_differ_by_one_at_most) {
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  for (std::uint64_t count : {std::uint64_t(0), std::uint64_t(1), std::uint64_t(99), most}) {
    for (std::size_t parts = 1; parts < 20; ++parts) {
      std::uint64_t next = 0;
      const std::uint64_t least = count / parts;
      for (std::size_t i = 0; i < parts; ++i) {
        const sio::shard part = sio::shard_of(count, parts, i);
        ASSERT_EQ(part.index, i);
        ASSERT_EQ(part.first, next);
        ASSERT_GE(part.count, least);
        ASSERT_LE(part.count - least, 1u);
        next = part.end();
      }
      ASSERT_EQ(next, count);
    }
  }
}

}  // namespace
