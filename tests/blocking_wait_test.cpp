// SPDX-License-Identifier: BSD-3-Clause
// get(): an operation's result for code that is no coroutine; on threads of SPDK, and on others.
#include "spdk_test.hpp"

#include <spdk_io/spawned_thread.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

TEST(blocking_wait, io_is_polled_to_its_end) {
  auto disk = open_malloc("m0");
  auto channel = must(disk.channel());
  auto block = must(sio::dma_buffer::zeroed(4096));
  block.data()[7] = std::byte{42};
  EXPECT_TRUE(channel.write(block, 8192).get());
  block.data()[7] = std::byte{0};
  EXPECT_TRUE(disk.read(block, 8192).get());  // the channel of this thread
  EXPECT_EQ(block.data()[7], std::byte{42});
}

TEST(blocking_wait, an_operation_that_fails_at_once_gives_its_error) {
  auto disk = open_malloc("m0");
  auto block = must(sio::dma_buffer::zeroed(4096));
  auto r = disk.read(block, 1 << 20).get();
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::invalid_argument) << r.error();
}

TEST(blocking_wait, what_else_becomes_ready_runs_meanwhile) {
  int turns = 0;
  auto count = must(sio::poller::start([&] { return ++turns > 0; }));
  sio::result<void> slept = sio::sleep_for(1us).get();
  EXPECT_TRUE(slept);
  EXPECT_GT(turns, 0);
  static_assert(std::is_void_v<decltype(sio::yield().get())>);
}

TEST(blocking_wait, a_call_to_a_thread_of_the_same_os_thread_comes_back) {
  auto further = must(sio::thread::create("further"));
  auto r = further.ref().call([] { return sio::sleep_for(0ns); }).get();
  EXPECT_TRUE(r);
  EXPECT_EQ(further.ref().call([] { return 42; }).get().value(), 42);
}

TEST(blocking_wait, nests_in_what_it_runs) {
  std::optional<int> got;
  auto further = must(sio::thread::create("further"));
  must(main_thread().ref().send([&] { got = further.ref().call([] { return 5; }).get().value(); }));
  main_thread().poll();
  EXPECT_EQ(got, 5);
}

TEST(blocking_wait, an_exception_of_another_continuation_leaves_it_and_nothing_is_lost) {
  auto disk = open_delay();
  auto channel = must(disk.channel());
  auto block = must(sio::dma_buffer::zeroed(4096));
  must(main_thread().ref().send([] { throw std::runtime_error("of another one"); }));
  EXPECT_THROW((void)channel.read(block, 0).get(), std::runtime_error);
  EXPECT_TRUE(main_thread().operations().empty());  // it was destroyed, and SPDK has let go of it
}

// ---- on an OS thread without an SPDK thread ----------------------------------------------------

// Runs f on such an OS thread, while this one polls.
template <class F>
void on_a_plain_thread(F f) {
  std::atomic<bool> done = false;
  std::jthread plain([&] {
    f();
    done = true;
  });
  poll_until([&] { return done.load(); });
}

TEST(blocking_wait, any_thread_may_wait_for_a_call) {
  auto disk = open_malloc("m0");
  auto block = must(sio::dma_buffer::zeroed(4096));
  const auto worker = main_thread().ref();
  on_a_plain_thread([&] {
    EXPECT_EQ(worker.call([] { return 42; }).get().value(), 42);
    EXPECT_TRUE(worker.call([&] { return disk.write(block, 0); }).get());
    auto r = worker.call([&] { return disk.read(block, 1 << 20); }).get();
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::invalid_argument) << r.error();
  });
}

TEST(blocking_wait, values_that_can_only_be_moved_and_exceptions_come_back) {
  const auto worker = main_thread().ref();
  on_a_plain_thread([&] {
    EXPECT_EQ(*worker.call([] { return std::make_unique<int>(3); }).get().value(), 3);
    EXPECT_THROW((void)worker.call([] { throw std::runtime_error("there"); }).get(),
                 std::runtime_error);
    EXPECT_THROW((void)worker
                     .call([]() -> sio::task<int> {
                       co_await sio::yield();
                       throw std::runtime_error("later");
                     })
                     .get(),
                 std::runtime_error);
  });
}

TEST(blocking_wait, many_at_once_and_each_gets_its_own) {
  constexpr int threads = 4;
  constexpr int calls = 200;
  std::atomic<int> done = 0;
  std::atomic<int> wrong = 0;
  const auto worker = main_thread().ref();
  std::vector<std::jthread> plain;
  for (int t = 0; t < threads; ++t) {
    plain.emplace_back([&, t] {
      for (int i = 0; i < calls; ++i) {
        if (worker.call([&] { return t * calls + i; }).get().value() != t * calls + i) ++wrong;
      }
      ++done;
    });
  }
  poll_until([&] { return done == threads; });
  EXPECT_EQ(wrong, 0);
}

TEST(blocking_wait, a_thread_that_has_ended_is_an_error) {
  auto gone = must(sio::thread::create("gone")).ref();
  std::jthread([&] {
    auto r = gone.call([] { return 1; }).get();
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::no_such_process) << r.error();
  });
}

TEST(blocking_wait, a_thread_that_ends_finishes_the_call_first) {
  std::optional<sio::thread> ends = must(sio::thread::create("ends"));
  std::atomic<bool> asked = false;
  sio::result<void> r;
  std::jthread plain([&, worker = ends->ref()] {
    r = worker
            .call([&] {
              asked = true;
              return sio::sleep_for(1h);
            })
            .get();
  });
  while (!asked) ends->poll();
  ends.reset();
  plain.join();
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::operation_canceled) << r.error();
}

TEST(blocking_wait, io_without_a_thread_is_refused) {
  auto disk = open_malloc("m0");
  auto block = must(sio::dma_buffer::zeroed(4096));
  std::jthread([&] {
    auto slept = sio::sleep_for(1h).get();
    ASSERT_FALSE(slept);
    EXPECT_TRUE(slept.error() == std::errc::operation_not_permitted) << slept.error();
  });
}

// Made, but not attached: nobody else would poll it.
TEST(blocking_wait, a_call_to_an_own_thread_that_is_not_the_current_one) {
  std::jthread([] {
    auto own = must(sio::thread::create("own"));
    int thrown = 0;
    must(own.ref().send([&] {
      ++thrown;
      throw std::runtime_error("of another one");
    }));
    EXPECT_THROW((void)own.ref().call([] { return 1; }).get(), std::runtime_error);
    EXPECT_EQ(thrown, 1);
    EXPECT_EQ(own.ref().call([] { return sio::yield(); }).get().has_value(), true);
  });
}

}  // namespace
