// SPDX-License-Identifier: BSD-3-Clause
// A GLib main context, its executors, poller tasks and their threads, destroyed in each order.
#include "glib_fixture.hpp"
#include "loop_app.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

using executor = sio::adapters::glib::executor;

TEST_F(glib_adapter, the_handle_may_go_first) {
  {
    auto polling = must(sio::poller_task(thread, context, long_sleep));
    for (int i = 0; i < 3; ++i) turn();
    EXPECT_EQ(sources(), 2);
  }
  while (turn()) {
  }
  EXPECT_EQ(sources(), 0);
}

TEST_F(glib_adapter, the_thread_may_go_first) {
  std::optional<sio::thread> further;
  for (bool in_the_loop : {true, false}) {
    further = must(sio::thread::create("further"));
    auto polling = must(sio::poller_task(*further, context, sio::idle::spin()));
    turn();
    if (in_the_loop)
      executor(context).post([&] { further.reset(); });
    else
      further.reset();
    while (turn()) {  // it ends: nobody polls any more
    }
    EXPECT_TRUE(polling.stopped());
  }
}

// It drops what is posted, and what the timers have.
TEST_F(glib_adapter, the_context_may_go_first) {
  GMainContext* own = g_main_context_new();
  auto alive = std::make_shared<int>();
  std::weak_ptr<int> posted = alive;
  executor ex(own);
  ex.post([alive = std::move(alive)] { FAIL() << *alive; });
  auto timer = ex.new_timer();
  auto alive_too = std::make_shared<int>();
  std::weak_ptr<int> timed = alive_too;
  timer.start(1h, [alive_too = std::move(alive_too)] { FAIL() << *alive_too; });
  {
    auto stopped = must(sio::poller_task(thread, own, sio::idle::spin()));
  }  // a turn is posted
  g_main_context_unref(own);
  EXPECT_TRUE(posted.expired());
  EXPECT_TRUE(timed.expired());
  auto late = std::make_shared<int>();
  std::weak_ptr<int> dropped = late;
  ex.post([late = std::move(late)] { FAIL() << *late; });
  EXPECT_TRUE(dropped.expired());

  own = g_main_context_new();
  auto polling = must(sio::poller_task(thread, own, long_sleep));
  g_main_context_unref(own);
  ASSERT_TRUE(thread.ref().send([] {}));
  polling.stop();
  EXPECT_EQ(sio::run_until(context, thread, sleepy(3)), 3);
}

TEST_F(glib_adapter, a_handle_in_its_own_turn) {
  std::optional<sio::running_poller_task<executor>> polling =
      must(sio::poller_task(thread, context, sio::idle::spin()));
  ASSERT_TRUE(thread.ref().send([&] { polling.reset(); }));
  while (turn()) {
  }
  EXPECT_FALSE(polling);
}

TEST_F(glib_adapter, what_is_posted_outlives_its_executor) {
  bool ran = false;
  executor(context).post([&] { ran = true; });
  while (turn()) {
  }
  EXPECT_TRUE(ran);
}

TEST_F(glib_adapter, the_last_executor_may_go_on_another_os_thread) {
  std::optional<executor> ex(context);
  std::atomic<bool> ran = false;
  std::jthread other([&] {
    ex->post([&] { ran = true; });
    while (!ran) std::this_thread::yield();
    ex.reset();
  });
  while (!ran) turn();
  other.join();
}

}  // namespace
