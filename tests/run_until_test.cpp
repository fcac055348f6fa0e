// SPDX-License-Identifier: BSD-3-Clause
// run_until: the life of a program on a loop.
#include "manual_loop.hpp"
#include "spdk_test.hpp"
#include "started.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

sio::task<int> sleepy(int value) {
  auto slept = co_await sio::sleep_for(100us);
  co_return slept ? value : -1;
}

sio::task<sio::result<void>> endless() {
  auto slept = co_await sio::sleep_for(24h);
  co_return slept;
}

TEST(run_until, gives_what_the_application_gives) {
  EXPECT_EQ(sio::run_until(main_thread(), sleepy(3)), 3);
  EXPECT_EQ(sio::run_until(main_thread(), sleepy(4), sio::idle::spin()), 4);
  sio::run_loop loop;
  EXPECT_EQ(sio::run_until(loop.get_executor(), main_thread(), sleepy(5)), 5);
  EXPECT_TRUE(sio::run_until(main_thread(), sio::sleep_for(1us)));
  static_assert(std::is_void_v<decltype(sio::run_until(main_thread(), sio::yield()))>);
}

TEST(run_until, gives_an_error_as_a_result) {
  auto app = []() -> sio::task<sio::result<void>> {
    co_await sio::yield();
    co_return std::unexpected(
        sio::error(std::errc::io_error, sio::operation_kind::none, "of the application"));
  };
  auto r = sio::run_until(main_thread(), app());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "of the application");
}

TEST(run_until, rethrows) {
  auto app = []() -> sio::task<int> {
    co_await sio::yield();
    throw std::runtime_error("of the application");
  };
  EXPECT_THROW(sio::run_until(main_thread(), app()), std::runtime_error);
  EXPECT_EQ(sio::run_until(main_thread(), sleepy(1)), 1);
}

TEST(run_until, an_exception_of_another_continuation_destroys_the_application) {
  auto alive = std::make_shared<int>();
  std::weak_ptr<int> watch = alive;
  auto app = [](std::shared_ptr<int>) -> sio::task<void> { (void)co_await sio::sleep_for(24h); };
  ASSERT_TRUE(main_thread().ref().send([] { throw std::logic_error("of another one"); }));
  EXPECT_THROW(sio::run_until(main_thread(), app(std::move(alive))), std::logic_error);
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(sio::run_until(main_thread(), sleepy(1)), 1);  // no poller task was left behind
}

TEST(run_until, a_loop_that_is_stopped_from_outside_cancels) {
  sio::run_loop loop;
  auto alive = std::make_shared<int>();
  std::weak_ptr<int> watch = alive;
  auto app = [&](std::shared_ptr<int>) -> sio::task<sio::result<int>> {
    loop.post([&] { loop.stop(); });
    auto slept = co_await sio::sleep_for(24h);
    co_return slept ? 1 : 0;
  };
  auto r = sio::run_until(loop.get_executor(), main_thread(), app(std::move(alive)));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::operation_canceled);
  EXPECT_EQ(r.error().message(),
            "run_until: the loop of thread \"main\" was stopped before the "
            "application had ended");
  EXPECT_TRUE(watch.expired());
  EXPECT_TRUE(main_thread().idle());
}

// Before the loop is drained: what it awaits would resume it otherwise.
TEST(run_until, a_loop_that_is_stopped_destroys_the_application_at_once) {
  sio::run_loop loop;
  auto alive = std::make_shared<int>();
  std::weak_ptr<int> watch = alive;
  bool drained = false;
  auto app = [&](std::shared_ptr<int>) -> sio::task<sio::result<void>> {
    loop.post([&] {
      loop.stop();
      ASSERT_TRUE(main_thread().ref().send([&] {
        drained = true;
        EXPECT_TRUE(watch.expired());
      }));
    });
    for (;;) co_await sio::yield();
  };
  auto r = sio::run_until(loop.get_executor(), main_thread(), app(std::move(alive)));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::operation_canceled);
  EXPECT_TRUE(drained);
}

TEST(run_until, a_stopped_loop_throws_where_the_application_gives_no_result) {
  sio::run_loop loop;
  loop.stop();
  auto app = []() -> sio::task<void> { (void)co_await sio::sleep_for(24h); };
  try {
    sio::run_until(loop.get_executor(), main_thread(), app());
    FAIL() << "it did not throw";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::operation_canceled);
  }
}

TEST(run_until, another_os_thread_may_stop_the_loop) {
  sio::run_loop loop;
  std::jthread other([&] { loop.stop(); });
  auto r = sio::run_until(loop.get_executor(), main_thread(), endless(),
                          sio::idle::backoff{.spin_for = 0ns, .max_sleep = 1h});
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::operation_canceled);
}

TEST(run_until, drains_what_is_ready) {
  int ran = 0;
  bool done = false;
  auto app = [&]() -> sio::task<void> {
    auto self = main_thread().ref();
    (void)self.send([&, self] {
      ++ran;
      (void)self.send([&] { ++ran; });
    });
    done = true;
    co_return;
  };
  sio::run_until(main_thread(), app());
  EXPECT_TRUE(done);
  EXPECT_EQ(ran, 2);
  EXPECT_TRUE(main_thread().idle());
}

// A coroutine that only yields is always ready: draining must not wait for its end.
TEST(run_until, does_not_drain_for_ever) {
  bool stop = false;
  auto spinner = [&]() -> sio::task<void> {
    while (!stop) co_await sio::yield();
  };
  started beside(spinner());
  EXPECT_EQ(sio::run_until(main_thread(), sleepy(2)), 2);
  EXPECT_FALSE(beside.done());
  stop = true;
  poll_until([&] { return beside.done(); });
}

TEST(run_until, leaves_the_loops_other_work_alone) {
  sio::run_loop loop;
  std::string log;
  auto app = [&]() -> sio::task<int> {
    loop.post([&] { log += 'a'; });
    int n = co_await sleepy(1);
    loop.post([&] { log += 'b'; });
    co_return n;
  };
  EXPECT_EQ(sio::run_until(loop.get_executor(), main_thread(), app()), 1);
  EXPECT_EQ(log.substr(0, 1), "a");
  if (log == "a") {
    loop.run_one();
  }
  EXPECT_EQ(log, "ab");
}

TEST(run_until, a_thread_with_a_poller_task_is_an_error) {
  sio::run_loop loop;
  auto polling = must(sio::poller_task(main_thread(), loop.get_executor()));
  auto r = sio::run_until(main_thread(), endless());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(),
            "poller task: thread \"main\" already has one (started on a spdk_io::run_loop)");
}

TEST(run_until, runs_on_a_further_thread_of_this_os_thread) {
  auto further = must(sio::thread::create("further"));
  std::string where;
  auto app = [&]() -> sio::task<int> {
    where += sio::thread::current()->name();
    int n = co_await sleepy(1);
    where += std::string(" ") + std::string(sio::thread::current()->name());
    co_return n;
  };
  EXPECT_EQ(sio::run_until(further, app()), 1);
  EXPECT_EQ(where, "further further");
}

TEST(run_until, takes_an_executor_of_the_users_own) {
  manual_loop loop;
  EXPECT_EQ(sio::run_until(manual_loop::with_everything(loop), main_thread(), sleepy(7),
                           sio::idle::spin()),
            7);
}

}  // namespace
