// SPDX-License-Identifier: BSD-3-Clause
// SPDK beside other work on an asio::io_context.
#include "asio_library.hpp"
#include "spdk_test.hpp"
#include "started.hpp"

#include <gtest/gtest.h>

#include <spdk/thread.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

static_assert(sio::waking_executor<adapter::executor>);
static_assert(sio::timed_executor<adapter::executor>);
static_assert(sio::runnable_executor<adapter::executor>);

constexpr sio::idle::backoff long_sleep{.spin_for = 0ns, .max_sleep = 1h};

class asio_adapter : public testing::Test {
 protected:
  asio::io_context ctx;
  sio::thread& thread = main_thread();
};

asio::awaitable<int> sleepy(int value) {
  auto r = co_await sio::sleep_for(100us).async(asio::use_awaitable);
  co_return r ? value : -1;
}

sio::task<int> sleepy_task(int value) {
  auto r = co_await sio::sleep_for(100us);
  co_return r ? value : -1;
}

TEST_F(asio_adapter, poller_task_is_a_coroutine_among_others) {
  for (bool spins : {false, true}) {
    std::stop_source stop;
    bool ended = false;
    int got = 0;
    auto polling = spins ? adapter::poller_task(thread, sio::idle::spin(), stop.get_token())
                         : adapter::poller_task(thread, sio::idle::backoff(), stop.get_token());
    asio::co_spawn(ctx, std::move(polling), [&](std::exception_ptr e) { ended = !e; });
    asio::co_spawn(ctx, sleepy(4), [&](std::exception_ptr, int value) {
      got = value;
      EXPECT_FALSE(ended);
      stop.request_stop();
    });
    ctx.run();
    EXPECT_EQ(got, 4);
    EXPECT_TRUE(ended);
    ctx.restart();
  }
}

// Where SPDK is in interrupt mode.
class interrupt_asio_adapter : public asio_adapter {
 protected:
  void SetUp() override {
    if (!spdk_interrupt_mode_is_enabled())
      GTEST_SKIP() << "run beside tests without interrupt mode, in one process";
  }
};

TEST_F(interrupt_asio_adapter, poller_task_is_a_coroutine_that_sleeps_by_its_file) {
  for (int round = 0; round < 3; ++round) {
    std::stop_source stop;
    bool ended = false;
    int got = 0;
    auto polling = adapter::poller_task(thread, sio::idle::interrupt(), stop.get_token());
    asio::co_spawn(ctx, std::move(polling), [&](std::exception_ptr e) { ended = !e; });
    asio::co_spawn(ctx, sleepy(4), [&](std::exception_ptr, int value) {
      got = value;
      // Asleep or not, it hears of the stop.
      std::thread([&] { stop.request_stop(); }).join();
    });
    ctx.run();
    EXPECT_EQ(got, 4);
    EXPECT_TRUE(ended);
    ctx.restart();
  }
}

TEST_F(interrupt_asio_adapter, a_coroutine_that_sleeps_goes_with_its_io_context) {
  {
    asio::io_context other;
    asio::co_spawn(other, adapter::poller_task(thread, sio::idle::interrupt{.spin_for = 0ns}),
                   asio::detached);
    for (int i = 0; i < 100; ++i) other.poll_one();
  }
  std::stop_source stop;
  asio::co_spawn(ctx, adapter::poller_task(thread, sio::idle::interrupt(), stop.get_token()),
                 asio::detached);
  bool ran = false;
  ASSERT_TRUE(thread.ref().send([&] { ran = true, stop.request_stop(); }));
  ctx.run();
  EXPECT_TRUE(ran);
}

TEST_F(interrupt_asio_adapter, run_until_sleeps_by_the_file) {
  EXPECT_EQ(sio::run_until(ctx, thread, sleepy(4), sio::idle::interrupt()), 4);
  EXPECT_EQ(sio::run_until(ctx, thread, sleepy_task(5), sio::idle::interrupt()), 5);
}

TEST_F(asio_adapter, poller_task_is_kept_in_a_handle) {
  int got = 0;
  auto polling = must(sio::poller_task(thread, ctx, sio::idle::spin()));
  asio::co_spawn(ctx, sleepy(5), [&](std::exception_ptr, int value) {
    got = value;
    polling.stop();
  });
  ctx.run();
  EXPECT_EQ(got, 5);
  EXPECT_TRUE(polling.stopped());
}

