// SPDX-License-Identifier: BSD-3-Clause
// SPDK beside other work on a libuv loop.
#include "libuv_fixture.hpp"
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

using executor = sio::adapters::libuv::executor;

static_assert(sio::waking_executor<executor>);
static_assert(sio::timed_executor<executor>);
static_assert(sio::runnable_executor<executor>);

TEST_F(libuv_adapter, run_until_does_io_and_gives_what_the_application_gives) {
  auto disk = open_malloc("libuv_malloc");
  auto app = [&]() -> sio::task<sio::result<int>> {
    auto block = must(sio::dma_buffer::zeroed(4096));
    block.data()[7] = std::byte(0x5a);
    if (auto r = co_await disk.write(block, 8192); !r) co_return std::unexpected(r.error());
    block.data()[7] = std::byte(0);
    if (auto r = co_await disk.read(block, 8192); !r) co_return std::unexpected(r.error());
    co_return static_cast<int>(block.data()[7]);
  };
  EXPECT_EQ(must(sio::run_until(loop, thread, app())), 0x5a);
  EXPECT_EQ(must(sio::run_until(loop, thread, app(), sio::idle::spin())), 0x5a);
  EXPECT_EQ(sio::run_until(executor(loop), thread, sleepy(6)), 6);
}

TEST_F(libuv_adapter, run_until_rethrows_what_the_application_throws) {
  auto app = []() -> sio::task<int> {
    co_await sio::yield();
    throw std::runtime_error("the application's");
  };
  EXPECT_THROW(sio::run_until(loop, thread, app()), std::runtime_error);
  EXPECT_EQ(sio::run_until(loop, thread, sleepy(2)), 2);
}

// The loop would sleep for an hour with the application done.
TEST_F(libuv_adapter, run_until_sees_an_application_that_ends_outside_of_the_poller_task) {
  gate ended;
  auto app = [&]() -> sio::task<int> {
    co_await ended;
    co_return 3;
  };
  ticker beside(loop, [&] { ended.open(); });
  EXPECT_EQ(sio::run_until(loop, thread, app(), long_sleep), 3);
}

TEST_F(libuv_adapter, timers_and_sockets_are_alive_under_saturated_io) {
  auto disk = open_null("libuv_null");
  socket_pair sockets;
  for (bool spins : {false, true}) {
    saturation busy(disk);
    int fired = 0;
    int received = 0;
    ticker timer(loop, [&] {
      ++fired;
      sockets.send();
    });
    watched socket(loop, sockets.reading_end(), [&] {
      sockets.receive();
      if (++received == 5) busy.stop();
    });
    auto r = spins ? sio::run_until(loop, thread, busy.run(8), sio::idle::spin())
                   : sio::run_until(loop, thread, busy.run(8));
    EXPECT_TRUE(r) << r.error();
    EXPECT_GE(fired, 5);
    EXPECT_GE(received, 5);
    EXPECT_GT(busy.reads(), 0u);
  }
}

TEST_F(libuv_adapter, what_is_posted_by_a_callable_waits_for_the_next_turn) {
  executor ex(loop);
  socket_pair sockets;
  int turns = 0;
  int turns_when_readable = -1;
  std::function<void()> again = [&] {
    if (++turns < 100) ex.post([&] { again(); });
  };
  watched socket(loop, sockets.reading_end(), [&] {
    sockets.receive();
    turns_when_readable = turns;
  });
  sockets.send();
  ex.post([&] { again(); });
  EXPECT_EQ(turns, 0);  // never inside post()
  turn();
  EXPECT_EQ(turns, 1);
  EXPECT_EQ(turns_when_readable, 1);
  while (turns < 100) ASSERT_TRUE(turn());
}

TEST_F(libuv_adapter, an_executor_alone_does_not_keep_the_loop_running) {
  executor ex(loop);
  auto timer = ex.new_timer();
  EXPECT_EQ(uv_loop_alive(&loop), 0);
  EXPECT_FALSE(ex.run());
  EXPECT_FALSE(ex.run_while([] { return true; }));
  bool ran = false;
  ex.post([&] { ran = true; });
  EXPECT_NE(uv_loop_alive(&loop), 0);
  EXPECT_FALSE(ex.run());
  EXPECT_TRUE(ran);
  EXPECT_FALSE(ex.run_one());
}

TEST_F(libuv_adapter, a_poller_task_keeps_the_loop_running_asleep_or_not) {
  for (bool sleeps : {false, true}) {
    auto polling = must(sleeps ? sio::poller_task(thread, executor(loop), long_sleep)
                               : sio::poller_task(thread, executor(loop), sio::idle::spin()));
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(turn());
    if (sleeps) {
      EXPECT_GT(uv_backend_timeout(&loop), 1000);
    }
    polling.stop();
    uv_run(&loop, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_alive(&loop), 0);
  }
}

// Zero would make the loop look again and again.
TEST_F(libuv_adapter, timers_round_up_to_milliseconds) {
  executor ex(loop);
  auto timer = ex.new_timer();
  ex.post([] {});
  ex.run();  // else libuv has not told its sockets to the kernel yet, and would not wait
  timer.start(1ns, [] {});
  EXPECT_EQ(uv_backend_timeout(&loop), 1);
  timer.start(1500us, [] {});
  EXPECT_EQ(uv_backend_timeout(&loop), 2);
  timer.cancel();
  EXPECT_EQ(uv_loop_alive(&loop), 0);
  bool fired = false;
  timer.start(100us, [&] { fired = true; });
  EXPECT_FALSE(fired);
  ex.run();
  EXPECT_TRUE(fired);
}

