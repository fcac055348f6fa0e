// SPDX-License-Identifier: BSD-3-Clause
// latency_histogram: exact at the ends, within one percent in between.
#include "latency_histogram.hpp"

#include <gtest/gtest.h>

namespace spdk_io_tool {
namespace {

using std::chrono::hours;
using std::chrono::nanoseconds;

TEST(latency_histogram, is_zero_when_empty) {
  latency_histogram h;
  EXPECT_EQ(h.count(), 0u);
  EXPECT_EQ(h.percentile(0.5).count(), 0);
  EXPECT_EQ(h.max().count(), 0);
  EXPECT_EQ(h.min().count(), 0);
  EXPECT_EQ(h.count_below(hours(1)), 0u);
}

TEST(latency_histogram, gives_a_single_value_at_every_percentile) {
  latency_histogram h;
  h.record(nanoseconds(123'457));
  for (double share : {0.0, 0.5, 0.99, 0.999, 1.0}) {
    EXPECT_EQ(h.percentile(share).count(), 123'457) << share;
  }
}

TEST(latency_histogram, is_within_one_percent) {
  latency_histogram h;
  for (std::int64_t value = 1; value <= 100'000; ++value) h.record(nanoseconds(value * 100));
  for (double share : {0.01, 0.1, 0.5, 0.9, 0.99, 0.999}) {
    const double expected = share * 10'000'000;
    EXPECT_NEAR(static_cast<double>(h.percentile(share).count()), expected, expected / 100);
    EXPECT_GE(h.percentile(share).count(), static_cast<std::int64_t>(expected)) << "rounds up";
  }
  EXPECT_EQ(h.max().count(), 10'000'000);
  EXPECT_EQ(h.min().count(), 100);
}

TEST(latency_histogram, tells_small_values_apart) {
  latency_histogram h;
  for (int value = 0; value < 256; ++value) h.record(nanoseconds(value));
  for (int value = 1; value < 256; ++value) {
    EXPECT_EQ(h.count_below(nanoseconds(value)), static_cast<std::uint64_t>(value));
  }
}

TEST(latency_histogram, takes_extreme_values) {
  latency_histogram h;
  h.record(nanoseconds(-5));
  h.record(nanoseconds::max());
  EXPECT_EQ(h.count(), 2u);
  EXPECT_EQ(h.percentile(0.5).count(), 0);
  EXPECT_EQ(h.max(), nanoseconds::max());
}

TEST(latency_histogram, finds_the_one_in_a_thousand) {
  latency_histogram h;
  for (int i = 0; i < 9'990; ++i) h.record(nanoseconds(100'000));
  for (int i = 0; i < 10; ++i) h.record(nanoseconds(5'000'000));
  EXPECT_LT(h.percentile(0.999).count(), 101'000);
  EXPECT_EQ(h.percentile(0.9991).count(), 5'000'000);
}

}  // namespace
}  // namespace spdk_io_tool
