// SPDX-License-Identifier: BSD-3-Clause
// Sizes and durations, read and written.
#include "units.hpp"

#include <gtest/gtest.h>

namespace spdk_io_tool {
namespace {

TEST(units, reads_sizes) {
  EXPECT_EQ(parse_size("0"), 0u);
  EXPECT_EQ(parse_size("4096"), 4096u);
  EXPECT_EQ(parse_size("512B"), 512u);
  EXPECT_EQ(parse_size("4k"), 4096u);
  EXPECT_EQ(parse_size("256M"), 256u << 20);
  EXPECT_EQ(parse_size("256MiB"), 256u << 20);
  EXPECT_EQ(parse_size("256mb"), 256u << 20);
  EXPECT_EQ(parse_size("2T"), std::uint64_t(2) << 40);
}

TEST(units, refuses_what_is_no_size) {
  for (const char* text : {"", "M", "-1", "+1", "1.5G", "1X", "1MM", "1iB", " 1", "1 M", "0x10",
                           "18446744073709551616", "16777216T", "1kBB"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(units, writes_sizes) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(512), "512 B");
  EXPECT_EQ(format_size(4096), "4 KiB");
  EXPECT_EQ(format_size(256u << 20), "256 MiB");
  EXPECT_EQ(format_size(3u << 29), "1.5 GiB");
}

TEST(units, writes_durations) {
  using std::chrono::nanoseconds;
  EXPECT_EQ(format_duration(nanoseconds(0)), "0 ns");
  EXPECT_EQ(format_duration(nanoseconds(850)), "850 ns");
  EXPECT_EQ(format_duration(nanoseconds(98'340)), "98.3 us");
  EXPECT_EQ(format_duration(nanoseconds(999'600)), "1.00 ms");
  EXPECT_EQ(format_duration(nanoseconds(1'240'000)), "1.24 ms");
  EXPECT_EQ(format_duration(nanoseconds(123'456'789'000)), "123 s");
}

}  // namespace
}  // namespace spdk_io_tool
