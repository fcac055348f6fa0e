// SPDX-License-Identifier: BSD-3-Clause
// Operations as senders and threads as schedulers, with a receiver of the tests' own: how each
// completes, where, and when.
#include "devices.hpp"
#include "senders.hpp"

#include <chrono>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

namespace spdk_io_test {
namespace {

using namespace std::chrono_literals;
using sio::bdev_desc;
using sio::dma_buffer;

std::size_t in_flight() { return main_thread().statistics().io_in_flight; }

// --- What each says of itself -------------------------------------------------------------------

template <class... Signatures>
using signatures = words::completion_signatures<Signatures...>;
using words::set_error_t;
using words::set_stopped_t;
using words::set_value_t;

template <class Sender, class... Signatures>
constexpr bool completes_with =
    std::is_same_v<words::completion_signatures_of_t<Sender>, signatures<Signatures...>>;

// An operation that gives a result<void>, or a result<T>, and can be stopped.
template <class Sender>
constexpr bool gives_nothing =
    completes_with<Sender, set_value_t(), set_error_t(sio::error), set_stopped_t()>;
template <class Sender, class T>
constexpr bool gives =
    completes_with<Sender, set_value_t(T), set_error_t(sio::error), set_stopped_t()>;

static_assert(gives_nothing<sio::io_operation>);
static_assert(gives_nothing<sio::extended_io_operation>);
static_assert(gives_nothing<sio::zcopy_end_operation>);
static_assert(gives_nothing<sio::sleep_operation>);
static_assert(gives_nothing<decltype(sio::with_timeout(std::declval<sio::io_operation>(), 1s))>);
static_assert(gives_nothing<decltype(sio::with_stop_token(std::declval<std::stop_token>(),
                                                          std::declval<sio::io_operation>()))>);
static_assert(gives<sio::zcopy_operation, sio::zcopy_buffer>);
static_assert(gives<sio::take_buffer_operation, sio::pooled_buffer>);
static_assert(gives<sio::acquire_operation, sio::in_flight_limiter::permit>);
static_assert(gives<sio::device_event_operation, sio::device_event>);

// It cannot fail, and nobody can stop it.
static_assert(completes_with<sio::yield_operation, set_value_t()>);
// It cannot be stopped.
using moving = decltype(std::declval<const sio::thread_ref&>().schedule());
static_assert(completes_with<moving, set_value_t(), set_error_t(sio::error)>);

// A call may throw what the function throws, where that may throw.
template <class F>
using call = decltype(std::declval<const sio::thread_ref&>().call(std::declval<F>()));
static_assert(gives<call<int (*)() noexcept>, int>);
static_assert(gives_nothing<call<sio::result<void> (*)() noexcept>>);
static_assert(completes_with<call<int (*)()>, set_value_t(int), set_error_t(sio::error),
                             set_error_t(std::exception_ptr), set_stopped_t()>);
static_assert(
    completes_with<call<sio::task<int> (*)() noexcept>, set_value_t(int), set_error_t(sio::error),
                   set_error_t(std::exception_ptr), set_stopped_t()>);

static_assert(gives_nothing<decltype(std::declval<sio::scheduler>().schedule())>);

// A task may end in an exception; only one that gives a result can say that it was stopped.
static_assert(completes_with<sio::task<sio::result<int>>, set_value_t(int), set_error_t(sio::error),
                             set_error_t(std::exception_ptr), set_stopped_t()>);
static_assert(
    completes_with<decltype(sio::create_bdev(sio::null_bdev())), set_value_t(std::string),
                   set_error_t(sio::error), set_error_t(std::exception_ptr), set_stopped_t()>);
static_assert(completes_with<sio::task<int>, set_value_t(int), set_error_t(std::exception_ptr)>);
static_assert(completes_with<sio::task<void>, set_value_t(), set_error_t(std::exception_ptr)>);

// A receiver that cannot be stopped costs nothing: what is connected is the two, side by side.
using unstoppable = receiver<std::monostate, words::never_stop_token>;
static_assert(sizeof(words::connect_result_t<sio::io_operation, unstoppable>) ==
              sizeof(sio::io_operation) + sizeof(unstoppable));

// --- Values and errors --------------------------------------------------------------------------

class execution : public testing::Test {
 protected:
  void SetUp() override { buffer = must(dma_buffer::zeroed(4096)); }
  dma_buffer buffer;
};

TEST_F(execution, io_completes_from_poll) {
  auto disk = open_malloc("m0");
  fill_pattern(buffer, 1);
  connected write(disk.write(buffer, 0));
  EXPECT_EQ(in_flight(), 0u);  // not before it is started
  write.start();
  EXPECT_FALSE(write.done());
  poll_until([&] { return write.done(); });
  EXPECT_TRUE(write.how.value);
  EXPECT_EQ(write.how.times, 1);
  EXPECT_EQ(write.how.thread, main_thread().id());

  std::ranges::fill(buffer, std::byte(0));
  connected read(must(disk.channel()).read(buffer, 0));
  read.start();
  poll_until([&] { return read.done(); });
  EXPECT_TRUE(read.how.value);
  EXPECT_TRUE(has_pattern(buffer, 1));
}

TEST_F(execution, every_kind_of_io_is_a_sender) {
  auto disk = open_malloc("m0");
  auto completes = [](auto sender) {
    connected op(std::move(sender));
    op.start();
    EXPECT_FALSE(op.done());
    poll_until([&] { return op.done(); });
    EXPECT_TRUE(op.how.value);
  };
  completes(disk.write(buffer, 0));
  completes(disk.compare(buffer, 0));
  completes(disk.write_zeroes(0, 4096));
  completes(disk.unmap(0, 4096));
  completes(disk.copy({.from = 0, .to = 8192, .length = 4096}));
  completes(disk.flush(0, 4096));
  completes(disk.reset());
  completes(sio::with_timeout(disk.read(buffer, 0), 1h));
  completes(sio::sleep_for(0ns));
  completes(sio::yield());
  sio::in_flight_limiter limiter(1);
  completes(limiter.acquire());
  auto pool = must(sio::dma_pool::create({.buffers = 1, .size = 4096}));
  completes(pool.allocate());
}

TEST_F(execution, an_error_that_is_there_at_once_comes_from_poll_as_well) {
  auto disk = open_malloc("m0");
  connected read(disk.read(buffer, 1 << 30));
  read.start();
  EXPECT_FALSE(read.done());
  main_thread().poll();
  ASSERT_TRUE(read.done());
  ASSERT_TRUE(read.how.error);
  EXPECT_EQ(read.how.error->why(), sio::fault::past_end);
  EXPECT_EQ(read.how.times, 1);
}

TEST_F(execution, an_error_of_the_device) {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "base", .size = 1 << 20})));
  must(run(sio::create_bdev(sio::error_bdev{.base = "base"})));
  auto disk = must(bdev_desc::open("EE_base"));
  must(run(sio::inject_error("EE_base", {.on = sio::inject_on::read, .count = 1})));
  connected read(disk.read(buffer, 0));
  read.start();
  poll_until([&] { return read.done(); });
  ASSERT_TRUE(read.how.error);
  EXPECT_EQ(*read.how.error, std::errc::io_error);
}

