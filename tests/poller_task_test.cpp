// SPDX-License-Identifier: BSD-3-Clause
// The poller task on executors: turns, budget, sleeping and waking, mostly on a loop that the
// test turns by hand.
#include "manual_loop.hpp"
#include "spdk_test.hpp"
#include "started.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

static_assert(sio::executor<manual_loop::post_only>);
static_assert(!sio::timed_executor<manual_loop::post_only>);
static_assert(!sio::waking_executor<manual_loop::post_only>);
static_assert(sio::timed_executor<manual_loop::with_timer>);
static_assert(!sio::waking_executor<manual_loop::with_timer>);
static_assert(sio::waking_executor<manual_loop::with_everything>);
static_assert(sio::runnable_executor<manual_loop::with_everything>);

// Sleeps at once when there is nothing to do.
constexpr sio::idle::backoff sleepy{.spin_for = 0ns, .max_sleep = 1600us};

void settle(manual_loop& loop) {
  for (int i = 0; i < 100 && loop.run_one(); ++i) {
  }
}

class poller_task : public testing::Test {
 protected:
  manual_loop loop;
  sio::thread& thread = main_thread();
};

// Always ready: as a saturated device looks to the poller task.
struct saturating {
  explicit saturating(int n) : most(n), run(body(*this)) {}
  static sio::task<void> body(saturating& self) {
    for (; self.turns < self.most; ++self.turns) co_await sio::yield();
  }
  int most;
  int turns = 0;
  started<sio::task<void>> run;
};

TEST_F(poller_task, polls_on_an_executor_that_can_only_post) {
  auto polling = must(sio::poller_task(thread, manual_loop::post_only(loop)));
  EXPECT_EQ(loop.posted(), 1u);
  bool ran = false;
  ASSERT_TRUE(thread.ref().send([&] { ran = true; }));
  EXPECT_FALSE(ran);
  loop.run_one();
  EXPECT_TRUE(ran);
  for (int i = 0; i < 10; ++i) {  // spins: it is always posted, once
    EXPECT_EQ(loop.posted(), 1u);
    loop.run_one();
  }
}

TEST_F(poller_task, lets_the_loops_tasks_run_between_its_turns) {
  auto polling = must(
      sio::poller_task(thread, manual_loop::post_only(loop), sio::idle::spin(), {.entries = 4}));
  saturating work(1000);
  int turns_seen = -1;
  for (int i = 0; i < 10; ++i) {
    loop.post([&] { turns_seen = work.turns; });
    loop.run_one();  // the poller task: a budget's worth
    EXPECT_EQ(work.turns, 4 * (i + 1));
    loop.run_one();  // the loop's own task
    EXPECT_EQ(turns_seen, work.turns);
  }
  EXPECT_FALSE(work.run.done());
}

TEST_F(poller_task, yields_when_its_time_is_used_up_too) {
  auto polling = must(sio::poller_task(thread, manual_loop::post_only(loop), sio::idle::spin(),
                                       {.entries = 1'000'000, .time = 1ns}));
  saturating work(100'000);
  loop.run_one();
  EXPECT_GT(work.turns, 0);
  EXPECT_LT(work.turns, 1000);
}

TEST_F(poller_task, works_on_while_there_is_work_within_its_budget) {
  auto polling =
      must(sio::poller_task(thread, manual_loop::post_only(loop), sio::idle::spin(), {.time = 1h}));
  saturating work(100);
  loop.run_one();
  EXPECT_TRUE(work.run.done());
}

TEST_F(poller_task, the_loops_timers_fire_under_saturated_work) {
  sio::run_loop real;
  auto polling = must(sio::poller_task(thread, real.get_executor()));
  saturating work(1'000'000'000);
  auto timer = real.get_executor().new_timer();
  int fired = 0;
  std::move_only_function<void()> again = [&] {
    if (++fired == 3)
      real.stop();
    else
      timer.start(1ms, [&] { again(); });
  };
  timer.start(1ms, [&] { again(); });
  real.run();
  EXPECT_EQ(fired, 3);
  EXPECT_FALSE(work.run.done());
}

TEST_F(poller_task, a_second_one_is_refused) {
  sio::run_loop real;
  auto polling = must(sio::poller_task(thread, real.get_executor()));
  auto second = sio::poller_task(thread, manual_loop::post_only(loop));
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error() == std::errc::already_connected);
  EXPECT_EQ(second.error().message(),
            "poller task: thread \"main\" already has one (started on a spdk_io::run_loop)");
  EXPECT_EQ(loop.posted(), 0u);
}

TEST_F(poller_task, another_os_threads_thread_is_refused) {
  std::jthread([&] {
    auto r = sio::poller_task(thread, manual_loop::post_only(loop));
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::operation_not_permitted);
    EXPECT_NE(r.error().message().find("belongs to another OS thread"), std::string::npos);
  });
}

