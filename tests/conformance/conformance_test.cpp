// SPDX-License-Identifier: BSD-3-Clause
// What every executor must do for SPDK, and what SPDK must leave it: one suite, built once for each
// (SPDK_IO_TEST_LOOP is the header of its loop_under_test). A loop that loses a wake-up waits for
// ever: ctest's limit ends that.
#include "calls.hpp"
#include "devices.hpp"
#include "started.hpp"

#include SPDK_IO_TEST_LOOP

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <functional>
#include <future>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

namespace spdk_io_test {
namespace {

using namespace std::chrono_literals;
using sio::bdev_desc;
using sio::dma_buffer;
using executor = decltype(std::declval<loop_under_test&>().executor());

constexpr bool has_timers = sio::timed_executor<executor>;
constexpr bool wakes = sio::waking_executor<executor>;
constexpr const char* no_files = "this loop watches no files";
constexpr const char* no_sleep =
    "this executor has no timer of its own: its poller task does not sleep";
constexpr const char* no_wake =
    "this executor takes no callables from other threads: it is not woken";

using polling = sio::running_poller_task<executor>;

// A socket whose other end is written to.
class socket_pair {
 public:
  socket_pair() {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_.data()) != 0) {
      throw std::runtime_error("socketpair failed");
    }
  }
  socket_pair(const socket_pair&) = delete;
  socket_pair& operator=(const socket_pair&) = delete;
  ~socket_pair() {
    for (int each : ends_) ::close(each);
  }
  int readable() const { return ends_[0]; }
  void write() const { EXPECT_EQ(::write(ends_[1], "x", 1), 1); }
  int take() const {
    std::array<char, 64> bytes;
    return static_cast<int>(::read(ends_[0], bytes.data(), bytes.size()));
  }

 private:
  std::array<int, 2> ends_{};
};

class conformance : public testing::Test {
 protected:
  // The one that never sleeps, and the one that would sleep for an hour.
  polling spin(sio::thread& t) {
    return must(sio::poller_task(t, loop.executor(), sio::idle::spin()));
  }
  template <class E = executor>
  polling sleep_long(sio::thread& t) {
    if constexpr (sio::timed_executor<E>) {
      constexpr sio::idle::backoff for_long{.spin_for = 0ns, .max_sleep = 1h};
      return must(sio::poller_task(t, E(loop.executor()), for_long));
    } else {
      return spin(t);
    }
  }

  template <class Done>
  void run_until(Done done) {
    while (!done()) ASSERT_TRUE(loop.run_one());
  }
  // Turns in which a loop has nothing else to do than to poll.
  void run_turns(int turns) {
    for (int i = 0; i < turns; ++i) ASSERT_TRUE(loop.run_one());
  }

  // Reads again and again, so that there is always something to do for SPDK.
  sio::task<void> saturate(const bdev_desc& disk, dma_buffer& buffer, const bool& enough) {
    while (!enough) {
      auto r = co_await disk.read(buffer, 0);
      if (!r) {
        ADD_FAILURE() << r.error();
        co_return;
      }
      ++reads;
    }
  }

  loop_under_test loop;
  sio::thread& thread = main_thread();
  std::uint64_t reads = 0;
};

sio::task<void> write_then_read(const bdev_desc& disk, std::uint64_t block, std::uint64_t& done) {
  auto buffer = must(dma_buffer::allocate(512));
  fill_pattern(buffer, block);
  auto r = co_await disk.write(buffer, block * 512);
  EXPECT_TRUE(r) << message_of(r);
  std::ranges::fill(buffer, std::byte(0));
  r = co_await disk.read(buffer, block * 512);
  EXPECT_TRUE(r) << message_of(r);
  EXPECT_TRUE(has_pattern(buffer, block)) << block;
  ++done;
}

