// SPDX-License-Identifier: BSD-3-Clause
// A count: what is taken, what is released, in order, and none of it lost.
#include "devices.hpp"
#include "started.hpp"

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace spdk_io_test {
namespace {

using sio::async_semaphore;
using permit = async_semaphore::permit;
using acquiring = started<sio::semaphore_operation>;

sio::task<void> hold(async_semaphore& semaphore, std::uint64_t n, char name, std::string& log,
                     gate& until) {
  auto p = co_await semaphore.acquire(n);
  log += p ? name : '!';
  co_await until;
}

TEST(async_semaphore, grants_what_is_there_without_suspending) {
  async_semaphore semaphore(3);
  EXPECT_EQ(semaphore.available(), 3u);
  acquiring two(semaphore.acquire(2));
  ASSERT_TRUE(two.done());
  auto held = must(two.take());
  EXPECT_EQ(held.count(), 2u);
  EXPECT_EQ(semaphore.available(), 1u);
  acquiring more(semaphore.acquire(2));
  poll_times(10);
  EXPECT_FALSE(more.done());
  EXPECT_EQ(semaphore.waiting(), 1u);
  held.release();
  EXPECT_TRUE(held.empty());
  EXPECT_EQ(held.count(), 0u);
  EXPECT_FALSE(more.done());  // never from within release()
  EXPECT_EQ(semaphore.available(), 1u);
  main_thread().poll();
  ASSERT_TRUE(more.done());
  held.release();  // of nothing
  EXPECT_EQ(semaphore.available(), 1u);
}

TEST(async_semaphore, releases_what_nobody_has_acquired) {
  async_semaphore items(0);
  std::string log;
  auto consumer = [&]() -> sio::task<void> {
    for (int i = 0; i < 3; ++i) {
      auto one = co_await items.acquire();
      EXPECT_TRUE(one);
      one->detach();
      EXPECT_TRUE(one->empty());
      log += 'c';
    }
  };
  started consuming(consumer());
  poll_times(5);
  EXPECT_EQ(log, "");
  items.release();
  EXPECT_EQ(log, "");
  EXPECT_EQ(items.available(), 0u);  // granted
  poll_times(2);
  EXPECT_EQ(log, "c");
  items.release(2);
  poll_times(2);
  EXPECT_EQ(log, "ccc");
  EXPECT_TRUE(consuming.done());
  EXPECT_EQ(items.available(), 0u);  // detached: none came back
  items.release(5);
  EXPECT_EQ(items.available(), 5u);
}

TEST(async_semaphore, who_wants_much_is_not_overtaken) {
  async_semaphore semaphore(4);
  std::string log;
  gate until;
  auto held = must(run(semaphore.acquire(3)));
  started big(hold(semaphore, 4, 'B', log, until));
  started small(hold(semaphore, 1, 's', log, until));
  EXPECT_FALSE(semaphore.try_acquire());  // one is there, but others wait
  EXPECT_EQ(semaphore.available(), 1u);
  poll_times(10);
  EXPECT_EQ(log, "");
  held.release();
  poll_times(10);
  EXPECT_EQ(log, "B");
  until.open();
  poll_times(10);
  EXPECT_EQ(log, "Bs");
  EXPECT_EQ(semaphore.available(), 4u);
}

TEST(async_semaphore, one_release_serves_several) {
  async_semaphore semaphore(0);
  std::string log;
  gate until;
  std::deque<started<sio::task<void>>> all;
  for (char c : {'a', 'b', 'c', 'd'}) all.emplace_back(hold(semaphore, 1, c, log, until));
  semaphore.release(3);
  EXPECT_EQ(semaphore.waiting(), 1u);
  main_thread().poll();
  EXPECT_EQ(log, "abc");
  semaphore.release();
  main_thread().poll();
  EXPECT_EQ(log, "abcd");
}

TEST(async_semaphore, permits_go_back_once_wherever_they_were_moved) {
  async_semaphore semaphore(3, 3);
  {
    permit a = must(run(semaphore.acquire(2)));
    permit b = std::move(a);
    EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move)
    permit c = *semaphore.try_acquire();
    EXPECT_EQ(semaphore.available(), 0u);
    c = std::move(b);  // gives back what it had
    EXPECT_EQ(semaphore.available(), 1u);
    EXPECT_EQ(c.count(), 2u);
  }
  EXPECT_EQ(semaphore.available(), 3u);
  permit none;
  none.detach();
  none.release();
  EXPECT_EQ(semaphore.available(), 3u);
}

TEST(async_semaphore, more_than_its_maximum_is_refused) {
  async_semaphore semaphore(1, 4);
  EXPECT_EQ(semaphore.max(), 4u);
  auto r = run(semaphore.acquire(5));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::invalid_argument);
  EXPECT_EQ(r.error().message(),
            "acquiring a semaphore: 5 asked for, but the semaphore has only 4 in all");
  acquiring waits(semaphore.acquire(4));
  EXPECT_FALSE(waits.done());
  semaphore.release(3);
  poll_times(2);
  EXPECT_TRUE(waits.done());
  EXPECT_EQ(async_semaphore(7, 2).max(), 7u);
  EXPECT_EQ(async_semaphore(0).max(), async_semaphore::unlimited);
}