TEST_F(poller_task, stops_and_starts_again) {
  auto polling = must(sio::poller_task(thread, manual_loop::post_only(loop)));
  EXPECT_FALSE(polling.stopped());
  polling.stop();
  polling.stop();
  EXPECT_TRUE(polling.stopped());
  int ran = 0;
  ASSERT_TRUE(thread.ref().send([&] { ++ran; }));
  settle(loop);
  EXPECT_EQ(loop.posted(), 0u);
  EXPECT_EQ(ran, 0);
  polling = must(sio::poller_task(thread, manual_loop::post_only(loop)));
  EXPECT_FALSE(polling.stopped());
  loop.run_one();
  EXPECT_EQ(ran, 1);
}

TEST_F(poller_task, ends_with_its_handle) {
  {
    auto polling = must(sio::poller_task(thread, manual_loop::post_only(loop)));
  }
  loop.run_one();
  EXPECT_EQ(loop.posted(), 0u);
}

TEST_F(poller_task, may_be_stopped_from_what_it_runs) {
  auto polling = must(sio::poller_task(thread, manual_loop::post_only(loop)));
  saturating work(100);
  ASSERT_TRUE(thread.ref().send([&] { polling.stop(); }));
  settle(loop);
  EXPECT_EQ(loop.posted(), 0u);
  EXPECT_FALSE(work.run.done());
}

TEST_F(poller_task, ends_with_its_thread) {
  auto further = must(sio::thread::create("further"));
  auto polling = must(sio::poller_task(further, manual_loop::post_only(loop)));
  loop.run_one();
  EXPECT_FALSE(polling.stopped());
  {
    auto ending = std::move(further);
  }
  settle(loop);
  EXPECT_TRUE(polling.stopped());
  EXPECT_EQ(loop.posted(), 0u);
}

TEST_F(poller_task, its_thread_may_end_in_its_turn) {
  std::optional<sio::thread> further = must(sio::thread::create("further"));
  auto polling = must(sio::poller_task(*further, manual_loop::post_only(loop)));
  ASSERT_TRUE(further->ref().send([&] { further.reset(); }));
  settle(loop);
  EXPECT_TRUE(polling.stopped());
  EXPECT_EQ(loop.posted(), 0u);
}

TEST_F(poller_task, several_threads_share_a_loop) {
  auto a = must(sio::thread::create("a"));
  auto b = must(sio::thread::create("b"));
  auto polling_a = must(sio::poller_task(a, manual_loop::post_only(loop)));
  auto polling_b = must(sio::poller_task(b, manual_loop::post_only(loop)));
  auto polling_main = must(sio::poller_task(thread, manual_loop::post_only(loop)));
  auto body = [&]() -> sio::task<int> {
    auto r = co_await a.ref().call([&] { return b.ref().call([] { return 6; }); });
    co_return r.value();
  };
  started run(body());
  settle(loop);
  ASSERT_TRUE(run.done());
  EXPECT_EQ(run.take(), 6);
}

TEST_F(poller_task, an_exception_leaves_the_loop_and_the_task_goes_on) {
  auto polling = must(sio::poller_task(thread, manual_loop::post_only(loop)));
  bool ran = false;
  ASSERT_TRUE(thread.ref().send([] { throw std::runtime_error("a continuation's"); }));
  ASSERT_TRUE(thread.ref().send([&] { ran = true; }));
  EXPECT_THROW(loop.run_one(), std::runtime_error);
  EXPECT_FALSE(ran);
  EXPECT_FALSE(polling.stopped());
  EXPECT_EQ(loop.posted(), 1u);
  loop.run_one();
  EXPECT_TRUE(ran);
}

TEST_F(poller_task, an_exception_leaves_run_of_a_run_loop) {
  sio::run_loop real;
  auto polling = must(sio::poller_task(thread, real.get_executor()));
  ASSERT_TRUE(thread.ref().send([] { throw std::runtime_error("a continuation's"); }));
  ASSERT_TRUE(thread.ref().send([&] { real.stop(); }));
  EXPECT_THROW(real.run(), std::runtime_error);
  real.run();
}

