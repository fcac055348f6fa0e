// SPDX-License-Identifier: BSD-3-Clause
// Messages and calls between threads, on one OS thread and across several.
#include "spdk_test.hpp"
#include "started.hpp"

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

// A further SPDK thread on this OS thread, polled by the test.
class thread_ref : public testing::Test {
 protected:
  // Polls both until `done()`.
  template <class Done>
  void poll_both(Done done) {
    while (!done()) {
      target->poll();
      main_thread().poll();
    }
  }
  template <class A>
  auto run_with_target(A what) {
    started run(std::move(what));
    poll_both([&] { return run.done(); });
    return run.take();
  }

  std::optional<sio::thread> target = must(sio::thread::create("target"));
  sio::thread_ref ref = target->ref();
};

TEST_F(thread_ref, sends_in_order_and_never_runs_inside) {
  std::string log;
  for (char c : {'a', 'b', 'c'}) ASSERT_TRUE(ref.send([&log, c] { log += c; }));
  EXPECT_EQ(log, "");
  main_thread().poll();
  EXPECT_EQ(log, "");
  target->poll();
  EXPECT_EQ(log, "abc");
}

TEST_F(thread_ref, takes_functions_that_can_only_be_moved_and_lvalues) {
  int got = 0;
  ASSERT_TRUE(ref.send([p = std::make_unique<int>(4), &got] { got += *p; }));
  auto function = [&got] { got += 10; };
  ASSERT_TRUE(ref.send(function));
  target->poll();
  EXPECT_EQ(got, 14);
}

TEST_F(thread_ref, tells_who_it_is_after_the_end_too) {
  auto copy = ref;
  target.reset();
  EXPECT_EQ(copy, ref);
  EXPECT_NE(copy, main_thread().ref());
  EXPECT_EQ(copy.name(), "target");
}

TEST_F(thread_ref, sending_to_an_ended_thread_is_an_error) {
  target.reset();
  bool ran = false;
  auto sent = ref.send([&] { ran = true; });
  ASSERT_FALSE(sent);
  EXPECT_TRUE(sent.error() == std::errc::no_such_process);
  EXPECT_EQ(sent.error().message(), "message to thread \"target\": the thread has ended");
  EXPECT_FALSE(ran);
}

TEST_F(thread_ref, call_runs_there_and_comes_back) {
  std::string there;
  std::string here;
  auto body = [&]() -> sio::task<sio::result<int>> {
    auto r = co_await ref.call([&] {
      there = sio::thread::current()->name();
      return 42;
    });
    here = sio::thread::current()->name();
    co_return r;
  };
  started run(body());
  EXPECT_EQ(there, "");
  target->poll();
  EXPECT_EQ(there, "target");
  EXPECT_FALSE(run.done());
  EXPECT_EQ(here, "");
  main_thread().poll();
  ASSERT_TRUE(run.done());
  EXPECT_EQ(here, "main");
  EXPECT_EQ(run.take().value(), 42);
}

TEST_F(thread_ref, call_wraps_a_result_once) {
  auto value = ref.call([] { return 1; });
  auto nothing = ref.call([] {});
  auto checked = ref.call([]() -> sio::result<long> { return 1; });
  auto awaited = ref.call([]() -> sio::task<std::string> { co_return "x"; });
  auto both = ref.call([]() -> sio::task<sio::result<void>> { co_return sio::result<void>(); });
  static_assert(std::is_same_v<decltype(value)::value_type, sio::result<int>>);
  static_assert(std::is_same_v<decltype(nothing)::value_type, sio::result<void>>);
  static_assert(std::is_same_v<decltype(checked)::value_type, sio::result<long>>);
  static_assert(std::is_same_v<decltype(awaited)::value_type, sio::result<std::string>>);
  static_assert(std::is_same_v<decltype(both)::value_type, sio::result<void>>);
  EXPECT_TRUE(run_with_target(std::move(nothing)));
  EXPECT_EQ(run_with_target(std::move(checked)).value(), 1);
}

TEST_F(thread_ref, call_brings_errors_back) {
  auto r = run_with_target(ref.call([]() -> sio::result<int> {
    return std::unexpected(sio::error(std::errc::io_error, sio::operation_kind::call, "its own"));
  }));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "its own");
}

TEST_F(thread_ref, call_brings_exceptions_back) {
  auto body = [&]() -> sio::task<std::string> {
    try {
      (void)co_await ref.call([]() -> int { throw std::runtime_error("from there"); });
    } catch (const std::runtime_error& e) {
      co_return e.what();
    }
    co_return "nothing";
  };
  EXPECT_EQ(run_with_target(body()), "from there");
}

TEST_F(thread_ref, call_takes_and_gives_what_can_only_be_moved) {
  auto r =
      run_with_target(ref.call([p = std::make_unique<int>(5)]() mutable { return std::move(p); }));
  EXPECT_EQ(*r.value(), 5);
}

