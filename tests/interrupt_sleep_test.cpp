// SPDX-License-Identifier: BSD-3-Clause
// The poller task with idle::interrupt, on a loop that the test turns by hand: when it sleeps, what
// wakes it, and what becomes of a thread that cannot sleep. Each test is in SPDK's interrupt mode.
#include "devices.hpp"
#include "manual_loop.hpp"
#include "started.hpp"

#include <spdk/thread.h>

#include <atomic>
#include <optional>
#include <thread>

namespace spdk_io_test {
namespace {

using namespace std::chrono_literals;
using executor = manual_loop::with_watch;

static_assert(sio::watching_executor<executor>);
static_assert(!sio::timed_executor<executor>);
static_assert(!sio::waking_executor<executor>);

constexpr sio::idle::interrupt at_once{.spin_for = 0ns,
                                       .otherwise = {.spin_for = 0ns, .max_sleep = 1h}};

int poll_in_vain(void*) { return SPDK_POLLER_IDLE; }

class interrupt_sleep : public testing::Test {
 protected:
  void SetUp() override {
    if (!spdk_interrupt_mode_is_enabled())
      GTEST_SKIP() << "run beside tests without interrupt mode, in one process";
  }

  auto start(sio::idle::interrupt policy = at_once) {
    return must(sio::poller_task(thread, executor(loop), policy));
  }
  // Until it is asleep.
  void settle() {
    while (loop.run_one()) {
    }
    ASSERT_TRUE(loop.watches());
  }
  void expect_asleep() {
    EXPECT_EQ(loop.posted(), 0u);
    EXPECT_TRUE(loop.watches());
    EXPECT_EQ(loop.look(), 0);
  }
  // A message of SPDK's own makes SPDK's file readable, in interrupt mode only.
  void send_by_spdk(spdk_thread* to, std::atomic<bool>& got) {
    std::thread([to, &got] {
      spdk_thread_send_msg(
          to, [](void* flag) { *static_cast<std::atomic<bool>*>(flag) = true; }, &got);
    }).join();
  }
  void expect_interrupts() {
    std::atomic<bool> got = false;
    send_by_spdk(thread.native_handle(), got);
    EXPECT_EQ(loop.look(), 1);
    EXPECT_TRUE(got);
    settle();
  }

  temp_folder folder;
  manual_loop loop;
  sio::thread& thread = main_thread();
};

TEST_F(interrupt_sleep, it_sleeps_until_its_file_is_readable) {
  auto polling = start();
  EXPECT_EQ(loop.posted(), 1u);
  settle();
  const auto polled = spdk_thread_get_last_tsc(thread.native_handle());
  for (int i = 0; i < 10; ++i) expect_asleep();
  EXPECT_EQ(spdk_thread_get_last_tsc(thread.native_handle()), polled);
  expect_interrupts();
  expect_asleep();
}

TEST_F(interrupt_sleep, it_spins_before_it_sleeps) {
  auto polling = start({.spin_for = 1h});
  ASSERT_TRUE(thread.ref().send([] {}));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(loop.posted(), 1u);
    loop.run_one();
  }
  EXPECT_FALSE(loop.watches());
}

TEST_F(interrupt_sleep, what_comes_through_the_library_makes_its_file_readable) {
  auto polling = start();
  settle();
  auto disk = open_device(kind::aio, folder, "a0", 1 << 20, 4096);
  auto buffer = must(sio::dma_buffer::allocate(4096));
  settle();
  auto expect_awake = [&](const char* after) {
    EXPECT_EQ(loop.look(), 1) << after;
    settle();
    expect_asleep();
  };
  ASSERT_TRUE(thread.ref().send([] {}));
  expect_awake("a message");
  std::thread([&] { ASSERT_TRUE(thread.ref().send([] {})); }).join();
  expect_awake("a message from another OS thread");
  started yields(sio::yield());
  expect_awake("a yield");
  EXPECT_TRUE(yields.done());
  started reads(disk.read(buffer, 0));
  EXPECT_EQ(loop.look(), 1);
  while (!reads.done()) {
    settle();
    loop.look();
  }
  EXPECT_TRUE(reads.take());
}

TEST_F(interrupt_sleep, a_timer_makes_its_file_readable) {
  auto polling = start();
  settle();
  started sleeper(sio::sleep_for(1ms));
  EXPECT_EQ(loop.look(), 1);  // there is a timer now
  settle();
  while (loop.look() == 0) EXPECT_FALSE(sleeper.done());
  settle();
  EXPECT_TRUE(sleeper.done());
  expect_asleep();
}

TEST_F(interrupt_sleep, a_stopped_task_watches_nothing) {
  auto polling = start();
  settle();
  polling.stop();
  EXPECT_FALSE(loop.watches());
  bool ran = false;
  ASSERT_TRUE(thread.ref().send([&] { ran = true; }));
  EXPECT_FALSE(loop.run_one());
  EXPECT_FALSE(ran);
  polling = start();
  settle();
  EXPECT_TRUE(ran);
}

TEST_F(interrupt_sleep, it_may_be_stopped_from_what_it_runs) {
  auto polling = start();
  settle();
  ASSERT_TRUE(thread.ref().send([&] { polling.stop(); }));
  EXPECT_EQ(loop.look(), 1);
  while (loop.run_one()) {
  }
  EXPECT_TRUE(polling.stopped());
  EXPECT_FALSE(loop.watches());
}

// What is stopped in the last look does not sleep.
TEST_F(interrupt_sleep, what_ends_in_the_last_look_does_not_sleep) {
  std::optional<sio::running_poller_task<executor>> polling = start();
  auto poller = must(sio::poller::start(1us, [&] { polling.reset(); }));
  while (polling) {
    if (!loop.run_one()) loop.look();
  }
  while (loop.run_one()) {
  }
  EXPECT_FALSE(loop.watches());
}

// Polls of a thread that cannot sleep: the file stays readable although nothing is done.
TEST_F(interrupt_sleep, a_restless_poller_is_polled_until_it_goes) {
  auto polling = start();
  settle();
  testing::internal::CaptureStderr();
  auto* poller = spdk_poller_register_named(poll_in_vain, nullptr, 0, "restless");
  EXPECT_EQ(loop.look(), 1);
  EXPECT_EQ(loop.posted(), 1u);
  for (int i = 0; i < 3; ++i) {  // not at once
    loop.run_one();
    EXPECT_EQ(loop.posted(), 1u);
  }
  settle();  // it backs off now
  std::atomic<bool> got = false;
  send_by_spdk(thread.native_handle(), got);
  EXPECT_EQ(loop.look(), 0);  // for an hour
  bool ran = false;
  std::thread([&] { ASSERT_TRUE(thread.ref().send([&] { ran = true; })); }).join();
  EXPECT_EQ(loop.look(), 1);
  settle();
  EXPECT_TRUE(ran);
  EXPECT_TRUE(got);
  spdk_poller_unregister(&poller);
  ASSERT_TRUE(thread.ref().send([] {}));
  EXPECT_EQ(loop.look(), 1);
  settle();
  expect_interrupts();
  expect_asleep();
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "spdk-io: thread \"main\" cannot sleep in interrupt mode, since it is always woken by the "
            "poller restless; until that has gone it backs off instead "
            "(idle::interrupt::otherwise)\n");
}

