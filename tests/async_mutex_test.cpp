// SPDX-License-Identifier: BSD-3-Clause
// One at a time, in order, and nobody forgotten: stopped, destroyed, or left by their thread.
#include "devices.hpp"
#include "started.hpp"

#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace spdk_io_test {
namespace {

using sio::async_mutex;
using lock = async_mutex::scoped_lock;
using locking = started<sio::lock_operation>;

// Notes when it has the lock, and keeps that until its gate opens.
sio::task<void> hold(async_mutex& mutex, char name, std::string& log, gate& until) {
  auto l = co_await mutex.lock();
  log += l ? name : '!';
  co_await until;
}

TEST(async_mutex, is_locked_at_once_where_nobody_has_it) {
  async_mutex mutex;
  EXPECT_FALSE(mutex.locked());
  locking first(mutex.lock());
  ASSERT_TRUE(first.done());  // without suspending
  EXPECT_TRUE(mutex.locked());
  auto held = must(first.take());
  EXPECT_TRUE(held.owns_lock());
  EXPECT_FALSE(mutex.try_lock());
  held.unlock();
  EXPECT_FALSE(held.owns_lock());
  EXPECT_FALSE(mutex.locked());
  held.unlock();  // of nothing
  EXPECT_FALSE(mutex.locked());
  EXPECT_TRUE(mutex.try_lock());  // and unlocked at once
  EXPECT_FALSE(mutex.locked());
}

TEST(async_mutex, is_handed_over_in_order_and_never_from_within_unlock) {
  async_mutex mutex;
  std::string log;
  auto held = must(run(mutex.lock()));
  std::vector<std::unique_ptr<started<sio::task<void>>>> all;
  auto body = [&](char name) -> sio::task<void> {
    auto l = co_await mutex.lock();
    log += l ? name : '!';
    co_await sio::yield();
    log += name;
  };
  for (char c : {'a', 'b', 'c', 'd'})
    all.push_back(std::make_unique<started<sio::task<void>>>(body(c)));
  EXPECT_EQ(mutex.waiting(), 4u);
  poll_times(10);
  EXPECT_EQ(log, "");
  held.unlock();
  EXPECT_EQ(log, "");
  EXPECT_TRUE(mutex.locked());     // by a, which was not resumed yet
  EXPECT_FALSE(mutex.try_lock());  // nobody overtakes it
  EXPECT_EQ(mutex.waiting(), 3u);
  poll_until([&] { return all.back()->done(); });
  EXPECT_EQ(log, "aabbccdd");
  EXPECT_FALSE(mutex.locked());
}

TEST(async_mutex, a_lock_is_one_wherever_it_was_moved) {
  async_mutex mutex;
  async_mutex other;
  {
    lock a = must(run(mutex.lock()));
    lock b = std::move(a);
    EXPECT_FALSE(a.owns_lock());  // NOLINT(bugprone-use-after-move)
    EXPECT_TRUE(mutex.locked());
    lock c = must(run(other.lock()));
    c = std::move(b);  // unlocks what it had
    EXPECT_FALSE(other.locked());
    EXPECT_TRUE(mutex.locked());
    lock& same = c;
    c = std::move(same);
    EXPECT_TRUE(c.owns_lock());
  }
  EXPECT_FALSE(mutex.locked());
}

// What it is for: a read, a change and a write that belong together.
TEST(async_mutex, keeps_a_read_and_a_write_together) {
  auto disk = open_malloc("m0");
  async_mutex mutex;
  auto increment = [&](bool locked) -> sio::task<sio::result<void>> {
    auto block = must(sio::dma_buffer::zeroed(512));
    std::optional<lock> turn;
    if (locked) {
      auto l = co_await mutex.lock();
      if (!l) co_return std::unexpected(l.error());
      turn = std::move(*l);
    }
    if (auto r = co_await disk.read(block, 0); !r) co_return r;
    *block.data() = static_cast<std::byte>(std::to_integer<int>(*block.data()) + 1);
    co_return co_await disk.write(block, 0);
  };
  auto count = [&] {
    auto block = must(sio::dma_buffer::zeroed(512));
    must(run(disk.read(block, 0)));
    return std::to_integer<int>(*block.data());
  };
  sio::task_scope scope;
  for (int i = 0; i < 50; ++i) scope.spawn(increment(true));
  must(run(scope.join()));
  EXPECT_EQ(count(), 50);
  // That it would be seen: without the lock, all read the same.
  for (int i = 0; i < 50; ++i) scope.spawn(increment(false));
  must(run(scope.join()));
  EXPECT_LT(count(), 100);
}

TEST(async_mutex, a_stopped_waiter_leaves_at_once) {
  async_mutex mutex;
  sio::local_stop_source stop;
  std::string log;
  gate until;
  auto held = must(run(mutex.lock()));
  started a(hold(mutex, 'a', log, until));
  started b(sio::with_stop_token(stop.get_token(), mutex.lock()));
  started task(sio::with_stop_token(stop.get_token(), hold(mutex, 'x', log, until)));
  started c(hold(mutex, 'c', log, until));
  EXPECT_EQ(mutex.waiting(), 4u);
  stop.request_stop();
  EXPECT_EQ(mutex.waiting(), 2u);
  EXPECT_FALSE(b.done());  // nobody is resumed inside request_stop()
  poll_times(2);
  ASSERT_TRUE(b.done());
  auto r = b.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::operation_canceled);
  EXPECT_EQ(r.error().why(), sio::fault::stopped);
  EXPECT_EQ(r.error().what(), sio::operation_kind::lock);
  EXPECT_EQ(r.error().message(), "locking a mutex: stopped on request");
  EXPECT_EQ(log, "!");
  until.open();
  held.unlock();
  poll_until([&] { return c.done(); });
  EXPECT_EQ(log, "!ac");
}

