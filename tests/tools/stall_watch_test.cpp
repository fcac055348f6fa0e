// SPDX-License-Identifier: BSD-3-Clause
// stall_watch: it tells of a count that stays, and not of one that goes on.
#include "stall_watch.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>

namespace spdk_io_tool {
namespace {

using namespace std::chrono_literals;

TEST(stall_watch, tells_of_a_count_that_stays) {
  std::promise<void> told;
  std::atomic<bool> once = false;
  const stall_watch watch(
      1ms, [] { return 7u; },
      [&] {
        if (!once.exchange(true)) told.set_value();
      });
  told.get_future().wait();
}

TEST(stall_watch, is_content_while_the_count_goes_on) {
  std::promise<void> looked;
  std::atomic<std::uint64_t> looks = 0;
  std::atomic<bool> told = false;
  {
    const stall_watch watch(
        1ms,
        [&] {
          if (++looks == 50) looked.set_value();
          return looks.load();
        },
        [&] { told = true; });
    looked.get_future().wait();
  }
  EXPECT_FALSE(told);
}

}  // namespace
}  // namespace spdk_io_tool
