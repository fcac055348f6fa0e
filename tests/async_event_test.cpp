// SPDX-License-Identifier: BSD-3-Clause
// Waiting until something is so: for all, or, with auto_reset, for one at a time.
#include "devices.hpp"
#include "started.hpp"

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>

namespace spdk_io_test {
namespace {

using sio::async_event;
using waiting = started<sio::event_operation>;

sio::task<void> note(async_event& event, char name, std::string& log) {
  auto r = co_await event.wait();
  log += r ? name : '!';
}

TEST(async_event, lets_all_through_in_order_once_it_is_set) {
  async_event event;
  std::string log;
  std::deque<started<sio::task<void>>> all;
  for (char c : {'a', 'b', 'c'}) all.emplace_back(note(event, c, log));
  EXPECT_EQ(event.waiting(), 3u);
  poll_times(10);
  EXPECT_EQ(log, "");
  EXPECT_FALSE(event.is_set());
  event.set();
  EXPECT_EQ(log, "");  // never from within set()
  EXPECT_TRUE(event.is_set());
  EXPECT_EQ(event.waiting(), 0u);
  main_thread().poll();
  EXPECT_EQ(log, "abc");
  started late(note(event, 'd', log));  // at once, while it is set
  EXPECT_TRUE(late.done());
  event.set();  // again
  EXPECT_TRUE(event.is_set());
}

TEST(async_event, holds_up_who_comes_after_a_reset_but_nobody_who_was_let_through) {
  async_event event;
  std::string log;
  started a(note(event, 'a', log));
  event.set();
  event.reset();
  EXPECT_FALSE(event.is_set());
  started b(note(event, 'b', log));
  poll_times(5);
  EXPECT_EQ(log, "a");
  EXPECT_FALSE(b.done());
  event.reset();  // is no news
  EXPECT_EQ(event.waiting(), 1u);
  event.set();
  poll_times(1);
  EXPECT_EQ(log, "ab");
}

TEST(async_event, may_be_set_from_the_start) {
  async_event event({.set = true});
  waiting w(event.wait());
  EXPECT_TRUE(w.done());
  EXPECT_TRUE(w.take());
  EXPECT_TRUE(event.is_set());
}

TEST(async_event, with_auto_reset_lets_one_through_each_time) {
  async_event event({.auto_reset = true});
  std::string log;
  std::deque<started<sio::task<void>>> all;
  for (char c : {'a', 'b', 'c'}) all.emplace_back(note(event, c, log));
  event.set();
  EXPECT_FALSE(event.is_set());  // used up
  poll_times(5);
  EXPECT_EQ(log, "a");
  event.set();
  event.set();
  poll_times(5);
  EXPECT_EQ(log, "abc");
  event.set();
  event.set();  // still only one
  EXPECT_TRUE(event.is_set());
  started d(note(event, 'd', log));
  EXPECT_TRUE(d.done());
  EXPECT_FALSE(event.is_set());
  started e(note(event, 'e', log));
  EXPECT_FALSE(e.done());
  event.set();
  event.reset();
  poll_times(2);
  EXPECT_EQ(log, "abcde");
}

TEST(async_event, with_auto_reset_passes_on_what_a_destroyed_waiter_had) {
  async_event event({.auto_reset = true});
  std::string log;
  std::optional<started<sio::task<void>>> a;
  a.emplace(note(event, 'a', log));
  started b(note(event, 'b', log));
  event.set();
  a.reset();
  poll_times(2);
  EXPECT_EQ(log, "b");
  // Nobody waits: it is set for the next one.
  a.emplace(note(event, 'a', log));
  event.set();
  event.set();  // for the next one too
  a.reset();
  EXPECT_TRUE(event.is_set());
  waiting next(event.wait());
  EXPECT_TRUE(next.done());
  EXPECT_FALSE(event.is_set());
}

TEST(async_event, stopped_waiters_leave_at_once) {
  async_event event;
  sio::local_stop_source stop;
  std::string log;
  started a(sio::with_stop_token(stop.get_token(), event.wait()));
  started b(note(event, 'b', log));
  stop.request_stop();
  EXPECT_FALSE(a.done());
  EXPECT_EQ(event.waiting(), 1u);
  poll_times(2);
  ASSERT_TRUE(a.done());
  auto r = a.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::operation_canceled);
  EXPECT_EQ(r.error().what(), sio::operation_kind::wait_for_event);
  EXPECT_EQ(r.error().message(), "wait for an async_event: stopped on request");
  event.set();
  poll_times(2);
  EXPECT_EQ(log, "b");

