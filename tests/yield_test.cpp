// SPDX-License-Identifier: BSD-3-Clause
// Yielding to SPDK and to the other coroutines of a thread.
#include "spdk_test.hpp"
#include "started.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <thread>

namespace {

using namespace spdk_io_test;

TEST(yield, resumes_at_the_next_poll) {
  started run(sio::yield());
  EXPECT_FALSE(run.done());
  main_thread().poll();
  EXPECT_TRUE(run.done());
}

TEST(yield, goes_behind_what_is_ready) {
  std::string log;
  auto body = [&](char c) -> sio::task<void> {
    for (int i = 0; i < 3; ++i) {
      log += c;
      co_await sio::yield();
    }
  };
  started a(body('a'));
  started b(body('b'));
  ASSERT_TRUE(main_thread().ref().send([&] { log += 'm'; }));
  EXPECT_EQ(log, "ab");
  main_thread().poll();
  EXPECT_EQ(log, "ababm");
  main_thread().poll();
  EXPECT_EQ(log, "ababmab");
  EXPECT_FALSE(a.done());
  main_thread().poll();
  EXPECT_TRUE(a.done() && b.done());
}

TEST(yield, does_nothing_without_a_thread) {
  std::jthread([] {
    started run(sio::yield());
    EXPECT_TRUE(run.done());
  });
}

TEST(yield, the_one_that_yields_may_be_destroyed) {
  int ran = 0;
  auto body = [&]() -> sio::task<void> {
    co_await sio::yield();
    ++ran;
  };
  std::optional<started<sio::task<void>>> run(body());
  run.reset();
  main_thread().poll();
  EXPECT_EQ(ran, 0);
}

}  // namespace
