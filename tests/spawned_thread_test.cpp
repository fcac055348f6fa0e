// SPDX-License-Identifier: BSD-3-Clause
// OS threads with an SPDK thread and a loop of their own.
#include "spdk_test.hpp"
#include "started.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

TEST(spawned_thread, runs_main_on_an_os_thread_of_its_own) {
  std::atomic<bool> ran{false};
  const auto here = std::this_thread::get_id();
  {
    auto t = must(sio::thread::spawn("own", [&](sio::thread& self) {
      EXPECT_NE(std::this_thread::get_id(), here);
      EXPECT_EQ(self.name(), "own");
      EXPECT_EQ(sio::thread::current()->name(), "own");
      ran = true;
    }));
    EXPECT_EQ(t.ref().name(), "own");
  }
  EXPECT_TRUE(ran);  // joined
}

TEST(spawned_thread, main_may_be_a_coroutine) {
  std::atomic<int> steps{0};
  {
    auto t = must(sio::thread::spawn("own", [&](sio::thread&) -> sio::task<void> {
      ++steps;
      co_await sio::yield();
      ++steps;
      auto slept = co_await sio::sleep_for(100us);
      if (slept) ++steps;
    }));
  }
  EXPECT_EQ(steps, 3);  // it ran to its end although it was asked to stop at once
}

TEST(spawned_thread, main_sees_the_request_to_stop) {
  std::atomic<bool> saw{false};
  auto t =
      must(sio::thread::spawn("own", [&](sio::thread&, std::stop_token stop) -> sio::task<void> {
        while (!stop.stop_requested()) co_await sio::yield();
        saw = true;
      }));
  auto alive = run(t.ref().call([] { return true; }));
  EXPECT_TRUE(alive.value());
  EXPECT_FALSE(saw);
  t.join();
  EXPECT_TRUE(saw);
}

TEST(spawned_thread, serves_after_main_has_ended_until_it_is_stopped) {
  auto t = must(sio::thread::spawn("server"));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(run(t.ref().call([i] { return i; })).value(), i);
  auto ref = t.ref();
  t.join();
  EXPECT_FALSE(ref.send([] {}));
}

TEST(spawned_thread, serves_after_a_request_to_stop_until_main_has_ended) {
  std::atomic<bool> go_on{false};
  auto t = must(sio::thread::spawn("busy", [&](sio::thread&) -> sio::task<void> {
    while (!go_on) co_await sio::yield();
  }));
  t.request_stop();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(run(t.ref().call([] { return 3; })).value(), 3);
  go_on = true;
  t.join();
}

TEST(spawned_thread, runs_the_messages_that_it_accepted_before_it_ends) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> ran{0};
    {
      auto t = must(sio::thread::spawn("own"));
      for (int i = 0; i < 10; ++i) ASSERT_TRUE(t.ref().send([&] { ++ran; }));
    }
    ASSERT_EQ(ran, 10);
  }
}

TEST(spawned_thread, moves_and_joins_what_it_is_assigned_over) {
  auto a = must(sio::thread::spawn("a"));
  auto b = must(sio::thread::spawn("b"));
  auto first = a.ref();
  a = std::move(b);
  EXPECT_FALSE(first.send([] {}));
  EXPECT_EQ(run(a.ref().call([] { return 1; })).value(), 1);
  auto c = std::move(a);
  EXPECT_EQ(run(c.ref().call([] { return 2; })).value(), 2);
}

TEST(spawned_thread, takes_a_main_that_can_only_be_moved) {
  std::atomic<int> got{0};
  {
    auto t = must(sio::thread::spawn(
        "own", [p = std::make_unique<int>(8), &got](sio::thread&) { got = *p; }));
  }
  EXPECT_EQ(got, 8);
}

TEST(spawned_thread, main_keeps_what_it_captured_until_it_has_ended) {
  auto kept = std::make_shared<std::atomic<int>>(0);
  std::weak_ptr<std::atomic<int>> watch = kept;
  {
    auto t =
        must(sio::thread::spawn("own", [kept = std::move(kept)](sio::thread&) -> sio::task<void> {
          co_await sio::yield();
          ++*kept;
        }));
    EXPECT_TRUE(run(t.ref().call([] {})));
  }
  EXPECT_TRUE(watch.expired());
}

TEST(spawned_thread, an_impossible_name_is_an_error) {
  const auto count = sio::thread::count();
  auto t = sio::thread::spawn("");
  ASSERT_FALSE(t);
  EXPECT_TRUE(t.error() == std::errc::invalid_argument) << t.error();
  EXPECT_EQ(sio::thread::count(), count);
}

// The device is closed there once no thread has a channel of it, this one neither.
TEST(spawned_thread, joined_where_a_channel_of_its_device_is) {
  must(run(sio::create_bdev(sio::null_bdev{.name = "n0", .size = 1 << 20})));
  auto t = must(sio::thread::spawn("opener"));
  auto disk = must(run(t.ref().call([] { return sio::bdev_desc::open("n0"); })));
  auto channel = must(disk.channel());
  t.join();
  EXPECT_TRUE(disk.closed());
  EXPECT_EQ(channel.native_handle(), nullptr);
}

TEST(spawned_thread, may_spawn_further_ones) {
  std::atomic<int> got{0};
  {
    auto t = must(sio::thread::spawn("outer", [&](sio::thread&) -> sio::task<void> {
      auto inner = must(sio::thread::spawn("inner"));
      auto r = co_await inner.ref().call([] { return 4; });
      got = r.value();
    }));
  }
  EXPECT_EQ(got, 4);
}

TEST(spawned_thread, sleeps_as_it_is_told) {
  for (sio::idle_policy policy :
       {sio::idle_policy(sio::idle::spin()), sio::idle_policy(sio::idle::backoff())}) {
    auto server = must(sio::thread::spawn("server", policy));
    EXPECT_EQ(run(server.ref().call([] { return 3; })).value(), 3);
    int got = 0;
    {
      auto with_main = must(sio::thread::spawn("main", [&](sio::thread&) { got = 4; }, policy));
    }
    EXPECT_EQ(got, 4);
  }
}

TEST(spawned_thread, cannot_sleep_by_interrupts_without_interrupt_mode) {
  auto r = sio::thread::spawn("server", sio::idle::interrupt());
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::not_supported) << r.error();
  EXPECT_NE(r.error().message().find("env_options.interrupt = true"), std::string::npos);
}

}  // namespace
