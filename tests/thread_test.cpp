// SPDX-License-Identifier: BSD-3-Clause
// Attaching, polling and ending SPDK threads on one OS thread.
#include "spdk_test.hpp"
#include "started.hpp"

#include <gtest/gtest.h>

#include <spdk/thread.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

// Polls until there is nothing to do: SPDK may have had something of its own.
void settle(sio::thread& t) {
  while (t.poll() != 0) {
  }
}

TEST(thread, attaches_an_os_thread_once) {
  auto second = sio::thread::attach("second");
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error() == std::errc::already_connected);
  EXPECT_EQ(second.error().message(),
            "thread \"second\": this OS thread is attached already, as \"main\" "
            "(thread::create() makes a second SPDK thread to poll)");
}

TEST(thread, refuses_impossible_names) {
  for (const auto& name : {std::string(), std::string(256, 'x'), std::string("a\0b", 3)}) {
    auto made = sio::thread::create(name);
    ASSERT_FALSE(made);
    EXPECT_TRUE(made.error() == std::errc::invalid_argument) << made.error();
    EXPECT_NE(made.error().message().find("1 to 255 characters"), std::string::npos);
  }
  EXPECT_TRUE(sio::thread::create(std::string(255, 'x')));
}

TEST(thread, tells_what_it_is) {
  sio::thread& t = main_thread();
  EXPECT_EQ(t.name(), "main");
  EXPECT_TRUE(t.running());
  EXPECT_EQ(t.native_handle(), spdk_get_thread());
  EXPECT_EQ(t.id(), spdk_thread_get_id(t.native_handle()));
  EXPECT_EQ(t.ref().id(), t.id());
  EXPECT_EQ(t.ref().name(), "main");
  EXPECT_EQ(t.statistics().io_in_flight, 0u);
  EXPECT_EQ(t.statistics().memory_waits, 0u);
}

TEST(thread, current_is_the_attached_one) {
  auto here = sio::thread::current();
  ASSERT_TRUE(here);
  EXPECT_EQ(*here, main_thread().ref());
  std::jthread([] {
    auto there = sio::thread::current();
    ASSERT_FALSE(there);
    EXPECT_TRUE(there.error() == std::errc::operation_not_permitted);
    EXPECT_NE(there.error().message().find("call spdk_io::thread::attach() first"),
              std::string::npos);
  });
}

TEST(thread, another_os_thread_attaches_one_of_its_own) {
  const auto count = sio::thread::count();
  const auto id = main_thread().id();
  std::jthread([&] {
    {
      auto other = sio::thread::attach("other");
      ASSERT_TRUE(other) << other.error();
      EXPECT_NE(other->id(), id);
      EXPECT_EQ(sio::thread::count(), count + 1);
      EXPECT_EQ(sio::thread::current()->name(), "other");
    }
    EXPECT_FALSE(sio::thread::current());
    auto again = sio::thread::attach("again");  // the OS thread is free again
    EXPECT_TRUE(again);
  }).join();
  EXPECT_EQ(sio::thread::count(), count);
}

TEST(thread, poll_runs_what_was_ready_and_says_how_much) {
  sio::thread& t = main_thread();
  settle(t);
  EXPECT_EQ(t.poll(), 0u);
  int ran = 0;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(t.ref().send([&] { ++ran; }));
  EXPECT_FALSE(t.idle());
  EXPECT_EQ(ran, 0);
  EXPECT_EQ(t.poll(), 3u);
  EXPECT_EQ(ran, 3);
  EXPECT_EQ(t.poll(), 0u);
  EXPECT_TRUE(t.idle());
}

TEST(thread, poll_runs_no_more_than_was_ready_when_it_looked) {
  sio::thread& t = main_thread();
  settle(t);
  int turns = 0;
  auto body = [&]() -> sio::task<void> {
    for (; turns < 3; ++turns) co_await sio::yield();
  };
  started run(body());
  EXPECT_EQ(t.poll(), 1u);
  EXPECT_EQ(turns, 1);
  EXPECT_EQ(t.poll(), 1u);
  EXPECT_EQ(turns, 2);
  EXPECT_FALSE(run.done());
  t.poll();
  EXPECT_TRUE(run.done());
}

TEST(thread, poll_runs_at_most_max_messages) {
  sio::thread& t = main_thread();
  settle(t);
  std::string log;
  for (char c : {'a', 'b', 'c', 'd', 'e'}) ASSERT_TRUE(t.ref().send([&log, c] { log += c; }));
  EXPECT_EQ(t.poll(2), 2u);
  EXPECT_EQ(log, "ab");
  EXPECT_EQ(t.poll(2), 2u);
  EXPECT_EQ(log, "abcd");
  EXPECT_EQ(t.poll(), 1u);
  EXPECT_EQ(log, "abcde");
}

TEST(thread, poll_may_be_called_from_what_it_runs) {
  sio::thread& t = main_thread();
  settle(t);
  std::string log;
  ASSERT_TRUE(t.ref().send([&] {
    log += '(';
    t.poll();
    log += ')';
  }));
  ASSERT_TRUE(t.ref().send([&] { log += 'b'; }));
  t.poll();
  EXPECT_EQ(log, "(b)");
}

TEST(thread, an_exception_leaves_poll_and_the_rest_stays_ready) {
  sio::thread& t = main_thread();
  std::string log;
  ASSERT_TRUE(t.ref().send([&] { log += 'a'; }));
  ASSERT_TRUE(t.ref().send([] { throw std::runtime_error("out of poll"); }));
  ASSERT_TRUE(t.ref().send([&] { log += 'b'; }));
  EXPECT_THROW(t.poll(), std::runtime_error);
  EXPECT_EQ(log, "a");
  t.poll();
  EXPECT_EQ(log, "ab");
}

