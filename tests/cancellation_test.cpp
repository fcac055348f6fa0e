// SPDX-License-Identifier: BSD-3-Clause
// Stop tokens and I/O: aborted where the device can, with its real result where it cannot, and
// complete only when SPDK has let go.
#include "devices.hpp"
#include "started.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>

namespace spdk_io_test {
namespace {

using sio::bdev_desc;
using sio::dma_buffer;
using sio::local_stop_source;

std::size_t in_flight() { return main_thread().statistics().io_in_flight; }

sio::task<sio::result<void>> read_first(const bdev_desc& disk, dma_buffer& buffer) {
  co_return co_await disk.read(buffer, 0);
}

class cancellation : public testing::Test {
 protected:
  void SetUp() override { buffer = must(dma_buffer::zeroed(4096)); }
  template <class A>
  void expect_stopped(A& running, std::string_view message) {
    poll_until([&] { return running.done(); });
    auto r = running.take();
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error(), std::errc::operation_canceled) << r.error();
    EXPECT_EQ(r.error().message(), message);
    EXPECT_EQ(in_flight(), 0u);
  }
  dma_buffer buffer;
  local_stop_source stop;
};

TEST_F(cancellation, in_flight_on_a_device_that_aborts) {
  auto disk = open_delay("d0");
  started reading(sio::with_stop_token(stop.get_token(), disk.read(buffer, 0)));
  poll_times(100);
  EXPECT_FALSE(reading.done());
  EXPECT_EQ(in_flight(), 1u);
  stop.request_stop();
  EXPECT_FALSE(reading.done());  // nobody is resumed inside request_stop()
  expect_stopped(reading, "read of 4096 bytes at 0 from d0: aborted (NVMe 0/07h)");
}

// The read is still at the device below, where an abort does not find it.
TEST_F(cancellation, that_comes_too_early_is_asked_for_again) {
  auto disk = open_delay("d0");
  for (int polls : {0, 1, 2, 3}) {
    local_stop_source early;
    started reading(sio::with_stop_token(early.get_token(), disk.read(buffer, 0)));
    started with_it(disk.read(buffer, 0));
    poll_times(polls);
    early.request_stop();
    poll_times(1);
    EXPECT_EQ(in_flight(), reading.done() ? 1u : 2u);
    EXPECT_EQ(main_thread().operations().size(), in_flight());
    poll_until([&] { return reading.done(); });
    EXPECT_EQ(message_of(reading.take()), "read of 4096 bytes at 0 from d0: aborted (NVMe 0/07h)");
    poll_times(100);
    EXPECT_FALSE(with_it.done());
    EXPECT_EQ(in_flight(), 1u);
    with_it.destroy();
    EXPECT_EQ(in_flight(), 0u);
    {
      started dropped(disk.read(buffer, 0));
      poll_times(polls);
    }
    EXPECT_EQ(in_flight(), 0u);
  }
}

TEST_F(cancellation, reaches_through_tasks_and_when_all) {
  auto disk = open_delay("d0");
  auto second = must(dma_buffer::zeroed(4096));
  auto both = [&]() -> sio::task<sio::result<void>> {
    auto [a, b] = co_await sio::when_all(read_first(disk, buffer), disk.write(second, 8192));
    EXPECT_FALSE(a);
    EXPECT_FALSE(b);
    co_return b;
  };
  auto outer = [&]() -> sio::task<sio::result<void>> { co_return co_await both(); };
  started running(sio::with_stop_token(stop.get_token(), outer()));
  poll_times(10);
  EXPECT_EQ(in_flight(), 2u);
  stop.request_stop();
  expect_stopped(running, "write of 4096 bytes at 8192 to d0: aborted (NVMe 0/07h)");
}

TEST_F(cancellation, before_the_start_submits_nothing) {
  auto disk = open_delay("d0");
  stop.request_stop();
  started op(sio::with_stop_token(stop.get_token(), disk.read(buffer, 0)));
  EXPECT_TRUE(op.done());
  EXPECT_EQ(op.take().error().message(), "read of 4096 bytes at 0 from d0: stopped on request");
  started task(sio::with_stop_token(stop.get_token(), read_first(disk, buffer)));
  EXPECT_TRUE(task.done());
  EXPECT_EQ(task.take().error(), std::errc::operation_canceled);
  EXPECT_EQ(in_flight(), 0u);
}

TEST_F(cancellation, on_a_device_that_cannot_abort_gives_the_real_result) {
  for_each_kind({kind::malloc, kind::uring, kind::aio}, [&](kind k) {
    temp_folder folder;
    auto disk = open_device(k, folder, "d0");
    fill_pattern(buffer, 3);
    must(run(disk.write(buffer, 0)));
    std::ranges::fill(buffer, std::byte{0});
    local_stop_source now;
    started reading(sio::with_stop_token(now.get_token(), disk.read(buffer, 0)));
    now.request_stop();
    EXPECT_FALSE(reading.done());
    poll_until([&] { return reading.done(); });
    auto r = reading.take();
    EXPECT_TRUE(r) << message_of(r);
    EXPECT_TRUE(has_pattern(buffer, 3));
  });
}

TEST_F(cancellation, after_the_completion_changes_nothing) {
  auto disk = open_null("n0");
  started reading(sio::with_stop_token(stop.get_token(), disk.read(buffer, 0)));
  poll_until([&] { return reading.done(); });
  stop.request_stop();
  poll_times(10);
  EXPECT_TRUE(reading.take());
}

TEST_F(cancellation, by_a_scope) {
  auto disk = open_delay("d0");
  sio::task_scope scope;
  std::vector<dma_buffer> buffers;
  for (int i = 0; i < 8; ++i) buffers.push_back(must(dma_buffer::zeroed(4096)));
  for (auto& each : buffers) scope.spawn(read_first(disk, each));
  scope.spawn(disk.read(buffer, 0));
  poll_times(10);
  EXPECT_EQ(scope.running(), 9u);
  scope.request_stop();
  EXPECT_EQ(scope.running(), 9u);
  auto r = run(scope.join());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::operation_canceled);
  EXPECT_EQ(in_flight(), 0u);
  // It starts anew.
  auto null = open_null("n0");
  scope.spawn(read_first(null, buffer));
  must(run(scope.join()));
}