TEST(async_mutex, a_request_after_the_hand_over_changes_nothing) {
  async_mutex mutex;
  sio::local_stop_source stop;
  auto held = must(run(mutex.lock()));
  started waiting(sio::with_stop_token(stop.get_token(), mutex.lock()));
  held.unlock();
  stop.request_stop();
  poll_times(2);
  ASSERT_TRUE(waiting.done());
  auto r = waiting.take();
  EXPECT_TRUE(r) << message_of(r);
  EXPECT_TRUE(mutex.locked());
  // Before it began, it is refused.
  auto refused = run(sio::with_stop_token(stop.get_token(), mutex.lock()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), std::errc::operation_canceled);
}

TEST(async_mutex, who_locks_it_twice_waits_until_its_time_is_up) {
  async_mutex mutex;
  auto held = must(run(mutex.lock()));
  started again(sio::with_timeout(mutex.lock(), std::chrono::nanoseconds(0)));
  EXPECT_FALSE(again.done());
  poll_until([&] { return again.done(); });
  EXPECT_EQ(message_of(again.take()), "locking a mutex: timed out");
  EXPECT_EQ(mutex.waiting(), 0u);
  EXPECT_TRUE(mutex.locked());
}

TEST(async_mutex, a_destroyed_waiter_leaves_and_hands_on_its_lock) {
  async_mutex mutex;
  std::string log;
  gate until;
  auto held = must(run(mutex.lock()));
  std::optional<started<sio::task<void>>> a, b, c;
  a.emplace(hold(mutex, 'a', log, until));
  b.emplace(hold(mutex, 'b', log, until));
  c.emplace(hold(mutex, 'c', log, until));
  a.reset();
  EXPECT_EQ(mutex.waiting(), 2u);
  held.unlock();  // b has it, and is about to be resumed
  b.reset();
  EXPECT_EQ(mutex.waiting(), 0u);
  poll_times(3);
  EXPECT_EQ(log, "c");
  c.reset();  // with the lock
  EXPECT_FALSE(mutex.locked());
}

// By the one that is resumed before it, in the same poll.
TEST(async_mutex, a_waiter_destroyed_by_another_one) {
  async_mutex first, second;
  std::string log;
  gate until;
  auto one = must(run(first.lock()));
  auto two = must(run(second.lock()));
  std::optional<started<sio::task<void>>> victim;
  auto body = [&]() -> sio::task<void> {
    auto l = co_await first.lock();
    victim.reset();
    log += l ? 'k' : '!';
  };
  started killer(body());
  victim.emplace(hold(second, 'v', log, until));
  one.unlock();
  two.unlock();
  poll_times(3);
  EXPECT_EQ(log, "k");
  EXPECT_FALSE(first.locked());
  EXPECT_FALSE(second.locked());
}