TEST_F(interrupt_sleep, a_poller_that_works_keeps_it_awake_and_is_not_named) {
  auto polling = start();
  testing::internal::CaptureStderr();
  int runs = 0;
  auto poller = must(sio::poller::start([&] { ++runs; }));
  while (runs < 10'000) loop.run_one();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_FALSE(loop.watches());
}

TEST_F(interrupt_sleep, it_sleeps_while_io_waits_for_memory) {
  must(init_with_pool(4, 1));
  auto disk = open_device(kind::aio, folder, "a0", 1 << 20, 4096);
  must(run(sio::set_qos(disk, {.iops = 1000})));
  auto buffer = must(sio::dma_buffer::allocate(4096));
  auto polling = start();
  int done = 0;
  auto read = [&]() -> sio::task<void> {
    auto r = co_await disk.read(buffer, 0);
    EXPECT_TRUE(r) << message_of(r);
    ++done;
  };
  sio::task_scope scope;
  for (int i = 0; i < 16; ++i) scope.spawn(read());
  EXPECT_GT(thread.statistics().memory_waits, 0u);
  int slept = 0;
  while (scope.running() > 0) {
    if (loop.run_one()) continue;
    ASSERT_TRUE(loop.watches());
    if (loop.look() == 0) ++slept;
  }
  EXPECT_EQ(done, 16);
  EXPECT_GT(slept, 0);
}

// As SPDK's NVMe-oF target and raid make them.
TEST_F(interrupt_sleep, a_thread_that_a_module_makes_ends_the_sleep_too) {
  auto polling = start();
  settle();
  auto* further = spdk_thread_create("a module's", nullptr);
  ASSERT_NE(further, nullptr);
  EXPECT_EQ(loop.look(), 1);
  settle();
  for (int i = 0; i < 3; ++i) {
    std::atomic<bool> got = false;
    send_by_spdk(further, got);
    EXPECT_EQ(loop.look(), 1);
    settle();
    EXPECT_TRUE(got);
    expect_asleep();
  }
  spdk_thread_send_msg(
      further, [](void*) { spdk_thread_exit(spdk_get_thread()); }, nullptr);
  const auto count = sio::thread::count();
  while (sio::thread::count() == count) {
    if (!loop.run_one()) loop.look();
  }
  settle();
  expect_interrupts();
}

// SPDK's timed pollers keep their times in another place there.
TEST_F(interrupt_sleep, other_policies_poll_a_thread_of_interrupt_mode) {
  constexpr sio::idle::backoff long_sleep{.spin_for = 0ns, .max_sleep = 1h};
  auto polling = must(sio::poller_task(thread, manual_loop::with_timer(loop), long_sleep));
  int runs = 0;
  auto poller = must(sio::poller::start(30ms, [&] { ++runs; }));
  while (runs < 3) {
    while (loop.run_one()) {
    }
    ASSERT_TRUE(loop.armed());
    EXPECT_LE(*loop.armed(), 30ms);
    loop.fire();
  }
  polling.stop();
  auto sleeping = start();
  settle();
  expect_interrupts();
}

TEST_F(interrupt_sleep, spawned_threads_sleep_as_well) {
  auto server = must(sio::thread::spawn("server", sio::idle::interrupt()));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(run(server.ref().call([i] { return i; })).value(), i);
  }
  server.join();
}

TEST_F(interrupt_sleep, run_until_sleeps_as_well) {
  auto app = []() -> sio::task<int> {
    auto r = co_await sio::sleep_for(1ms);
    co_return r ? 5 : -1;
  };
  EXPECT_EQ(sio::run_until(thread, app(), sio::idle::interrupt()), 5);
}

}  // namespace
}  // namespace spdk_io_test
