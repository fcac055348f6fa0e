// SPDX-License-Identifier: BSD-3-Clause
// The suite for executors that can watch files: with idle::interrupt, in SPDK's interrupt mode, the
// poller task sleeps until SPDK has something to do, and polls nothing meanwhile. Built beside
// conformance_test.cpp, with the same loops. A loop that misses a wake-up waits for ever: ctest's
// limit ends that.
#include "calls.hpp"
#include "devices.hpp"
#include "started.hpp"

#include SPDK_IO_TEST_LOOP

#include <spdk/thread.h>

#include <atomic>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

namespace spdk_io_test {
namespace {

using namespace std::chrono_literals;
using sio::bdev_desc;
using sio::dma_buffer;
using plain_executor = decltype(std::declval<loop_under_test&>().executor());

static_assert(sio::watching_executor<plain_executor>);

// What the executors of a test did for one poller task.
struct sleep_log {
  explicit sleep_log(sio::thread& t) : thread(t) {}

  std::uint64_t last_poll() const { return spdk_thread_get_last_tsc(thread.native_handle()); }

  sio::thread& thread;
  std::uint64_t posted = 0;
  int sleeps = 0;
  int with_io = 0;           // of these, with I/O in flight
  int polled_meanwhile = 0;  // of these, in which somebody polled
  bool asleep = false;
};

// The loop's executor, which notes what it is asked for.
struct noting_executor : plain_executor {
  class watch {
   public:
    watch(sleep_log& log, plain_executor e, int file) : log_(&log), watch_(e.new_watch(file)) {}
    template <class F>
    void start(F f) {
      ++log_->sleeps;
      log_->with_io += log_->thread.operations().empty() ? 0 : 1;
      log_->asleep = true;
      watch_.start([log = log_, polled = log_->last_poll(), f = std::move(f)] {
        log->asleep = false;
        if (log->last_poll() != polled) ++log->polled_meanwhile;
        f();
      });
    }
    void cancel() { watch_.cancel(); }

   private:
    sleep_log* log_;
    decltype(std::declval<plain_executor&>().new_watch(0)) watch_;
  };

  noting_executor(plain_executor e, sleep_log& l) : plain_executor(std::move(e)), log(&l) {}
  template <class F>
  void post(F f) {
    ++log->posted;
    plain_executor::post(std::move(f));
  }
  watch new_watch(int file) { return watch(*log, *this, file); }

  sleep_log* log;
};

using polling = sio::running_poller_task<noting_executor>;

// Sleeps as soon as there is nothing to do; where it cannot, for an hour at a time.
constexpr sio::idle::interrupt at_once{.spin_for = 0ns,
                                       .otherwise = {.spin_for = 0ns, .max_sleep = 1h}};

class interrupt_conformance : public testing::Test {
 protected:
  void SetUp() override {
    if (!spdk_interrupt_mode_is_enabled())
      GTEST_SKIP() << "run beside tests without interrupt mode, in one process";
  }

  polling sleep(sio::thread& t, sleep_log& l, sio::idle::interrupt policy = at_once) {
    return must(sio::poller_task(t, noting_executor(loop.executor(), l), policy));
  }
  polling sleep() { return sleep(thread, log); }

  template <class Done>
  void run_until(Done done) {
    while (!done()) ASSERT_TRUE(loop.run_one());
  }
  // The loop would wait now, were it run: nothing but a file can wake it.
  void run_until_asleep(const sleep_log& l) {
    run_until([&] { return l.asleep; });
  }
  void run_until_asleep() { run_until_asleep(log); }

  // A message of SPDK's own, from another OS thread: only SPDK's file tells of it.
  void send_by_spdk(std::atomic<bool>& got) {
    std::thread other([this, &got] {
      spdk_thread_send_msg(
          thread.native_handle(), [](void* flag) { *static_cast<std::atomic<bool>*>(flag) = true; },
          &got);
    });
    other.join();
  }
  // That the thread sleeps by its file, and not by a timer for an hour.
  void expect_to_be_woken_by_spdk() {
    run_until_asleep();
    std::atomic<bool> got = false;
    send_by_spdk(got);
    run_until([&] { return got.load(); });
  }