TEST(thread, polls_spdk_itself) {
  sio::thread& t = main_thread();
  bool ran = false;
  spdk_thread_send_msg(
      t.native_handle(), [](void* argument) { *static_cast<bool*>(argument) = true; }, &ran);
  EXPECT_FALSE(ran);
  EXPECT_GT(t.poll(), 0u);
  EXPECT_TRUE(ran);
}

TEST(thread, a_created_one_is_current_only_while_it_is_polled) {
  auto made = sio::thread::create("further");
  ASSERT_TRUE(made);
  sio::thread& t = *made;
  EXPECT_EQ(sio::thread::current()->name(), "main");
  std::string inside;
  spdk_thread* native = nullptr;
  ASSERT_TRUE(t.ref().send([&] {
    inside = sio::thread::current()->name();
    native = spdk_get_thread();
  }));
  main_thread().poll();
  EXPECT_EQ(inside, "");
  t.poll();
  EXPECT_EQ(inside, "further");
  EXPECT_EQ(native, t.native_handle());
  EXPECT_EQ(sio::thread::current()->name(), "main");
  EXPECT_EQ(spdk_get_thread(), main_thread().native_handle());
}

TEST(thread, moving_keeps_what_refers_to_it) {
  auto made = sio::thread::create("moved");
  auto ref = made->ref();
  bool ran = false;
  ASSERT_TRUE(ref.send([&] { ran = true; }));
  sio::thread t = std::move(*made);
  made = std::unexpected(sio::error());
  EXPECT_EQ(ref, t.ref());
  EXPECT_FALSE(ran);
  t.poll();
  EXPECT_TRUE(ran);
}

TEST(thread, assigning_over_one_ends_it) {
  auto a = sio::thread::create("a");
  auto b = sio::thread::create("b");
  auto first = a->ref();
  *a = std::move(*b);
  EXPECT_EQ(a->name(), "b");
  EXPECT_FALSE(first.send([] {}));
  EXPECT_TRUE(a->ref().send([] {}));
}

TEST(thread, its_end_runs_the_messages_that_it_accepted) {
  auto made = sio::thread::create("ending");
  auto ref = made->ref();
  std::string log;
  ASSERT_TRUE(ref.send([&] {
    log += 'a';
    ASSERT_TRUE(ref.send([&] { log += 'c'; }));
  }));
  ASSERT_TRUE(ref.send([&] { log += 'b'; }));
  EXPECT_EQ(log, "");
  made = std::unexpected(sio::error());
  EXPECT_EQ(log, "abc");
  EXPECT_FALSE(ref.send([] {}));
}

TEST(thread, its_end_wakes_who_sleeps_on_it) {
  auto made = sio::thread::create("ending");
  std::optional<sio::result<void>> slept;
  auto body = [&]() -> sio::task<void> { slept = co_await sio::sleep_for(24h); };
  std::optional<started<sio::task<void>>> run;
  ASSERT_TRUE(made->ref().send([&] { run.emplace(body()); }));
  made->poll();
  made->poll();
  EXPECT_FALSE(slept);
  made = std::unexpected(sio::error());
  ASSERT_TRUE(slept);
  ASSERT_FALSE(*slept);
  EXPECT_TRUE(slept->error() == std::errc::operation_canceled);
  EXPECT_EQ(slept->error().message(), "sleep: the thread is ending");
}

TEST(thread, its_end_finishes_what_yields) {
  auto made = sio::thread::create("ending");
  int turns = 0;
  auto body = [&]() -> sio::task<void> {
    for (; turns < 100; ++turns) co_await sio::yield();
  };
  std::optional<started<sio::task<void>>> run;
  ASSERT_TRUE(made->ref().send([&] { run.emplace(body()); }));
  made->poll();
  EXPECT_EQ(turns, 0);
  made = std::unexpected(sio::error());
  EXPECT_EQ(turns, 100);
  EXPECT_TRUE(run->done());
}

TEST(thread, may_end_inside_its_own_poll) {
  std::optional<sio::thread> t;
  t.emplace(std::move(*sio::thread::create("suicidal")));
  auto ref = t->ref();
  std::string log;
  ASSERT_TRUE(ref.send([&] {
    log += 'a';
    t.reset();
    log += 'c';
  }));
  ASSERT_TRUE(ref.send([&] { log += 'b'; }));
  t->poll();
  EXPECT_EQ(log, "abc");
  EXPECT_FALSE(ref.send([] {}));
  EXPECT_EQ(sio::thread::current()->name(), "main");
}

TEST(thread, counts_devices_pollers_among_its_own) {
  auto made = sio::thread::create("polling");
  EXPECT_FALSE(made->has_pollers());
  auto poll = [](void*) -> int { return SPDK_POLLER_IDLE; };
  spdk_poller* poller = nullptr;
  ASSERT_TRUE(made->ref().send([&] { poller = spdk_poller_register(poll, nullptr, 0); }));
  made->poll();
  EXPECT_TRUE(made->has_pollers());
  EXPECT_FALSE(made->idle());
  ASSERT_TRUE(made->ref().send([&] { spdk_poller_unregister(&poller); }));
  made->poll();
  settle(*made);
  EXPECT_FALSE(made->has_pollers());
}

}  // namespace