// Sleeping.

TEST_F(poller_task, sleeps_longer_and_longer_up_to_its_most) {
  auto polling = must(sio::poller_task(thread, manual_loop::with_timer(loop), sleepy));
  EXPECT_EQ(loop.armed(), std::nullopt);
  settle(loop);
  for (auto expected : {100us, 200us, 400us, 800us, 1600us, 1600us, 1600us}) {
    ASSERT_EQ(loop.posted(), 0u);  // asleep
    ASSERT_EQ(loop.armed(), expected);
    loop.fire();  // it looks, and sleeps again, in one turn of the loop
  }
}

TEST_F(poller_task, work_shortens_its_sleep_again) {
  auto polling = must(sio::poller_task(thread, manual_loop::with_timer(loop), sleepy));
  for (int i = 0; i < 3; ++i) {
    settle(loop);
    loop.fire();
  }
  ASSERT_TRUE(thread.ref().send([] {}));
  settle(loop);
  EXPECT_EQ(loop.armed(), 100us);
}

TEST_F(poller_task, spins_before_it_sleeps) {
  auto polling = must(sio::poller_task(thread, manual_loop::with_timer(loop),
                                       sio::idle::backoff{.spin_for = 1h, .max_sleep = 1h}));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(loop.posted(), 1u);
    loop.run_one();
  }
  EXPECT_EQ(loop.armed(), std::nullopt);
}

TEST_F(poller_task, does_not_sleep_while_there_is_work) {
  auto polling = must(sio::poller_task(thread, manual_loop::with_timer(loop), sleepy));
  saturating work(100);
  while (!work.run.done()) {
    ASSERT_EQ(loop.armed(), std::nullopt);
    ASSERT_EQ(loop.posted(), 1u);
    loop.run_one();
  }
}

TEST_F(poller_task, sleeps_no_longer_than_until_the_next_timer) {
  constexpr sio::idle::backoff long_sleep{.spin_for = 0ns, .max_sleep = 1h};
  auto polling = must(sio::poller_task(thread, manual_loop::with_timer(loop), long_sleep));
  started sleeper(sio::sleep_for(30ms));
  settle(loop);
  ASSERT_TRUE(loop.armed());
  EXPECT_LE(*loop.armed(), 30ms);
  EXPECT_GT(*loop.armed(), 0ns);
}

TEST_F(poller_task, sleeps_no_longer_than_until_the_next_period_of_a_poller) {
  constexpr sio::idle::backoff long_sleep{.spin_for = 0ns, .max_sleep = 1h};
  auto polling = must(sio::poller_task(thread, manual_loop::with_timer(loop), long_sleep));
  auto p = must(sio::poller::start(30ms, [] { return false; }));
  settle(loop);
  ASSERT_TRUE(loop.armed());
  EXPECT_LE(*loop.armed(), 30ms);
}

TEST_F(poller_task, an_idle_poller_lets_it_sleep_and_a_busy_one_does_not) {
  auto polling = must(sio::poller_task(thread, manual_loop::with_timer(loop), sleepy));
  bool busy = false;
  auto p = must(sio::poller::start([&] { return busy; }));
  settle(loop);
  EXPECT_EQ(loop.posted(), 0u);
  EXPECT_TRUE(loop.armed());
  busy = true;
  loop.fire();
  settle(loop);
  EXPECT_EQ(loop.posted(), 1u);
  EXPECT_EQ(loop.armed(), std::nullopt);
}

TEST_F(poller_task, what_is_done_on_its_own_os_thread_wakes_it) {
  auto disk = open_null("n0");
  auto buffer = must(sio::dma_buffer::zeroed(512));
  auto polling = must(sio::poller_task(thread, manual_loop::with_timer(loop), sleepy));
  auto expect_awake = [&](const char* after) {
    EXPECT_GT(loop.posted(), 0u) << after;
    settle(loop);
    EXPECT_EQ(loop.posted(), 0u);
    ASSERT_TRUE(loop.armed());
  };
  settle(loop);
  ASSERT_TRUE(thread.ref().send([] {}));
  expect_awake("a message");
  started yields(sio::yield());
  expect_awake("a yield");
  EXPECT_TRUE(yields.done());
  started sleeps(sio::sleep_for(0ns));
  expect_awake("a timer");
  EXPECT_TRUE(sleeps.done());
  started calls(thread.ref().call([] {}));
  expect_awake("a call");
  EXPECT_TRUE(calls.done());
  auto p = must(sio::poller::start([] { return false; }));
  expect_awake("a poller");
  p.pause();
  settle(loop);
  p.resume();
  expect_awake("a resumed poller");
  started reads(disk.read(buffer, 0));
  expect_awake("a read");
  EXPECT_TRUE(reads.done());
  auto channel = must(disk.channel());
  started again(channel.read(buffer, 0));
  expect_awake("a read that takes the short way");
  EXPECT_TRUE(again.done());
}

