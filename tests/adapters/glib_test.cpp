// SPDX-License-Identifier: BSD-3-Clause
// SPDK beside other work on a GLib main context.
#include "glib_fixture.hpp"
#include "loop_app.hpp"
#include "started.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

using executor = sio::adapters::glib::executor;

static_assert(sio::waking_executor<executor>);
static_assert(sio::timed_executor<executor>);
static_assert(sio::runnable_executor<executor>);

TEST_F(glib_adapter, run_until_does_io_and_gives_what_the_application_gives) {
  auto disk = open_malloc("glib_malloc");
  auto app = [&]() -> sio::task<sio::result<int>> {
    auto block = must(sio::dma_buffer::zeroed(4096));
    block.data()[7] = std::byte(0x5a);
    if (auto r = co_await disk.write(block, 8192); !r) co_return std::unexpected(r.error());
    block.data()[7] = std::byte(0);
    if (auto r = co_await disk.read(block, 8192); !r) co_return std::unexpected(r.error());
    co_return static_cast<int>(block.data()[7]);
  };
  EXPECT_EQ(must(sio::run_until(context, thread, app())), 0x5a);
  EXPECT_EQ(must(sio::run_until(context, thread, app(), sio::idle::spin())), 0x5a);
  EXPECT_EQ(must(sio::run_until(loop, thread, app())), 0x5a);
  EXPECT_EQ(must(sio::run_until(loop, thread, app(), sio::idle::spin())), 0x5a);
  EXPECT_EQ(sio::run_until(executor(context), thread, sleepy(6)), 6);
  GMainContext* by_default = nullptr;
  EXPECT_EQ(sio::run_until(by_default, thread, sleepy(7)), 7);
}

TEST_F(glib_adapter, run_until_rethrows_what_the_application_throws) {
  auto app = []() -> sio::task<int> {
    co_await sio::yield();
    throw std::runtime_error("the application's");
  };
  EXPECT_THROW(sio::run_until(context, thread, app()), std::runtime_error);
  EXPECT_THROW(sio::run_until(loop, thread, app()), std::runtime_error);
  EXPECT_EQ(sio::run_until(loop, thread, sleepy(2)), 2);
}

// The loop would sleep for an hour with the application done.
TEST_F(glib_adapter, run_until_sees_an_application_that_ends_outside_of_the_poller_task) {
  for (bool has_loop : {false, true}) {
    gate ended;
    auto app = [&]() -> sio::task<int> {
      co_await ended;
      co_return 3;
    };
    user_source once(context, g_timeout_source_new(1), [&] {
      ended.open();
      g_source_set_ready_time(g_main_current_source(), -1);
    });
    EXPECT_EQ(has_loop ? sio::run_until(loop, thread, app(), long_sleep)
                       : sio::run_until(context, thread, app(), long_sleep),
              3);
  }
}

// At the default priority idle functions have their turn as well.
TEST_F(glib_adapter, timers_and_sockets_are_alive_under_saturated_io) {
  auto disk = open_null("glib_null");
  socket_pair sockets;
  for (int priority : {G_PRIORITY_DEFAULT_IDLE, G_PRIORITY_DEFAULT}) {
    for (bool spins : {false, true}) {
      saturation busy(disk);
      int fired = 0;
      int idle = priority == G_PRIORITY_DEFAULT ? 5 : 0;
      int received = 0;
      auto timer = ticker([&] {
        ++fired;
        sockets.send();
      });
      user_source when_idle(context, g_idle_source_new(), [&] { ++idle; });
      watched socket(context, sockets.reading_end(), [&] {
        sockets.receive();
        if (++received >= 5 && idle >= 5) busy.stop();
      });
      executor ex(context, priority);
      auto r = spins ? sio::run_until(ex, thread, busy.run(8), sio::idle::spin())
                     : sio::run_until(ex, thread, busy.run(8));
      EXPECT_TRUE(r) << r.error();
      EXPECT_GE(fired, 5);
      EXPECT_GE(received, 5);
      EXPECT_GT(busy.reads(), 0u);
    }
  }
}

