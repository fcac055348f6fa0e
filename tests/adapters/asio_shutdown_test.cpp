// SPDX-License-Identifier: BSD-3-Clause
// Asio contexts and SPDK threads that end, in either order, with I/O under way: SPDK lets go of a
// buffer before the coroutine that owns it goes. (Run it under ASan, too: the buffers are ordinary
// memory.)
#include "asio_library.hpp"
#include "devices.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

constexpr std::size_t length = 4096;

std::size_t in_flight() { return main_thread().statistics().io_in_flight; }

// Ordinary memory of exactly that size; its owner goes when nothing is in flight any more.
class owned_buffer {
 public:
  explicit owned_buffer(int& gone) : bytes_(new std::byte[length]), gone_(&gone) {}
  owned_buffer(owned_buffer&&) = default;
  ~owned_buffer() {
    if (!bytes_) return;
    EXPECT_EQ(main_thread().operations().size(), 0u);
    ++*gone_;
  }
  sio::dma_span span() { return sio::dma_span::trusted({bytes_.get(), length}); }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  int* gone_;
};

class asio_shutdown : public testing::Test {
 protected:
  void SetUp() override { ctx.emplace(); }

  // A device that holds everything that long, on a malloc device.
  sio::bdev_desc open_delay(std::chrono::microseconds time = 1h) {
    must(run(sio::create_bdev(sio::malloc_bdev{.name = "base", .size = 1 << 20})));
    must(run(sio::create_bdev(sio::delay_bdev{
        .name = "d0", .base = "base", .average_read = time, .average_write = time})));
    return must(sio::bdev_desc::open("d0"));
  }

  // A coroutine that owns its buffer, suspended in a read.
  asio::awaitable<void> reader(const sio::bdev_desc& disk) {
    owned_buffer buffer(gone);
    auto r = co_await disk.read(buffer.span(), 0).async(asio::use_awaitable);
    ++resumed;
    EXPECT_TRUE(r) << message_of(r);
  }
  void spawn_reader(const sio::bdev_desc& disk) {
    asio::co_spawn(*ctx, reader(disk), asio::detached);
    ctx->restart();
    ctx->poll();
  }

  // What would come late comes now.
  void expect_dropped(int frames) {
    poll_times(200);
    EXPECT_EQ(gone, frames);
    EXPECT_EQ(resumed, 0);
    EXPECT_EQ(in_flight(), 0u);
    EXPECT_EQ(main_thread().operations().size(), 0u);
  }

  std::optional<asio::io_context> ctx;
  int gone = 0;
  int resumed = 0;
};

// ---- the context goes first -------------------------------------------------------------------

TEST_F(asio_shutdown, a_context_with_io_in_flight) {
  for_each_kind({kind::null, kind::malloc, kind::uring, kind::aio}, [&](kind k) {
    temp_folder folder;
    auto disk = open_device(k, folder, "d0");
    ctx.emplace();
    gone = 0;
    spawn_reader(disk);
    EXPECT_EQ(gone, 0);
    EXPECT_EQ(main_thread().operations().size(), 1u);
    ctx.reset();
    expect_dropped(1);
  });
}

TEST_F(asio_shutdown, a_context_with_io_that_takes_an_hour) {
  auto disk = open_delay();
  for (int i = 0; i < 3; ++i) spawn_reader(disk);
  poll_times(100);
  EXPECT_EQ(in_flight(), 3u);
  ctx.reset();
  expect_dropped(3);
}

TEST_F(asio_shutdown, a_context_with_io_that_waits_for_memory) {
  must(init_with_pool(2, 1));
  auto disk = open_null("n0");
  for (int i = 0; i < 12; ++i) spawn_reader(disk);
  EXPECT_EQ(in_flight(), 12u);
  ctx.reset();
  expect_dropped(12);
}