TEST_F(poller_task, a_message_from_another_os_thread_wakes_it) {
  auto polling = must(sio::poller_task(thread, manual_loop::with_everything(loop), sleepy));
  settle(loop);
  ASSERT_EQ(loop.posted(), 0u);
  bool ran = false;
  std::jthread([&] { ASSERT_TRUE(thread.ref().send([&] { ran = true; })); }).join();
  EXPECT_GT(loop.posted(), 0u);
  EXPECT_FALSE(ran);
  settle(loop);
  EXPECT_TRUE(ran);
  EXPECT_TRUE(loop.armed());  // asleep again
}

TEST_F(poller_task, where_it_cannot_be_woken_a_message_waits_for_the_end_of_its_sleep) {
  auto polling = must(sio::poller_task(thread, manual_loop::with_timer(loop), sleepy));
  settle(loop);
  bool ran = false;
  std::jthread([&] { ASSERT_TRUE(thread.ref().send([&] { ran = true; })); }).join();
  EXPECT_EQ(loop.posted(), 0u);
  loop.fire();
  settle(loop);
  EXPECT_TRUE(ran);
}

TEST_F(poller_task, a_late_timer_of_a_sleep_that_was_ended_changes_nothing) {
  auto polling = must(sio::poller_task(thread, manual_loop::with_timer(loop), sleepy));
  settle(loop);
  ASSERT_TRUE(loop.armed());
  ASSERT_TRUE(thread.ref().send([] {}));
  loop.fire();  // at the same moment
  settle(loop);
  EXPECT_EQ(loop.posted(), 0u);
  EXPECT_TRUE(loop.armed());  // asleep, once
}

TEST_F(poller_task, stopped_while_it_sleeps_it_stays_so) {
  auto polling = must(sio::poller_task(thread, manual_loop::with_everything(loop), sleepy));
  settle(loop);
  polling.stop();
  EXPECT_EQ(loop.armed(), std::nullopt);
  ASSERT_TRUE(thread.ref().send([] {}));
  settle(loop);
  EXPECT_EQ(loop.posted(), 0u);
  thread.poll();
}

TEST_F(poller_task, an_exception_on_the_way_to_sleep_does_not_end_it) {
  auto polling = must(sio::poller_task(thread, manual_loop::with_timer(loop), sleepy));
  settle(loop);
  started sleeper(sio::sleep_for(1ns));
  settle(loop);
  ASSERT_TRUE(thread.ref().send([] { throw std::runtime_error("a continuation's"); }));
  EXPECT_THROW(settle(loop), std::runtime_error);
  bool ran = false;
  ASSERT_TRUE(thread.ref().send([&] { ran = true; }));
  settle(loop);
  loop.fire();
  settle(loop);
  EXPECT_TRUE(ran);
}

// An executor that runs something on another OS thread.

constexpr const char* ran_elsewhere =
    "poller task: stopped, since the test's loop ran it on another OS thread than that of thread "
    "\"main\"; let that OS thread alone run the executor (a strand is not enough), or give each OS "
    "thread an executor and a thread of its own";

template <class F>
void elsewhere(F f) {
  std::thread(f).join();
}

void expect_failure(const sio::error* failure) {
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->message(), ran_elsewhere);
  EXPECT_TRUE(*failure == std::errc::operation_not_permitted);
}

