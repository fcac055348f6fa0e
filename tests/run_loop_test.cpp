// SPDX-License-Identifier: BSD-3-Clause
// The library's own loop, without SPDK.
#include <spdk_io/executor.hpp>
#include <spdk_io/run_loop.hpp>

#include <gtest/gtest.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace sio = spdk_io;
using namespace std::chrono_literals;

namespace {

static_assert(sio::executor<sio::run_loop::executor>);
static_assert(sio::waking_executor<sio::run_loop::executor>);
static_assert(sio::timed_executor<sio::run_loop::executor>);
static_assert(sio::runnable_executor<sio::run_loop::executor>);
static_assert(sio::watching_executor<sio::run_loop::executor>);

TEST(run_loop, runs_what_is_posted_in_order) {
  sio::run_loop loop;
  std::string log;
  for (char c : {'a', 'b', 'c'}) loop.post([&log, c] { log += c; });
  EXPECT_EQ(log, "");
  EXPECT_TRUE(loop.run_one());
  EXPECT_EQ(log, "abc");
}

TEST(run_loop, what_is_posted_from_inside_waits_for_the_next_batch) {
  sio::run_loop loop;
  std::string log;
  loop.post([&] {
    log += 'a';
    loop.post([&] { log += 'c'; });
  });
  loop.post([&] { log += 'b'; });
  loop.run_one();
  EXPECT_EQ(log, "ab");
  loop.run_one();
  EXPECT_EQ(log, "abc");
}

TEST(run_loop, stops_until_it_is_restarted) {
  sio::run_loop loop;
  std::string log;
  loop.post([&] {
    log += 'a';
    loop.stop();
  });
  loop.post([&] { log += 'b'; });
  loop.run();
  EXPECT_EQ(log, "a");
  EXPECT_FALSE(loop.run_one());
  loop.run();
  EXPECT_EQ(log, "a");
  loop.restart();
  EXPECT_TRUE(loop.run_one());
  EXPECT_EQ(log, "ab");
}

TEST(run_loop, an_exception_leaves_run_and_the_rest_stays) {
  sio::run_loop loop;
  std::string log;
  loop.post([] { throw std::runtime_error("out"); });
  loop.post([&] { log += 'b'; });
  loop.post([&] { loop.stop(); });
  EXPECT_THROW(loop.run(), std::runtime_error);
  EXPECT_EQ(log, "");
  loop.run();
  EXPECT_EQ(log, "b");
}

TEST(run_loop, may_run_inside_what_it_runs) {
  sio::run_loop loop;
  std::string log;
  loop.post([&] {
    log += '(';
    loop.post([&] { log += 'c'; });
    loop.run_one();  // the rest of the batch
    loop.run_one();
    log += ')';
  });
  loop.post([&] { log += 'b'; });
  loop.run_one();
  EXPECT_EQ(log, "(bc)");
}

TEST(run_loop, takes_callables_that_can_only_be_moved_and_drops_what_it_never_ran) {
  auto kept = std::make_shared<int>(1);
  std::weak_ptr<int> weak = kept;
  {
    sio::run_loop loop;
    loop.post([p = std::make_unique<int>(1), kept = std::move(kept)] {});
    EXPECT_FALSE(weak.expired());
  }
  EXPECT_TRUE(weak.expired());
}

TEST(run_loop, timers_fire_in_the_order_of_their_time_and_not_before_it) {
  sio::run_loop loop;
  auto ex = loop.get_executor();
  auto late = ex.new_timer();
  auto early = ex.new_timer();
  std::string log;
  const auto start = std::chrono::steady_clock::now();
  late.start(2ms, [&] {
    log += 'l';
    EXPECT_GE(std::chrono::steady_clock::now() - start, 2ms);
    loop.stop();
  });
  early.start(1ms, [&] {
    log += 'e';
    EXPECT_GE(std::chrono::steady_clock::now() - start, 1ms);
  });
  EXPECT_EQ(log, "");
  loop.run();
  EXPECT_EQ(log, "el");
}

TEST(run_loop, a_cancelled_or_destroyed_timer_does_not_fire) {
  sio::run_loop loop;
  auto ex = loop.get_executor();
  auto cancelled = ex.new_timer();
  auto last = ex.new_timer();
  std::string log;
  cancelled.start(0ns, [&] { log += 'c'; });
  cancelled.cancel();
  {
    auto destroyed = ex.new_timer();
    destroyed.start(0ns, [&] { log += 'd'; });
  }
  last.start(1ms, [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(log, "");
}

TEST(run_loop, a_timer_that_is_started_again_counts_anew) {
  sio::run_loop loop;
  auto timer = loop.get_executor().new_timer();
  std::string log;
  timer.start(1h, [&] { log += 'x'; });
  timer.start(0ns, [&] {
    log += 'a';
    timer.start(0ns, [&] {
      log += 'b';
      loop.stop();
    });
  });
  loop.run();
  EXPECT_EQ(log, "ab");
}

TEST(run_loop, timers_get_their_turn_under_saturated_work) {
  sio::run_loop loop;
  auto timer = loop.get_executor().new_timer();
  bool fired = false;
  std::move_only_function<void()> again = [&] {
    if (!fired) loop.post([&] { again(); });
  };
  again();
  timer.start(1ms, [&] { fired = true; });
  while (!fired) loop.run_one();
  EXPECT_TRUE(fired);
}

TEST(run_loop, another_os_thread_posts_and_wakes_it) {
  sio::run_loop loop;
  const auto here = std::this_thread::get_id();
  for (int i = 0; i < 500; ++i) {
    bool ran = false;
    std::jthread other([&] { loop.post([&] { ran = std::this_thread::get_id() == here; }); });
    loop.run_one();  // waits
    EXPECT_TRUE(ran);
  }
}

TEST(run_loop, another_os_thread_stops_it) {
  for (int i = 0; i < 200; ++i) {
    sio::run_loop loop;
    std::jthread other([&] { loop.stop(); });
    loop.run();
    EXPECT_FALSE(loop.run_one());
  }
}

TEST(run_loop, keeps_the_order_of_each_os_thread_that_posts) {
  constexpr int each = 2000;
  sio::run_loop loop;
  std::vector<int> next(3, 0);
  int ran = 0;
  std::vector<std::jthread> others;
  for (std::size_t t = 0; t < next.size(); ++t) {
    others.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        loop.post([&, t, i] {
          EXPECT_EQ(next[t]++, i);
          if (++ran == 3 * each) loop.stop();
        });
      }
    });
  }
  loop.run();
  EXPECT_EQ(ran, 3 * each);
}