TEST_F(conformance, io_at_depth_256) {
  auto disk = open_malloc("m0");
  auto task = spin(thread);
  std::uint64_t done = 0;
  sio::task_scope scope;
  for (std::uint64_t i = 0; i < 256; ++i) scope.spawn(write_then_read(disk, i, done));
  run_until([&] { return done == 256; });
}

TEST_F(conformance, the_loops_timers_are_alive_under_saturated_io) {
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::allocate(4096));
  auto task = spin(thread);
  bool enough = false;
  sio::task_scope scope;
  for (int i = 0; i < 32; ++i) scope.spawn(saturate(disk, buffer, enough));
  int fired = 0;
  std::function<void()> tick = [&] {
    if (++fired < 5) loop.after(1ms, tick);
  };
  loop.after(1ms, tick);
  run_until([&] { return fired == 5; });
  EXPECT_GT(reads, 0u);
  enough = true;
  run_until([&] { return scope.running() == 0; });
}

// Template, for those that cannot watch.
template <class Loop>
void write_to_oneself(Loop& loop, const socket_pair& socket, int times, int& received) {
  if constexpr (Loop::watches_files) {
    loop.watch(socket.readable(), [&socket, times, &received] {
      received += std::max(socket.take(), 0);
      if (received < times) socket.write();
    });
    socket.write();
  }
}

TEST_F(conformance, the_loops_sockets_are_alive_under_saturated_io) {
  if (!loop_under_test::watches_files) GTEST_SKIP() << no_files;
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::allocate(4096));
  socket_pair socket;
  auto task = spin(thread);
  bool enough = false;
  sio::task_scope scope;
  for (int i = 0; i < 32; ++i) scope.spawn(saturate(disk, buffer, enough));
  int received = 0;
  write_to_oneself(loop, socket, 5, received);
  run_until([&] { return received == 5; });
  enough = true;
  run_until([&] { return scope.running() == 0; });
}

TEST_F(conformance, posted_callables_are_alive_under_saturated_io) {
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::allocate(4096));
  auto task = spin(thread);
  bool enough = false;
  sio::task_scope scope;
  for (int i = 0; i < 256; ++i) scope.spawn(saturate(disk, buffer, enough));
  int ran = 0;
  std::function<void()> again = [&] {
    if (++ran < 100) loop.executor().post(again);
  };
  loop.executor().post(again);
  run_until([&] { return ran == 100; });
  enough = true;
  run_until([&] { return scope.running() == 0; });
}

// Each posts itself for as long as the I/O is not done.
TEST_F(conformance, io_is_alive_under_a_flood_of_callables) {
  auto disk = open_malloc("m0");
  auto task = spin(thread);
  std::uint64_t done = 0;
  std::function<void()> flood = [&] {
    if (done < 64) loop.executor().post(flood);
  };
  for (int i = 0; i < 100; ++i) loop.executor().post(flood);
  sio::task_scope scope;
  for (std::uint64_t i = 0; i < 64; ++i) scope.spawn(write_then_read(disk, i, done));
  run_until([&] { return done == 64; });
  run_turns(2);  // the last of them go before what they refer to
}

TEST_F(conformance, every_posted_callable_runs_once_and_in_order) {
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) loop.executor().post([&order, i] { order.push_back(i); });
  EXPECT_TRUE(order.empty());
  run_until([&] { return order.size() == 1000; });
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST_F(conformance, a_message_from_another_os_thread_wakes_a_sleeping_loop) {
  if (!has_timers) GTEST_SKIP() << no_sleep;
  if (!wakes) GTEST_SKIP() << no_wake;
  auto task = sleep_long(thread);
  bool got = false;
  // It comes now or later: the loop may sleep already, or be about to.
  std::thread other([ref = thread.ref(), &got] { EXPECT_TRUE(ref.send([&got] { got = true; })); });
  run_until([&] { return got; });
  other.join();
}