// The first handler to be called, by the thread itself, ends the context of the second.
TEST_F(asio_shutdown, a_context_with_io_that_is_complete_and_not_resumed) {
  auto disk = open_null("n0");
  owned_buffer buffer(gone);
  bool called = false;
  std::size_t complete = 0;
  disk.read(buffer.span(), 0).async([&](sio::result<void> r) {
    EXPECT_TRUE(r);
    for (const auto& each : main_thread().operations()) {
      if (each.state == sio::operation_state::completed) ++complete;
    }
    ctx.reset();
    called = true;
  });
  spawn_reader(disk);
  EXPECT_EQ(in_flight(), 2u);
  poll_until([&] { return called; });
  EXPECT_EQ(complete, 1u);
  expect_dropped(1);
}

TEST_F(asio_shutdown, a_context_with_handlers_that_are_posted_and_not_run) {
  auto disk = open_null("n0");
  spawn_reader(disk);
  poll_until([&] { return main_thread().operations().empty(); });
  EXPECT_EQ(gone, 0);
  ctx.reset();
  expect_dropped(1);
}

#ifdef SPDK_IO_TEST_SLOTS

TEST_F(asio_shutdown, a_context_with_io_that_is_being_aborted) {
  auto disk = open_delay();
  asio::cancellation_signal signal;
  asio::co_spawn(*ctx, reader(disk), asio::bind_cancellation_slot(signal.slot(), asio::detached));
  ctx->poll();
  poll_times(100);
  EXPECT_EQ(in_flight(), 1u);
  signal.emit(asio::cancellation_type::terminal);
  EXPECT_EQ(gone, 0);
  ctx.reset();
  expect_dropped(1);
  signal.emit(asio::cancellation_type::terminal);  // reaches nobody
}

TEST_F(asio_shutdown, a_context_whose_signal_went_before) {
  auto disk = open_delay();
  auto signal = std::make_unique<asio::cancellation_signal>();
  asio::co_spawn(*ctx, reader(disk), asio::bind_cancellation_slot(signal->slot(), asio::detached));
  ctx->poll();
  poll_times(100);
  EXPECT_EQ(in_flight(), 1u);
  signal.reset();
  ctx.reset();
  expect_dropped(1);
}

TEST_F(asio_shutdown, a_signal_that_goes_after_its_context) {
  auto disk = open_delay();
  asio::cancellation_signal signal;
  owned_buffer buffer(gone);
  disk.read(buffer.span(), 0)
      .async(asio::bind_cancellation_slot(
          signal.slot(), asio::bind_executor(*ctx, [&](sio::result<void>) { ++resumed; })));
  poll_times(100);
  EXPECT_TRUE(signal.slot().has_handler());
  ctx.reset();
  EXPECT_FALSE(signal.slot().has_handler());
  signal.emit(asio::cancellation_type::all);
  expect_dropped(0);
}

TEST_F(asio_shutdown, a_context_with_io_on_a_strand_and_in_both_branches_of_a_group) {
  using namespace asio::experimental::awaitable_operators;
  auto disk = open_delay();
  auto both = [&]() -> asio::awaitable<void> {
    owned_buffer first(gone);
    owned_buffer second(gone);
    asio::steady_timer timer(*ctx, 1h);
    auto group = (disk.read(first.span(), 0).async(asio::use_awaitable) &&
                  disk.write(second.span(), length).async(asio::use_awaitable)) ||
                 timer.async_wait(asio::use_awaitable);
    co_await std::move(group);
    ++resumed;
  };
  asio::co_spawn(asio::make_strand(*ctx), both(), asio::detached);
  ctx->poll();
  poll_times(100);
  EXPECT_EQ(in_flight(), 2u);
  ctx.reset();
  expect_dropped(2);
}

#else

SPDK_IO_TEST_NEEDS_SLOTS(asio_shutdown, a_context_with_io_that_is_being_aborted)
SPDK_IO_TEST_NEEDS_SLOTS(asio_shutdown, a_context_whose_signal_went_before)
SPDK_IO_TEST_NEEDS_SLOTS(asio_shutdown, a_signal_that_goes_after_its_context)
SPDK_IO_TEST_NEEDS_SLOTS(asio_shutdown,
                         a_context_with_io_on_a_strand_and_in_both_branches_of_a_group)