  bdev_desc open_aio(const std::string& name = "a0") {
    return open_device(kind::aio, folder, name, 1 << 20, 4096);
  }

  temp_folder folder;
  loop_under_test loop;
  sio::thread& thread = main_thread();
  sleep_log log{thread};
};

sio::task<void> write_then_read(const bdev_desc& disk, std::uint64_t block, std::uint64_t& done) {
  auto buffer = must(dma_buffer::allocate(4096));
  fill_pattern(buffer, block);
  auto r = co_await disk.write(buffer, block * 4096);
  EXPECT_TRUE(r) << message_of(r);
  std::ranges::fill(buffer, std::byte(0));
  r = co_await disk.read(buffer, block * 4096);
  EXPECT_TRUE(r) << message_of(r);
  EXPECT_TRUE(has_pattern(buffer, block)) << block;
  ++done;
}

TEST_F(interrupt_conformance, a_message_from_another_os_thread_ends_the_sleep) {
  auto task = sleep();
  run_until_asleep();
  for (int i = 0; i < 10; ++i) {
    bool got = false;
    std::thread other(
        [ref = thread.ref(), &got] { EXPECT_TRUE(ref.send([&got] { got = true; })); });
    run_until([&] { return got; });
    other.join();
    run_until_asleep();
  }
  EXPECT_EQ(log.polled_meanwhile, 0);
}

// At every moment between the last look and the sleep.
TEST_F(interrupt_conformance, no_message_is_slept_over) {
  auto other = must(sio::thread::spawn("other"));
  auto task = sleep();
  int answered = 0;
  sio::task_scope scope;
  scope.spawn(call_again_and_again(other.ref(), 2000, answered));
  run_until([&] { return scope.running() == 0; });
  EXPECT_EQ(answered, 2000);
}

TEST_F(interrupt_conformance, a_message_of_spdk_ends_the_sleep) {
  auto task = sleep();
  for (int i = 0; i < 10; ++i) expect_to_be_woken_by_spdk();
  EXPECT_EQ(log.polled_meanwhile, 0);
}

TEST_F(interrupt_conformance, io_at_depth_32) {
  auto disk = open_aio();
  auto task = sleep();
  std::uint64_t done = 0;
  sio::task_scope scope;
  for (std::uint64_t i = 0; i < 32; ++i) scope.spawn(write_then_read(disk, i, done));
  run_until([&] { return done == 32; });
  run_until_asleep();
  EXPECT_EQ(log.polled_meanwhile, 0);
}

// A limit of 1000 I/Os a second holds them: the thread sleeps until SPDK's timer lets one go.
TEST_F(interrupt_conformance, io_completes_while_the_thread_sleeps) {
  auto disk = open_aio();
  must(run(sio::set_qos(disk, {.iops = 1000})));
  auto task = sleep();
  std::uint64_t done = 0;
  sio::task_scope scope;
  for (std::uint64_t i = 0; i < 8; ++i) scope.spawn(write_then_read(disk, i, done));
  run_until([&] { return done == 8; });
  EXPECT_GT(log.with_io, 0);
  EXPECT_EQ(log.polled_meanwhile, 0);
}

// A timer of the loop starts I/O while the poller task sleeps.
TEST_F(interrupt_conformance, io_that_the_loop_starts_is_seen) {
  auto disk = open_aio();
  auto buffer = must(dma_buffer::allocate(4096));
  auto task = sleep();
  std::optional<started<sio::io_operation>> reading;
  std::function<void()> start = [&] { reading.emplace(disk.read(buffer, 0)); };
  for (int done = 0; done < 5; ++done) {
    run_until_asleep();
    loop.after(1ms, start);
    run_until([&] { return reading && reading->done(); });
    EXPECT_TRUE(reading->take());
    reading.reset();
  }
}

TEST_F(interrupt_conformance, a_timer_of_the_library_ends_the_sleep) {
  auto task = sleep();
  run_until_asleep();
  const int before = log.sleeps;
  const auto posted = log.posted;
  started waiting(sio::sleep_for(20ms));
  run_until([&] { return waiting.done(); });
  EXPECT_TRUE(waiting.take());
  EXPECT_GT(log.sleeps, before);
  EXPECT_LT(log.posted - posted, 100u);  // it did not spin until then
}

TEST_F(interrupt_conformance, a_timed_poller_keeps_its_period) {
  auto task = sleep();
  int ran = 0;
  auto poller = must(sio::poller::start(1ms, [&] {
    ++ran;
    return true;
  }));
  run_until([&] { return ran == 20; });
  EXPECT_GT(log.sleeps, 0);
  EXPECT_LT(log.posted, 20u * 20u);  // it did not spin in between
  EXPECT_EQ(log.polled_meanwhile, 0);
  poller.pause();
  const int paused_at = ran;
  for (int i = 0; i < 3; ++i) {
    started waiting(sio::sleep_for(2ms));
    run_until([&] { return waiting.done(); });
  }
  EXPECT_EQ(ran, paused_at);
  poller.resume();
  run_until([&] { return ran > paused_at; });
}

// How often a text is in another.
int count_of(std::string_view what, std::string_view in) {
  int count = 0;
  for (auto at = in.find(what); at != in.npos; at = in.find(what, at + 1)) ++count;
  return count;
}

int poll_in_vain(void*) { return SPDK_POLLER_IDLE; }

TEST_F(interrupt_conformance, what_must_be_polled_is_named_and_polled_until_it_goes) {
  auto task = sleep();
  run_until_asleep();
  testing::internal::CaptureStderr();
  for (int round = 0; round < 2; ++round) {
    auto* poller = spdk_poller_register_named(poll_in_vain, nullptr, 0, "restless");
    ASSERT_TRUE(thread.ref().send([] {}));
    run_until([&] { return !log.asleep; });
    run_until_asleep();  // it backs off: a message of SPDK's would not be seen
    spdk_poller_unregister(&poller);
    ASSERT_TRUE(thread.ref().send([] {}));
    run_until([&] { return !log.asleep; });
    expect_to_be_woken_by_spdk();
  }
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(count_of("cannot sleep in interrupt mode", said), 1) << said;
  EXPECT_EQ(count_of("the poller restless", said), 1) << said;
}

// SPDK's null device must be polled; lite's need not.
TEST_F(interrupt_conformance, a_device_that_must_be_polled_is_named_and_polled_until_it_is_closed) {
  if (!on_spdk()) GTEST_SKIP() << "lite has no device that cannot sleep";
  must(run(sio::create_bdev(sio::null_bdev{.name = "n0", .size = 1 << 20, .block_size = 512})));
  auto aio = open_aio();
  auto buffer = must(dma_buffer::allocate(4096));
  must(run(aio.read(buffer, 0)));
  auto task = sleep();
  run_until_asleep();
  testing::internal::CaptureStderr();
  for (int round = 0; round < 2; ++round) {
    auto disk = must(bdev_desc::open("n0"));
    started reading(disk.read(buffer, 0));
    run_until([&] { return reading.done(); });
    EXPECT_TRUE(reading.take());
    run_until_asleep();  // it backs off
    disk = bdev_desc();
    run_until([&] { return !log.asleep; });
    expect_to_be_woken_by_spdk();
  }
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(count_of("cannot sleep in interrupt mode", said), 1) << said;
  EXPECT_EQ(count_of("n0 of module null", said), 1) << said;
  EXPECT_EQ(count_of("a0", said), 0) << said;  // it had slept with that one
}

TEST_F(interrupt_conformance, every_device_of_lite_lets_its_thread_sleep) {
  if (on_spdk()) GTEST_SKIP() << "some devices of SPDK's must be polled";
  auto buffer = must(dma_buffer::allocate(4096));
  testing::internal::CaptureStderr();
  auto task = sleep();
  for (kind k : {kind::malloc, kind::null, kind::uring, kind::aio}) {
    const std::string name(to_string(k));
    auto disk = open_device(k, folder, name, 1 << 20, 4096);
    for (int i = 0; i < 5; ++i) {
      started reading(disk.read(buffer, 0));
      run_until([&] { return reading.done(); });
      EXPECT_TRUE(reading.take()) << name;
      expect_to_be_woken_by_spdk();
    }
  }
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "base", .size = 1 << 20})));
  must(run(sio::create_bdev(sio::passthru_bdev{.name = "p0", .base = "base"})));
  must(run(sio::create_bdev(sio::error_bdev{.base = "p0"})));
  must(run(sio::create_bdev(
      sio::delay_bdev{.name = "d0", .base = "EE_p0", .average_read = 2ms, .average_write = 2ms})));
  auto disk = must(bdev_desc::open("d0"));
  const int before = log.with_io;
  for (int i = 0; i < 5; ++i) {
    started reading(disk.read(buffer, 0));
    run_until([&] { return reading.done(); });
    EXPECT_TRUE(reading.take());
    expect_to_be_woken_by_spdk();
  }
  EXPECT_GT(log.with_io, before);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(interrupt_conformance, stopped_and_started_again_while_asleep) {
  for (int round = 0; round < 10; ++round) {
    std::optional<polling> task = sleep();
    run_until_asleep();
    task->stop();
    log.asleep = false;
    bool ran = false;
    loop.executor().post([&] { ran = true; });
    run_until([&] { return ran; });  // the loop is the program's still
    bool got = false;
    ASSERT_TRUE(thread.ref().send([&] { got = true; }));
    loop.executor().post([] {});
    ASSERT_TRUE(loop.run_one());
    EXPECT_FALSE(got);
    task = sleep();
    run_until([&] { return got; });
  }
}

