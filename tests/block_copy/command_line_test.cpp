// SPDX-License-Identifier: BSD-3-Clause
// What the program takes its arguments for.
#include "command_line.hpp"
#include "texts.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using block_copy::command_line;
using block_copy::parse_device;
using block_copy::parse_size;
using kind = block_copy::device_spec::kind;

std::expected<command_line, std::string> parse(std::initializer_list<std::string_view> arguments) {
  const std::vector<std::string_view> all(arguments);
  return block_copy::parse(all);
}

TEST(command_line, options_and_devices_in_any_order) {
  const auto line = parse({"--offset", "1k", "a.img", "--depth", "3", "--no-verify", "uring:b",
                           "--hugepages", "--progress", "--length", "7", "--to", "2M", "--chunk",
                           "4096", "--resume-from", "5", "--config", "c.json"});
  ASSERT_TRUE(line) << line.error();
  EXPECT_EQ(line->source.name, "a.img");
  EXPECT_EQ(line->source.what, kind::aio);
  EXPECT_EQ(line->destination.name, "b");
  EXPECT_EQ(line->destination.what, kind::uring);
  EXPECT_EQ(line->config, "c.json");
  EXPECT_TRUE(line->progress);
  EXPECT_TRUE(line->hugepages);
  const auto& o = line->options;
  EXPECT_EQ(o.offset, 1024U);
  EXPECT_EQ(o.length, 7U);
  EXPECT_EQ(o.to, 2U << 20);
  EXPECT_EQ(o.chunk, 4096U);
  EXPECT_EQ(o.depth, 3U);
  EXPECT_EQ(o.resume_from, 5U);
  EXPECT_FALSE(o.verify);
}

TEST(command_line, what_is_not_given) {
  const auto line = parse({"a", "b"});
  ASSERT_TRUE(line) << line.error();
  EXPECT_EQ(line->options.length, block_copy::copy_options::to_the_end);
  EXPECT_TRUE(line->options.verify);
  EXPECT_FALSE(line->progress);
  EXPECT_FALSE(line->hugepages);
}

TEST(command_line, mistakes_are_named) {
  EXPECT_EQ(parse({"a"}).error(), "one SOURCE and one DESTINATION are needed");
  EXPECT_EQ(parse({"a", "b", "c"}).error(), "one SOURCE and one DESTINATION are needed");
  EXPECT_EQ(parse({"a", "b", "--speed"}).error(), "--speed: no such option");
  EXPECT_EQ(parse({"a", "b", "--offset"}).error(), "--offset: its value is missing");
  EXPECT_EQ(parse({"a", "b", "--length", "ten"}).error(), "--length: not a size: \"ten\"");
  EXPECT_EQ(parse({"a", "b", "--depth", "4G"}).error(), "--depth: too large");
  EXPECT_EQ(parse({"a", "malloc:x"}).error(), "malloc: wants SIZE or SIZE:BLOCK, not \"x\"");
  EXPECT_EQ(parse({"bdev:", "b"}).error(), "a device without a name");
}

TEST(command_line, devices) {
  EXPECT_EQ(parse_device("aio:uring:x")->name, "uring:x");
  EXPECT_EQ(parse_device("bdev:Nvme0n1")->what, kind::bdev);
  EXPECT_EQ(parse_device("bdev:Nvme0n1")->name, "Nvme0n1");
  EXPECT_EQ(parse_device("malloc:8M")->size, 8U << 20);
  EXPECT_EQ(parse_device("malloc:8M")->block, 512U);
  EXPECT_EQ(parse_device("malloc:8M:4k")->block, 4096U);
  EXPECT_FALSE(parse_device("malloc:8M:"));
}

TEST(command_line, sizes) {
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("3G"), std::uint64_t{3} << 30);
  EXPECT_EQ(parse_size("16777215T"), std::uint64_t{16777215} << 40);
  for (auto each : {"", "k", "1kk", "1 k", "-1", "1K", "16777216T", "99999999999999999999"}) {
    EXPECT_EQ(parse_size(each), std::nullopt) << each;
  }
  EXPECT_EQ(block_copy::hexadecimal(0x1a2b), "00001a2b");
}

}  // namespace