TEST_F(glib_adapter, what_is_posted_by_a_callable_waits_for_the_next_turn) {
  executor ex(context, G_PRIORITY_DEFAULT);
  socket_pair sockets;
  int turns = 0;
  int turns_when_readable = -1;
  std::function<void()> again = [&] {
    if (++turns < 100) ex.post([&] { again(); });
  };
  watched socket(context, sockets.reading_end(), [&] {
    sockets.receive();
    turns_when_readable = turns;
  });
  sockets.send();
  ex.post([&] { again(); });
  EXPECT_EQ(turns, 0);  // never inside post()
  turn();
  EXPECT_EQ(turns, 1);
  turn();
  EXPECT_GE(turns_when_readable, 0);
  EXPECT_LE(turns_when_readable, 2);
  while (turns < 100) ASSERT_TRUE(turn());
}

TEST_F(glib_adapter, the_loop_sleeps_when_nothing_is_posted) {
  executor ex(context);
  auto timer = ex.new_timer();
  EXPECT_FALSE(ready());
  bool ran = false;
  ex.post([&] { ran = true; });
  EXPECT_TRUE(ready());
  EXPECT_TRUE(ex.run_one());
  EXPECT_TRUE(ran);
  EXPECT_FALSE(turn());

  auto polling = must(sio::poller_task(thread, ex, long_sleep));
  while (turn()) {
  }
  EXPECT_FALSE(polling.stopped());
  polling.stop();

  auto spinning = must(sio::poller_task(thread, ex, sio::idle::spin()));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(turn());
}

TEST_F(glib_adapter, a_timer_fires_once_unless_it_is_cancelled) {
  executor ex(context);
  auto timer = ex.new_timer();
  int fired = 0;
  timer.start(1us, [&] { fired += 10; });
  timer.start(1us, [&] { ++fired; });  // instead
  EXPECT_EQ(fired, 0);
  while (fired == 0) ex.run_one();
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(turn());
  timer.start(0ns, [&] { ++fired; });
  EXPECT_TRUE(ready());
  timer.cancel();
  turn();
  timer.start(1h, [&] { ++fired; });
  EXPECT_FALSE(turn());
  {
    auto moved = std::move(timer);
  }
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(sources(), 1);  // the executor's
}

// Were a wake-up lost, these would sleep for an hour.
TEST_F(glib_adapter, a_message_from_another_os_thread_wakes_the_loop) {
  auto other = must(sio::thread::spawn("other"));
  EXPECT_EQ(sio::run_until(context, thread, call_often(other.ref(), 500), long_sleep), 500);
  EXPECT_EQ(sio::run_until(loop, thread, call_often(other.ref(), 500), long_sleep), 500);
}

TEST_F(glib_adapter, posts_from_other_os_threads_run_in_order) {
  executor ex(context);
  constexpr int count = 10'000;
  int last = 0;
  std::jthread other([&] {
    for (int i = 1; i <= count; ++i) {
      ex.post([&last, i] {
        EXPECT_EQ(last, i - 1);
        last = i;
      });
    }
  });
  EXPECT_TRUE(ex.run_while([&] { return last < count; }));
  EXPECT_EQ(last, count);
}

TEST_F(glib_adapter, an_exception_of_a_continuation_leaves_run_and_the_task_goes_on) {
  executor ex(loop);
  auto polling = must(sio::poller_task(thread, ex, sio::idle::spin()));
  ASSERT_TRUE(thread.ref().send([] { throw std::runtime_error("a continuation's"); }));
  EXPECT_THROW(ex.run(), std::runtime_error);
  EXPECT_FALSE(polling.stopped());
  ASSERT_TRUE(thread.ref().send([] { throw std::runtime_error("another one's"); }));
  EXPECT_THROW(for (;;) ex.run_one(), std::runtime_error);
  ASSERT_TRUE(thread.ref().send([&] {
    polling.stop();
    g_main_loop_quit(loop);
  }));
  ex.run();
  EXPECT_TRUE(polling.stopped());
}