  // After it was let through a request changes nothing.
  event.reset();
  sio::local_stop_source again;
  started c(sio::with_stop_token(again.get_token(), event.wait()));
  event.set();
  again.request_stop();
  poll_times(2);
  ASSERT_TRUE(c.done());
  EXPECT_TRUE(c.take());
}

TEST(async_event, with_a_timeout) {
  async_event event;
  started w(sio::with_timeout(event.wait(), std::chrono::nanoseconds(0)));
  EXPECT_FALSE(w.done());
  poll_until([&] { return w.done(); });
  EXPECT_EQ(w.take().error(), std::errc::timed_out);
  EXPECT_EQ(event.waiting(), 0u);
}

TEST(async_event, a_destroyed_waiter_leaves) {
  async_event event;
  std::string log;
  std::optional<started<sio::task<void>>> a, b;
  a.emplace(note(event, 'a', log));
  b.emplace(note(event, 'b', log));
  started c(note(event, 'c', log));
  a.reset();  // waiting
  EXPECT_EQ(event.waiting(), 2u);
  event.set();
  b.reset();  // let through
  poll_times(2);
  EXPECT_EQ(log, "c");
}

TEST(async_event, destroyed_while_some_wait) {
  auto event = std::make_unique<async_event>();
  waiting a(event->wait());
  event.reset();
  EXPECT_FALSE(a.done());
  poll_times(2);
  ASSERT_TRUE(a.done());
  EXPECT_EQ(message_of(a.take()), "wait for an async_event: the event was destroyed meanwhile");

  for (const bool one : {false, true}) {  // after they were let through
    event = std::make_unique<async_event>(sio::async_event_options{.auto_reset = one});
    waiting b(event->wait());
    std::optional<waiting> c;
    c.emplace(event->wait());
    event->set();
    if (one) event->set();
    event.reset();
    c.reset();
    poll_times(2);
    ASSERT_TRUE(b.done());
    EXPECT_TRUE(b.take());
  }
}

// The last thing that who is let through does may be the end of the event.
TEST(async_event, destroyed_by_the_first_that_it_lets_through) {
  auto event = std::make_unique<async_event>();
  std::string log;
  auto body = [&]() -> sio::task<void> {
    auto r = co_await event->wait();
    event.reset();
    log += r ? 'a' : '!';
  };
  started a(body());
  started b(note(*event, 'b', log));
  event->set();
  poll_times(2);
  EXPECT_EQ(log, "ab");
}

TEST(async_event, the_end_of_its_thread_resumes_those_who_wait) {
  auto second = std::optional(must(sio::thread::create("second")));
  std::optional<async_event> event;
  std::optional<waiting> w;
  must(second->ref().send([&] {
    event.emplace();
    w.emplace(event->wait());
  }));
  while (!w) second->poll();
  second.reset();
  ASSERT_TRUE(w->done());
  EXPECT_EQ(message_of(w->take()), "wait for an async_event: the thread is exiting");
  event->set();
  std::jthread([&] { event.reset(); });
}

TEST(async_event, needs_an_attached_thread) {
  std::jthread([] {
    async_event early({.set = true});
    EXPECT_EQ(message_of(early.wait().get()),
              "wait for an async_event: no SPDK thread is attached here (call "
              "spdk_io::thread::attach() first)");
  });
}

TEST(async_event, started_with_a_callback) {
  async_event event;
  int called = 0;
  auto count = [&](const sio::result<void>& r) { called += r ? 1 : 100; };
  sio::start(event.wait(), count);
  poll_times(3);
  EXPECT_EQ(called, 0);
  event.set();
  EXPECT_EQ(called, 0);
  poll_times(1);
  EXPECT_EQ(called, 1);
  sio::start(event.wait(), count);
  EXPECT_EQ(called, 1);  // not from within start() either
  poll_times(1);
  EXPECT_EQ(called, 2);
}

// From another OS thread: as a message.
TEST(async_event, is_set_elsewhere_by_a_message) {
  async_event there({.auto_reset = true});
  auto worker = must(sio::thread::spawn("worker"));
  int turns = 0;
  auto body = [&]() -> sio::task<sio::result<void>> {
    for (; turns < 100; ++turns) {
      must(worker.ref().send(
          [&, here = main_thread().ref()] { must(here.send([&] { there.set(); })); }));
      if (auto r = co_await there.wait(); !r) co_return r;
    }
    co_return sio::result<void>();
  };
  must(run(body()));
  EXPECT_EQ(turns, 100);
}

}  // namespace
}  // namespace spdk_io_test