TEST_F(asio_adapter, a_second_poller_task_is_refused) {
  auto polling = must(sio::poller_task(thread, ctx));
  auto second = sio::poller_task(thread, ctx);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message(),
            std::string("poller task: thread \"main\" already has one (started on ") +
                context_name + ")");
  std::exception_ptr thrown;
  asio::co_spawn(ctx, adapter::poller_task(thread), [&](std::exception_ptr e) {
    thrown = e;
    polling.stop();
  });
  ctx.run();
  EXPECT_TRUE(thrown);
}

TEST_F(asio_adapter, the_poller_coroutine_ends_with_its_thread) {
  std::optional<sio::thread> further = must(sio::thread::create("further"));
  bool ended = false;
  asio::co_spawn(ctx, adapter::poller_task(*further), [&](std::exception_ptr e) { ended = !e; });
  asio::post(ctx, [&] { further.reset(); });
  ctx.run();
  EXPECT_TRUE(ended);
}

// Eight coroutines read as fast as they can; Asio's own timer fires between them.
TEST_F(asio_adapter, timers_fire_under_saturated_io) {
  auto disk = open_null("asio_null");
  bool stop = false;
  std::uint64_t reads = 0;
  auto worker = [&]() -> sio::task<sio::result<void>> {
    auto buffer = must(sio::dma_buffer::allocate(4096));
    while (!stop) {
      if (auto r = co_await disk.read(buffer, 0); !r) co_return r;
      ++reads;
    }
    co_return sio::result<void>();
  };
  int fired = 0;
  asio::steady_timer timer(ctx);
  std::function<void(const asio_error_code&)> on_time = [&](const asio_error_code& e) {
    ASSERT_FALSE(e);
    stop = ++fired == 5;
    if (stop) return;
    timer.expires_after(1ms);
    timer.async_wait(on_time);
  };
  timer.expires_after(1ms);
  timer.async_wait(on_time);
  auto app = [&]() -> sio::task<sio::result<void>> {
    sio::task_scope scope;
    for (int i = 0; i < 8; ++i) scope.spawn(worker());
    co_return co_await scope.join();
  };
  auto r = sio::run_until(ctx, thread, app());
  EXPECT_TRUE(r) << r.error();
  EXPECT_EQ(fired, 5);
  EXPECT_GT(reads, 0u);
}

TEST_F(asio_adapter, run_until_takes_a_task_or_an_awaitable) {
  EXPECT_EQ(sio::run_until(ctx, thread, sleepy_task(6)), 6);
  EXPECT_EQ(sio::run_until(ctx, thread, sleepy(7)), 7);
  EXPECT_EQ(sio::run_until(ctx, thread, sleepy(8), sio::idle::spin()), 8);
  bool ran = false;
  auto nothing = [&]() -> asio::awaitable<void> { ran = co_await sleepy(1) == 1; };
  sio::run_until(ctx, thread, nothing());
  EXPECT_TRUE(ran);
}

TEST_F(asio_adapter, run_until_runs_the_loops_other_work) {
  int fired = 0;
  auto ticker = [&]() -> asio::awaitable<void> {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (; fired < 3; ++fired) {
      timer.expires_after(1ms);
      co_await timer.async_wait(asio::use_awaitable);
    }
  };
  asio::co_spawn(ctx, ticker(), asio::detached);
  auto app = [&]() -> sio::task<int> {
    while (fired < 3) co_await sio::yield();
    co_return fired;
  };
  EXPECT_EQ(sio::run_until(ctx, thread, app()), 3);
}

TEST_F(asio_adapter, run_until_rethrows_what_the_application_throws) {
  auto as_task = []() -> sio::task<int> {
    co_await sio::yield();
    throw std::runtime_error("a task's");
  };
  auto as_awaitable = []() -> asio::awaitable<int> {
    (void)co_await sleepy(1);
    throw std::runtime_error("an awaitable's");
  };
  EXPECT_THROW(sio::run_until(ctx, thread, as_task()), std::runtime_error);
  EXPECT_THROW(sio::run_until(ctx, thread, as_awaitable()), std::runtime_error);
  EXPECT_EQ(sio::run_until(ctx, thread, sleepy(2)), 2);
}