TEST_F(interrupt_conformance, polled_otherwise_in_between) {
  for (int round = 0; round < 5; ++round) {
    {
      auto task = must(sio::poller_task(thread, loop.executor(), sio::idle::spin()));
      bool got = false;
      ASSERT_TRUE(thread.ref().send([&] { got = true; }));
      run_until([&] { return got; });
    }
    auto task = sleep();
    expect_to_be_woken_by_spdk();
    log.asleep = false;
  }
}

TEST_F(interrupt_conformance, the_thread_goes_first_while_asleep) {
  std::optional<sio::thread> further = must(sio::thread::create("further"));
  sleep_log its(*further);
  auto task = sleep(*further, its);
  run_until_asleep(its);
  further.reset();
  EXPECT_FALSE(task.stopped());
  run_until([&] { return task.stopped(); });
}

TEST_F(interrupt_conformance, the_loop_goes_first_while_asleep) {
  {
    loop_under_test other;
    auto task = must(sio::poller_task(thread, noting_executor(other.executor(), log), at_once));
    while (!log.asleep) ASSERT_TRUE(other.run_one());
  }
  log.asleep = false;
  auto task = sleep();
  expect_to_be_woken_by_spdk();
}

TEST_F(interrupt_conformance, two_threads_of_spdk_sleep_on_one_loop) {
  auto further = must(sio::thread::create("further"));
  sleep_log its(further);
  auto first = sleep();
  auto second = sleep(further, its);
  run_until([&] { return log.asleep && its.asleep; });
  std::atomic<int> got = 0;
  for (auto* each : {&further, &thread, &further}) {
    const int before = got;
    std::thread other([ref = each->ref(), &got] { EXPECT_TRUE(ref.send([&got] { ++got; })); });
    run_until([&] { return got == before + 1; });
    other.join();
    run_until([&] { return log.asleep && its.asleep; });
  }
  EXPECT_EQ(log.polled_meanwhile + its.polled_meanwhile, 0);
}

TEST_F(interrupt_conformance, an_exception_leaves_the_loop_and_the_task_goes_on) {
  auto task = sleep();
  run_until_asleep();
  ASSERT_TRUE(thread.ref().send([] { throw std::runtime_error("a continuation's"); }));
  EXPECT_THROW(for (int i = 0; i < 100; ++i) ASSERT_TRUE(loop.run_one()), std::runtime_error);
  EXPECT_FALSE(task.stopped());
  loop.restart();
  log.asleep = false;
  expect_to_be_woken_by_spdk();
}

sio::task<int> slow_answer(int value) {
  auto r = co_await sio::sleep_for(100us);
  co_return r ? value : -1;
}

TEST_F(interrupt_conformance, run_until_gives_the_result_of_the_application) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(sio::run_until(loop.executor(), thread, slow_answer(i), at_once), i);
  }
}

}  // namespace
}  // namespace spdk_io_test
