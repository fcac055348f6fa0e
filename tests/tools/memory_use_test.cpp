// SPDX-License-Identifier: BSD-3-Clause
// memory_use: what the process has, and what grows during a run.
#include "memory_use.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

namespace spdk_io_tool {
namespace {

TEST(memory_use, sees_memory_that_is_touched) {
  constexpr std::size_t size = 64u << 20;
  const memory_use before = current_memory_use();
  EXPECT_GT(before.resident, 0u);
  auto block = std::make_unique<char[]>(size);
  std::memset(block.get(), 1, size);
  const memory_use after = current_memory_use();
  EXPECT_GE(after.resident, before.resident + size / 2) << block[size / 3];
  EXPECT_GT(available_mib(), 0u);
}

TEST(memory_use, history_compares_the_second_quarter_with_the_last) {
  memory_history history;
  history.sample(0.1, {.resident = 500, .heap = 50});
  history.sample(0.3, {.resident = 100, .heap = 10});
  history.sample(0.4, {.resident = 90, .heap = 9});
  history.sample(0.6, {.resident = 300, .heap = 30});
  EXPECT_FALSE(history.complete());
  history.sample(0.8, {.resident = 110, .heap = 9});
  history.sample(1.2, {.resident = 105, .heap = 12});
  EXPECT_TRUE(history.complete());
  EXPECT_EQ(history.growth(), 10);
  EXPECT_EQ(history.early().heap, 10u);
  EXPECT_EQ(history.late().heap, 12u);
}

}  // namespace
}  // namespace spdk_io_tool