TEST_F(cancellation, of_the_rest_by_the_first_error) {
  auto disk = open_delay("d0");
  sio::task_scope scope;
  scope.spawn(read_first(disk, buffer));
  poll_times(10);
  scope.spawn(disk.read(buffer, 1));
  auto r = run(scope.join());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::invalid_argument) << r.error();
}

TEST_F(cancellation, of_whoever_joins_stops_the_scope) {
  auto disk = open_delay("d0");
  auto body = [&]() -> sio::task<sio::result<void>> {
    sio::task_scope scope;
    scope.spawn(read_first(disk, buffer));
    co_return co_await scope.join();
  };
  started running(sio::with_stop_token(stop.get_token(), body()));
  poll_times(10);
  EXPECT_FALSE(running.done());
  stop.request_stop();
  expect_stopped(running, "read of 4096 bytes at 0 from d0: aborted (NVMe 0/07h)");
}

TEST_F(cancellation, from_another_thread_travels_as_a_message) {
  auto disk = open_delay("d0");
  std::stop_source source;
  started op(sio::with_stop_token(source.get_token(), disk.read(buffer, 0)));
  started task(sio::with_stop_token(source.get_token(), read_first(disk, buffer)));
  poll_times(10);
  std::thread([&] { source.request_stop(); }).join();
  EXPECT_FALSE(op.done());
  EXPECT_EQ(in_flight(), 2u);  // not aborted before this thread polls
  poll_until([&] { return task.done(); });
  expect_stopped(op, "read of 4096 bytes at 0 from d0: aborted (NVMe 0/07h)");
  EXPECT_EQ(task.take().error(), std::errc::operation_canceled);
}

sio::task<void> note_where_it_is_asked(std::thread::id& where) {
  sio::local_stop_callback note(co_await sio::current_stop_token(),
                                [&] { where = std::this_thread::get_id(); });
  (void)co_await sio::sleep_for(std::chrono::hours(1));
}

TEST_F(cancellation, is_asked_for_on_the_thread_of_the_operation) {
  std::stop_source source;
  std::thread::id where;
  started task(sio::with_stop_token(source.get_token(), note_where_it_is_asked(where)));
  poll_times(10);
  std::thread([&] { source.request_stop(); }).join();
  EXPECT_EQ(where, std::thread::id());
  poll_until([&] { return task.done(); });
  EXPECT_EQ(where, std::this_thread::get_id());
}