// Were a wake-up lost, these would sleep for an hour.
TEST_F(libuv_adapter, a_message_from_another_os_thread_wakes_the_loop) {
  auto other = must(sio::thread::spawn("other"));
  EXPECT_EQ(sio::run_until(loop, thread, call_often(other.ref(), 500), long_sleep), 500);
}

TEST_F(libuv_adapter, posts_from_other_os_threads_run_in_order) {
  executor ex(loop);
  constexpr int count = 10'000;
  int last = 0;
  ticker alive(loop, [] {});
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

TEST_F(libuv_adapter, an_exception_of_a_continuation_leaves_run_and_the_task_goes_on) {
  executor ex(loop);
  auto polling = must(sio::poller_task(thread, ex, sio::idle::spin()));
  ASSERT_TRUE(thread.ref().send([] { throw std::runtime_error("a continuation's"); }));
  EXPECT_THROW(ex.run(), std::runtime_error);
  EXPECT_FALSE(polling.stopped());
  ASSERT_TRUE(thread.ref().send([] { throw std::runtime_error("another one's"); }));
  EXPECT_THROW(for (;;) ex.run_one(), std::runtime_error);
  ASSERT_TRUE(thread.ref().send([&] { polling.stop(); }));
  EXPECT_FALSE(ex.run());
  EXPECT_TRUE(polling.stopped());
}

TEST_F(libuv_adapter, an_exception_leaves_run_until_and_destroys_the_application) {
  auto alive = std::make_shared<int>();
  std::weak_ptr<int> watch = alive;
  auto app = [](std::shared_ptr<int>) -> sio::task<void> { (void)co_await sleeps_for_a_day(); };
  ASSERT_TRUE(thread.ref().send([] { throw std::logic_error("of another one"); }));
  EXPECT_THROW(sio::run_until(loop, thread, app(std::move(alive))), std::logic_error);
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(sio::run_until(loop, thread, sleepy(1)), 1);
}

// No exception passes libuv: uv_run() returns, and they are taken one by one.
TEST_F(libuv_adapter, who_calls_uv_run_takes_exceptions_with_rethrow) {
  std::string log;
  executor(loop).post([] { throw std::runtime_error("another executor's"); });
  executor ex(loop);
  ex.post([&] { log += 'a'; });
  ex.post([] { throw std::runtime_error("a callable's"); });
  ex.post([&] { log += 'b'; });
  EXPECT_NE(uv_run(&loop, UV_RUN_DEFAULT), 0);  // stopped
  EXPECT_EQ(log, "a");
  EXPECT_THROW(sio::adapters::libuv::rethrow(loop), std::runtime_error);
  EXPECT_THROW(ex.rethrow(), std::runtime_error);
  EXPECT_NO_THROW(ex.rethrow());
  EXPECT_FALSE(ex.run());
  EXPECT_EQ(log, "ab");  // the rest of the batch stayed

  auto timer = ex.new_timer();
  timer.start(1us, [] { throw std::runtime_error("a timer's"); });
  EXPECT_THROW(ex.run(), std::runtime_error);
  uv_loop_t another;
  uv_loop_init(&another);
  ex.post([] { throw std::runtime_error("not of the other loop"); });
  uv_run(&loop, UV_RUN_DEFAULT);
  EXPECT_NO_THROW(sio::adapters::libuv::rethrow(another));
  EXPECT_EQ(uv_loop_close(&another), 0);
  bool ran = false;
  ex.post([&] { ran = true; });
  EXPECT_THROW(ex.run_one(), std::runtime_error);
  EXPECT_FALSE(ran);  // it was thrown before the loop ran
  EXPECT_FALSE(ex.run());
  EXPECT_TRUE(ran);
}

TEST_F(libuv_adapter, a_stopped_loop_cancels_the_application) {
  ticker stops(loop, [&] { uv_stop(&loop); });
  auto r = sio::run_until(loop, thread, sleeps_for_a_day());
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::operation_canceled) << r.error();
  EXPECT_EQ(r.error().message(),
            "run_until: the loop of thread \"main\" was stopped before the application had ended");
}

TEST_F(libuv_adapter, a_second_poller_task_is_refused) {
  auto polling = must(sio::poller_task(thread, loop));
  auto second = sio::poller_task(thread, loop, sio::idle::spin());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message(),
            "poller task: thread \"main\" already has one (started on a libuv loop)");
  auto r = sio::run_until(loop, thread, sleeps_for_a_day());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), second.error().message());
}

TEST_F(libuv_adapter, several_threads_share_a_loop) {
  auto further = must(sio::thread::create("further"));
  auto polling = must(sio::poller_task(further, loop));
  bool ran = false;
  ASSERT_TRUE(further.ref().send([&] { ran = true; }));
  auto app = [&]() -> sio::task<void> {
    while (!ran) co_await sio::yield();
  };
  sio::run_until(loop, thread, app());
  EXPECT_TRUE(ran);
}

}  // namespace