// The same, many times, at every moment between the last look and the sleep.
TEST_F(conformance, no_message_is_slept_over) {
  if (!has_timers) GTEST_SKIP() << no_sleep;
  if (!wakes) GTEST_SKIP() << no_wake;
  auto other = must(sio::thread::spawn("other"));
  auto task = sleep_long(thread);
  int answered = 0;
  sio::task_scope scope;
  scope.spawn(call_again_and_again(other.ref(), 2000, answered));
  run_until([&] { return scope.running() == 0; });
  EXPECT_EQ(answered, 2000);
}

// A timer of the loop starts I/O while the poller task sleeps.
TEST_F(conformance, io_that_the_loop_starts_wakes_the_poller_task) {
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::allocate(4096));
  auto task = sleep_long(thread);
  int done = 0;
  std::optional<started<sio::io_operation>> reading;
  std::function<void()> start = [&] { reading.emplace(disk.read(buffer, 0)); };
  for (; done < 5; ++done) {
    loop.after(1ms, start);
    run_until([&] { return reading && reading->done(); });
    EXPECT_TRUE(reading->take());
    reading.reset();
  }
}

TEST_F(conformance, a_timer_of_the_library_ends_the_sleep) {
  auto task = sleep_long(thread);
  started waiting(sio::sleep_for(2ms));
  run_until([&] { return waiting.done(); });
  EXPECT_TRUE(waiting.take());
}

TEST_F(conformance, a_stop_request_ends_io_in_flight) {
  auto disk = open_delay();
  auto buffer = must(dma_buffer::allocate(4096));
  auto task = sleep_long(thread);
  std::optional<sio::result<void>> got;
  auto reading = [&]() -> sio::task<void> { got = co_await disk.read(buffer, 0); };
  sio::task_scope scope;
  scope.spawn(reading());
  loop.after(1ms, [&] { scope.request_stop(); });
  run_until([&] { return got.has_value(); });
  ASSERT_FALSE(got->has_value());
  EXPECT_TRUE(got->error() == std::errc::operation_canceled) << got->error();
}

TEST_F(conformance, a_time_limit_ends_io_in_flight) {
  auto disk = open_delay();
  auto buffer = must(dma_buffer::allocate(4096));
  auto task = sleep_long(thread);
  started reading(sio::with_timeout(disk.read(buffer, 0), 1ms));
  run_until([&] { return reading.done(); });
  auto r = reading.take();
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::timed_out) << r.error();
}

TEST_F(conformance, io_destroyed_in_flight_by_a_callable_of_the_loop) {
  auto disk = open_delay();
  auto buffer = must(dma_buffer::allocate(4096));
  auto task = spin(thread);
  std::optional<started<sio::io_operation>> reading(disk.read(buffer, 0));
  loop.executor().post([&] { reading.reset(); });
  run_until([&] { return !reading; });
  buffer = dma_buffer();
  run_turns(10);
  EXPECT_TRUE(thread.operations().empty());
}

TEST_F(conformance, an_exception_of_a_continuation_leaves_the_loop_and_the_task_goes_on) {
  auto task = spin(thread);
  ASSERT_TRUE(thread.ref().send([] { throw std::runtime_error("a continuation's"); }));
  EXPECT_THROW(run_turns(100), std::runtime_error);
  EXPECT_FALSE(task.stopped());
  loop.restart();
  bool ran = false;
  ASSERT_TRUE(thread.ref().send([&] { ran = true; }));
  run_until([&] { return ran; });
}

TEST_F(conformance, an_exception_of_a_callable_leaves_the_loop_and_the_task_goes_on) {
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::allocate(4096));
  auto task = spin(thread);
  started reading(disk.read(buffer, 0));
  loop.executor().post([] { throw std::runtime_error("a callable's"); });
  EXPECT_THROW(run_turns(100), std::runtime_error);
  loop.restart();
  run_until([&] { return reading.done(); });
  EXPECT_TRUE(reading.take());
}