// SPDK would never complete the abort of what has gone through the error device.
TEST_F(cancellation, on_a_device_above_an_error_device_gives_the_real_result) {
  using std::chrono::milliseconds;
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20})));
  must(run(sio::create_bdev(sio::error_bdev{.base = "m0"})));
  must(run(sio::create_bdev(
      sio::delay_bdev{.name = "d0", .base = "EE_m0", .average_read = milliseconds(1)})));
  auto disk = must(bdev_desc::open("d0"));
  started reading(sio::with_stop_token(stop.get_token(), disk.read(buffer, 0)));
  stop.request_stop();
  poll_until([&] { return reading.done(); });
  EXPECT_TRUE(reading.take());
}

// Others are aborted while there is such a device, in whichever order they were made.
TEST_F(cancellation, is_not_hindered_by_an_error_device_elsewhere) {
  auto disk = open_delay("d0");
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20})));
  must(run(sio::create_bdev(sio::error_bdev{.base = "m0"})));
  started reading(sio::with_stop_token(stop.get_token(), disk.read(buffer, 0)));
  must(run(sio::create_bdev(sio::passthru_bdev{.name = "p0", .base = "EE_m0"})));
  stop.request_stop();
  expect_stopped(reading, "read of 4096 bytes at 0 from d0: aborted (NVMe 0/07h)");
}

// The request is on its way when the operation has ended: it resumes once that has arrived.
TEST_F(cancellation, on_its_way_when_the_operation_ends) {
  auto disk = open_null("n0");
  for (int i = 0; i < 50; ++i) {
    std::stop_source source;
    started op(sio::with_stop_token(source.get_token(), disk.read(buffer, 0)));
    started task(sio::with_stop_token(source.get_token(), read_first(disk, buffer)));
    std::thread other([&] { source.request_stop(); });
    poll_until([&] { return op.done() && task.done(); });
    other.join();
    poll_times(3);
  }
  EXPECT_EQ(in_flight(), 0u);
}

TEST_F(cancellation, and_destruction_at_once) {
  auto disk = open_delay("d0");
  auto gone = std::make_unique<dma_buffer>(must(dma_buffer::zeroed(4096)));
  std::optional<started<sio::task<sio::result<void>>>> reading;
  reading.emplace(read_first(disk, *gone));
  poll_times(10);
  EXPECT_EQ(in_flight(), 1u);
  reading.reset();  // an hour too early: the destructor aborts
  gone.reset();
  EXPECT_EQ(in_flight(), 0u);

  std::stop_source source;
  auto make = [&] { return sio::with_stop_token(source.get_token(), disk.read(buffer, 0)); };
  auto op = std::make_unique<started<decltype(make())>>(make());
  poll_times(10);
  std::thread([&] { source.request_stop(); }).join();
  op.reset();
  EXPECT_EQ(in_flight(), 0u);
  poll_times(10);
}

TEST_F(cancellation, while_waiting_for_memory_leaves_the_queue_at_once) {
  must(init_with_pool(2, 1));
  auto disk = open_null("n0");
  std::vector<int> order;
  auto reader = [&](int i, sio::local_stop_token token) -> sio::task<void> {
    auto r = co_await sio::with_stop_token(token, disk.read(buffer, 0));
    order.push_back(r ? i : -i);
    if (!r) {
      EXPECT_EQ(r.error().message(), "read of 4096 bytes at 0 from n0: stopped on request");
    }
  };
  sio::task_scope scope;
  for (int i = 1; i <= 12; ++i)
    scope.spawn(reader(i, i == 5 ? stop.get_token() : sio::local_stop_token()));
  const auto before = in_flight();
  EXPECT_EQ(before, 12u);
  stop.request_stop();
  EXPECT_EQ(in_flight(), 11u);
  EXPECT_TRUE(order.empty());
  must(run(scope.join()));
  ASSERT_EQ(order.size(), 12u);
  EXPECT_EQ(order.front(), -5);
  std::erase(order, -5);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12}));
}

