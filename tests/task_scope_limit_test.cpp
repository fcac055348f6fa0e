// SPDX-License-Identifier: BSD-3-Clause
// spawn_when_free(): never more than the limit, in order, and whoever waits is told how it ends.
#include "devices.hpp"
#include "started.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace spdk_io_test {
namespace {

using sio::task_scope;

sio::task<void> hold(gate& g, std::string& log, char name) {
  log += name;
  co_await g;
}

sio::task<sio::result<void>> give(gate& g, sio::result<void> r) {
  co_await g;
  co_return r;
}

sio::result<void> failure() {
  return std::unexpected(sio::error(std::errc::io_error, sio::operation_kind::none, "failed"));
}

TEST(task_scope_limit, waits_while_as_many_run) {
  std::deque<gate> gates(4);
  std::string log;
  task_scope scope({.limit = 2});
  EXPECT_EQ(scope.limit(), 2u);
  auto body = [&]() -> sio::task<sio::result<void>> {
    for (std::size_t i = 0; i < 4; ++i) {
      auto r = co_await scope.spawn_when_free(hold(gates[i], log, static_cast<char>('a' + i)));
      if (!r) co_return r;
    }
    co_return co_await scope.join();
  };
  started all(body());
  EXPECT_EQ(log, "ab");
  EXPECT_EQ(scope.running(), 2u);
  EXPECT_EQ(scope.waiting(), 1u);
  poll_times(5);
  EXPECT_EQ(log, "ab");
  gates[1].open();
  EXPECT_EQ(log, "ab");  // never from within the end of another one
  poll_times(1);
  EXPECT_EQ(log, "abc");
  gates[0].open();
  poll_times(1);
  EXPECT_EQ(log, "abcd");
  gates[2].open();
  EXPECT_FALSE(all.done());
  gates[3].open();
  ASSERT_TRUE(all.done());
  EXPECT_TRUE(all.take());
}

TEST(task_scope_limit, first_come_first_served) {
  gate first, rest;
  std::string log;
  task_scope scope({.limit = 1});
  scope.spawn(hold(rest, log, 's'));  // not held up, and does not count
  must(run(scope.spawn_when_free(hold(first, log, '0'))));
  std::deque<started<sio::task<void>>> spawners;
  auto spawner = [&](char name) -> sio::task<void> {
    auto r = co_await scope.spawn_when_free(hold(rest, log, name));
    log += r ? '+' : '!';
  };
  for (char c : {'a', 'b', 'c'}) spawners.emplace_back(spawner(c));
  rest.open();
  poll_times(5);
  EXPECT_EQ(log, "s0");
  first.open();
  poll_times(10);
  EXPECT_EQ(log, "s0a+b+c+");
}

TEST(task_scope_limit, without_a_limit_it_starts_at_once) {
  gate g;
  std::string log;
  task_scope scope;
  EXPECT_EQ(scope.limit(), sio::task_scope_options::unlimited);
  for (int i = 0; i < 100; ++i) {
    started r(scope.spawn_when_free(hold(g, log, 'x')));
    ASSERT_TRUE(r.done());
    EXPECT_TRUE(r.take());
  }
  EXPECT_EQ(scope.running(), 100u);
  g.open();
  must(run(scope.join()));
}

TEST(task_scope_limit, of_nothing_is_refused) {
  task_scope scope({.limit = 0});
  auto r = run(scope.spawn_when_free(sio::sleep_for(std::chrono::hours(1))));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::invalid_argument);
  EXPECT_EQ(r.error().message(),
            "spawning into a scope: 1 asked for, but the scope has only 0 in all");
}

TEST(task_scope_limit, the_first_failure_refuses_those_who_wait) {
  gate bad, good;
  std::string log;
  task_scope scope({.limit = 2});
  must(run(scope.spawn_when_free(give(bad, failure()))));
  must(run(scope.spawn_when_free(hold(good, log, 'g'))));
  started waits(scope.spawn_when_free(hold(good, log, 'x')));
  started join(scope.join());
  bad.open();
  EXPECT_FALSE(waits.done());
  poll_times(2);
  ASSERT_TRUE(waits.done());
  auto r = waits.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "spawning into a scope: stopped on request");
  EXPECT_EQ(r.error().what(), sio::operation_kind::spawn);
  // So is who comes later, although there is a place.
  EXPECT_EQ(run(scope.spawn_when_free(hold(good, log, 'y'))).error(),
            std::errc::operation_canceled);
  EXPECT_FALSE(join.done());
  good.open();
  ASSERT_TRUE(join.done());
  EXPECT_EQ(join.take().error(), std::errc::io_error);
  EXPECT_EQ(log, "g");
  // After join() it starts anew.
  must(run(scope.spawn_when_free(hold(good, log, 'z'))));
  must(run(scope.join()));
  EXPECT_EQ(log, "gz");
}