TEST_F(execution, without_a_thread_the_error_comes_in_start) {
  std::jthread([] {
    connected sleep(sio::sleep_for(1h));
    sleep.start();
    ASSERT_TRUE(sleep.how.error);
    EXPECT_EQ(*sleep.how.error, std::errc::operation_not_permitted);
    connected yield(sio::yield());
    yield.start();
    EXPECT_TRUE(yield.how.value);
  });
}

TEST_F(execution, values_are_moved_into_the_receiver) {
  auto target = must(sio::thread::create("target"));
  connected op(target.ref().call([] { return std::make_unique<int>(7); }));
  op.start();
  target.poll();
  EXPECT_FALSE(op.done());
  main_thread().poll();
  ASSERT_TRUE(op.how.value);
  EXPECT_EQ(**op.how.value, 7);
}

TEST_F(execution, an_exception_in_place_of_a_value_is_an_error) {
  auto target = must(sio::thread::create("target"));
  connected op(target.ref().call([]() -> int { throw std::logic_error("no value"); }));
  op.start();
  target.poll();
  main_thread().poll();
  ASSERT_TRUE(op.how.exception);
  EXPECT_THROW(std::rethrow_exception(op.how.exception), std::logic_error);
}

TEST_F(execution, completing_may_destroy_the_operation_state) {
  auto disk = open_malloc("m0");
  auto read = std::make_unique<connected<sio::io_operation>>(disk.read(buffer, 0));
  bool done = false;
  read->how.then = [&, then = std::make_unique<int>()] {
    read = nullptr;
    done = true;
  };
  read->start();
  poll_until([&] { return done; });
  // The same for one that is complete before it was started.
  auto sleep = std::make_unique<connected<sio::sleep_operation>>(sio::sleep_for(0ns));
  sleep->how.then = [&] { sleep = nullptr; };
  sleep->start();
  poll_until([&] { return !sleep; });
}