#endif

TEST_F(asio_shutdown, sleeps_calls_and_operations_that_failed_at_the_start) {
  auto gone_thread = must(sio::thread::create("gone")).ref();
  auto second = must(sio::thread::create("second"));
  auto watch = std::make_shared<int>();
  auto handler = [&](auto value) {
    return asio::bind_executor(*ctx, [this, watch](decltype(value)) { ++resumed; });
  };
  sio::sleep_for(1h).async(handler(sio::result<void>()));
  gone_thread.call([] {}).async(handler(sio::result<void>()));
  second.ref().call([] { return 1; }).async(handler(sio::result<int>()));
  sio::with_timeout(sio::sleep_for(1h), 2h).async(handler(sio::result<void>()));
  EXPECT_EQ(watch.use_count(), 5);
  ctx.reset();
  EXPECT_EQ(watch.use_count(), 1);
  second.poll();  // runs what was sent; nobody waits for its result
  expect_dropped(0);
}

// The buffer of one coroutine's read belongs to another one, which waits for a read, for a timer
// that is the first of its context, or to be run.
TEST_F(asio_shutdown, a_buffer_may_be_lent_to_another_coroutine) {
  auto disk = open_delay();
  auto borrower = [&](sio::dma_span span) -> asio::awaitable<void> {
    (void)co_await disk.read(span, 0).async(asio::use_awaitable);
    ++resumed;
  };
  enum class waits { reading, sleeping, posted };
  auto owner = [&](waits how) -> asio::awaitable<void> {
    owned_buffer lent(gone);
    owned_buffer own(gone);
    auto ex = co_await asio::this_coro::executor;
    if (how == waits::reading) {
      asio::co_spawn(ex, borrower(lent.span()), asio::detached);
      (void)co_await disk.read(own.span(), 0).async(asio::use_awaitable);
    } else if (how == waits::sleeping) {
      asio::co_spawn(ex, borrower(lent.span()), asio::detached);
      while (in_flight() == 0) co_await asio::post(ex, asio::use_awaitable);
      asio::steady_timer timer(ex, 1h);
      co_await timer.async_wait(asio::use_awaitable);
    } else {
      asio::co_spawn(ex, borrower(lent.span()), asio::detached);
      for (;;) co_await asio::post(ex, asio::use_awaitable);
    }
    ++resumed;
  };
  for (auto how : {waits::reading, waits::sleeping, waits::posted}) {
    SCOPED_TRACE(static_cast<int>(how));
    ctx.emplace();
    gone = 0;
    asio::co_spawn(*ctx, owner(how), asio::detached);
    for (int i = 0; i < 10; ++i) ctx->poll_one();
    poll_times(100);
    EXPECT_EQ(in_flight(), how == waits::reading ? 2u : 1u);
    ctx.reset();
    expect_dropped(2);
  }
}

// Asio destroys coroutines last, by its executor; what a handler itself owns goes with the handler.
// Here each owns the buffer of another one's operation: an earlier one's and a later one's, and a
// handler of the first timer of the context owns the last.
TEST_F(asio_shutdown, a_buffer_may_belong_to_another_handler) {
  auto disk = open_delay();
  owned_buffer buffers[3] = {owned_buffer(gone), owned_buffer(gone), owned_buffer(gone)};
  const sio::dma_span spans[3] = {buffers[0].span(), buffers[1].span(), buffers[2].span()};
  auto handler = [&](int owns) {
    return asio::bind_executor(
        *ctx, [this, owned = std::move(buffers[owns])](sio::result<void>) { ++resumed; });
  };
  disk.read(spans[0], 0).async(handler(1));
  disk.read(spans[1], 0).async(handler(0));
  disk.read(spans[2], 0).async(asio::bind_executor(*ctx, [this](sio::result<void>) { ++resumed; }));
  auto timer = std::make_shared<asio::steady_timer>(*ctx, 1h);
  asio::steady_timer& t = *timer;
  t.async_wait([timer = std::move(timer), owned = std::move(buffers[2])](asio_error_code) {});
  poll_times(100);
  EXPECT_EQ(in_flight(), 3u);
  EXPECT_EQ(gone, 0);
  ctx.reset();
  expect_dropped(3);
}