TEST_F(thread_ref, call_awaits_what_the_function_returns) {
  std::vector<std::string> where;
  auto there = [&]() -> sio::task<int> {
    where.emplace_back(sio::thread::current()->name());
    co_await sio::yield();
    where.emplace_back(sio::thread::current()->name());
    if (auto r = co_await sio::sleep_for(1us); !r) co_return -1;
    where.emplace_back(sio::thread::current()->name());
    co_return 7;
  };
  EXPECT_EQ(run_with_target(ref.call(there)).value(), 7);
  EXPECT_EQ(where, (std::vector<std::string>{"target", "target", "target"}));

  EXPECT_TRUE(run_with_target(ref.call([] { return sio::sleep_for(1us); })));

  auto failing = []() -> sio::task<void> {
    co_await sio::yield();
    throw std::logic_error("from a coroutine there");
  };
  EXPECT_THROW(run_with_target(ref.call(failing)), std::logic_error);
}

TEST_F(thread_ref, calls_nest_there_and_back) {
  auto home = main_thread().ref();
  auto there = [&]() -> sio::task<sio::result<int>> {
    auto r = co_await home.call([] { return 20; });
    if (!r) co_return r;
    co_return *r + 1;
  };
  EXPECT_EQ(run_with_target(ref.call(there)).value(), 21);
}

TEST_F(thread_ref, call_to_the_own_thread_takes_a_turn_too) {
  bool ran = false;
  auto self = main_thread().ref();
  started run(self.call([&] { ran = true; }));
  EXPECT_FALSE(ran);
  poll_until([&] { return run.done(); });
  EXPECT_TRUE(ran);
  EXPECT_TRUE(run.take());
}

TEST_F(thread_ref, calling_an_ended_thread_is_an_error_at_once) {
  target.reset();
  bool ran = false;
  started run(ref.call([&] { ran = true; }));
  ASSERT_TRUE(run.done());
  auto r = run.take();
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::no_such_process);
  EXPECT_EQ(r.error().message(), "message to thread \"target\": the thread has ended");
  EXPECT_FALSE(ran);
}

TEST_F(thread_ref, calling_from_an_os_thread_without_a_thread_is_an_error) {
  bool ran = false;
  std::jthread([&] {
    started run(ref.call([&] { ran = true; }));
    ASSERT_TRUE(run.done());
    auto r = run.take();
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::operation_not_permitted);
    EXPECT_NE(r.error().message().find("or use send()"), std::string::npos) << r.error();
  }).join();
  target->poll();
  EXPECT_FALSE(ran);
}

TEST_F(thread_ref, a_call_under_way_finishes_when_the_target_ends) {
  bool ran = false;
  started run(ref.call([&] { ran = true; }));
  EXPECT_FALSE(ran);
  target.reset();
  EXPECT_TRUE(ran);
  poll_until([&] { return run.done(); });
  EXPECT_TRUE(run.take());
}

// The end of the caller's thread brings its calls home: here from a thread of another OS thread.
TEST_F(thread_ref, the_callers_end_waits_for_its_calls) {
  auto other = must(sio::thread::spawn("other"));
  std::atomic<bool> ran{false};
  std::optional<sio::result<void>> got;
  auto body = [&]() -> sio::task<void> { got = co_await other.ref().call([&] { ran = true; }); };
  std::optional<started<sio::task<void>>> run;
  ASSERT_TRUE(ref.send([&] { run.emplace(body()); }));
  target->poll();
  target.reset();
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->has_value());
  EXPECT_TRUE(ran);
}

TEST_F(thread_ref, schedule_moves_the_coroutine) {
  std::vector<std::string> where;
  auto body = [&]() -> sio::task<void> {
    where.emplace_back(sio::thread::current()->name());
    if (auto r = co_await ref.schedule(); r) where.emplace_back(sio::thread::current()->name());
    if (auto r = co_await main_thread().ref().schedule(); r)
      where.emplace_back(sio::thread::current()->name());
  };
  started run(body());
  EXPECT_EQ(where, (std::vector<std::string>{"main"}));
  target->poll();
  EXPECT_EQ(where, (std::vector<std::string>{"main", "target"}));
  EXPECT_FALSE(run.done());
  main_thread().poll();
  EXPECT_EQ(where, (std::vector<std::string>{"main", "target", "main"}));
  EXPECT_TRUE(run.done());
}

TEST_F(thread_ref, scheduling_on_an_ended_thread_goes_on_here) {
  target.reset();
  started run(ref.schedule());
  ASSERT_TRUE(run.done());
  auto r = run.take();
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::no_such_process);
}

// Calls under way whose coroutine is destroyed.

TEST_F(thread_ref, a_destroyed_call_that_has_not_begun_never_runs) {
  bool ran = false;
  {
    started run(ref.call([&] { ran = true; }));
    EXPECT_FALSE(run.done());
  }
  target->poll();
  main_thread().poll();
  EXPECT_FALSE(ran);
  EXPECT_TRUE(target->idle());
}

