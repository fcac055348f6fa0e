// SPDX-License-Identifier: BSD-3-Clause
// permutation: each number once, in an order that the seed decides.
#include "permutation.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace spdk_io_tool {
namespace {

TEST(permutation, gives_each_number_once) {
  for (std::uint64_t size : {1u, 2u, 3u, 4u, 5u, 16u, 17u, 1000u, 65536u, 65537u}) {
    permutation order(size, 42);
    std::vector<bool> seen(size);
    for (std::uint64_t i = 0; i < size; ++i) {
      ASSERT_LT(order[i], size);
      ASSERT_FALSE(seen[order[i]]) << order[i] << " twice among " << size;
      seen[order[i]] = true;
    }
  }
}

TEST(permutation, depends_on_the_seed_alone) {
  permutation one(1000, 1);
  permutation same(1000, 1);
  permutation other(1000, 2);
  std::size_t in_common = 0;
  std::size_t in_place = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(one[i], same[i]);
    in_common += one[i] == other[i];
    in_place += one[i] == i;
  }
  EXPECT_LT(in_common, 20u);
  EXPECT_LT(in_place, 20u);
}

}  // namespace
}  // namespace spdk_io_tool
