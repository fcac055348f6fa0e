// SPDX-License-Identifier: BSD-3-Clause
// Start and end of SPDK's environment: each case in a process of its own, since SPDK starts only
// once in each.
#include "own_process.hpp"

#include <spdk_io/env.hpp>
#include <spdk_io/thread.hpp>
#include <spdk_io/thread_pool.hpp>

#include <gtest/gtest.h>

#include <sched.h>

#include <climits>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace sio = spdk_io;
using namespace spdk_io_test;

namespace {

sio::env_options small() { return {.name = "env_test", .hugepages = false, .pci = false}; }

std::string why_not(const sio::env_options& options) {
  auto env = sio::env::start(options);
  if (env) {
    ADD_FAILURE() << "it started";
    return {};
  }
  EXPECT_TRUE(env.error() == std::errc::invalid_argument) << env.error();
  return env.error().message();
}

testing::AssertionResult contains(std::string_view text, std::string_view part) {
  if (text.find(part) != text.npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << '"' << text << "\" does not contain \"" << part << '"';
}

std::string affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  std::string out;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) out += std::to_string(cpu) + ' ';
  return out;
}

TEST(env, starts_and_ends_without_a_word) {
  auto end = in_own_process([] {
    auto env = sio::env::start(small());
    ASSERT_TRUE(env) << env.error();
    auto thread = sio::thread::attach("main");
    ASSERT_TRUE(thread) << thread.error();
    EXPECT_EQ(thread->name(), "main");
  });
  EXPECT_TRUE(passed(end));
  EXPECT_EQ(end.out, "");
  EXPECT_EQ(end.err, "");
}

TEST(env, a_second_start_is_refused) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto env = sio::env::start(small());
    ASSERT_TRUE(env) << env.error();
    auto second = sio::env::start(small());
    ASSERT_FALSE(second);
    EXPECT_TRUE(second.error() == std::errc::already_connected);
    EXPECT_EQ(second.error().message(),
              "env: already started in this process; SPDK's environment cannot be started twice");
    EXPECT_TRUE(sio::thread::attach("main"));  // the first one is unharmed
  })));
}

TEST(env, a_start_after_the_end_is_refused) {
  EXPECT_TRUE(passed(in_own_process([] {
    {
      auto env = sio::env::start(small());
      ASSERT_TRUE(env) << env.error();
    }
    auto second = sio::env::start(small());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().message(),
              "env: ended already in this process; SPDK's environment cannot be started again "
              "(start it once in main and keep it)");
    EXPECT_FALSE(sio::thread::attach("main"));
  })));
}

TEST(env, ends_once_although_it_was_moved) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto env = sio::env::start(small());
    ASSERT_TRUE(env) << env.error();
    std::optional<sio::env> moved(std::move(*env));
    EXPECT_TRUE(sio::thread::attach("main"));
    env = std::unexpected(sio::error());
    EXPECT_TRUE(sio::thread::attach("main"));  // still up
    moved.reset();
    EXPECT_FALSE(sio::thread::attach("main"));
  })));
}

TEST(env, a_thread_needs_it) {
  auto thread = sio::thread::attach("early");
  ASSERT_FALSE(thread);
  EXPECT_TRUE(thread.error() == std::errc::operation_not_permitted);
  EXPECT_EQ(thread.error().message(),
            "thread \"early\": no environment (call spdk_io::env::start() first and keep it)");
  EXPECT_FALSE(sio::thread::create("early"));
  auto pool = sio::thread_pool::start({.threads = 2, .name = "early"});
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().message(),
            "thread \"early-0\": no environment (call spdk_io::env::start() first and keep it)");
}

// Options that SPDK need not see: after them a start is still possible.
TEST(env, refuses_impossible_options_and_says_what_to_do) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto o = small();
    o.memory_mib = -5;
    EXPECT_EQ(why_not(o),
              "env: memory_mib is -5; use 0 for the default, or a number of MiB above 0");
    o = small();
    o.name = "";
    EXPECT_TRUE(contains(why_not(o), "1 to 64 characters"));
    o.name = std::string(65, 'x');
    EXPECT_TRUE(contains(why_not(o), "1 to 64 characters"));
    o = small();
    o.main_core = -2;
    EXPECT_TRUE(contains(why_not(o), "main_core must be -1 (the first) or a core's number"));
    o = small();
    o.shm_id = -2;
    EXPECT_TRUE(contains(why_not(o), "shm_id must be -1 (none)"));
    o = small();
    o.extra_args = {std::string("a\0b", 3)};
    EXPECT_TRUE(contains(why_not(o), "extra_args contains a NUL"));
    auto env = sio::env::start(small());
    EXPECT_TRUE(env) << env.error();
  })));
}

TEST(env, names_a_core_mask_that_cannot_be) {
  auto end = in_own_process([] {
    auto o = small();
    o.core_mask = "no mask";
    EXPECT_EQ(why_not(o),
              "env: core_mask \"no mask\" names no cores; use a mask in hex (\"0x3\") "
              "or a list (\"[0-1]\")");
    o.core_mask = "0x0";
    EXPECT_TRUE(contains(why_not(o), "core_mask \"0x0\" names no cores"));
    o.core_mask = "[0-";
    EXPECT_TRUE(contains(why_not(o), "core_mask \"[0-\" names no cores"));
  });
  EXPECT_TRUE(passed(end));
  EXPECT_EQ(end.out, "");
  EXPECT_EQ(end.err, "");
}

