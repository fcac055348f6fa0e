// SPDX-License-Identifier: BSD-3-Clause
// Functions that a thread calls again and again.
#include "spdk_test.hpp"
#include "started.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

TEST(poller, runs_at_each_poll_until_it_is_destroyed) {
  int runs = 0;
  {
    auto p = must(sio::poller::start([&] { ++runs; }));
    EXPECT_EQ(runs, 0);
    for (int i = 1; i <= 3; ++i) {
      EXPECT_GT(main_thread().poll(), 0u);
      EXPECT_EQ(runs, i);
    }
    EXPECT_TRUE(main_thread().has_pollers());
    EXPECT_NE(p.native_handle(), nullptr);
  }
  for (int i = 0; i < 3; ++i) main_thread().poll();
  EXPECT_EQ(runs, 3);
  EXPECT_FALSE(main_thread().has_pollers());
}

TEST(poller, with_a_period_runs_no_more_often_than_that) {
  std::vector<clock::time_point> runs;
  const auto start = clock::now();
  auto p = must(sio::poller::start(500us, [&] { runs.push_back(clock::now()); }));
  for (int i = 0; i < 3; ++i) main_thread().poll();
  poll_until([&] { return runs.size() == 3; });
  // From the start of one turn to the start of the next; what runs is a little behind either.
  EXPECT_GE(runs[0] - start, 500us);
  EXPECT_GE(runs[2] - start, 1500us);
}

TEST(poller, says_whether_it_worked) {
  bool worked = false;
  auto p = must(sio::poller::start([&] { return worked; }));
  main_thread().poll();  // SPDK learns after the first run
  for (int i = 0; i < 3; ++i) EXPECT_EQ(main_thread().poll(), 0u);
  worked = true;
  EXPECT_GT(main_thread().poll(), 0u);
  worked = false;
  main_thread().poll();
  main_thread().poll();
  EXPECT_EQ(main_thread().poll(), 0u);
}

TEST(poller, pauses_and_resumes) {
  int runs = 0;
  auto p = must(sio::poller::start([&] { ++runs; }));
  main_thread().poll();
  EXPECT_EQ(runs, 1);
  EXPECT_FALSE(p.paused());
  p.pause();
  p.pause();
  EXPECT_TRUE(p.paused());
  for (int i = 0; i < 3; ++i) main_thread().poll();
  EXPECT_EQ(runs, 1);
  p.resume();
  p.resume();
  EXPECT_FALSE(p.paused());
  poll_until([&] { return runs == 3; });
}

TEST(poller, with_a_period_pauses_and_resumes) {
  int runs = 0;
  auto p = must(sio::poller::start(1us, [&] { ++runs; }));
  poll_until([&] { return runs == 2; });
  p.pause();
  const auto until = clock::now() + 100us;
  while (clock::now() < until) main_thread().poll();
  EXPECT_EQ(runs, 2);
  p.resume();
  poll_until([&] { return runs == 4; });
}

// SPDK has called, and the run is due in this very poll, when somebody before it pauses it.
TEST(poller, pausing_drops_a_run_that_is_due) {
  std::optional<sio::poller> first, second;
  int runs = 0;
  auto pause_the_other = [&](std::optional<sio::poller>& other) {
    return [&] {
      ++runs;
      other->pause();
    };
  };
  first = must(sio::poller::start(pause_the_other(second)));
  second = must(sio::poller::start(pause_the_other(first)));
  main_thread().poll();
  EXPECT_EQ(runs, 1);
}

TEST(poller, may_pause_itself) {
  std::optional<sio::poller> p;
  int runs = 0;
  p = must(sio::poller::start([&] {
    ++runs;
    p->pause();
  }));
  for (int i = 0; i < 3; ++i) main_thread().poll();
  EXPECT_EQ(runs, 1);
}