// A file that a test makes readable.
class signal_file {
 public:
  signal_file() = default;
  signal_file(const signal_file&) = delete;
  signal_file& operator=(const signal_file&) = delete;
  ~signal_file() { ::close(file); }
  void set() const { EXPECT_EQ(::eventfd_write(file, 1), 0); }
  void clear() const {
    eventfd_t times = 0;
    EXPECT_EQ(::eventfd_read(file, &times), 0);
  }
  const int file = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
};

TEST(run_loop, a_watch_calls_once_when_its_file_is_readable) {
  sio::run_loop loop;
  signal_file signal;
  sio::run_loop::watch watch(loop, signal.file);
  int called = 0;
  watch.start([&] { ++called; });
  loop.post([] {});
  loop.run_one();
  EXPECT_EQ(called, 0);
  signal.set();
  EXPECT_EQ(called, 0);
  loop.run_one();  // waits for nothing else
  EXPECT_EQ(called, 1);
  loop.post([] {});
  loop.run_one();
  EXPECT_EQ(called, 1);  // still readable, but not started again
  watch.start([&] { ++called; });
  loop.run_one();
  EXPECT_EQ(called, 2);
}

TEST(run_loop, another_os_thread_makes_a_file_readable_while_it_waits) {
  sio::run_loop loop;
  signal_file signal;
  sio::run_loop::watch watch(loop, signal.file);
  for (int i = 0; i < 200; ++i) {
    bool called = false;
    watch.start([&] { called = true; });
    std::jthread other([&] { signal.set(); });
    while (!called) loop.run_one();
    signal.clear();
  }
}

TEST(run_loop, a_watch_may_be_started_again_or_destroyed_in_its_function) {
  sio::run_loop loop;
  signal_file signal;
  auto watch = std::make_unique<sio::run_loop::watch>(loop, signal.file);
  int called = 0;
  watch->start([&] {
    ++called;
    watch->start([&] {
      ++called;
      watch.reset();
    });
  });
  signal.set();
  loop.run_one();
  loop.run_one();
  EXPECT_EQ(called, 2);
  EXPECT_EQ(watch, nullptr);
}

TEST(run_loop, a_cancelled_watch_does_not_call) {
  sio::run_loop loop;
  signal_file signal;
  sio::run_loop::watch cancelled(loop, signal.file);
  sio::run_loop::watch other(loop, signal.file);
  std::string log;
  cancelled.start([&] { log += 'c'; });
  {
    sio::run_loop::watch destroyed(loop, signal.file);
    destroyed.start([&] { log += 'd'; });
  }
  other.start([&] { log += 'o'; });
  cancelled.cancel();
  signal.set();
  loop.run_one();
  EXPECT_EQ(log, "o");
}

TEST(run_loop, a_busy_loop_looks_at_its_files) {
  sio::run_loop loop;
  signal_file signal;
  sio::run_loop::watch watch(loop, signal.file);
  bool called = false;
  watch.start([&] { called = true; });
  std::move_only_function<void()> again = [&] { loop.post([&] { again(); }); };
  again();
  for (int i = 0; i < 10; ++i) loop.run_one();
  EXPECT_FALSE(called);
  signal.set();
  for (int i = 0; i < 2; ++i) loop.run_one();
  EXPECT_TRUE(called);
}

TEST(run_loop, timers_and_posts_go_on_beside_a_file_that_is_never_readable) {
  sio::run_loop loop;
  signal_file signal;
  sio::run_loop::watch watch(loop, signal.file);
  watch.start([] { FAIL(); });
  bool fired = false;
  sio::run_loop::timer timer(loop);
  timer.start(1ms, [&] { fired = true; });
  while (!fired) loop.run_one();
  bool ran = false;
  std::jthread other([&] { loop.post([&] { ran = true; }); });
  while (!ran) loop.run_one();
}

}  // namespace