TEST_F(poller_task, run_on_another_os_thread_it_fails_and_says_so) {
  auto polling = must(sio::poller_task(thread, manual_loop::post_only(loop)));
  bool ran = false;
  ASSERT_TRUE(thread.ref().send([&] { ran = true; }));
  EXPECT_FALSE(polling.failure());
  testing::internal::CaptureStderr();
  elsewhere([&] { loop.run_one(); });
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            std::string("spdk-io: ") + ran_elsewhere + "\n");
  EXPECT_FALSE(ran);
  EXPECT_EQ(loop.posted(), 0u);
  EXPECT_TRUE(polling.stopped());
  expect_failure(polling.failure());

  // Until it is stopped, it is still the thread's.
  EXPECT_FALSE(sio::poller_task(thread, manual_loop::post_only(loop)));
  polling.stop();
  expect_failure(polling.failure());
  auto again = must(sio::poller_task(thread, manual_loop::post_only(loop)));
  loop.run_one();
  EXPECT_TRUE(ran);
  EXPECT_FALSE(again.failure());
}

TEST_F(poller_task, woken_on_another_os_thread_it_fails) {
  for (bool by_timer : {false, true}) {
    SCOPED_TRACE(by_timer);
    auto polling = must(sio::poller_task(thread, manual_loop::with_everything(loop), sleepy));
    settle(loop);
    ASSERT_TRUE(loop.armed());
    if (by_timer) {
      elsewhere([&] { loop.fire(); });
    } else {
      ASSERT_TRUE(thread.ref().send([] {}));
      elsewhere([&] { settle(loop); });
    }
    expect_failure(polling.failure());
    // What comes later, anywhere, finds that it is over.
    ASSERT_TRUE(thread.ref().send([] {}));
    elsewhere([&] { loop.fire(); });
    settle(loop);
    EXPECT_EQ(loop.posted(), 0u);
    polling.stop();
    EXPECT_EQ(loop.armed(), std::nullopt);
    thread.poll();
  }
}

TEST_F(poller_task, what_is_left_of_a_stopped_one_may_be_run_anywhere) {
  auto polling = must(sio::poller_task(thread, manual_loop::post_only(loop)));
  polling.stop();
  testing::internal::CaptureStderr();
  elsewhere([&] { settle(loop); });
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_FALSE(polling.failure());
}

// What it posts comes back until it was run on the thread's own OS thread.
TEST_F(poller_task, its_failure_lets_run_one_return_on_its_own_os_thread) {
  auto polling = must(sio::poller_task(thread, manual_loop::post_only(loop)));
  polling.return_on_failure();
  for (int i = 0; i < 3; ++i) {
    elsewhere([&] { loop.run_one(); });
    EXPECT_EQ(loop.posted(), 1u);
  }
  expect_failure(polling.failure());
  EXPECT_TRUE(loop.run_one());
  EXPECT_EQ(loop.posted(), 0u);
}

TEST_F(poller_task, run_until_returns_its_failure) {
  struct other_thread : manual_loop::with_everything {
    using with_everything::with_everything;
    bool run_one() {
      bool ran = false;
      elsewhere([&] { ran = with_everything::run_one(); });
      return ran;
    }
  };
  auto app = []() -> sio::task<sio::result<int>> {
    auto slept = co_await sio::sleep_for(24h);
    co_return slept ? 1 : 0;
  };
  auto r = sio::run_until(other_thread(loop), thread, app());
  ASSERT_FALSE(r);
  expect_failure(&r.error());
  settle(loop);
}

// Against the real thing: were a wake-up lost, one of these would sleep for an hour.
TEST_F(poller_task, no_message_from_another_os_thread_is_slept_over) {
  sio::run_loop real;
  auto polling = must(sio::poller_task(thread, real.get_executor(),
                                       sio::idle::backoff{.spin_for = 0ns, .max_sleep = 1h}));
  constexpr int messages = 3000;
  std::atomic<int> ran{0};
  std::jthread other([&, to = thread.ref()] {
    for (int i = 0; i < messages; ++i) {
      ASSERT_TRUE(to.send([&] {
        if (++ran == messages) real.stop();
      }));
      while (ran <= i) std::this_thread::yield();
    }
  });
  real.run();
  EXPECT_EQ(ran, messages);
}

TEST_F(poller_task, no_call_is_slept_over_on_either_side) {
  auto other = must(sio::thread::spawn("other"));
  auto body = [&]() -> sio::task<int> {
    int total = 0;
    for (int i = 0; i < 2000; ++i) {
      auto r = co_await other.ref().call([] { return 1; });
      total += r.value();
    }
    co_return total;
  };
  EXPECT_EQ(sio::run_until(thread, body(), sio::idle::backoff{.spin_for = 0ns, .max_sleep = 1h}),
            2000);
}

}  // namespace
