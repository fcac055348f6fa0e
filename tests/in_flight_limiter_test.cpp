// SPDX-License-Identifier: BSD-3-Clause
// Permits for I/O: as many as there are, in order, given back whatever becomes of who has them.
#include "devices.hpp"
#include "started.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace spdk_io_test {
namespace {

using sio::in_flight_limiter;
using permit = in_flight_limiter::permit;
using acquiring = started<sio::acquire_operation>;

// Notes when it has its permit, and keeps that until its gate opens.
sio::task<void> hold(in_flight_limiter& limiter, char name, std::string& log, gate& until,
                     std::uint64_t ios = 1, std::uint64_t bytes = 0) {
  auto p = co_await limiter.acquire(ios, bytes);
  log += p ? name : '!';
  co_await until;
}

TEST(in_flight_limiter, grants_up_to_the_limit_without_suspending) {
  in_flight_limiter limiter(2);
  acquiring first(limiter.acquire());
  acquiring second(limiter.acquire());
  ASSERT_TRUE(first.done());
  ASSERT_TRUE(second.done());
  acquiring third(limiter.acquire());
  poll_times(10);
  EXPECT_FALSE(third.done());
  EXPECT_EQ(limiter.available(), 0u);
  EXPECT_EQ(limiter.waiting(), 1u);
  EXPECT_EQ(limiter.limits().ios, 2u);
  auto held = must(first.take());
  EXPECT_EQ(held.ios(), 1u);
  held.release();
  EXPECT_TRUE(held.empty());
  EXPECT_EQ(held.ios(), 0u);
  EXPECT_FALSE(third.done());  // never from within release()
  EXPECT_EQ(limiter.available(), 0u);
  main_thread().poll();
  ASSERT_TRUE(third.done());
  held.release();  // of nothing
  EXPECT_EQ(limiter.available(), 0u);
}

TEST(in_flight_limiter, a_permit_goes_back_once_wherever_it_was_moved) {
  in_flight_limiter limiter(3);
  {
    permit a = must(run(limiter.acquire(2)));
    permit b = std::move(a);
    EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(limiter.available(), 1u);
    permit c = must(run(limiter.acquire()));
    EXPECT_EQ(limiter.available(), 0u);
    c = std::move(b);  // gives back what it had
    EXPECT_EQ(limiter.available(), 1u);
    EXPECT_EQ(c.ios(), 2u);
    permit& same = c;
    c = std::move(same);
    EXPECT_EQ(c.ios(), 2u);
  }
  EXPECT_EQ(limiter.available(), 3u);
}

TEST(in_flight_limiter, first_come_first_served) {
  in_flight_limiter limiter(1);
  std::string log;
  std::vector<std::unique_ptr<started<sio::task<void>>>> all;
  auto held = must(run(limiter.acquire()));
  auto short_hold = [&](char name) -> sio::task<void> {
    auto p = co_await limiter.acquire();
    log += p ? name : '!';
    co_await sio::yield();
  };
  for (char c : {'a', 'b', 'c', 'd'})
    all.push_back(std::make_unique<started<sio::task<void>>>(short_hold(c)));
  poll_times(10);
  EXPECT_EQ(log, "");
  held.release();
  poll_until([&] { return all.back()->done(); });
  EXPECT_EQ(log, "abcd");
  EXPECT_EQ(limiter.available(), 1u);
}

TEST(in_flight_limiter, who_wants_much_is_not_overtaken) {
  in_flight_limiter limiter(4);
  std::string log;
  gate until;
  auto held = must(run(limiter.acquire(3)));
  started big(hold(limiter, 'B', log, until, 4));
  started small(hold(limiter, 's', log, until, 1));
  EXPECT_FALSE(limiter.try_acquire());  // one is left, but others wait
  EXPECT_EQ(limiter.available(), 1u);
  poll_times(10);
  EXPECT_EQ(log, "");
  held.release();
  poll_times(10);
  EXPECT_EQ(log, "B");
  until.open();
  poll_times(10);
  EXPECT_EQ(log, "Bs");
  EXPECT_EQ(limiter.available(), 4u);
}

TEST(in_flight_limiter, several_are_granted_by_one_release) {
  in_flight_limiter limiter(3);
  std::string log;
  gate until;
  auto held = must(run(limiter.acquire(3)));
  started a(hold(limiter, 'a', log, until, 1));
  started b(hold(limiter, 'b', log, until, 2));
  started c(hold(limiter, 'c', log, until, 1));
  held.release();
  EXPECT_EQ(limiter.waiting(), 1u);
  main_thread().poll();
  EXPECT_EQ(log, "ab");
  until.open();
  poll_times(3);
  EXPECT_EQ(log, "abc");
}

TEST(in_flight_limiter, bytes_count_where_they_are_limited) {
  in_flight_limiter limiter({.ios = 100, .bytes = 8192});
  auto a = must(run(limiter.acquire(1, 4096)));
  auto b = must(run(limiter.acquire(1, 4096)));
  EXPECT_EQ(limiter.available(), 98u);
  EXPECT_EQ(limiter.available_bytes(), 0u);
  EXPECT_EQ(a.bytes(), 4096u);
  acquiring third(limiter.acquire(1, 512));
  EXPECT_FALSE(third.done());
  b.release();
  main_thread().poll();
  ASSERT_TRUE(third.done());
  EXPECT_EQ(limiter.available_bytes(), 4096u - 512);
  // Without a limit of either.
  in_flight_limiter open(in_flight_limiter(sio::in_flight_limits{}));
  auto much = must(run(open.acquire(1'000'000, ~std::uint64_t{0})));
  EXPECT_TRUE(open.try_acquire());
}

TEST(in_flight_limiter, without_waiting) {
  in_flight_limiter limiter(2);
  auto a = limiter.try_acquire(2);
  ASSERT_TRUE(a);
  EXPECT_FALSE(limiter.try_acquire());
  a.reset();
  EXPECT_FALSE(limiter.try_acquire(3));
  EXPECT_TRUE(limiter.try_acquire(2));  // and back at once
  EXPECT_EQ(limiter.available(), 2u);
}

TEST(in_flight_limiter, more_than_the_limit_is_refused) {
  in_flight_limiter limiter({.ios = 4, .bytes = 4096});
  auto fails = [](const sio::result<permit>& r, std::errc code, std::string_view message) {
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == code);
    EXPECT_EQ(r.error().what(), sio::operation_kind::acquire);
    EXPECT_EQ(r.error().message(), message);
  };
  fails(run(limiter.acquire(5)), std::errc::invalid_argument,
        "acquiring a permit for I/O: 5 asked for, but the limiter has only 4 in all");
  fails(run(limiter.acquire(1, 4097)), std::errc::invalid_argument,
        "acquiring a permit for I/O: 4097 bytes asked for, but the limiter has only 4096 in all");
  in_flight_limiter none(0);
  fails(run(none.acquire()), std::errc::invalid_argument,
        "acquiring a permit for I/O: 1 asked for, but the limiter has only 0 in all");
  in_flight_limiter moved = std::move(limiter);
  fails(run(limiter.acquire()), std::errc::bad_file_descriptor,  // NOLINT(bugprone-use-after-move)
        "acquiring a permit for I/O: the limiter is empty (moved from)");
  EXPECT_FALSE(limiter.try_acquire());
  EXPECT_EQ(limiter.available() + limiter.waiting() + limiter.limits().ios, 0u);
  EXPECT_EQ(moved.available(), 4u);
}