// What a coroutine owns ends with it: here a thread, whose end completes a read of the same
// context.
TEST_F(asio_shutdown, a_coroutine_that_owns_a_thread) {
  auto disk = open_malloc("m0");
  owned_buffer theirs(gone);
  auto owner = [&]() -> asio::awaitable<void> {
    auto second = must(sio::thread::create("second"));
    must(second.ref().send([&] {
      disk.read(theirs.span(), 0).async(asio::bind_executor(*ctx, [&](sio::result<void>) {
        ++resumed;
      }));
    }));
    (void)co_await sio::sleep_for(1h).async(asio::use_awaitable);
  };
  const auto before = sio::thread::count();
  asio::co_spawn(*ctx, owner(), asio::detached);
  ctx->poll();
  EXPECT_EQ(sio::thread::count(), before + 1);
  ctx.reset();
  EXPECT_EQ(sio::thread::count(), before);
  expect_dropped(0);
}

TEST_F(asio_shutdown, poller_coroutines_that_are_suspended) {
  auto disk = open_delay();
  for (bool spins : {false, true}) {
    ctx.emplace();
    gone = 0;
    asio::co_spawn(*ctx,
                   spins ? adapter::poller_task(main_thread(), sio::idle::spin())
                         : adapter::poller_task(
                               main_thread(), sio::idle::backoff{.spin_for = 0ns, .max_sleep = 1h}),
                   asio::detached);
    // Goes to sleep where it can.
    for (int i = 0; i < 10; ++i) ctx->poll_one();
    asio::co_spawn(*ctx, reader(disk), asio::detached);
    for (int i = 0; i < 100; ++i) ctx->poll_one();
    poll_times(100);
    EXPECT_EQ(in_flight(), 1u);
    ctx.reset();
    expect_dropped(1);
    // The thread can be polled by others now, woken or not.
    must(main_thread().ref().send([] {}));
    must(sio::run_until(main_thread(), sio::sleep_for(0ns)));
  }
}

TEST_F(asio_shutdown, run_until_left_by_stop) {
  auto disk = open_delay(1ms);
  auto body = [&]() -> asio::awaitable<sio::result<void>> {
    owned_buffer buffer(gone);
    asio::post(*ctx, [&] { ctx->stop(); });
    auto r = co_await disk.read(buffer.span(), 0).async(asio::use_awaitable);
    ++resumed;
    co_return r;
  };
  for (bool goes_on : {false, true}) {
    ctx.emplace();
    gone = 0;
    auto r = sio::run_until(*ctx, main_thread(), body());
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error(), std::errc::operation_canceled);
    EXPECT_EQ(in_flight(), 0u);  // it has been drained
    EXPECT_EQ(gone, 0);
    EXPECT_EQ(resumed, 0);
    if (goes_on) {
      ctx->restart();
      ctx->run();
      EXPECT_EQ(resumed, 1);
      EXPECT_EQ(gone, 1);
    } else {
      ctx.reset();
      expect_dropped(1);
    }
  }
}

// Of the thread's, not of a context's.
TEST_F(asio_shutdown, a_handler_without_an_executor_outlives_every_context) {
  auto disk = open_null("n0");
  auto buffer = must(sio::dma_buffer::zeroed(length));
  auto watch = std::make_shared<int>();
  int called = 0;
  disk.read(buffer, 0).async([&](sio::result<void> r) {
    EXPECT_TRUE(r);
    ++called;
  });
  disk.read(buffer, 0).async(
      asio::bind_executor(*ctx, [&, watch](sio::result<void>) { ++resumed; }));
  ctx.reset();
  EXPECT_EQ(watch.use_count(), 1);
  EXPECT_EQ(called, 0);
  poll_until([&] { return called == 1; });
  EXPECT_EQ(resumed, 0);
}

