// SPDX-License-Identifier: BSD-3-Clause
// Sleeping on an SPDK thread's timers.
#include "spdk_test.hpp"
#include "started.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

TEST(sleep_for, never_wakes_too_early) {
  for (auto duration : {1us, 300us, 2000us}) {
    const auto start = clock::now();
    EXPECT_TRUE(run(sio::sleep_for(duration)));
    EXPECT_GE(clock::now() - start, duration);
  }
}

TEST(sleep_for, zero_or_less_wakes_at_the_next_poll) {
  for (auto duration : {0s, -5s}) {
    started run(sio::sleep_for(duration));
    EXPECT_FALSE(run.done());
    main_thread().poll();
    ASSERT_TRUE(run.done());
    EXPECT_TRUE(run.take());
  }
}

TEST(sleep_for, a_very_long_sleep_does_not_end) {
  started run(sio::sleep_for(std::chrono::nanoseconds::max()));
  started shorter(sio::sleep_for(24h * 365 * 100));
  for (int i = 0; i < 100; ++i) main_thread().poll();
  EXPECT_FALSE(run.done());
  EXPECT_FALSE(shorter.done());
  EXPECT_FALSE(main_thread().idle());  // somebody waits
}

TEST(sleep_for, wakes_in_the_order_of_time_and_of_going_to_sleep) {
  std::string log;
  auto sleeper = [&](std::chrono::microseconds d, char c) -> sio::task<void> {
    (void)co_await sio::sleep_for(d);
    log += c;
  };
  started late(sleeper(3ms, 'l'));
  started first(sleeper(0us, 'a'));
  started second(sleeper(0us, 'b'));
  started middle(sleeper(1ms, 'm'));
  poll_until([&] { return late.done(); });
  EXPECT_EQ(log, "abml");
}

TEST(sleep_for, a_destroyed_sleeper_is_forgotten) {
  int alive = 0;
  auto body = [&]() -> sio::task<void> {
    ++alive;
    (void)co_await sio::sleep_for(24h);
    --alive;
  };
  {
    started run(body());
    EXPECT_EQ(alive, 1);
    EXPECT_FALSE(main_thread().idle());
  }
  while (main_thread().poll() != 0) {
  }
  EXPECT_TRUE(main_thread().idle());
  EXPECT_EQ(alive, 1);
}

// Its time has come and it is linked to the ready list when it is destroyed.
TEST(sleep_for, a_ready_sleeper_may_be_destroyed_by_the_one_before) {
  std::optional<started<sio::task<void>>> first;
  std::optional<started<sio::task<void>>> second;
  std::string log;
  auto body = [&](char c) -> sio::task<void> {
    (void)co_await sio::sleep_for(0ns);
    log += c;
    second.reset();
  };
  first.emplace(body('a'));
  second.emplace(body('b'));
  for (int i = 0; i < 3; ++i) main_thread().poll();
  EXPECT_EQ(log, "a");
}

TEST(sleep_for, needs_an_attached_thread) {
  std::jthread([] {
    started run(sio::sleep_for(1h));
    ASSERT_TRUE(run.done());
    auto r = run.take();
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::operation_not_permitted);
    EXPECT_EQ(r.error().message(),
              "sleep: no SPDK thread is attached here (call "
              "spdk_io::thread::attach() first)");
  });
}

TEST(sleep_for, many_at_once) {
  std::vector<std::unique_ptr<started<sio::sleep_operation>>> all;
  for (int i = 0; i < 1000; ++i)
    all.push_back(std::make_unique<started<sio::sleep_operation>>(
        sio::sleep_for(std::chrono::microseconds((i * 7919) % 1000))));
  for (auto& each : all) {
    poll_until([&] { return each->done(); });
    EXPECT_TRUE(each->take());
  }
}

}  // namespace
