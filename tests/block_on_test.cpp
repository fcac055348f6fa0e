// SPDX-License-Identifier: BSD-3-Clause
// block_on: from plain code, from inside a coroutine, and with two threads on one OS thread.
#include "spdk_test.hpp"
#include "started.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

sio::task<int> answer() {
  co_await sio::yield();
  co_return 42;
}

TEST(block_on, gives_what_the_awaitable_gives) {
  EXPECT_EQ(sio::block_on(main_thread(), answer()), 42);
  auto operation = sio::sleep_for(0ns);
  EXPECT_TRUE(sio::block_on(main_thread(), std::move(operation)));
  auto make = []() -> sio::task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
  EXPECT_EQ(*sio::block_on(main_thread(), make()), 3);
  static_assert(std::is_void_v<decltype(sio::block_on(main_thread(), sio::yield()))>);
}

TEST(block_on, rethrows) {
  auto body = []() -> sio::task<void> {
    co_await sio::yield();
    throw std::runtime_error("through block_on");
  };
  EXPECT_THROW(sio::block_on(main_thread(), body()), std::runtime_error);
}

TEST(block_on, lets_the_others_run_meanwhile) {
  int turns = 0;
  bool stop = false;
  auto other = [&]() -> sio::task<void> {
    while (!stop) {
      ++turns;
      co_await sio::yield();
    }
  };
  started beside(other());
  auto body = [&]() -> sio::task<void> {
    while (turns < 10) co_await sio::yield();
  };
  sio::block_on(main_thread(), body());
  EXPECT_GE(turns, 10);
  EXPECT_FALSE(beside.done());
  stop = true;
  main_thread().poll();
  EXPECT_TRUE(beside.done());
}

TEST(block_on, nests_on_the_same_thread) {
  auto inner = []() -> sio::task<int> {
    if (auto r = co_await sio::sleep_for(100us); !r) co_return -1;
    co_return 5;
  };
  auto outer = [&]() -> sio::task<int> {
    co_await sio::yield();
    int a = sio::block_on(main_thread(), inner());  // inside main_thread().poll()
    int b = sio::block_on(main_thread(), inner());
    co_return a + b;
  };
  EXPECT_EQ(sio::block_on(main_thread(), outer()), 10);
}

TEST(block_on, runs_on_a_further_thread_of_this_os_thread) {
  auto further = must(sio::thread::create("further"));
  std::string where;
  auto body = [&]() -> sio::task<int> {
    where += sio::thread::current()->name();
    co_await sio::yield();
    where += std::string(" ") + std::string(sio::thread::current()->name());
    if (auto r = co_await sio::sleep_for(10us); !r) co_return -1;
    co_return 6;
  };
  EXPECT_EQ(sio::block_on(further, body()), 6);
  EXPECT_EQ(where, "further further");
  EXPECT_EQ(sio::thread::current()->name(), "main");
}

TEST(block_on, nests_across_two_threads_of_one_os_thread) {
  auto further = must(sio::thread::create("further"));
  auto outer = [&]() -> sio::task<int> {
    co_await sio::yield();
    int a = sio::block_on(further, answer());  // inside main_thread().poll()
    EXPECT_EQ(sio::thread::current()->name(), "main");
    co_await sio::yield();
    co_return a;
  };
  EXPECT_EQ(sio::block_on(main_thread(), outer()), 42);
}

TEST(block_on, works_where_only_further_threads_exist) {
  std::jthread([] {
    auto lone = must(sio::thread::create("lone"));
    std::string where;
    auto body = [&]() -> sio::task<int> {
      where = sio::thread::current().value().name();
      auto slept = co_await sio::sleep_for(10us);
      co_return slept ? 1 : -1;
    };
    EXPECT_EQ(sio::block_on(lone, body()), 1);
    EXPECT_EQ(where, "lone");
    EXPECT_FALSE(sio::thread::current());
  });
}

TEST(block_on, a_resumed_coroutine_may_destroy_the_next_ready_one) {
  std::optional<started<sio::task<void>>> next;
  std::string log;
  auto victim = [&]() -> sio::task<void> {
    co_await sio::yield();
    log += 'v';
  };
  auto killer = [&]() -> sio::task<void> {
    next.emplace(victim());
    co_await sio::yield();  // behind the victim
    next.emplace(victim());
    log += 'k';
  };
  auto second_killer = [&]() -> sio::task<void> {
    co_await sio::yield();
    next.reset();
    log += 'd';
  };
  started a(second_killer());
  auto body = [&]() -> sio::task<void> {
    next.emplace(victim());  // ready right behind a
    co_await sio::yield();
    log += 'e';
  };
  sio::block_on(main_thread(), body());
  EXPECT_EQ(log, "de");
  log.clear();
  sio::block_on(main_thread(), killer());
  EXPECT_EQ(log, "vk");
}

TEST(block_on, an_exception_of_another_continuation_leaves_it_and_destroys_its_own) {
  auto alive = std::make_shared<int>();
  std::weak_ptr<int> watch = alive;
  auto body = [](std::shared_ptr<int>) -> sio::task<void> { (void)co_await sio::sleep_for(24h); };
  ASSERT_TRUE(main_thread().ref().send([] { throw std::logic_error("not its own"); }));
  EXPECT_THROW(sio::block_on(main_thread(), body(std::move(alive))), std::logic_error);
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(sio::block_on(main_thread(), answer()), 42);
}

}  // namespace