TEST(in_flight_limiter, a_stopped_waiter_leaves_at_once) {
  in_flight_limiter limiter(2);
  sio::local_stop_source stop;
  std::string log;
  gate until;
  auto held = must(run(limiter.acquire(2)));
  started a(hold(limiter, 'a', log, until));
  started b(sio::with_stop_token(stop.get_token(), limiter.acquire(2)));
  started task(sio::with_stop_token(stop.get_token(), hold(limiter, 'x', log, until)));
  started c(hold(limiter, 'c', log, until));
  EXPECT_EQ(limiter.waiting(), 4u);
  stop.request_stop();
  EXPECT_EQ(limiter.waiting(), 2u);
  EXPECT_FALSE(b.done());  // nobody is resumed inside request_stop()
  poll_times(2);
  ASSERT_TRUE(b.done());
  auto r = b.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::operation_canceled);
  EXPECT_EQ(r.error().why(), sio::fault::stopped);
  EXPECT_EQ(r.error().message(), "acquiring a permit for I/O: stopped on request");
  EXPECT_EQ(log, "!");
  held.release();
  poll_times(2);
  EXPECT_EQ(log, "!ac");
}

// What it stood in the way of may go on.
TEST(in_flight_limiter, who_was_behind_a_stopped_one_is_granted) {
  in_flight_limiter limiter(2);
  sio::local_stop_source stop;
  auto held = must(run(limiter.acquire()));
  started big(sio::with_stop_token(stop.get_token(), limiter.acquire(2)));
  acquiring small(limiter.acquire());
  poll_times(5);
  EXPECT_FALSE(small.done());
  stop.request_stop();
  poll_times(2);
  EXPECT_TRUE(big.done());
  ASSERT_TRUE(small.done());
  EXPECT_TRUE(small.take());

  // The same where it is destroyed.
  std::optional<acquiring> gone;
  gone.emplace(limiter.acquire(2));
  acquiring behind(limiter.acquire());
  EXPECT_FALSE(behind.done());
  gone.reset();
  EXPECT_FALSE(behind.done());
  poll_times(2);
  EXPECT_TRUE(behind.done());
}