TEST_F(conformance, stopped_and_started_again_with_io_in_flight) {
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::allocate(4096));
  for (int round = 0; round < 10; ++round) {
    std::optional<polling> task = spin(thread);
    started reading(disk.read(buffer, 0));
    task->stop();
    EXPECT_TRUE(task->stopped());
    bool ran = false;
    loop.executor().post([&] { ran = true; });
    run_until([&] { return ran; });  // the loop is the program's still
    EXPECT_FALSE(reading.done());
    task = spin(thread);
    run_until([&] { return reading.done(); });
    EXPECT_TRUE(reading.take());
  }
}

TEST_F(conformance, the_handle_goes_with_io_in_flight) {
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::allocate(4096));
  started reading(disk.read(buffer, 0));
  {
    auto task = spin(thread);
  }
  bool ran = false;
  loop.executor().post([&] { ran = true; });
  run_until([&] { return ran; });
  EXPECT_FALSE(reading.done());
  poll_until([&] { return reading.done(); });
  EXPECT_TRUE(reading.take());
}

TEST_F(conformance, the_thread_goes_first_with_io_in_flight) {
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::allocate(4096));
  std::optional<sio::thread> further = must(sio::thread::create("further"));
  std::optional<sio::result<void>> got;
  auto task = spin(*further);
  auto reading = [&]() -> sio::task<void> { got = co_await disk.read(buffer, 0); };
  std::optional<started<sio::task<void>>> running;
  ASSERT_TRUE(further->ref().send([&] { running.emplace(reading()); }));
  run_until([&] { return running.has_value(); });
  further.reset();
  ASSERT_TRUE(got);
  EXPECT_TRUE(*got) << message_of(*got);
  loop.executor().post([] {});
  run_turns(1);
  EXPECT_TRUE(task.stopped());
}

TEST_F(conformance, the_loop_goes_first_with_io_in_flight) {
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::allocate(4096));
  std::optional<started<sio::io_operation>> reading;
  {
    loop_under_test other;
    auto task = must(sio::poller_task(thread, other.executor(), sio::idle::spin()));
    reading.emplace(disk.read(buffer, 0));
    task.stop();
  }
  EXPECT_FALSE(reading->done());
  // Another loop goes on with it.
  auto task = spin(thread);
  run_until([&] { return reading->done(); });
  EXPECT_TRUE(reading->take());
}

TEST_F(conformance, a_second_poller_task_is_refused) {
  auto task = spin(thread);
  auto second = sio::poller_task(thread, loop.executor(), sio::idle::spin());
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().message().starts_with(
      "poller task: thread \"main\" already has one (started on "))
      << second.error();
  bool ran = false;
  ASSERT_TRUE(thread.ref().send([&] { ran = true; }));
  run_until([&] { return ran; });
}

template <class E>
sio::result<sio::running_poller_task<E>> sleep_by_interrupts(sio::thread& t, E ex) {
  if constexpr (sio::watching_executor<E>) {
    return sio::poller_task(t, std::move(ex), sio::idle::interrupt());
  } else {
    return sio::poller_task(t, std::move(ex));
  }
}

TEST_F(conformance, sleeping_by_interrupts_is_refused_without_interrupt_mode) {
  if (!sio::watching_executor<executor>) GTEST_SKIP() << no_files;
  auto task = sleep_by_interrupts(thread, loop.executor());
  ASSERT_FALSE(task);
  EXPECT_TRUE(task.error() == std::errc::not_supported) << task.error();
  EXPECT_EQ(
      task.error().message(),
      "poller task: idle::interrupt on thread \"main\" needs SPDK's interrupt mode: start with "
      "env_options.interrupt = true, or take idle::backoff");
  auto another = spin(thread);
  bool ran = false;
  ASSERT_TRUE(thread.ref().send([&] { ran = true; }));
  run_until([&] { return ran; });
}

TEST_F(conformance, a_thread_of_another_os_thread_is_refused) {
  std::optional<sio::error> refused;
  std::thread other([&] {
    if (auto r = sio::poller_task(thread, loop.executor(), sio::idle::spin()); !r)
      refused = r.error();
  });
  other.join();
  ASSERT_TRUE(refused);
  EXPECT_TRUE(*refused == std::errc::operation_not_permitted) << *refused;
}