TEST(async_mutex, destroyed_while_some_wait) {
  auto mutex = std::make_unique<async_mutex>();
  auto held = must(run(mutex->lock()));
  locking a(mutex->lock());
  std::optional<locking> gone;
  gone.emplace(mutex->lock());
  mutex.reset();
  EXPECT_FALSE(a.done());
  gone.reset();
  poll_times(2);
  ASSERT_TRUE(a.done());
  auto r = a.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::operation_canceled);
  EXPECT_EQ(r.error().message(), "locking a mutex: the mutex was destroyed meanwhile");
  EXPECT_TRUE(held.owns_lock());  // of a mutex that has gone
  held.unlock();
}

TEST(async_mutex, destroyed_after_the_hand_over) {
  for (const bool resumed : {true, false}) {
    auto mutex = std::make_unique<async_mutex>();
    auto held = must(run(mutex->lock()));
    auto a = std::make_unique<locking>(mutex->lock());
    held.unlock();
    mutex.reset();
    if (resumed) {
      poll_times(2);
      ASSERT_TRUE(a->done());
      EXPECT_TRUE(a->take());
    }
    a.reset();
  }
}

TEST(async_mutex, the_end_of_its_thread_resumes_those_who_wait) {
  auto second = std::optional(must(sio::thread::create("second")));
  std::optional<async_mutex> mutex;
  std::optional<locking> waiting;
  lock held;
  must(second->ref().send([&] {
    mutex.emplace();
    held = *mutex->try_lock();
    waiting.emplace(mutex->lock());
  }));
  while (!waiting) second->poll();
  EXPECT_FALSE(waiting->done());
  second.reset();
  ASSERT_TRUE(waiting->done());
  auto r = waiting->take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().why(), sio::fault::thread_exiting) << r.error();
  EXPECT_EQ(mutex->waiting(), 0u);
  held.unlock();
  EXPECT_FALSE(mutex->try_lock());
  std::jthread([&] { mutex.reset(); });  // the thread has ended: anywhere
}

TEST(async_mutex, needs_an_attached_thread) {
  std::jthread([] {
    async_mutex early;
    started waiting(early.lock());
    ASSERT_TRUE(waiting.done());
    EXPECT_EQ(message_of(waiting.take()),
              "locking a mutex: no SPDK thread is attached here (call spdk_io::thread::attach() "
              "first)");
    EXPECT_FALSE(early.try_lock());
    auto thread = must(sio::thread::attach("late"));
    EXPECT_EQ(message_of(sio::block_on(thread, early.lock())),
              "locking a mutex: the mutex was made before an SPDK thread was attached (make it on "
              "its thread)");
  });
}

TEST(async_mutex, started_with_a_callback_or_by_get) {
  async_mutex mutex;
  std::vector<lock> got;
  auto keep = [&](sio::result<lock> r) { got.push_back(must(std::move(r))); };
  sio::start(mutex.lock(), keep);
  sio::start(mutex.lock(), keep);
  EXPECT_EQ(got.size(), 0u);
  poll_times(3);
  EXPECT_EQ(got.size(), 1u);
  got.clear();
  poll_times(3);
  EXPECT_EQ(got.size(), 1u);
  got.clear();
  EXPECT_TRUE(must(mutex.lock().get()).owns_lock());
}

// A mutex on each of two OS threads; what crosses is a message.
TEST(async_mutex, is_locked_from_another_os_thread_by_a_call) {
  auto worker = must(sio::thread::spawn("worker"));
  std::optional<async_mutex> there;
  int inside = 0;
  must(run(worker.ref().call([&] { there.emplace(); })));
  auto once = [&]() -> sio::task<sio::result<void>> {
    auto l = co_await there->lock();
    if (!l) co_return std::unexpected(l.error());
    EXPECT_EQ(++inside, 1);
    co_await sio::yield();
    --inside;
    co_return sio::result<void>();
  };
  sio::task_scope scope;
  for (int i = 0; i < 20; ++i) scope.spawn(worker.ref().call(once));
  must(run(scope.join()));
  must(run(worker.ref().call([&] { there.reset(); })));
}

}  // namespace
}  // namespace spdk_io_test