TEST_F(execution, one_that_is_not_started_does_nothing) {
  auto disk = open_malloc("m0");
  {
    std::stop_source stop;
    connected read(disk.read(buffer, 0), stop.get_token());
    stop.request_stop();
  }
  EXPECT_EQ(in_flight(), 0u);
}

// --- Stopped ------------------------------------------------------------------------------------

// A stop source whose requests are made on this OS thread, on another one, or locally.
struct by_std {
  std::stop_source source;
  auto token() { return source.get_token(); }
  void request() { source.request_stop(); }
};
struct by_another_os_thread : by_std {
  void request() {
    std::jthread([&] { source.request_stop(); });
  }
};
struct by_local {
  sio::local_stop_source source;
  auto token() { return source.get_token(); }
  void request() { source.request_stop(); }
};

template <class Stop>
class execution_stopped : public execution {};
using stops = testing::Types<by_std, by_another_os_thread, by_local>;
TYPED_TEST_SUITE(execution_stopped, stops);

TYPED_TEST(execution_stopped, io_in_flight_is_aborted) {
  auto disk = open_delay();
  TypeParam stop;
  connected read(disk.read(this->buffer, 0), stop.token());
  read.start();
  poll_times(100);
  EXPECT_FALSE(read.done());
  EXPECT_EQ(in_flight(), 1u);
  stop.request();
  EXPECT_FALSE(read.done());  // not within the request
  poll_until([&] { return read.done(); });
  EXPECT_TRUE(read.how.stopped);
  EXPECT_EQ(read.how.times, 1);
  EXPECT_EQ(in_flight(), 0u);  // SPDK has let go of the buffer
  EXPECT_EQ(read.how.os_thread, std::this_thread::get_id());
}

TYPED_TEST(execution_stopped, before_the_start_nothing_is_submitted) {
  auto disk = open_delay();
  TypeParam stop;
  connected read(disk.read(this->buffer, 0), stop.token());
  stop.request();
  read.start();
  EXPECT_EQ(in_flight(), 0u);
  EXPECT_FALSE(read.done());
  main_thread().poll();
  EXPECT_TRUE(read.how.stopped);
  EXPECT_EQ(read.how.times, 1);
}

TYPED_TEST(execution_stopped, a_device_that_cannot_abort_gives_the_real_result) {
  auto disk = open_malloc("m0");
  TypeParam stop;
  connected read(disk.read(this->buffer, 0), stop.token());
  read.start();
  stop.request();
  poll_until([&] { return read.done(); });
  EXPECT_TRUE(read.how.value);
}

TYPED_TEST(execution_stopped, an_error_that_is_not_the_stop_stays_an_error) {
  auto disk = open_malloc("m0");
  TypeParam stop;
  connected read(disk.read(this->buffer, 1 << 30), stop.token());
  read.start();
  stop.request();
  poll_until([&] { return read.done(); });
  ASSERT_TRUE(read.how.error);
  EXPECT_EQ(read.how.error->why(), sio::fault::past_end);
}