TEST_F(glib_adapter, an_exception_leaves_run_until_and_destroys_the_application) {
  for (bool has_loop : {false, true}) {
    auto alive = std::make_shared<int>();
    std::weak_ptr<int> watch = alive;
    auto app = [](std::shared_ptr<int>) -> sio::task<void> { (void)co_await sleeps_for_a_day(); };
    ASSERT_TRUE(thread.ref().send([] { throw std::logic_error("of another one"); }));
    executor ex = has_loop ? executor(loop) : executor(context);
    EXPECT_THROW(sio::run_until(ex, thread, app(std::move(alive))), std::logic_error);
    EXPECT_TRUE(watch.expired());
    EXPECT_EQ(sio::run_until(ex, thread, sleepy(1)), 1);
  }
}

// No exception passes GLib: the loop returns, and they are taken one by one.
TEST_F(glib_adapter, who_runs_the_loop_takes_exceptions_with_rethrow) {
  std::string log;
  executor ex(loop);
  executor(loop).post([] { throw std::runtime_error("another executor's"); });
  ex.post([&] { log += 'a'; });
  ex.post([] { throw std::runtime_error("a callable's"); });
  ex.post([&] { log += 'b'; });
  g_main_loop_run(loop);
  EXPECT_EQ(log, "a");
  EXPECT_THROW(sio::adapters::glib::rethrow(context), std::runtime_error);
  EXPECT_THROW(ex.rethrow(), std::runtime_error);
  EXPECT_NO_THROW(ex.rethrow());
  ex.run_one();
  EXPECT_EQ(log, "ab");  // the rest of the batch stayed

  auto timer = ex.new_timer();
  timer.start(1us, [] { throw std::runtime_error("a timer's"); });
  EXPECT_THROW(ex.run(), std::runtime_error);
  ex.post([] { throw std::runtime_error("not of the default context"); });
  turn();
  EXPECT_NO_THROW(sio::adapters::glib::rethrow(nullptr));
  executor by_default(static_cast<GMainContext*>(nullptr));
  by_default.post([] { throw std::logic_error("of the default context"); });
  EXPECT_THROW(by_default.run_one(), std::logic_error);
  bool ran = false;
  ex.post([&] { ran = true; });
  EXPECT_THROW(ex.run_one(), std::runtime_error);
  EXPECT_FALSE(ran);  // it was thrown before the context was iterated
  ex.run_one();
  EXPECT_TRUE(ran);
}

TEST_F(glib_adapter, a_loop_that_is_quit_cancels_the_application) {
  auto quits = ticker([&] { g_main_loop_quit(loop); });
  auto r = sio::run_until(loop, thread, sleeps_for_a_day());
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::operation_canceled) << r.error();
  EXPECT_EQ(r.error().message(),
            "run_until: the loop of thread \"main\" was stopped before the application had ended");
}

TEST_F(glib_adapter, a_second_poller_task_is_refused) {
  auto polling = must(sio::poller_task(thread, context));
  auto second = sio::poller_task(thread, loop, sio::idle::spin());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message(),
            "poller task: thread \"main\" already has one (started on a GLib main context)");
  auto r = sio::run_until(context, thread, sleeps_for_a_day());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), second.error().message());
}

TEST_F(glib_adapter, several_threads_share_a_context) {
  auto further = must(sio::thread::create("further"));
  auto polling = must(sio::poller_task(further, context));
  bool ran = false;
  ASSERT_TRUE(further.ref().send([&] { ran = true; }));
  auto app = [&]() -> sio::task<void> {
    while (!ran) co_await sio::yield();
  };
  sio::run_until(context, thread, app());
  EXPECT_TRUE(ran);
}

// As a dialogue does it.
TEST_F(glib_adapter, a_callable_may_iterate_the_context_itself) {
  auto polling = must(sio::poller_task(thread, context, sio::idle::spin()));
  executor ex(context);
  std::string log;
  ex.post([&] {
    ex.post([&] { log += "inner "; });
    ASSERT_TRUE(thread.ref().send([&] { log += "message "; }));
    while (log.find("inner") == std::string::npos || log.find("message") == std::string::npos ||
           log.find("batch") == std::string::npos) {
      ex.run_one();
    }
    log += "outer";
  });
  ex.post([&] { log += "batch "; });  // of the same batch, run inside the first
  while (!log.ends_with("outer")) ex.run_one();
  EXPECT_LT(log.find("batch"), log.find("inner")) << log;
  EXPECT_EQ(log.size(), std::string("batch inner message outer").size()) << log;
}

}  // namespace
