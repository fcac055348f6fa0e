// SPDX-License-Identifier: BSD-3-Clause
// A libuv loop, its executors, poller tasks and their threads, destroyed in each order.
#include "libuv_fixture.hpp"
#include "loop_app.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

using executor = sio::adapters::libuv::executor;

// The loop goes last, in the fixture's destructor: nothing may be open then.
TEST_F(libuv_adapter, the_handle_may_go_first) {
  {
    auto polling = must(sio::poller_task(thread, loop, long_sleep));
    for (int i = 0; i < 3; ++i) turn();
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  EXPECT_EQ(uv_loop_close(&loop), 0);
  uv_loop_init(&loop);
}

TEST_F(libuv_adapter, the_thread_may_go_first) {
  std::optional<sio::thread> further = must(sio::thread::create("further"));
  for (bool in_the_loop : {true, false}) {
    if (!further) further = must(sio::thread::create("further"));
    auto polling = must(sio::poller_task(*further, loop, sio::idle::spin()));
    turn();
    if (in_the_loop)
      executor(loop).post([&] { further.reset(); });
    else
      further.reset();
    uv_run(&loop, UV_RUN_DEFAULT);  // it ends: nobody polls any more
    EXPECT_TRUE(polling.stopped());
  }
}

TEST_F(libuv_adapter, a_handle_in_its_own_turn) {
  std::optional<sio::running_poller_task<executor>> polling =
      must(sio::poller_task(thread, loop, sio::idle::spin()));
  ASSERT_TRUE(thread.ref().send([&] { polling.reset(); }));
  uv_run(&loop, UV_RUN_DEFAULT);
  EXPECT_FALSE(polling);
}

TEST_F(libuv_adapter, what_is_posted_outlives_its_executor) {
  bool ran = false;
  executor(loop).post([&] { ran = true; });
  uv_run(&loop, UV_RUN_DEFAULT);
  EXPECT_TRUE(ran);
}

TEST_F(libuv_adapter, the_last_executor_may_go_on_another_os_thread) {
  std::optional<executor> ex(loop);
  std::atomic<bool> ran = false;
  ticker alive(loop, [] {});
  std::jthread other([&] {
    ex->post([&] { ran = true; });
    while (!ran) std::this_thread::yield();
    ex.reset();
  });
  while (!ran) turn();
  other.join();
  for (int i = 0; i < 3; ++i) turn();
  alive.close();
  uv_run(&loop, UV_RUN_DEFAULT);
  EXPECT_EQ(uv_loop_close(&loop), 0);
  uv_loop_init(&loop);
}

}  // namespace
