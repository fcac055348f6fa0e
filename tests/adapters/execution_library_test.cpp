// SPDX-License-Identifier: BSD-3-Clause
// Operations as senders and threads as schedulers with an implementation of std::execution: its
// concepts, its algorithms, its stop tokens.
#include "execution_library.hpp"
#include "counted_malloc.hpp"
#include "devices.hpp"
#include "senders.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <tuple>

namespace spdk_io_test {
namespace {

using namespace std::chrono_literals;
using sio::bdev_desc;
using sio::dma_buffer;
using sio::error;

// --- Concepts and signatures --------------------------------------------------------------------

using read = sio::io_operation;
using scheduled = decltype(std::declval<sio::scheduler>().schedule());
using call = decltype(std::declval<const sio::thread_ref&>().call(std::declval<int (*)()>()));
using limited = decltype(sio::with_timeout(std::declval<read>(), 1s));

static_assert(ex::sender<read> && ex::sender_in<read> && ex::sender_in<read, ex::env<>>);
static_assert(ex::sender<sio::extended_io_operation> && ex::sender<sio::zcopy_operation> &&
              ex::sender<sio::zcopy_end_operation>);
static_assert(ex::sender<sio::sleep_operation> && ex::sender<sio::yield_operation> &&
              ex::sender<call> && ex::sender<limited>);
static_assert(ex::sender<sio::take_buffer_operation> && ex::sender<sio::acquire_operation> &&
              ex::sender<sio::device_event_operation>);
static_assert(ex::sender<scheduled> && ex::scheduler<sio::scheduler>);

using a_receiver = receiver<std::monostate, words::never_stop_token>;
static_assert(ex::receiver<a_receiver>);
static_assert(ex::sender_to<read, a_receiver> && ex::sender_to<scheduled, a_receiver>);
static_assert(ex::operation_state<ex::connect_result_t<read, a_receiver>>);
static_assert(ex::operation_state<ex::connect_result_t<scheduled, a_receiver>>);

// The operation's own connect(), not the way of awaitables, which has a coroutine of its own.
static_assert(std::is_same_v<ex::connect_result_t<read, a_receiver>,
                             sio::adapters::execution::detail::operation_state<read, a_receiver>>);

// Signatures in any order.
template <class Signatures, class... Wanted>
constexpr bool same_signatures = false;
template <class... Got, class... Wanted>
constexpr bool same_signatures<ex::completion_signatures<Got...>, Wanted...> =
    sizeof...(Got) == sizeof...(Wanted) && ([] {
      using wanted = Wanted;
      return (std::is_same_v<wanted, Got> || ...);
    }() && ...);
template <class Sender, class... Wanted>
constexpr bool completes_with =
    same_signatures<ex::completion_signatures_of_t<Sender, ex::env<>>, Wanted...>;

static_assert(completes_with<read, ex::set_value_t(), ex::set_error_t(error), ex::set_stopped_t()>);
static_assert(
    completes_with<limited, ex::set_value_t(), ex::set_error_t(error), ex::set_stopped_t()>);
static_assert(completes_with<call, ex::set_value_t(int), ex::set_error_t(error),
                             ex::set_error_t(std::exception_ptr), ex::set_stopped_t()>);
static_assert(completes_with<sio::yield_operation, ex::set_value_t()>);
static_assert(
    completes_with<scheduled, ex::set_value_t(), ex::set_error_t(error), ex::set_stopped_t()>);

// No exception joins them on the way through an algorithm whose function throws none.
using then_read = decltype(std::declval<read>() | ex::then([]() noexcept { return 1; }));
static_assert(
    completes_with<then_read, ex::set_value_t(int), ex::set_error_t(error), ex::set_stopped_t()>);
#ifndef SPDK_IO_EXECUTION_BEMAN  // whose starts_on adds std::exception_ptr in any case
using read_there = decltype(ex::starts_on(std::declval<sio::scheduler>(), std::declval<read>()));
static_assert(
    completes_with<read_there, ex::set_value_t(), ex::set_error_t(error), ex::set_stopped_t()>);
#endif

// --- Algorithms ---------------------------------------------------------------------------------

template <class T, class Sender, class Token = words::never_stop_token>
connected_as<T, Sender, Token> connect_as(Sender sender, Token token = {}) {
  return connected_as<T, Sender, Token>(std::move(sender), std::move(token));
}

class execution_library : public testing::Test {
 protected:
  void SetUp() override {
    buffer = must(dma_buffer::zeroed(4096));
    other = must(dma_buffer::zeroed(4096));
  }
  // Runs it to its end on the first thread, as a loop does.
  template <class T, class Sender>
  completion<T> drive(Sender sender) {
    connected_as<T, Sender> op(std::move(sender));
    op.start();
    poll_until([&] { return op.done(); });
    EXPECT_EQ(op.how.times, 1);
    return std::move(op.how);
  }
  dma_buffer buffer;
  dma_buffer other;
};

TEST_F(execution_library, then_and_let_value) {
  auto disk = open_malloc("m0");
  fill_pattern(buffer, 5);
  auto how = drive<int>(disk.write(buffer, 0) |
                        ex::let_value([&]() noexcept { return disk.read(other, 0); }) |
                        ex::then([&]() noexcept { return has_pattern(other, 5) ? 1 : 2; }));
  ASSERT_TRUE(how.value);
  EXPECT_EQ(*how.value, 1);
}

TEST_F(execution_library, values_go_on) {
  auto target = must(sio::thread::create("target"));
  auto op = connect_as<std::size_t>(target.ref().call([]() noexcept {
    return std::string("there");
  }) | ex::then([](const std::string& s) noexcept { return s.size(); }));
  op.start();
  target.poll();
  poll_until([&] { return op.done(); });
  EXPECT_EQ(op.how.value, 5u);
}

TEST_F(execution_library, errors_arrive_as_they_are) {
  auto disk = open_malloc("m0");
  std::string message;
  auto how = drive<std::monostate>(
      disk.read(buffer, 1 << 30) |
      ex::upon_error([&](const error& e) noexcept { message = e.message(); }));
  EXPECT_TRUE(how.value);
  EXPECT_EQ(message,
            "read of 4096 bytes at 1073741824 from m0: past the end (device has 1048576 bytes)");
}

TEST_F(execution_library, an_exception_of_a_call) {
  auto target = must(sio::thread::create("target"));
  auto op = connect_as<int>(target.ref().call([]() -> int { throw std::logic_error("none"); }));
  op.start();
  target.poll();
  poll_until([&] { return op.done(); });
  ASSERT_TRUE(op.how.exception);
  EXPECT_THROW(std::rethrow_exception(op.how.exception), std::logic_error);
}

TEST_F(execution_library, stopped_is_no_error) {
  auto disk = open_delay();
  ex_tokens::inplace_stop_source stop;
  bool failed = false;
  auto op = connect_as<int>(disk.read(buffer, 0) | ex::then([]() noexcept {
                              return 1;
                            }) | ex::upon_error([&](const error&) noexcept {
                              failed = true;
                              return 2;
                            }) | ex::upon_stopped([]() noexcept { return 3; }),
                            stop.get_token());
  op.start();
  poll_times(100);
  EXPECT_FALSE(op.done());
  std::jthread([&] { stop.request_stop(); });  // on another OS thread
  EXPECT_FALSE(op.done());
  poll_until([&] { return op.done(); });
  EXPECT_EQ(op.how.value, 3);
  EXPECT_FALSE(failed);
  EXPECT_EQ(main_thread().statistics().io_in_flight, 0u);
}

TEST_F(execution_library, when_all_waits_for_all) {
  auto disk = open_malloc("m0");
  fill_pattern(buffer, 9);
  auto how = drive<int>(
      ex::when_all(disk.write(buffer, 0), disk.write(buffer, 4096), disk.write(buffer, 8192)) |
      ex::then([]() noexcept { return 3; }));
  EXPECT_EQ(how.value, 3);
  must(run(disk.read(other, 8192)));
  EXPECT_TRUE(has_pattern(other, 9));
}

// The stop token of when_all: the first failure aborts what is in flight, and is the result.
TEST_F(execution_library, when_all_stops_the_others_at_the_first_failure) {
  auto slow = open_delay();
  auto how = drive<std::monostate>(
      ex::when_all(slow.read(buffer, 0), slow.read(other, 1 << 30), sio::sleep_for(1h)));
  ASSERT_TRUE(how.error);
  EXPECT_EQ(how.error->why(), sio::fault::past_end);
  EXPECT_EQ(main_thread().statistics().io_in_flight, 0u);
}

TEST_F(execution_library, starts_on_takes_the_channel_of_that_thread) {
  auto target = must(sio::thread::create("target"));
  auto disk = open_malloc("m0");
  auto op = connect_as<std::monostate>(ex::starts_on(sio::scheduler(target), disk.read(buffer, 0)));
  op.start();
  poll_times(10);
  EXPECT_FALSE(op.done());
  poll_until([&] {
    target.poll();
    return op.done();
  });
  EXPECT_TRUE(op.how.value);
  EXPECT_EQ(op.how.thread, target.id());
}

TEST_F(execution_library, continues_on_brings_the_result_to_that_thread) {
  auto target = must(sio::thread::create("target"));
  auto disk = open_malloc("m0");
  auto op = connect_as<int>(disk.read(buffer, 0) | ex::then([]() noexcept { return 4; }) |
                            ex::continues_on(sio::scheduler(target)));
  op.start();
  poll_until([&] {
    target.poll();
    return op.done();
  });
  EXPECT_EQ(op.how.value, 4);
  EXPECT_EQ(op.how.thread, target.id());
}

TEST_F(execution_library, a_thread_that_has_ended_is_an_error) {
  auto gone = must(sio::thread::create("gone")).ref();
  auto disk = open_malloc("m0");
  auto how = drive<std::monostate>(ex::starts_on(sio::scheduler(gone), disk.read(buffer, 0)));
  ASSERT_TRUE(how.error);
  EXPECT_EQ(*how.error, std::errc::no_such_process);
}

// --- From an OS thread that has no SPDK thread --------------------------------------------------

TEST_F(execution_library, sync_wait_on_another_os_thread) {
  auto disk = open_malloc("m0");
  fill_pattern(buffer, 2);
  auto worker = must(sio::thread::spawn("worker"));
  const sio::scheduler there(worker.ref());
  std::optional<std::tuple<std::uint64_t>> got;
  std::jthread([&] {
    got = ex::sync_wait(ex::starts_on(there, disk.write(buffer, 0)) |
                        ex::let_value([&]() noexcept { return disk.read(other, 0); }) |
                        ex::then([] { return sio::thread::current().value().id(); }));
  });
  ASSERT_TRUE(got);
  EXPECT_EQ(std::get<0>(*got), worker.ref().id());
  EXPECT_TRUE(has_pattern(other, 2));
}

TEST_F(execution_library, sync_wait_throws_the_error) {
  auto disk = open_malloc("m0");
  auto worker = must(sio::thread::spawn("worker"));
  std::jthread([&] {
    EXPECT_THROW(
        ex::sync_wait(ex::starts_on(sio::scheduler(worker.ref()), disk.read(buffer, 1 << 30))),
        error);
  });
}

// --- A poller task on a run_loop ----------------------------------------------------------------

TEST_F(execution_library, a_run_loop_polls) {
  auto disk = open_malloc("m0");
  fill_pattern(buffer, 8);
  ex::run_loop loop;
  auto polling = must(
      sio::poller_task(main_thread(), sio::adapters::execution::executor(loop.get_scheduler())));
  auto op =
      connect_as<std::monostate>(ex::starts_on(loop.get_scheduler(), disk.write(buffer, 0)) |
                                 ex::let_value([&]() noexcept { return disk.read(other, 0); }));
  op.how.then = [&] {
    polling.stop();
    loop.finish();
  };
  op.start();
  loop.run();
  ASSERT_TRUE(op.how.value);
  EXPECT_TRUE(has_pattern(other, 8));
}

TEST_F(execution_library, an_exception_is_kept_until_the_run_loop_has_returned) {
  ex::run_loop loop;
  std::optional<
      sio::running_poller_task<sio::adapters::execution::executor<decltype(loop.get_scheduler())>>>
      polling;
  sio::adapters::execution::executor on_loop(loop.get_scheduler(), [&] {
    polling->stop();
    loop.finish();
  });
  polling = must(sio::poller_task(main_thread(), on_loop));
  must(main_thread().ref().send([] { throw std::runtime_error("a message's"); }));
  loop.run();
  EXPECT_THROW(sio::adapters::execution::rethrow(), std::runtime_error);
  sio::adapters::execution::rethrow();  // nothing is left
}

// --- Laws of schedulers -------------------------------------------------------------------------

TEST_F(execution_library, a_scheduler_keeps_the_laws) {
  const sio::scheduler here(main_thread());
  auto copy = here;
  EXPECT_TRUE(copy == here);
  static_assert(std::is_nothrow_copy_constructible_v<sio::scheduler>);
  static_assert(std::is_nothrow_move_constructible_v<sio::scheduler>);
  // The sender of a schedule names its scheduler: for values and for "stopped".
  EXPECT_TRUE(ex::get_completion_scheduler<ex::set_value_t>(ex::get_env(ex::schedule(here))) ==
              here);
  EXPECT_TRUE(ex::get_completion_scheduler<ex::set_stopped_t>(ex::get_env(ex::schedule(here))) ==
              here);
  EXPECT_EQ(ex::get_forward_progress_guarantee(here),
            ex::forward_progress_guarantee::weakly_parallel);
  // Copies schedule on the same thread; a sender may be connected more than once.
  const auto sender = ex::schedule(copy);
  auto one = drive<std::monostate>(sender);
  auto two = drive<std::monostate>(sender);
  EXPECT_EQ(one.thread, main_thread().id());
  EXPECT_EQ(two.thread, main_thread().id());
}

TEST_F(execution_library, nothing_is_allocated) {
#ifdef SPDK_IO_TEST_SANITIZED
  GTEST_SKIP() << "a sanitizer has replaced malloc already";
#endif
  auto disk = open_null("n0");
  const sio::scheduler here(main_thread());
  ex_tokens::inplace_stop_source stop;
  auto once = [&] {
    auto op = connect_as<int>(
        ex::when_all(ex::starts_on(here, disk.read(buffer, 0)) |
                         ex::let_value([&]() noexcept { return disk.read(other, 0); }),
                     disk.read(buffer, 4096)) |
            ex::then([]() noexcept { return 1; }),
        stop.get_token());
    op.start();
    poll_until([&] { return op.done(); });
    ASSERT_EQ(op.how.value, 1);
  };
  for (int i = 0; i < 1'000; ++i) once();
  allocations = 0;
  measuring = true;
  for (int i = 0; i < 1'000; ++i) once();
  measuring = false;
  EXPECT_EQ(allocations, 0u);
}

}  // namespace
}  // namespace spdk_io_test