TEST_F(conformance, two_threads_of_spdk_on_one_loop) {
  auto disk = open_malloc("m0");
  auto further = must(sio::thread::create("further"));
  auto first = spin(thread);
  auto second = spin(further);
  std::uint64_t done = 0;
  std::uint64_t called = 0;
  sio::task_scope scope;
  for (std::uint64_t i = 0; i < 32; ++i) scope.spawn(write_then_read(disk, i, done));
  auto calls = [&]() -> sio::task<void> {
    for (int i = 0; i < 100; ++i) {
      auto r = co_await further.ref().call([] { return std::uint64_t{1}; });
      called += r.value_or(0);
    }
  };
  scope.spawn(calls());
  run_until([&] { return scope.running() == 0; });
  EXPECT_EQ(done, 32u);
  EXPECT_EQ(called, 100u);
}

// Each on an OS thread of its own, calling the other.
TEST_F(conformance, two_threads_of_spdk_on_two_loops) {
  auto disk = open_malloc("m0");
  std::atomic<bool> enough = false;
  std::promise<sio::thread_ref> there;
  std::thread os_thread([&] {
    auto mine = must(sio::thread::attach("second"));
    loop_under_test other;
    auto task = must(sio::poller_task(mine, other.executor(), sio::idle::spin()));
    there.set_value(mine.ref());
    while (!enough.load()) ASSERT_TRUE(other.run_one());
    task.stop();
  });
  auto ref = there.get_future().get();
  auto task = spin(thread);
  std::uint64_t done = 0;
  auto on_the_other = [&]() -> sio::task<void> {
    for (std::uint64_t i = 0; i < 100; ++i) {
      auto r = co_await ref.call([&disk, i]() -> sio::task<std::uint64_t> {
        std::uint64_t here = 0;
        co_await write_then_read(disk, i, here);
        co_return here;
      });
      done += r.value_or(0);
    }
  };
  sio::task_scope scope;
  scope.spawn(on_the_other());
  run_until([&] { return scope.running() == 0; });
  EXPECT_EQ(done, 100u);
  enough = true;
  os_thread.join();
}

sio::task<int> slow_answer(int value) {
  auto r = co_await sio::sleep_for(100us);
  co_return r ? value : -1;
}

TEST_F(conformance, run_until_gives_the_result_of_the_application_again_and_again) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(sio::run_until(loop.executor(), thread, slow_answer(i)), i);
}

TEST_F(conformance, run_until_rethrows_what_the_application_throws) {
  auto fails = []() -> sio::task<int> {
    co_await sio::yield();
    throw std::runtime_error("the application's");
  };
  EXPECT_THROW(sio::run_until(loop.executor(), thread, fails()), std::runtime_error);
  loop.restart();
  EXPECT_EQ(sio::run_until(loop.executor(), thread, slow_answer(7)), 7);
}

TEST_F(conformance, a_loop_that_is_stopped_cancels_the_application) {
  auto app = [&]() -> sio::task<sio::result<int>> {
    loop.stop();
    auto slept = co_await sio::sleep_for(24h);
    co_return slept ? 1 : 0;
  };
  auto r = sio::run_until(loop.executor(), thread, app());
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::operation_canceled) << r.error();
  loop.restart();
  EXPECT_EQ(sio::run_until(loop.executor(), thread, slow_answer(7)), 7);
}

TEST_F(conformance, a_callable_may_block_on_io) {
  auto disk = open_malloc("m0");
  auto task = spin(thread);
  std::uint64_t done = 0;
  bool outer = false;
  loop.executor().post([&] {
    sio::block_on(thread, write_then_read(disk, 3, done));
    outer = true;
  });
  run_until([&] { return outer; });
  EXPECT_EQ(done, 1u);
}

}  // namespace
}  // namespace spdk_io_test