TEST(in_flight_limiter, stopped_before_it_began) {
  in_flight_limiter limiter(1);
  sio::local_stop_source stop;
  stop.request_stop();
  auto r = run(sio::with_stop_token(stop.get_token(), limiter.acquire()));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::operation_canceled);
  EXPECT_EQ(limiter.available(), 1u);
}

TEST(in_flight_limiter, a_request_after_the_grant_changes_nothing) {
  in_flight_limiter limiter(1);
  sio::local_stop_source stop;
  auto held = must(run(limiter.acquire()));
  started waiting(sio::with_stop_token(stop.get_token(), limiter.acquire()));
  held.release();
  stop.request_stop();
  poll_times(2);
  ASSERT_TRUE(waiting.done());
  auto r = waiting.take();
  EXPECT_TRUE(r) << message_of(r);
  EXPECT_EQ(limiter.available(), 0u);
}

TEST(in_flight_limiter, with_a_timeout) {
  in_flight_limiter limiter(1);
  auto held = must(run(limiter.acquire()));
  started waiting(sio::with_timeout(limiter.acquire(), std::chrono::nanoseconds(0)));
  EXPECT_FALSE(waiting.done());
  poll_until([&] { return waiting.done(); });
  auto r = waiting.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::timed_out);
  EXPECT_EQ(limiter.waiting(), 0u);
  held.release();
  EXPECT_TRUE(run(sio::with_timeout(limiter.acquire(), std::chrono::hours(1))));
}

TEST(in_flight_limiter, a_destroyed_waiter_leaves_and_gives_back_its_grant) {
  in_flight_limiter limiter(1);
  std::string log;
  gate until;
  auto held = must(run(limiter.acquire()));
  std::optional<started<sio::task<void>>> a, b, c;
  a.emplace(hold(limiter, 'a', log, until));
  b.emplace(hold(limiter, 'b', log, until));
  c.emplace(hold(limiter, 'c', log, until));
  a.reset();
  EXPECT_EQ(limiter.waiting(), 2u);
  held.release();  // b has it, and is about to be resumed
  EXPECT_EQ(limiter.waiting(), 1u);
  b.reset();
  EXPECT_EQ(limiter.waiting(), 0u);
  poll_times(3);
  EXPECT_EQ(log, "c");
  c.reset();
  EXPECT_EQ(limiter.available(), 1u);
  poll_times(3);
}

TEST(in_flight_limiter, destroyed_while_some_wait) {
  auto limiter = std::make_unique<in_flight_limiter>(1);
  auto held = must(run(limiter->acquire()));
  acquiring a(limiter->acquire());
  acquiring b(limiter->acquire());
  std::optional<acquiring> gone;
  gone.emplace(limiter->acquire());
  limiter.reset();
  EXPECT_FALSE(a.done());
  gone.reset();
  poll_times(2);
  ASSERT_TRUE(a.done());
  ASSERT_TRUE(b.done());
  auto r = a.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::operation_canceled);
  EXPECT_EQ(r.error().message(), "acquiring a permit for I/O: the limiter was destroyed meanwhile");
  held.release();  // outlived it
}

// Granted, not resumed yet, when the limiter goes: a permit all the same.
TEST(in_flight_limiter, destroyed_after_the_grant) {
  auto limiter = std::make_unique<in_flight_limiter>(1);
  auto held = must(run(limiter->acquire()));
  acquiring a(limiter->acquire());
  held.release();
  limiter.reset();
  poll_times(2);
  ASSERT_TRUE(a.done());
  EXPECT_TRUE(a.take());

  limiter = std::make_unique<in_flight_limiter>(1);
  held = must(run(limiter->acquire()));
  std::optional<acquiring> b;
  b.emplace(limiter->acquire());
  held.release();
  limiter.reset();
  b.reset();  // the last one
}