// Although no place becomes free.
TEST(task_scope_limit, a_stop_tells_those_who_wait) {
  gate g;
  std::string log;
  sio::local_stop_source stop;
  task_scope scope({.limit = 1});
  must(run(scope.spawn_when_free(hold(g, log, 'a'))));
  started one(scope.spawn_when_free(hold(g, log, 'x')));
  scope.request_stop();
  EXPECT_FALSE(one.done());  // nobody is resumed inside request_stop()
  poll_times(2);
  ASSERT_TRUE(one.done());
  EXPECT_EQ(one.take().error().why(), sio::fault::stopped);
  EXPECT_EQ(log, "a");
  EXPECT_EQ(scope.running(), 1u);
  g.open();
  must(run(scope.join()));

  // The same by a request to who joins it.
  gate h;
  must(run(scope.spawn_when_free(hold(h, log, 'b'))));
  started two(scope.spawn_when_free(hold(h, log, 'y')));
  started join(sio::with_stop_token(stop.get_token(), scope.join()));
  stop.request_stop();
  poll_times(2);
  ASSERT_TRUE(two.done());
  EXPECT_FALSE(two.take());
  EXPECT_FALSE(join.done());
  h.open();
  EXPECT_TRUE(join.done());
  EXPECT_EQ(log, "ab");
}

// Between the grant and the turn of who waited, the scope is stopped, and even joined.
TEST(task_scope_limit, a_place_granted_before_the_stop_is_not_used) {
  for (const bool joined : {false, true}) {
    gate g, open;
    open.open();
    std::string log;
    task_scope scope({.limit = 1});
    must(run(scope.spawn_when_free(hold(g, log, 'a'))));
    started waits(scope.spawn_when_free(hold(open, log, 'x')));
    g.open();
    scope.request_stop();
    if (joined) {
      started join(scope.join());
      EXPECT_TRUE(join.done());
      (void)join.take();
    }
    poll_times(2);
    ASSERT_TRUE(waits.done());
    EXPECT_EQ(waits.take().error(), std::errc::operation_canceled);
    EXPECT_EQ(log, "a");
    must(run(scope.join()));
    must(run(scope.spawn_when_free(hold(open, log, 'b'))));  // the place came back
    EXPECT_EQ(log, "ab");
  }
}

TEST(task_scope_limit, an_exception_gives_its_place_back) {
  gate open;
  open.open();
  std::string log;
  auto raise = []() -> sio::task<void> {
    throw std::runtime_error("broken");
    co_return;
  };
  task_scope scope({.limit = 1});
  must(run(scope.spawn_when_free(raise())));
  started join(scope.join());
  ASSERT_TRUE(join.done());
  EXPECT_THROW((void)join.take(), std::runtime_error);
  must(run(scope.spawn_when_free(hold(open, log, 'a'))));
  EXPECT_EQ(log, "a");
}

TEST(task_scope_limit, who_waits_can_be_stopped_or_destroyed) {
  gate g;
  std::string log;
  sio::local_stop_source stop;
  task_scope scope({.limit = 1});
  must(run(scope.spawn_when_free(hold(g, log, 'a'))));
  started a(sio::with_stop_token(stop.get_token(), scope.spawn_when_free(hold(g, log, 'x'))));
  auto other = [&]() -> sio::task<void> {
    auto r = co_await scope.spawn_when_free(hold(g, log, 'y'));
    log += r ? '?' : '!';
  };
  std::optional<started<sio::task<void>>> b, c, d;
  b.emplace(other());
  c.emplace(other());
  d.emplace(other());
  EXPECT_EQ(scope.waiting(), 4u);
  stop.request_stop();
  b.reset();
  EXPECT_EQ(scope.waiting(), 2u);
  poll_times(2);
  ASSERT_TRUE(a.done());
  EXPECT_EQ(a.take().error(), std::errc::operation_canceled);
  EXPECT_EQ(log, "a");
  g.open();  // c has its place
  c.reset();
  poll_times(2);
  EXPECT_EQ(log, "ay?");
  EXPECT_TRUE(d->done());
}