TYPED_TEST(execution_stopped, a_request_after_the_end_is_nothing) {
  auto disk = open_malloc("m0");
  TypeParam stop;
  connected read(disk.read(this->buffer, 0), stop.token());
  read.start();
  poll_until([&] { return read.done(); });
  stop.request();
  poll_times(10);
  EXPECT_EQ(read.how.times, 1);
}

TYPED_TEST(execution_stopped, sleep_ends) {
  TypeParam stop;
  connected sleep(sio::sleep_for(1h), stop.token());
  sleep.start();
  poll_times(3);
  EXPECT_FALSE(sleep.done());
  stop.request();
  poll_until([&] { return sleep.done(); });
  EXPECT_TRUE(sleep.how.stopped);
}

TYPED_TEST(execution_stopped, a_call_is_followed) {
  auto target = must(sio::thread::create("target"));
  TypeParam stop;
  connected op(target.ref().call(
                   []() -> sio::task<sio::result<void>> { co_return co_await sio::sleep_for(1h); }),
               stop.token());
  op.start();
  target.poll();
  stop.request();
  poll_until([&] {
    target.poll();
    return op.done();
  });
  EXPECT_TRUE(op.how.stopped);
}

TYPED_TEST(execution_stopped, who_waits_for_a_permit_leaves_the_queue) {
  sio::in_flight_limiter limiter(1);
  auto taken = limiter.try_acquire();
  TypeParam stop;
  connected op(limiter.acquire(), stop.token());
  op.start();
  EXPECT_EQ(limiter.waiting(), 1u);
  stop.request();
  poll_until([&] { return op.done(); });
  EXPECT_TRUE(op.how.stopped);
  EXPECT_EQ(limiter.waiting(), 0u);
}

// The request is on its way while the operation completes: it completes when that has come.
TEST_F(execution, a_request_that_crosses_the_completion_is_waited_for) {
  std::stop_source stop;
  auto crossing = std::make_unique<connected<sio::yield_operation>>(sio::yield());
  auto sleep = std::make_unique<connected<sio::sleep_operation, std::stop_token>>(
      sio::sleep_for(0ns), stop.get_token());
  sleep->start();
  crossing->how.then = [&] { stop.request_stop(); };
  crossing->start();
  main_thread().poll();
  EXPECT_TRUE(crossing->done());
  EXPECT_FALSE(sleep->done());
  poll_until([&] { return sleep->done(); });
  EXPECT_TRUE(sleep->how.value);
  EXPECT_EQ(sleep->how.times, 1);
  sleep = nullptr;
  poll_times(10);
}

TEST_F(execution, stopped_by_a_token_of_its_own) {
  auto disk = open_delay();
  std::stop_source stop;
  connected read(sio::with_stop_token(stop.get_token(), disk.read(buffer, 0)));
  read.start();
  poll_times(100);
  stop.request_stop();
  poll_until([&] { return read.done(); });
  EXPECT_TRUE(read.how.stopped);
}

TEST_F(execution, out_of_time_is_an_error) {
  auto disk = open_delay();
  std::stop_source stop;
  connected read(sio::with_timeout(disk.read(buffer, 0), 0ns), stop.get_token());
  read.start();
  poll_until([&] { return read.done(); });
  ASSERT_TRUE(read.how.error);
  EXPECT_EQ(*read.how.error, std::errc::timed_out);
}

// Cancelled, but by nobody's request: by the device, and by the thread.
TEST_F(execution, aborted_by_the_device_is_an_error) {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "base", .size = 1 << 20})));
  must(run(sio::create_bdev(sio::error_bdev{.base = "base"})));
  sio::injected_error abort{
      .on = sio::inject_on::read, .how = sio::inject_how::nvme_failure, .status = {0, 0x07}};
  if (auto r = run(sio::inject_error("EE_base", abort)); !r) {
    GTEST_SKIP() << "this release of SPDK injects no NVMe status: " << r.error();
  }
  auto disk = must(bdev_desc::open("EE_base"));
  std::stop_source stop;
  connected read(disk.read(buffer, 0), stop.get_token());
  read.start();
  poll_until([&] { return read.done(); });
  ASSERT_TRUE(read.how.error);
  EXPECT_EQ(*read.how.error, std::errc::operation_canceled);
}