TEST(in_flight_limiter, assigned_over) {
  in_flight_limiter limiter(1);
  auto held = must(run(limiter.acquire()));
  acquiring a(limiter.acquire());
  limiter = in_flight_limiter(5);
  EXPECT_EQ(limiter.available(), 5u);
  poll_times(2);
  ASSERT_TRUE(a.done());
  EXPECT_FALSE(a.take());
  held.release();
  EXPECT_EQ(limiter.available(), 5u);
}

TEST(in_flight_limiter, the_end_of_its_thread_resumes_those_who_wait) {
  auto second = std::optional(must(sio::thread::create("second")));
  std::optional<in_flight_limiter> limiter;
  std::optional<acquiring> waiting;
  permit held;
  std::string after;
  auto late = [&]() -> sio::task<void> {
    auto r = co_await limiter->acquire();
    EXPECT_FALSE(r);
    auto again = co_await limiter->acquire();  // ends as well
    after = again ? "granted" : again.error().message();
  };
  std::optional<started<sio::task<void>>> task;
  must(second->ref().send([&] {
    limiter.emplace(1);
    held = *limiter->try_acquire();
    waiting.emplace(limiter->acquire());
    task.emplace(late());
  }));
  while (!task) second->poll();
  EXPECT_FALSE(waiting->done());
  EXPECT_EQ(limiter->waiting(), 2u);
  second.reset();
  ASSERT_TRUE(waiting->done());
  auto r = waiting->take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().why(), sio::fault::thread_exiting) << r.error();
  EXPECT_EQ(after, "acquiring a permit for I/O: the thread is exiting");
  held.release();
  EXPECT_EQ(limiter->available(), 1u);
  EXPECT_FALSE(limiter->try_acquire());
  std::jthread([&] { limiter.reset(); });  // the thread has ended: anywhere
}

TEST(in_flight_limiter, needs_an_attached_thread) {
  std::jthread([] {
    in_flight_limiter early(1);
    started waiting(early.acquire());
    ASSERT_TRUE(waiting.done());
    EXPECT_EQ(message_of(waiting.take()),
              "acquiring a permit for I/O: no SPDK thread is attached here (call "
              "spdk_io::thread::attach() first)");
    EXPECT_FALSE(early.try_acquire());
    auto thread = must(sio::thread::attach("late"));
    EXPECT_EQ(message_of(sio::block_on(thread, early.acquire())),
              "acquiring a permit for I/O: the limiter was made before an SPDK thread was attached "
              "(make it on its thread)");
  });
}

TEST(in_flight_limiter, started_with_a_callback) {
  in_flight_limiter limiter(1);
  std::vector<permit> got;
  auto keep = [&](sio::result<permit> r) { got.push_back(must(std::move(r))); };
  sio::start(limiter.acquire(), keep);
  sio::start(limiter.acquire(), keep);
  EXPECT_EQ(got.size(), 0u);
  poll_times(3);
  EXPECT_EQ(got.size(), 1u);
  got.clear();
  poll_times(3);
  EXPECT_EQ(got.size(), 1u);
}

// A callback that is due, with a limiter that has gone: nothing of it is touched.
TEST(in_flight_limiter, a_refusal_told_later_than_the_limiter_lives) {
  std::string told;
  {
    in_flight_limiter limiter(1);
    sio::start(limiter.acquire(2), [&](const sio::result<permit>& r) { told = message_of(r); });
  }
  EXPECT_EQ(told, "");
  poll_times(2);
  EXPECT_EQ(told, "acquiring a permit for I/O: 2 asked for, but the limiter has only 1 in all");
}

// What it is for.
TEST(in_flight_limiter, bounds_what_a_device_has_in_flight) {
  auto disk = open_malloc("m0");
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  in_flight_limiter limiter(3);
  std::size_t most = 0;
  int done = 0;
  auto read = [&](std::uint64_t at) -> sio::task<sio::result<void>> {
    auto turn = co_await limiter.acquire();
    if (!turn) co_return std::unexpected(turn.error());
    auto reading = disk.read(buffer, at);
    most = std::max<std::size_t>(most, main_thread().statistics().io_in_flight + 1);
    auto r = co_await std::move(reading);
    ++done;
    co_return r;
  };
  sio::task_scope scope;
  for (std::uint64_t i = 0; i < 50; ++i) scope.spawn(read(i * 4096));
  EXPECT_EQ(limiter.waiting(), 47u);
  must(run(scope.join()));
  EXPECT_EQ(done, 50);
  EXPECT_EQ(most, 3u);
  EXPECT_EQ(limiter.available(), 3u);
}

}  // namespace
}  // namespace spdk_io_test