TEST(task_scope_limit, destroyed_while_some_wait) {
  gate g;
  std::string log;
  std::optional<task_scope> scope(std::in_place, sio::task_scope_options{.limit = 1});
  must(run(scope->spawn_when_free(hold(g, log, 'a'))));
  started waits(scope->spawn_when_free(hold(g, log, 'x')));
  scope.reset();
  EXPECT_FALSE(waits.done());
  poll_times(2);
  ASSERT_TRUE(waits.done());
  EXPECT_EQ(message_of(waits.take()), "spawning into a scope: the scope was destroyed meanwhile");
  EXPECT_EQ(log, "a");
}

TEST(task_scope_limit, destroyed_after_the_grant) {
  for (const bool resumed : {true, false}) {
    gate g;
    std::string log;
    std::optional<task_scope> scope(std::in_place, sio::task_scope_options{.limit = 1});
    must(run(scope->spawn_when_free(hold(g, log, 'a'))));
    auto body = [&]() -> sio::task<void> {
      auto r = co_await scope->spawn_when_free(hold(g, log, 'x'));
      log += r ? '?' : '!';
      EXPECT_EQ(message_of(r), "spawning into a scope: the scope was destroyed meanwhile");
    };
    std::optional<started<sio::task<void>>> waits;
    waits.emplace(body());
    g.open();
    scope.reset();
    if (!resumed) waits.reset();
    poll_times(2);
    EXPECT_EQ(log, resumed ? "a!" : "a");
  }
}

TEST(task_scope_limit, the_end_of_its_thread_tells_those_who_wait) {
  auto second = std::optional(must(sio::thread::create("second")));
  gate g;
  std::string log;
  std::optional<task_scope> scope;
  using spawning = started<sio::spawn_operation<sio::task<void>>>;
  std::optional<spawning> waits;
  must(second->ref().send([&] {
    scope.emplace(sio::task_scope_options{.limit = 1});
    EXPECT_TRUE(spawning(scope->spawn_when_free(hold(g, log, 'a'))).take());
    waits.emplace(scope->spawn_when_free(hold(g, log, 'x')));
  }));
  while (!waits) second->poll();
  second.reset();
  ASSERT_TRUE(waits->done());
  EXPECT_EQ(message_of(waits->take()), "spawning into a scope: the thread is exiting");
  g.open();
  EXPECT_EQ(log, "a");
}

TEST(task_scope_limit, started_with_a_callback) {
  gate g;
  std::string log;
  std::string told;
  auto note = [&](const sio::result<void>& r) { told += message_of(r) + ';'; };
  {
    task_scope scope({.limit = 1});
    sio::start(scope.spawn_when_free(hold(g, log, 'a')), note);
    sio::start(scope.spawn_when_free(hold(g, log, 'b')), note);
    poll_times(2);
    EXPECT_EQ(told, "success;");
    EXPECT_EQ(log, "a");
    g.open();
    poll_times(2);
    EXPECT_EQ(told, "success;success;");
    EXPECT_EQ(log, "ab");
    // Due, with a scope that has gone: nothing of it is touched.
    sio::start(scope.spawn_when_free(hold(g, log, 'c')), note);
    scope.request_stop();
  }
  poll_times(2);
  EXPECT_EQ(log, "ab");
}

// What it is for: any number of I/Os, never more than so many frames.
TEST(task_scope_limit, bounds_what_is_in_flight) {
  auto disk = open_malloc("m0");
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  std::size_t most = 0;
  int done = 0;
  task_scope scope({.limit = 3});
  auto read = [&](std::uint64_t at) -> sio::task<sio::result<void>> {
    most = std::max(most, scope.running());
    auto r = co_await disk.read(buffer, at);
    ++done;
    co_return r;
  };
  auto body = [&]() -> sio::task<sio::result<void>> {
    for (std::uint64_t i = 0; i < 100; ++i) {
      if (auto r = co_await scope.spawn_when_free(read(i * 4096)); !r) break;
    }
    co_return co_await scope.join();
  };
  must(run(body()));
  EXPECT_EQ(done, 100);
  EXPECT_EQ(most, 3u);
}

}  // namespace
}  // namespace spdk_io_test