TEST_F(execution, cut_short_by_the_end_of_the_thread_is_an_error) {
  std::jthread([] {
    std::stop_source stop;
    std::optional<sio::thread> own = must(sio::thread::attach("short"));
    connected sleep(sio::sleep_for(1h), stop.get_token());
    sleep.start();
    own.reset();
    ASSERT_TRUE(sleep.how.error);
    EXPECT_EQ(*sleep.how.error, std::errc::operation_canceled);
    EXPECT_FALSE(sleep.how.stopped);
  });
}

// --- Tasks --------------------------------------------------------------------------------------

TEST_F(execution, a_task_is_a_sender) {
  connected made(sio::create_bdev(sio::null_bdev{.name = "n0", .size = 1 << 20}));
  made.start();
  poll_until([&] { return made.done(); });
  EXPECT_EQ(made.how.value, "n0");
  connected again(sio::create_bdev(sio::null_bdev{.name = "n0", .size = 1 << 20}));
  again.start();
  poll_until([&] { return again.done(); });
  ASSERT_TRUE(again.how.error);
  EXPECT_EQ(*again.how.error, std::errc::file_exists);
}

TEST_F(execution, a_task_that_is_not_started_does_not_run) {
  bool ran = false;
  auto runs = [&]() -> sio::task<int> {
    ran = true;
    co_return 1;
  };
  {
    connected never(runs());
  }
  EXPECT_FALSE(ran);
  connected op(runs());
  EXPECT_FALSE(ran);
  op.start();
  EXPECT_EQ(op.how.value, 1);  // it awaits nothing, so it completes within start()
}

TEST_F(execution, an_exception_of_a_task) {
  auto throws = []() -> sio::task<sio::result<void>> {
    co_await sio::yield();
    throw std::logic_error("a task's");
  };
  connected op(throws());
  op.start();
  poll_until([&] { return op.done(); });
  ASSERT_TRUE(op.how.exception);
  EXPECT_THROW(std::rethrow_exception(op.how.exception), std::logic_error);
}

TEST_F(execution, completing_may_destroy_a_task_state) {
  using yielding = sio::task<void>;
  auto yields = []() -> yielding { co_await sio::yield(); };
  auto op = std::make_unique<connected<yielding>>(yields());
  op->how.then = [&] { op = nullptr; };
  op->start();
  poll_until([&] { return !op; });
}

TYPED_TEST(execution_stopped, a_task_and_what_it_awaits) {
  auto disk = open_delay();
  TypeParam stop;
  auto reads = [&]() -> sio::task<sio::result<void>> {
    co_return co_await disk.read(this->buffer, 0);
  };
  connected op(reads(), stop.token());
  op.start();
  poll_times(100);
  EXPECT_FALSE(op.done());
  stop.request();
  poll_until([&] { return op.done(); });
  EXPECT_TRUE(op.how.stopped);
  EXPECT_EQ(op.how.times, 1);
  EXPECT_EQ(in_flight(), 0u);
}

TYPED_TEST(execution_stopped, a_task_before_it_is_started) {
  auto disk = open_delay();
  TypeParam stop;
  auto reads = [&]() -> sio::task<sio::result<void>> {
    co_return co_await disk.read(this->buffer, 0);
  };
  connected op(reads(), stop.token());
  stop.request();
  op.start();
  poll_until([&] { return op.done(); });
  EXPECT_TRUE(op.how.stopped);
  EXPECT_EQ(in_flight(), 0u);
}

// --- Schedulers ---------------------------------------------------------------------------------

TEST_F(execution, a_scheduler_completes_on_its_thread) {
  auto target = must(sio::thread::create("target"));
  const sio::scheduler there(target);
  connected op(there.schedule());
  op.start();
  EXPECT_FALSE(op.done());
  poll_times(10);
  EXPECT_FALSE(op.done());
  target.poll();
  EXPECT_TRUE(op.how.value);
  EXPECT_EQ(op.how.thread, target.id());
}