TEST(env, names_a_main_core_outside_of_the_mask) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto o = small();
    o.core_mask = "0x1";
    o.main_core = 5;
    EXPECT_TRUE(contains(why_not(o), "check that core_mask holds main_core 5"));
  })));
}

TEST(env, may_start_after_a_start_that_failed) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto o = small();
    o.core_mask = "no mask";
    EXPECT_FALSE(sio::env::start(o));
    auto env = sio::env::start(small());
    ASSERT_TRUE(env) << env.error();
    EXPECT_TRUE(sio::thread::attach("main"));
  })));
}

TEST(env, takes_a_core_mask_and_a_main_core) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto o = small();
    o.core_mask = "[0]";
    o.main_core = 0;
    o.memory_mib = 128;
    auto env = sio::env::start(o);
    ASSERT_TRUE(env) << env.error();
    EXPECT_TRUE(sio::thread::attach("main"));
  })));
}

TEST(env, may_start_on_another_os_thread) {
  EXPECT_TRUE(passed(in_own_process([] {
    std::optional<sio::env> env;
    std::jthread([&] {
      auto started = sio::env::start(small());
      ASSERT_TRUE(started) << started.error();
      env.emplace(std::move(*started));
    }).join();
    auto thread = sio::thread::attach("main");
    ASSERT_TRUE(thread) << thread.error();
    bool ran = false;
    ASSERT_TRUE(thread->ref().send([&] { ran = true; }));
    EXPECT_FALSE(ran);
    thread->poll();
    EXPECT_TRUE(ran);
  })));
}

TEST(env, threads_made_later_run_on_all_cores) {
  EXPECT_TRUE(passed(in_own_process([] {
    const std::string before = affinity();
    auto env = sio::env::start(small());
    ASSERT_TRUE(env) << env.error();
    EXPECT_EQ(affinity(), before);
    std::string later;
    std::jthread([&] { later = affinity(); }).join();
    EXPECT_EQ(later, before);
  })));
}

TEST(env, a_failed_start_leaves_the_affinity_alone) {
  EXPECT_TRUE(passed(in_own_process([] {
    const std::string before = affinity();
    auto o = small();
    o.core_mask = "0x1";
    o.main_core = 5;
    EXPECT_FALSE(sio::env::start(o));
    EXPECT_EQ(affinity(), before);
  })));
}

TEST(env, keeps_the_calling_thread_pinned_if_asked_to) {
  if (std::jthread::hardware_concurrency() < 2)
    GTEST_SKIP() << "with one core a pinned thread looks like any other";
  EXPECT_TRUE(passed(in_own_process([] {
    const std::string before = affinity();
    auto o = small();
    o.keep_affinity = true;
    auto env = sio::env::start(o);
    ASSERT_TRUE(env) << env.error();
    EXPECT_NE(affinity(), before);
    EXPECT_EQ(affinity(), "0 ");
  })));
}

TEST(env, starts_with_interrupt_mode) {
  auto end = in_own_process([] {
    auto o = small();
    o.interrupt = true;
    auto env = sio::env::start(o);
    ASSERT_TRUE(env) << env.error();
    auto thread = sio::thread::attach("main");
    ASSERT_TRUE(thread) << thread.error();
    bool ran = false;
    ASSERT_TRUE(thread->ref().send([&] { ran = true; }));
    thread->poll();
    EXPECT_TRUE(ran);
  });
  EXPECT_TRUE(passed(end));
  EXPECT_EQ(end.err, "");
}

TEST(env, gives_its_log_to_the_callback_and_to_nobody_else) {
  auto end = in_own_process([] {
    int lines = 0;
    auto o = small();
    o.core_mask = "no mask";  // SPDK has something to say about that
    o.log = [&](sio::log_level, std::string_view line) {
      ++lines;
      EXPECT_FALSE(line.empty());
      EXPECT_EQ(line.find('\n'), line.npos);
    };
    EXPECT_FALSE(sio::env::start(o));
    EXPECT_GT(lines, 0);
    sio::set_log({});
  });
  EXPECT_TRUE(passed(end));
  EXPECT_EQ(end.out, "");
  EXPECT_EQ(end.err, "");
}

TEST(env, names_the_threads_that_outlive_it) {
  auto end = in_own_process([] {
    std::optional<sio::thread> left;
    {
      auto env = sio::env::start(small());
      ASSERT_TRUE(env) << env.error();
      left.emplace(sio::thread::attach("left behind").value());
    }
    left->poll();  // SPDK was left running
    left.reset();
  });
  EXPECT_TRUE(passed(end));
  EXPECT_TRUE(contains(end.err, "env destroyed before thread \"left behind\""));
}

TEST(env, says_who_provides_it) {
  EXPECT_TRUE(sio::provider_name() == "spdk" || sio::provider_name() == "lite");
  EXPECT_FALSE(sio::provider_version().empty());
}

}  // namespace
