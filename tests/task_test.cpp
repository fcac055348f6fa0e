// SPDX-License-Identifier: BSD-3-Clause
// Tasks without any loop. Built without and with optimisation: how long chains of awaits are kept
// off the stack depends on it.
#include "counted.hpp"
#include "started.hpp"

#include <spdk_io/task.hpp>

#include <gtest/gtest.h>

#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

namespace sio = spdk_io;
using namespace spdk_io_test;

namespace {

sio::task<int> one() { co_return 1; }

sio::task<long> sum(long n) {
  long total = 0;
  for (long i = 0; i < n; ++i) total += co_await one();
  co_return total;
}

sio::task<int> depth(int n) {
  if (n == 0) co_return 0;
  int below = co_await depth(n - 1);
  co_return below + 1;
}

sio::task<int> depth_to_gate(int n, gate& g) {
  if (n == 0) {
    co_await g;
    co_return 0;
  }
  int below = co_await depth_to_gate(n - 1, g);
  co_return below + 1;
}

sio::task<int> hold_and_give_5(gate& g, int& alive) {
  counted here(alive);
  co_await g;
  co_return 5;
}

TEST(task, starts_when_it_is_awaited) {
  bool ran = false;
  auto body = [&]() -> sio::task<int> {
    ran = true;
    co_return 3;
  };
  auto t = body();
  EXPECT_FALSE(ran);
  started run(std::move(t));
  EXPECT_TRUE(ran);
  ASSERT_TRUE(run.done());
  EXPECT_EQ(run.take(), 3);
}

TEST(task, a_million_awaits_that_complete_at_once_need_no_stack) {
  started run(sum(1'000'000));
  ASSERT_TRUE(run.done());
  EXPECT_EQ(run.take(), 1'000'000);
}

// The same behind a suspension: the chain then begins in somebody's resume().
TEST(task, a_million_awaits_after_a_suspension_need_no_stack) {
  gate g;
  auto body = [&]() -> sio::task<long> {
    co_await g;
    long total = co_await sum(1'000'000);
    co_return total;
  };
  started run(body());
  EXPECT_FALSE(run.done());
  g.open();
  ASSERT_TRUE(run.done());
  EXPECT_EQ(run.take(), 1'000'000);
}

TEST(task, nests) {
  started run(depth(2000));
  ASSERT_TRUE(run.done());
  EXPECT_EQ(run.take(), 2000);
}

TEST(task, goes_on_where_it_was_suspended_deep_down) {
  gate g;
  started run(depth_to_gate(2000, g));
  EXPECT_FALSE(run.done());
  g.open();
  ASSERT_TRUE(run.done());
  EXPECT_EQ(run.take(), 2000);
}

TEST(task, passes_exceptions_to_whoever_awaits) {
  auto thrower = []() -> sio::task<int> {
    throw std::runtime_error("from below");
    co_return 0;
  };
  auto middle = [&]() -> sio::task<std::string> {
    try {
      (void)co_await thrower();
    } catch (const std::runtime_error& e) {
      co_return std::string("caught ") + e.what();
    }
    co_return "nothing";
  };
  started caught(middle());
  ASSERT_TRUE(caught.done());
  EXPECT_EQ(caught.take(), "caught from below");

  started uncaught(thrower());
  ASSERT_TRUE(uncaught.done());
  EXPECT_THROW(uncaught.take(), std::runtime_error);
}

TEST(task, passes_an_exception_thrown_after_a_suspension) {
  gate g;
  auto thrower = [&]() -> sio::task<void> {
    co_await g;
    throw std::logic_error("late");
  };
  started run(thrower());
  EXPECT_FALSE(run.done());
  g.open();
  ASSERT_TRUE(run.done());
  EXPECT_THROW(run.take(), std::logic_error);
}

TEST(task, returns_what_can_only_be_moved) {
  auto make = []() -> sio::task<std::unique_ptr<int>> { co_return std::make_unique<int>(9); };
  auto body = [&]() -> sio::task<int> {
    std::unique_ptr<int> got = co_await make();
    co_return *got;
  };
  started run(body());
  EXPECT_EQ(run.take(), 9);
}

TEST(task, returns_references) {
  int target = 1;
  auto ref = [&]() -> sio::task<int&> { co_return target; };
  auto body = [&]() -> sio::task<void> {
    int& got = co_await ref();
    EXPECT_EQ(&got, &target);
    got = 2;
  };
  started run(body());
  run.take();
  EXPECT_EQ(target, 2);
  static_assert(std::is_same_v<sio::await_result_t<sio::task<int&>>, int&>);
}

TEST(task, keeps_its_parameters) {
  auto text = [](std::string s) -> sio::task<std::size_t> { co_return s.size(); };
  auto t = text(std::string(100, 'x'));
  started run(std::move(t));
  EXPECT_EQ(run.take(), 100u);
}

TEST(task, may_be_destroyed_before_it_starts) {
  int alive = 0;
  gate g;
  {
    auto t = hold_and_give_5(g, alive);
    EXPECT_EQ(alive, 0);
  }
  EXPECT_EQ(alive, 0);
}

TEST(task, destroyed_while_suspended_destroys_what_it_holds) {
  int alive = 0;
  gate g;
  auto outer = [&]() -> sio::task<int> {
    counted here(alive);
    int n = co_await hold_and_give_5(g, alive);
    co_return n;
  };
  started run(outer());
  EXPECT_FALSE(run.done());
  EXPECT_EQ(alive, 2);
  run.destroy();
  EXPECT_EQ(alive, 0);
}

TEST(task, moves) {
  int alive = 0;
  gate g;
  g.open();
  auto a = hold_and_give_5(g, alive);
  auto b = std::move(a);
  b = hold_and_give_5(g, alive);  // the first one goes, never started
  started run(std::move(b));
  ASSERT_TRUE(run.done());
  EXPECT_EQ(run.take(), 5);
  EXPECT_EQ(alive, 0);
}

// A coroutine type that knows nothing of the library.
struct foreign {
  struct promise_type {
    foreign get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_value(int v) noexcept { value = v; }
    void unhandled_exception() noexcept { exception = std::current_exception(); }
    std::optional<int> value;
    std::exception_ptr exception;
  };
  std::coroutine_handle<promise_type> handle;
};

TEST(task, is_awaited_from_a_foreign_coroutine) {
  gate g;
  auto body = [&]() -> foreign {
    int alive = 0;
    int a = co_await one();
    int b = co_await hold_and_give_5(g, alive);
    co_return a + b;
  };
  foreign f = body();
  EXPECT_FALSE(f.handle.done());
  g.open();
  ASSERT_TRUE(f.handle.done());
  EXPECT_EQ(f.handle.promise().value, 6);
  f.handle.destroy();
}

TEST(task, throws_into_a_foreign_coroutine) {
  auto thrower = []() -> sio::task<int> {
    throw std::runtime_error("to a foreign one");
    co_return 0;
  };
  auto body = [&]() -> foreign {
    int got = co_await thrower();
    co_return got;
  };
  foreign f = body();
  ASSERT_TRUE(f.handle.done());
  EXPECT_FALSE(f.handle.promise().value);
  EXPECT_TRUE(f.handle.promise().exception);
  f.handle.destroy();
}

// What a task awaits may resume it on another OS thread while its parent is still suspending.
struct hop {
  std::jthread& thread;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) const {
    // The coroutine, and this awaiter in it, may be gone before the assignment.
    std::jthread& outside = thread;
    outside = std::jthread([h] { h.resume(); });
  }
  void await_resume() const noexcept {}
};

TEST(task, may_go_on_on_another_os_thread_at_once) {
  for (int i = 0; i < 200; ++i) {
    std::jthread thread;
    std::thread::id there;
    auto child = [&]() -> sio::task<int> {
      co_await hop{thread};
      there = std::this_thread::get_id();
      co_return 1;
    };
    auto body = [&]() -> sio::task<int> {
      int n = co_await child();
      co_return n + 1;
    };
    started run(body());
    thread.join();
    ASSERT_TRUE(run.done());
    EXPECT_EQ(run.take(), 2);
    EXPECT_NE(there, std::this_thread::get_id());
  }
}

}  // namespace
