// SPDX-License-Identifier: BSD-3-Clause
// task_scope: spawned at once, joined together, destroyed with the scope.
#include "counted.hpp"
#include "own_process.hpp"
#include "started.hpp"

#include <spdk_io/task.hpp>
#include <spdk_io/task_scope.hpp>

#include <gtest/gtest.h>

#include <deque>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace sio = spdk_io;
using namespace spdk_io_test;

namespace {

sio::task<sio::result<void>> give(gate& g, sio::result<void> r) {
  co_await g;
  co_return r;
}

sio::task<void> fail(gate& g, const char* text) {
  co_await g;
  throw std::runtime_error(text);
}

sio::result<void> failure(std::errc code) {
  return std::unexpected(sio::error(code, sio::operation_kind::none, "failed"));
}

TEST(task_scope, starts_what_it_spawns_and_joins_all) {
  std::deque<gate> gates(3);
  int alive = 0;
  sio::task_scope scope;
  for (auto& g : gates) scope.spawn(hold(g, alive));
  EXPECT_EQ(alive, 3);
  EXPECT_EQ(scope.running(), 3u);
  started join(scope.join());
  gates[1].open();
  gates[0].open();
  EXPECT_EQ(scope.running(), 1u);
  EXPECT_FALSE(join.done());
  gates[2].open();
  ASSERT_TRUE(join.done());
  EXPECT_TRUE(join.take());
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(scope.running(), 0u);
}

TEST(task_scope, join_of_nothing_is_done) {
  sio::task_scope scope;
  started join(scope.join());
  ASSERT_TRUE(join.done());
  EXPECT_TRUE(join.take());
}

TEST(task_scope, takes_any_awaitable) {
  gate g;
  sio::task_scope scope;
  scope.spawn(give(g, {}));
  struct at_once {
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    int await_resume() const noexcept { return 1; }
  };
  scope.spawn(at_once());
  EXPECT_EQ(scope.running(), 1u);
  g.open();
  EXPECT_EQ(scope.running(), 0u);
}

TEST(task_scope, reports_the_first_error_to_end) {
  gate a, b, c;
  sio::task_scope scope;
  scope.spawn(give(a, failure(std::errc::io_error)));
  scope.spawn(give(b, failure(std::errc::timed_out)));
  scope.spawn(give(c, {}));
  started join(scope.join());
  b.open();
  a.open();
  EXPECT_FALSE(join.done());
  c.open();
  ASSERT_TRUE(join.done());
  auto r = join.take();
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::timed_out) << r.error();
}

TEST(task_scope, rethrows_the_first_exception_from_join) {
  gate a, b;
  sio::task_scope scope;
  scope.spawn(fail(a, "one"));
  scope.spawn(fail(b, "two"));
  started join(scope.join());
  b.open();
  a.open();
  ASSERT_TRUE(join.done());
  try {
    (void)join.take();
    FAIL() << "join did not throw";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "two");
  }
}

TEST(task_scope, can_be_used_again_after_a_failure) {
  gate g;
  g.open();
  sio::task_scope scope;
  scope.spawn(give(g, failure(std::errc::io_error)));
  started first(scope.join());
  ASSERT_TRUE(first.done());
  EXPECT_FALSE(first.take());
  scope.spawn(give(g, {}));
  started second(scope.join());
  ASSERT_TRUE(second.done());
  EXPECT_TRUE(second.take());
}

TEST(task_scope, waits_for_what_is_spawned_while_it_joins) {
  gate a, b;
  int alive = 0;
  sio::task_scope scope;
  auto spawner = [&]() -> sio::task<void> {
    co_await a;
    scope.spawn(hold(b, alive));
  };
  scope.spawn(spawner());
  started join(scope.join());
  a.open();
  EXPECT_EQ(alive, 1);
  EXPECT_FALSE(join.done());
  b.open();
  EXPECT_TRUE(join.done());
}

TEST(task_scope, destroys_what_has_not_ended) {
  std::deque<gate> gates(3);
  int alive = 0;
  {
    sio::task_scope scope;
    for (auto& g : gates) scope.spawn(hold(g, alive));
    gates[1].open();
    EXPECT_EQ(alive, 2);
  }
  EXPECT_EQ(alive, 0);
}

TEST(task_scope, may_be_destroyed_by_whoever_joined_it) {
  gate g;
  int alive = 0;
  auto body = [&]() -> sio::task<void> {
    sio::task_scope scope;
    scope.spawn(hold(g, alive));
    (void)co_await scope.join();
  };
  started run(body());
  EXPECT_FALSE(run.done());
  g.open();
  EXPECT_TRUE(run.done());
  EXPECT_EQ(alive, 0);
}

TEST(task_scope, an_exception_that_nobody_joined_for_ends_the_program) {
  auto end = in_own_process([] {
    gate g;
    g.open();
    sio::task_scope scope;
    scope.spawn(fail(g, "lost in a scope"));
  });
  EXPECT_TRUE(aborted_with(end, "a task_scope that was not joined: lost in a scope"));
}

TEST(task_scope, an_error_that_nobody_joined_for_is_dropped) {
  auto end = in_own_process([] {
    gate g;
    g.open();
    sio::task_scope scope;
    scope.spawn(give(g, failure(std::errc::io_error)));
  });
  EXPECT_TRUE(passed(end));
}

}  // namespace