TEST_F(asio_adapter, an_exception_of_a_continuation_leaves_run_and_the_task_goes_on) {
  auto polling = must(sio::poller_task(thread, ctx, sio::idle::spin()));
  ASSERT_TRUE(thread.ref().send([] { throw std::runtime_error("a continuation's"); }));
  EXPECT_THROW(ctx.run(), std::runtime_error);
  EXPECT_FALSE(polling.stopped());
  ASSERT_TRUE(thread.ref().send([&] { polling.stop(); }));
  ctx.run();
  EXPECT_TRUE(polling.stopped());
}

TEST_F(asio_adapter, a_stopped_loop_cancels_the_application) {
  auto as_task = [&]() -> sio::task<sio::result<int>> {
    ctx.stop();
    auto slept = co_await sio::sleep_for(24h);
    co_return slept ? 1 : 0;
  };
  auto r = sio::run_until(ctx, thread, as_task());
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::operation_canceled) << r.error();
  ctx.restart();

  auto app = [&]() -> asio::awaitable<sio::result<int>> {
    ctx.stop();
    co_return co_await sleepy(3);
  };
  auto s = sio::run_until(ctx, thread, app());
  ASSERT_FALSE(s);
  EXPECT_TRUE(s.error() == std::errc::operation_canceled) << s.error();
  // Asio keeps the coroutine: it goes on where the loop is run again.
  ctx.restart();
  EXPECT_EQ(sio::run_until(ctx, thread, sleepy(4)), 4);
  for (int i = 0; i < 100; ++i) ctx.poll();
}

TEST_F(asio_adapter, async_calls_back_from_the_loop) {
  auto polling = must(sio::poller_task(thread, ctx));
  std::optional<sio::result<void>> got;
  sio::sleep_for(0ns).async([&](sio::result<void> r) {
    got = r;
    polling.stop();
  });
  EXPECT_FALSE(got);
  ctx.run();
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->has_value());
}

TEST_F(asio_adapter, async_takes_handlers_that_can_only_be_moved_and_keeps_the_loop_busy) {
  auto polling = must(sio::poller_task(thread, ctx));
  int got = 0;
  thread.ref()
      .call([] { return 5; })
      .async([p = std::make_unique<int>(4), &got, &polling](sio::result<int> r) {
        got = *p + r.value();
        polling.stop();
      });
  ctx.run();
  EXPECT_EQ(got, 9);
}

TEST_F(asio_adapter, async_brings_an_error_of_the_start) {
  auto gone = must(sio::thread::create("gone")).ref();
  auto app = [&]() -> asio::awaitable<std::string> {
    auto r = co_await gone.call([] {}).async(asio::use_awaitable);
    co_return r ? "no error" : r.error().message();
  };
  EXPECT_EQ(sio::run_until(ctx, thread, app()), "message to thread \"gone\": the thread has ended");
}

TEST_F(asio_adapter, async_runs_its_handler_on_the_executor_bound_to_it) {
  auto polling = must(sio::poller_task(thread, ctx));
  auto strand = asio::make_strand(ctx);
  bool inside = false;
  sio::sleep_for(0ns).async(asio::bind_executor(strand, [&](sio::result<void>) {
    inside = strand.running_in_this_thread();
    polling.stop();
  }));
  EXPECT_FALSE(inside);
  ctx.run();
  EXPECT_TRUE(inside);

  // On an executor of another loop the handler waits for that loop.
  asio::io_context other;
  bool ran = false;
  sio::sleep_for(0ns).async(
      asio::bind_executor(other.get_executor(), [&](sio::result<void>) { ran = true; }));
  poll_until([&] { return thread.idle(); });
  EXPECT_FALSE(ran);
  other.run();
  EXPECT_TRUE(ran);
}

TEST_F(asio_adapter, an_exception_of_a_handler_leaves_run) {
  auto polling = must(sio::poller_task(thread, ctx));
  sio::sleep_for(0ns).async([](sio::result<void>) { throw std::logic_error("a handler's"); });
  EXPECT_THROW(ctx.run(), std::logic_error);
  EXPECT_FALSE(polling.stopped());
}

