// SPDX-License-Identifier: BSD-3-Clause
// `spdk-io soak` from outside: what it does, finds, refuses, and removes afterwards.
#include "child_process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sched.h>

#include <algorithm>
#include <csignal>
#include <initializer_list>
#include <string>
#include <vector>

namespace spdk_io_tool {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using arguments = std::vector<std::string>;

class soak : public testing::Test {
 protected:
  static arguments command(const arguments& rest) {
    arguments out = {SPDK_IO_COMMAND, "soak"};
    out.insert(out.end(), rest.begin(), rest.end());
    return out;
  }
  // Long enough for the numbers to say something, and ended by operations rather than by time.
  ended run(const arguments& rest) {
    arguments all = {"--seconds", "100", "--size", "4M"};
    const auto unless_given = [&](const char* option, const char* value) {
      if (std::ranges::find(rest, option) == rest.end()) all.insert(all.end(), {option, value});
    };
    unless_given("--operations", "10000");
    unless_given("--trouble", "5");
    all.insert(all.end(), rest.begin(), rest.end());
    return child_process(folder_.path(), command(all)).wait();
  }
  scratch_folder folder_;
};

TEST_F(soak, ends_operations_in_every_way_and_reads_all_back) {
  const ended end = run({"--seed", "0x2a", "--operations", "100000", "--trouble", "2"});
  EXPECT_EQ(end.status, 0) << end.out << end.err;
  EXPECT_THAT(end.err, IsEmpty());
  EXPECT_THAT(end.out, HasSubstr("malloc+error, uring+delay, malloc+error+delay, uring\n"));
  EXPECT_THAT(end.out, HasSubstr("seed 0x2a\n"));
  EXPECT_THAT(end.out, ContainsRegex(" [1-9][0-9]* reads, [1-9][0-9]* writes, "));
  EXPECT_THAT(end.out, ContainsRegex(" [1-9][0-9]* succeeded, [1-9][0-9]* failed, [1-9][0-9]* "
                                     "cancelled, [1-9][0-9]* timed out, [1-9][0-9]* found the "
                                     "device removed, [1-9][0-9]* were destroyed in flight\n"));
  EXPECT_THAT(end.out, ContainsRegex("[1-9][0-9]* injections of errors, [1-9][0-9]* resets, "
                                     "[1-9][0-9]* removals \\([1-9][0-9]* from below\\)"));
  EXPECT_THAT(end.out, HasSubstr("all 4096 of the devices at the end\n"));
  EXPECT_THAT(end.out, ContainsRegex("\nsoaked [0-9]+ operations, 0 errors\n$"));
  EXPECT_THAT(folder_.files(), IsEmpty());
}

TEST_F(soak, works_with_few_bdev_ios) {
  const ended end = run({"--pool", "24"});
  EXPECT_EQ(end.status, 0) << end.out << end.err;
  EXPECT_THAT(end.out, HasSubstr("24 bdev_ios: too few for stacked devices\n"));
  EXPECT_THAT(end.out, ContainsRegex(" [1-9][0-9]* operations waited for a bdev_io\n"));
  EXPECT_THAT(end.out, HasSubstr(" operations, 0 errors\n"));
}

// Without trouble nothing fails but what was asked to.
TEST_F(soak, is_quiet_without_trouble) {
  const ended end = run({"--trouble", "0", "--threads", "1", "--devices", "2"});
  EXPECT_EQ(end.status, 0) << end.out << end.err;
  EXPECT_THAT(end.out, HasSubstr(" succeeded, 0 failed, "));
  EXPECT_THAT(end.out, HasSubstr(" 0 found the device removed, "));
  EXPECT_THAT(end.out, HasSubstr(" 0 removals "));
  EXPECT_THAT(end.out, HasSubstr(" operations, 0 errors\n"));
}

TEST_F(soak, finds_a_byte_that_was_changed) {
  const ended end = run({"--corrupt", "--devices", "1", "--trouble", "0"});
  EXPECT_EQ(end.status, 1) << end.out << end.err;
  EXPECT_THAT(end.out, ContainsRegex("\n  EE_soak0: block [0-9]+ holds .*; it may hold "));
  EXPECT_THAT(end.out, ContainsRegex("\nsoaked [0-9]+ operations, [1-9][0-9]* errors?\n$"));
}

TEST_F(soak, tells_how_far_it_is) {
  const ended end = run({"--report", "0.05"});
  EXPECT_EQ(end.status, 0) << end.out << end.err;
  EXPECT_THAT(end.out, ContainsRegex(" s +[0-9]+ operations, [0-9]+/s; .* resident, heap .*\n"));
}

TEST_F(soak, ends_cleanly_on_ctrl_c) {
  child_process child(folder_.path(), command({"--seconds", "1000"}));
  while (child.running() && folder_.files().empty()) ::sched_yield();
  child.signal(SIGINT);
  const ended end = child.wait();
  EXPECT_EQ(end.status, 130) << end.out << end.err;
  EXPECT_THAT(end.out, Not(HasSubstr("holds")));
  EXPECT_THAT(folder_.files(), IsEmpty());
}

TEST_F(soak, refuses_what_makes_no_sense) {
  for (const arguments& each : std::initializer_list<arguments>{{"--seconds", "0"},
                                                                {"--seconds", "nan"},
                                                                {"--threads", "0"},
                                                                {"--threads", "65"},
                                                                {"--devices", "0"},
                                                                {"--depth", "0"},
                                                                {"--depth", "-1"},
                                                                {"--size", "1M"},
                                                                {"--size", "16777217"},
                                                                {"--size", "much"},
                                                                {"--seed", "x"},
                                                                {"--pool", "1"},
                                                                {"--trouble", "-1"},
                                                                {"--corrupt", "--pool", "64"},
                                                                {"--nonsense"}}) {
    const ended end = child_process(folder_.path(), command(each)).wait();
    SCOPED_TRACE(testing::PrintToString(each));
    EXPECT_EQ(end.status, 2);
    EXPECT_EQ(std::ranges::count(end.err, '\n'), 1) << end.err;
    EXPECT_THAT(end.err, HasSubstr("spdk-io: "));
    EXPECT_THAT(end.out, IsEmpty());
    EXPECT_THAT(folder_.files(), IsEmpty());
  }
}

}  // namespace
}  // namespace spdk_io_tool