TEST(async_semaphore, stopped_waiters_leave_and_do_not_stand_in_the_way) {
  async_semaphore semaphore(2);
  sio::local_stop_source stop;
  auto held = must(run(semaphore.acquire()));
  started big(sio::with_stop_token(stop.get_token(), semaphore.acquire(2)));
  acquiring small(semaphore.acquire());
  poll_times(5);
  EXPECT_FALSE(small.done());
  stop.request_stop();
  EXPECT_FALSE(big.done());
  poll_times(2);
  ASSERT_TRUE(big.done());
  auto r = big.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "acquiring a semaphore: stopped on request");
  EXPECT_EQ(r.error().what(), sio::operation_kind::acquire_semaphore);
  ASSERT_TRUE(small.done());

  std::optional<acquiring> gone;
  gone.emplace(semaphore.acquire(2));
  acquiring behind(semaphore.acquire());
  small.take()->release();
  EXPECT_FALSE(behind.done());
  gone.reset();  // the same where it is destroyed
  poll_times(2);
  EXPECT_TRUE(behind.done());
}

TEST(async_semaphore, with_a_timeout) {
  async_semaphore semaphore(0);
  started waiting(sio::with_timeout(semaphore.acquire(), std::chrono::nanoseconds(0)));
  EXPECT_FALSE(waiting.done());
  poll_until([&] { return waiting.done(); });
  EXPECT_EQ(waiting.take().error(), std::errc::timed_out);
  EXPECT_EQ(semaphore.waiting(), 0u);
}

TEST(async_semaphore, a_destroyed_waiter_gives_back_its_grant) {
  async_semaphore semaphore(0);
  std::optional<acquiring> a, b;
  a.emplace(semaphore.acquire());
  b.emplace(semaphore.acquire());
  semaphore.release();  // a's
  a.reset();
  EXPECT_EQ(semaphore.waiting(), 0u);  // b's now
  poll_times(2);
  ASSERT_TRUE(b->done());
  b.reset();
  EXPECT_EQ(semaphore.available(), 1u);
}

TEST(async_semaphore, destroyed_while_some_wait_or_hold) {
  auto semaphore = std::make_unique<async_semaphore>(1);
  auto held = must(run(semaphore->acquire()));
  acquiring a(semaphore->acquire());
  semaphore.reset();
  EXPECT_FALSE(a.done());
  poll_times(2);
  ASSERT_TRUE(a.done());
  EXPECT_EQ(message_of(a.take()), "acquiring a semaphore: the semaphore was destroyed meanwhile");
  held.detach();  // the last that knew of it

  semaphore = std::make_unique<async_semaphore>(0);
  acquiring b(semaphore->acquire());
  semaphore->release();
  semaphore.reset();  // after the grant
  poll_times(2);
  ASSERT_TRUE(b.done());
  EXPECT_TRUE(b.take());
}

TEST(async_semaphore, the_end_of_its_thread_resumes_those_who_wait) {
  auto second = std::optional(must(sio::thread::create("second")));
  std::optional<async_semaphore> semaphore;
  std::optional<acquiring> waiting;
  must(second->ref().send([&] {
    semaphore.emplace(0);
    waiting.emplace(semaphore->acquire());
  }));
  while (!waiting) second->poll();
  second.reset();
  ASSERT_TRUE(waiting->done());
  EXPECT_EQ(message_of(waiting->take()), "acquiring a semaphore: the thread is exiting");
  semaphore->release();
  EXPECT_FALSE(semaphore->try_acquire());
  std::jthread([&] { semaphore.reset(); });
}

// Bounded, between two coroutines: neither count is ever more than there is room.
TEST(async_semaphore, makes_a_bounded_buffer) {
  async_semaphore room(4, 4);
  async_semaphore items(0, 4);
  std::deque<int> buffer;
  std::vector<int> taken;
  auto produce = [&]() -> sio::task<sio::result<void>> {
    for (int i = 0; i < 100; ++i) {
      auto place = co_await room.acquire();
      if (!place) co_return std::unexpected(place.error());
      place->detach();
      buffer.push_back(i);
      EXPECT_LE(buffer.size(), 4u);
      items.release();
    }
    co_return sio::result<void>();
  };
  auto consume = [&]() -> sio::task<sio::result<void>> {
    for (int i = 0; i < 100; ++i) {
      auto item = co_await items.acquire();
      if (!item) co_return std::unexpected(item.error());
      item->detach();
      taken.push_back(buffer.front());
      buffer.pop_front();
      room.release();
    }
    co_return sio::result<void>();
  };
  sio::task_scope scope;
  scope.spawn(produce());
  scope.spawn(consume());
  must(run(scope.join()));
  ASSERT_EQ(taken.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(taken[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(room.available(), 4u);
}

// Released from another OS thread, as a message.
TEST(async_semaphore, is_released_elsewhere_by_a_message) {
  async_semaphore items(0);
  constexpr int many = 200;
  auto body = [&]() -> sio::task<int> {
    int got = 0;
    for (; got < many; ++got) {
      auto one = co_await items.acquire();
      if (!one) break;
      one->detach();
    }
    co_return got;
  };
  std::jthread other([&, here = main_thread().ref()] {
    for (int i = 0; i < many; ++i) must(here.send([&] { items.release(); }));
  });
  EXPECT_EQ(run(body()), many);
}

}  // namespace
}  // namespace spdk_io_test