TEST_F(asio_shutdown, a_thread_pool_is_a_context_as_well) {
  auto disk = open_delay();
  auto watch = std::make_shared<int>();
  owned_buffer buffer(gone);
  {
    asio::thread_pool pool(1);
    disk.read(buffer.span(), 0).async(asio::bind_executor(pool, [this, watch](sio::result<void>) {
      ++resumed;
    }));
    pool.stop();
    poll_times(100);
    EXPECT_EQ(watch.use_count(), 2);
    EXPECT_EQ(in_flight(), 1u);
  }
  EXPECT_EQ(watch.use_count(), 1);
  expect_dropped(0);
}

// Nobody is called where the result is an exception, which leaves poll(): the handler goes then.
TEST_F(asio_shutdown, an_exception_in_place_of_a_result_leaves_nothing_behind) {
  auto second = must(sio::thread::create("second"));
  auto watch = std::make_shared<int>();
  second.ref()
      .call([]() -> int { throw std::logic_error("no value"); })
      .async(asio::bind_executor(*ctx, [this, watch](sio::result<int>) { ++resumed; }));
  second.poll();
  EXPECT_EQ(watch.use_count(), 2);
  EXPECT_THROW(main_thread().poll(), std::logic_error);
  EXPECT_EQ(watch.use_count(), 1);
  ctx.reset();
  expect_dropped(0);
}

TEST_F(asio_shutdown, on_another_os_thread_ends_the_program) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  auto disk = open_null("n0");
  spawn_reader(disk);
  EXPECT_DEATH(std::thread([&] { ctx.reset(); }).join(),
               "spdk-io: destroyed on another OS thread than its own while in flight: read of "
               "4096 bytes at 0 from n0");
}

// ---- the thread goes first --------------------------------------------------------------------

class asio_ending_thread : public asio_shutdown {
 protected:
  void SetUp() override {
    asio_shutdown::SetUp();
    disk = open_delay(1ms);
    second = must(sio::thread::create("second"));
  }
  // On the second thread.
  void start_reader() {
    bool started = false;
    must(second->ref().send([&] {
      asio::co_spawn(*ctx, reader(disk), asio::detached);
      ctx->poll();
      started = true;
    }));
    while (!started) second->poll();
    EXPECT_EQ(second->statistics().io_in_flight, 1u);
  }
  sio::bdev_desc disk;
  std::optional<sio::thread> second;
};

TEST_F(asio_ending_thread, handlers_run_in_the_context_later) {
  start_reader();
  second.reset();
  EXPECT_EQ(resumed, 0);
  EXPECT_EQ(gone, 0);
  ctx->restart();
  ctx->run();
  EXPECT_EQ(resumed, 1);
  EXPECT_EQ(gone, 1);
}

TEST_F(asio_ending_thread, handlers_are_dropped_with_the_context) {
  start_reader();
  second.reset();
  EXPECT_EQ(gone, 0);
  ctx.reset();
  expect_dropped(1);
}

TEST_F(asio_ending_thread, after_the_context_has_nothing_left) {
  start_reader();
  ctx.reset();
  EXPECT_EQ(gone, 1);
  EXPECT_EQ(second->statistics().io_in_flight, 0u);
  second.reset();
  expect_dropped(1);
}

TEST_F(asio_ending_thread, whose_poller_coroutine_is_in_the_context) {
  for (bool thread_first : {false, true}) {
    ctx.emplace();
    if (!second) second = must(sio::thread::create("second"));
    asio::co_spawn(*ctx, adapter::poller_task(*second), asio::detached);
    for (int i = 0; i < 10; ++i) ctx->poll_one();
    asio::co_spawn(*ctx, adapter::poller_task(main_thread(), sio::idle::spin()), asio::detached);
    for (int i = 0; i < 10; ++i) ctx->poll_one();
    if (thread_first) second.reset();
    ctx.reset();
    second.reset();
  }
  expect_dropped(0);
}

}  // namespace
