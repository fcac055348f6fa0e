// SPDX-License-Identifier: BSD-3-Clause
// The cores of an environment. Child processes: each starts SPDK with its own mask.
#include "own_process.hpp"

#include <spdk_io/spdk_io.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

namespace {

namespace sio = spdk_io;
using namespace spdk_io_test;

std::vector<std::uint32_t> all_cores() {
  auto range = sio::cores();
  return {range.begin(), range.end()};
}

TEST(cores, there_are_none_without_an_environment) {
  EXPECT_TRUE(sio::cores().empty());
  EXPECT_EQ(all_cores(), std::vector<std::uint32_t>());
  EXPECT_EQ(sio::current_core(), std::nullopt);
  EXPECT_EQ(sio::first_core(), std::nullopt);
}

TEST(cores, one_by_default) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto env = sio::env::start({.name = "cores", .hugepages = false, .pci = false});
    ASSERT_TRUE(env) << env.error();
    EXPECT_EQ(sio::cores().size(), 1u);
    EXPECT_EQ(all_cores(), std::vector<std::uint32_t>{0});
    EXPECT_EQ(sio::current_core(), 0u);
    EXPECT_EQ(sio::first_core(), 0u);
    std::jthread([] { EXPECT_EQ(sio::current_core(), std::nullopt); });
  })));
}

TEST(cores, as_many_as_the_mask_has) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "this machine has one core";
  EXPECT_TRUE(passed(in_own_process([] {
    auto env = sio::env::start(
        {.name = "cores", .core_mask = "0x3", .hugepages = false, .pci = false, .main_core = 1});
    ASSERT_TRUE(env) << env.error();
    EXPECT_EQ(sio::cores().size(), 2u);
    EXPECT_EQ(all_cores(), (std::vector<std::uint32_t>{0, 1}));
    EXPECT_EQ(sio::current_core(), 1u);
    EXPECT_EQ(sio::first_core(), 0u);
  })));
}

}  // namespace