TEST_F(thread_ref, a_destroyed_call_destroys_what_it_awaits_there) {
  gate g;
  auto alive = std::make_shared<int>();
  std::weak_ptr<int> watch = alive;
  auto there = [&g](std::shared_ptr<int> kept) -> sio::task<void> {
    co_await g;
    *kept = 1;
  };
  std::optional<started<sio::task<void>>> run;
  auto body = [&]() -> sio::task<void> {
    (void)co_await ref.call([&] { return there(std::exchange(alive, nullptr)); });
  };
  run.emplace(body());
  target->poll();
  EXPECT_FALSE(watch.expired());
  run.reset();
  EXPECT_TRUE(watch.expired());
  target->poll();
  main_thread().poll();
}

TEST_F(thread_ref, a_destroyed_call_that_is_on_its_way_home_resumes_nobody) {
  bool ran = false;
  bool resumed = false;
  auto body = [&]() -> sio::task<void> {
    (void)co_await ref.call([&] { ran = true; });
    resumed = true;
  };
  {
    started run(body());
    target->poll();
    EXPECT_TRUE(ran);
  }
  main_thread().poll();
  EXPECT_FALSE(resumed);
}

TEST_F(thread_ref, a_destroyed_call_to_another_os_thread_is_waited_for) {
  auto other = must(sio::thread::spawn("other"));
  for (int i = 0; i < 200; ++i) {
    std::atomic<int> begun{0};
    std::atomic<int> ended{0};
    {
      started run(other.ref().call([&] {
        ++begun;
        ++ended;
      }));
      if (i % 2) {
        while (begun == 0) std::this_thread::yield();
      }
    }
    EXPECT_EQ(ended, begun);  // what had not begun does not run
    if (i % 2) {
      EXPECT_EQ(begun, 1);
    }
  }
}

// Across OS threads.

TEST_F(thread_ref, keeps_the_order_of_each_sender) {
  constexpr int each = 2000;
  std::vector<int> next(3, 0);
  {
    std::vector<std::jthread> senders;
    for (std::size_t s = 0; s < next.size(); ++s) {
      senders.emplace_back([&, s] {
        for (int i = 0; i < each; ++i)
          ASSERT_TRUE(ref.send([&, s, i] { EXPECT_EQ(next[s]++, i); }));
      });
    }
    while (next != std::vector<int>{each, each, each}) target->poll();
  }
  EXPECT_TRUE(target->idle());
}

TEST_F(thread_ref, calls_another_os_thread) {
  auto other = must(sio::thread::spawn("other"));
  const auto here = std::this_thread::get_id();
  auto body = [&]() -> sio::task<int> {
    int total = 0;
    for (int i = 0; i < 500; ++i) {
      auto r = co_await other.ref().call([&] {
        EXPECT_NE(std::this_thread::get_id(), here);
        return 1;
      });
      EXPECT_EQ(std::this_thread::get_id(), here);
      total += r.value();
    }
    co_return total;
  };
  EXPECT_EQ(run(body()), 500);
}

TEST_F(thread_ref, several_threads_call_one_another) {
  auto a = must(sio::thread::spawn("a"));
  auto b = must(sio::thread::spawn("b"));
  auto ping = [](sio::thread_ref to, int n) -> sio::task<int> {
    int total = 0;
    for (int i = 0; i < n; ++i) {
      auto r = co_await to.call([] { return 1; });
      total += r.value();
    }
    co_return total;
  };
  auto body = [&]() -> sio::task<int> {
    auto [x, y] = co_await sio::when_all(a.ref().call([&] { return ping(b.ref(), 300); }),
                                         b.ref().call([&] { return ping(a.ref(), 300); }));
    co_return x.value() + y.value();
  };
  EXPECT_EQ(run(body()), 600);
}

TEST_F(thread_ref, schedule_moves_to_another_os_thread_and_back) {
  auto other = must(sio::thread::spawn("other"));
  const auto here = std::this_thread::get_id();
  auto home = main_thread().ref();
  auto body = [&]() -> sio::task<bool> {
    bool right = true;
    for (int i = 0; i < 200; ++i) {
      if (auto r = co_await other.ref().schedule(); !r) co_return false;
      right = right && std::this_thread::get_id() != here;
      if (auto r = co_await home.schedule(); !r) co_return false;
      right = right && std::this_thread::get_id() == here;
    }
    co_return right;
  };
  EXPECT_TRUE(run(body()));
}

// Senders race with the end of their target: each message runs, or its sender learns.
TEST_F(thread_ref, loses_no_message_when_the_target_ends) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> accepted{0};
    std::atomic<int> ran{0};
    auto gone = must(sio::thread::create("gone"));
    std::jthread sender([&, to = gone.ref()] {
      while (to.send([&] { ++ran; })) ++accepted;
    });
    while (ran == 0) gone.poll();
    {
      auto ending = std::move(gone);
    }
    sender.join();
    ASSERT_EQ(ran, accepted);
  }
}

}  // namespace