TEST_F(execution, a_scheduler_of_the_same_thread_completes_from_poll) {
  connected op(sio::scheduler(main_thread()).schedule());
  op.start();
  EXPECT_FALSE(op.done());
  main_thread().poll();
  EXPECT_TRUE(op.how.value);
}

TEST_F(execution, schedules_from_any_os_thread) {
  const sio::scheduler here(main_thread());
  connected op(here.schedule());
  std::jthread([&] {
    const auto nobody = sio::thread::current();
    EXPECT_FALSE(nobody);
    op.start();
  });
  EXPECT_FALSE(op.done());
  main_thread().poll();
  EXPECT_TRUE(op.how.value);
  EXPECT_EQ(op.how.os_thread, std::this_thread::get_id());
}

TEST_F(execution, schedules_are_served_in_order) {
  const sio::scheduler here(main_thread());
  std::vector<int> order;
  connected first(here.schedule());
  connected second(here.schedule());
  first.how.then = [&] { order.push_back(1); };
  second.how.then = [&] { order.push_back(3); };
  first.start();
  must(main_thread().ref().send([&] { order.push_back(2); }));
  second.start();
  main_thread().poll();
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

TEST_F(execution, a_scheduler_of_a_thread_that_has_ended_fails) {
  auto gone = must(sio::thread::create("gone")).ref();
  connected op(sio::scheduler(gone).schedule());
  op.start();
  ASSERT_TRUE(op.how.error);
  EXPECT_EQ(*op.how.error, std::errc::no_such_process);
  EXPECT_EQ(op.how.error->message(), "message to thread \"gone\": the thread has ended");
}

TEST_F(execution, a_thread_that_ends_serves_what_was_scheduled) {
  std::optional<sio::thread> target = must(sio::thread::create("target"));
  connected op(sio::scheduler(*target).schedule());
  op.start();
  target.reset();
  EXPECT_TRUE(op.how.value);
}

TYPED_TEST(execution_stopped, a_schedule_is_stopped_where_it_arrives) {
  TypeParam stop;
  connected op(sio::scheduler(main_thread()).schedule(), stop.token());
  op.start();
  stop.request();
  EXPECT_FALSE(op.done());
  main_thread().poll();
  EXPECT_TRUE(op.how.stopped);
  EXPECT_EQ(op.how.times, 1);
}

TEST_F(execution, schedulers_are_equal_where_their_threads_are) {
  auto target = must(sio::thread::create("target"));
  const sio::scheduler here(main_thread());
  EXPECT_EQ(here, sio::scheduler(main_thread().ref()));
  EXPECT_NE(here, sio::scheduler(target));
  auto copy = here;
  EXPECT_EQ(copy, here);
  EXPECT_EQ(copy.thread_of(), main_thread().ref());
}

TEST_F(execution, a_schedule_says_where_it_completes) {
  const sio::scheduler here(main_thread());
  const auto sender = here.schedule();
  EXPECT_EQ(words::get_completion_scheduler<set_value_t>(words::get_env(sender)), here);
  EXPECT_EQ(words::get_completion_scheduler<set_stopped_t>(words::get_env(sender)), here);
}

// The channel is that of the thread that starts the operation, not of the one that makes it.
TEST_F(execution, a_channel_is_looked_up_where_the_operation_starts) {
  auto target = must(sio::thread::create("target"));
  auto disk = open_malloc("m0");
  connected read(disk.read(buffer, 0));
  connected there(sio::scheduler(target).schedule());
  there.how.then = [&] { read.start(); };
  there.start();
  poll_times(10);
  EXPECT_FALSE(there.done());
  poll_until([&] {
    target.poll();
    return read.done();
  });
  EXPECT_TRUE(read.how.value);
  EXPECT_EQ(read.how.thread, target.id());
}

}  // namespace
}  // namespace spdk_io_test