// No bdev_io is left for the aborts: they wait for one, and go before other I/O.
TEST_F(cancellation, while_no_memory_is_left_for_the_abort) {
  must(init_with_pool(24, 1));
  auto disk = open_delay("d0");
  auto other = open_malloc("m1");
  std::vector<sio::zcopy_buffer> held;  // each holds one bdev_io
  for (int i = 0; i < 4; ++i) held.push_back(must(run(other.zcopy_read(4096 * i, 4096))));
  std::vector<std::unique_ptr<started<sio::task<sio::result<void>>>>> all;
  local_stop_source stops[64];
  auto reader = [&](std::size_t i) -> sio::task<sio::result<void>> {
    co_return co_await sio::with_stop_token(stops[i].get_token(), disk.read(buffer, 0));
  };
  for (std::size_t i = 0; i < 64; ++i) {
    all.push_back(std::make_unique<started<sio::task<sio::result<void>>>>(reader(i)));
  }
  poll_times(100);
  const auto done = [&] {
    return std::ranges::count_if(all, [](auto& one) { return one->done(); });
  };
  EXPECT_EQ(in_flight(), 64u);
  for (auto& each : stops) each.request_stop();
  EXPECT_EQ(done(), 0);
  poll_times(100);
  // Those that waited for memory are gone; the others cannot be aborted yet.
  const auto at_spdk = in_flight();
  EXPECT_GE(at_spdk, 16u);
  EXPECT_LE(at_spdk, 24u);
  EXPECT_EQ(static_cast<std::size_t>(done()), 64 - at_spdk);
  EXPECT_EQ(main_thread().operations().size(), at_spdk + held.size());
  auto late = must(dma_buffer::zeroed(4096));
  started writing(other.write(late, 8192));  // behind the aborts
  held.clear();
  poll_until([&] { return done() == 64; });
  for (auto& one : all) EXPECT_EQ(one->take().error(), std::errc::operation_canceled);
  poll_until([&] { return writing.done(); });
  EXPECT_TRUE(writing.take());
  EXPECT_EQ(in_flight(), 0u);
}

// The task outlives the thread that a request would travel to: it is not stopped, and waits for
// nothing.
TEST_F(cancellation, from_another_thread_after_the_end_of_the_first) {
  auto second = std::optional(must(sio::thread::create("second")));
  std::stop_source source;
  gate closed, never_opened;
  auto body = [](gate& at) -> sio::task<sio::result<void>> {
    co_await at;
    co_return sio::result<void>();
  };
  auto make = [&](gate& at) { return sio::with_stop_token(source.get_token(), body(at)); };
  using running = started<decltype(make(closed))>;
  std::unique_ptr<running> completing, destroyed;
  bool done = false;
  must(second->ref().send([&] {
    completing = std::make_unique<running>(make(closed));
    destroyed = std::make_unique<running>(make(never_opened));
    done = true;
  }));
  while (!done) second->poll();
  second.reset();
  source.request_stop();
  destroyed.reset();
  EXPECT_FALSE(completing->done());
  closed.open();
  EXPECT_TRUE(completing->done());
  EXPECT_TRUE(completing->take());
}

TEST_F(cancellation, current_token_and_unstoppable) {
  auto disk = open_null("n0");
  auto body = [&]() -> sio::task<sio::result<void>> {
    auto token = co_await sio::current_stop_token();
    EXPECT_TRUE(token.stop_possible());
    EXPECT_FALSE(token.stop_requested());
    stop.request_stop();
    EXPECT_TRUE(token.stop_requested());
    auto refused = co_await disk.read(buffer, 0);
    EXPECT_FALSE(refused);
    auto last = co_await sio::unstoppable(disk.write(buffer, 0));
    EXPECT_TRUE(last) << message_of(last);
    auto nested = co_await sio::unstoppable(read_first(disk, buffer));
    EXPECT_TRUE(nested) << message_of(nested);
    auto slept = co_await sio::sleep_for(std::chrono::hours(1));
    EXPECT_EQ(message_of(slept), "sleep: stopped on request");
    co_return last;
  };
  auto r = run(sio::with_stop_token(stop.get_token(), body()));
  EXPECT_TRUE(r) << message_of(r);
  auto none = [&]() -> sio::task<bool> {
    auto token = co_await sio::current_stop_token();
    co_return token.stop_possible();
  };
  EXPECT_FALSE(run(none()));
}

TEST_F(cancellation, of_a_sleep) {
  started sleeping(sio::with_stop_token(stop.get_token(), sio::sleep_for(std::chrono::hours(1))));
  poll_times(10);
  EXPECT_FALSE(sleeping.done());
  stop.request_stop();
  EXPECT_FALSE(sleeping.done());
  expect_stopped(sleeping, "sleep: stopped on request");
}

TEST_F(cancellation, of_an_operation_started_with_a_callback) {
  auto disk = open_delay("d0");
  std::optional<sio::result<void>> got;
  sio::start(sio::with_stop_token(stop.get_token(), disk.read(buffer, 0)),
             [&](sio::result<void> r) { got = r; });
  poll_times(10);
  EXPECT_FALSE(got);
  stop.request_stop();
  EXPECT_FALSE(got);
  poll_until([&] { return got.has_value(); });
  EXPECT_EQ(got->error(), std::errc::operation_canceled);
}

}  // namespace
}  // namespace spdk_io_test