TEST(poller, may_be_destroyed_by_itself) {
  std::optional<sio::poller> p;
  auto alive = std::make_shared<int>(0);
  std::weak_ptr<int> watch = alive;
  p = must(sio::poller::start([&p, alive = std::move(alive)] {
    p.reset();
    ++*alive;  // the function lives until it returns
  }));
  EXPECT_FALSE(watch.expired());
  main_thread().poll();
  EXPECT_FALSE(p);
  EXPECT_TRUE(watch.expired());
  main_thread().poll();
}

TEST(poller, may_be_destroyed_by_another_in_the_same_poll) {
  std::optional<sio::poller> first, second;
  int runs = 0;
  auto destroy_the_other = [&](std::optional<sio::poller>& other) {
    return [&] {
      ++runs;
      other.reset();
    };
  };
  first = must(sio::poller::start(destroy_the_other(second)));
  second = must(sio::poller::start(destroy_the_other(first)));
  main_thread().poll();
  EXPECT_EQ(runs, 1);
  main_thread().poll();
  EXPECT_EQ(runs, 2);
  EXPECT_NE(first.has_value(), second.has_value());
}

TEST(poller, does_not_run_inside_its_own_run) {
  int depth = 0;
  int deepest = 0;
  int runs = 0;
  auto p = must(sio::poller::start([&] {
    deepest = std::max(deepest, ++depth);
    if (++runs < 10) run(sio::yield());
    --depth;
  }));
  poll_until([&] { return runs >= 10; });
  EXPECT_EQ(deepest, 1);
}

TEST(poller, goes_on_after_an_exception) {
  int runs = 0;
  auto p = must(sio::poller::start([&] {
    if (++runs == 1) throw std::runtime_error("out of a poller");
  }));
  EXPECT_THROW(main_thread().poll(), std::runtime_error);
  EXPECT_EQ(runs, 1);
  main_thread().poll();
  EXPECT_EQ(runs, 2);
}

TEST(poller, stops_when_its_thread_ends_first) {
  auto further = must(sio::thread::create("further"));
  std::optional<sio::poller> p;
  int runs = 0;
  ASSERT_TRUE(
      further.ref().send([&] { p.emplace(must(sio::poller::start([&] { return ++runs < 0; }))); }));
  further.poll();
  further.poll();
  EXPECT_EQ(runs, 1);
  {
    auto ending = std::move(further);
  }
  const int at_the_end = runs;
  ASSERT_TRUE(p);
  EXPECT_EQ(p->native_handle(), nullptr);
  p->pause();
  p->resume();
  main_thread().poll();
  EXPECT_EQ(runs, at_the_end);
  p.reset();
}

TEST(poller, moves) {
  int a = 0;
  int b = 0;
  auto first = must(sio::poller::start([&] { ++a; }));
  auto second = must(sio::poller::start([&] { ++b; }));
  first = std::move(second);  // the first one stops
  auto third = std::move(first);
  main_thread().poll();
  EXPECT_EQ(a, 0);
  EXPECT_EQ(b, 1);
  EXPECT_NE(third.native_handle(), nullptr);
}

TEST(poller, refuses_what_cannot_be) {
  auto negative = sio::poller::start(-1us, [] {});
  ASSERT_FALSE(negative);
  EXPECT_TRUE(negative.error() == std::errc::invalid_argument);
  EXPECT_EQ(negative.error().message(), "poller: the period is negative");
  std::jthread([] {
    auto nowhere = sio::poller::start([] {});
    ASSERT_FALSE(nowhere);
    EXPECT_TRUE(nowhere.error() == std::errc::operation_not_permitted);
    EXPECT_NE(nowhere.error().message().find("call spdk_io::thread::attach() first"),
              std::string::npos);
  });
}

TEST(poller, is_refused_while_the_thread_ends) {
  auto further = must(sio::thread::create("further"));
  std::optional<sio::error> refused;
  ASSERT_TRUE(further.ref().send([&] {
    auto p = sio::poller::start([] {});
    if (!p) refused = p.error();
  }));
  {
    auto ending = std::move(further);
  }
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->message(), "poller: the thread is ending");
}

}  // namespace
