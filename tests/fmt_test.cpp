// SPDX-License-Identifier: BSD-3-Clause
// The library's types in {fmt}'s format strings: the same words as elsewhere.
#include <spdk_io/fmt.hpp>

#include <gtest/gtest.h>

namespace sio = spdk_io;

namespace {

const sio::error unrecovered({.what = sio::operation_kind::read,
                              .status = {2, 0x81},
                              .device = sio::intern_device_name("Nvme0n1"),
                              .offset = 8192,
                              .length = 4096});

TEST(fmt, prints_an_error_as_its_message) {
  EXPECT_EQ(fmt::format("{}", unrecovered), unrecovered.message());
  EXPECT_EQ(fmt::format("<{:.4}>", unrecovered), "<read>");
}

TEST(fmt, prints_a_status_as_errors_do) {
  EXPECT_EQ(fmt::format("{}", unrecovered.status()), "NVMe 2/81h");
  EXPECT_EQ(fmt::format("{}", sio::nvme_status{0, 7}), "NVMe 0/07h");
  EXPECT_NE(unrecovered.message().find(fmt::format("({})", unrecovered.status())),
            std::string::npos);
}

TEST(fmt, prints_a_level_by_name) {
  EXPECT_EQ(fmt::format("[{:>7}]", sio::log_level::error), "[  error]");
}

}  // namespace