// Were a wake-up lost, these would sleep for an hour.
TEST_F(asio_adapter, no_message_from_another_os_thread_is_slept_over) {
  auto other = must(sio::thread::spawn("other"));
  auto calls = [&]() -> sio::task<int> {
    int total = 0;
    for (int i = 0; i < 500; ++i) {
      auto r = co_await other.ref().call([] { return 1; });
      total += r.value();
    }
    co_return total;
  };
  EXPECT_EQ(sio::run_until(ctx, thread, calls(), long_sleep), 500);

  std::stop_source stop;
  asio::co_spawn(ctx, adapter::poller_task(thread, long_sleep, stop.get_token()), asio::detached);
  int total = 0;
  auto as_awaitable = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 500; ++i) {
      auto r = co_await other.ref().call([] { return 1; }).async(asio::use_awaitable);
      total += r.value();
    }
    stop.request_stop();
  };
  ctx.restart();
  asio::co_spawn(ctx, as_awaitable(), asio::detached);
  ctx.run();
  EXPECT_EQ(total, 500);
}

// ---- an io_context that several OS threads run ------------------------------------------------

std::string ran_elsewhere(std::string_view executor) {
  return "poller task: stopped, since " + std::string(executor) +
         " ran it on another OS thread than that of thread \"main\"; let that OS thread alone run "
         "the executor (a strand is not enough), or give each OS thread an executor and a thread "
         "of "
         "its own";
}

TEST_F(asio_adapter, a_poller_task_that_another_os_thread_runs_fails) {
  for (auto policy : {sio::idle::backoff(), long_sleep}) {
    auto polling = must(sio::poller_task(thread, ctx, policy));
    if (policy.max_sleep == long_sleep.max_sleep) ctx.poll();  // asleep
    bool ran = false;
    ASSERT_TRUE(thread.ref().send([&] { ran = true; }));
    std::thread([&] {
      ctx.restart();
      while (!polling.failure()) ctx.poll_one();
    }).join();
    EXPECT_TRUE(polling.stopped());
    ASSERT_TRUE(polling.failure());
    EXPECT_EQ(polling.failure()->message(), ran_elsewhere(context_name));
    EXPECT_FALSE(ran);
    polling.stop();
    // The thread is as it was, and so is the io_context.
    ctx.restart();
    EXPECT_EQ(sio::run_until(ctx, thread, sleepy(3)), 3);
    EXPECT_TRUE(ran);
    ctx.restart();
  }
}

TEST_F(asio_adapter, a_poller_coroutine_that_another_os_thread_resumes_ends_with_an_exception) {
  for (bool spins : {false, true}) {
    SCOPED_TRACE(spins);
    std::exception_ptr thrown;
    auto ended = [&](std::exception_ptr e) { thrown = e; };
    auto polling = spins ? adapter::poller_task(thread, sio::idle::spin())
                         : adapter::poller_task(thread, long_sleep);
    asio::co_spawn(asio::make_strand(ctx), std::move(polling), ended);
    ctx.restart();
    for (int i = 0; i < 10; ++i) ctx.poll_one();
    ASSERT_TRUE(thread.ref().send([] {}));
    std::thread([&] { ctx.run(); }).join();
    ASSERT_TRUE(thrown);
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      EXPECT_EQ(e.what(), ran_elsewhere("a coroutine"));
    }
    ctx.restart();
    EXPECT_EQ(sio::run_until(ctx, thread, sleepy(3)), 3);
  }
}

// The other OS thread gets a turn at some time; this one waits in the io_context, perhaps for ever.
TEST_F(asio_adapter, run_until_returns_where_another_os_thread_runs_its_io_context) {
  auto as_task = []() -> sio::task<sio::result<void>> { co_return co_await sio::sleep_for(24h); };
  auto as_awaitable = [](asio::io_context& c) -> asio::awaitable<sio::result<void>> {
    asio::steady_timer timer(c, 24h);
    co_await timer.async_wait(asio::use_awaitable);
    co_return sio::result<void>();
  };
  for (bool task : {false, true}) {
    asio::io_context shared;
    auto work = asio::make_work_guard(shared);
    std::thread other([&] { shared.run(); });
    auto r = task ? sio::run_until(shared, thread, as_task(), sio::idle::spin())
                  : sio::run_until(shared, thread, as_awaitable(shared));
    EXPECT_EQ(r ? "no error" : r.error().message(), ran_elsewhere(context_name));
    shared.stop();
    other.join();
  }
}

}  // namespace
