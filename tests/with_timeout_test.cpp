// SPDX-License-Identifier: BSD-3-Clause
// Deadlines: of an operation, of anything awaitable, of a descriptor.
#include <spdk_io/with_timeout.hpp>

#include "devices.hpp"
#include "started.hpp"

#include <chrono>
#include <optional>

namespace spdk_io_test {
namespace {

using namespace std::chrono_literals;
using sio::bdev_desc;
using sio::dma_buffer;

sio::task<sio::result<void>> read_first(const bdev_desc& disk, dma_buffer& buffer) {
  co_return co_await disk.read(buffer, 0);
}

void create_delay() {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "base", .size = 1 << 20})));
  must(run(sio::create_bdev(
      sio::delay_bdev{.name = "d0", .base = "base", .average_read = 1h, .average_write = 1h})));
}

class timeouts : public testing::Test {
 protected:
  void SetUp() override {
    create_delay();
    disk = must(bdev_desc::open("d0"));
    buffer = must(dma_buffer::zeroed(4096));
  }
  std::size_t in_flight() { return main_thread().statistics().io_in_flight; }
  void expect_timed_out(const sio::result<void>& r) {
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error(), std::errc::timed_out);
    EXPECT_EQ(r.error().why(), sio::fault::timed_out);
    EXPECT_EQ(r.error().message(), "read of 4096 bytes at 0 from d0: timed out");
    EXPECT_EQ(in_flight(), 0u);
  }
  bdev_desc disk;
  dma_buffer buffer;
};

TEST_F(timeouts, of_an_operation) {
  started reading(sio::with_timeout(disk.read(buffer, 0), 0ns));
  EXPECT_FALSE(reading.done());
  EXPECT_EQ(in_flight(), 1u);
  poll_until([&] { return reading.done(); });
  expect_timed_out(reading.take());
  expect_timed_out(run(sio::with_timeout(disk.read(buffer, 0), 1ms)));
}

TEST_F(timeouts, of_a_task) {
  expect_timed_out(run(sio::with_timeout(read_first(disk, buffer), 1ms)));
}

TEST_F(timeouts, as_a_deadline) {
  expect_timed_out(
      run(sio::with_deadline(disk.read(buffer, 0), std::chrono::steady_clock::now() + 1ms)));
  expect_timed_out(
      run(sio::with_deadline(read_first(disk, buffer), std::chrono::steady_clock::now() - 1h)));
}

TEST_F(timeouts, that_are_not_reached_change_nothing) {
  auto null = open_null("n0");
  must(run(sio::with_timeout(null.read(buffer, 0), 1h)));
  must(run(sio::with_timeout(read_first(null, buffer), 1h)));
  EXPECT_FALSE(run(sio::with_timeout(null.read(buffer, 1), 1h)));
}

TEST_F(timeouts, on_a_device_that_cannot_abort_give_the_real_result) {
  auto malloc = open_malloc("m0");
  started reading(sio::with_timeout(malloc.read(buffer, 0), 0ns));
  poll_until([&] { return reading.done(); });
  EXPECT_TRUE(reading.take());
}

TEST_F(timeouts, and_stop_tokens_go_together) {
  sio::local_stop_source stop;
  const auto token = stop.get_token();
  started cancelled(sio::with_stop_token(token, sio::with_timeout(disk.read(buffer, 0), 1h)));
  started late(sio::with_timeout(sio::with_stop_token(token, disk.read(buffer, 0)), 0ns));
  poll_until([&] { return late.done(); });
  EXPECT_EQ(message_of(late.take()), "read of 4096 bytes at 0 from d0: timed out");
  EXPECT_FALSE(cancelled.done());
  stop.request_stop();
  poll_until([&] { return cancelled.done(); });
  EXPECT_EQ(message_of(cancelled.take()), "read of 4096 bytes at 0 from d0: aborted (NVMe 0/07h)");
}

TEST_F(timeouts, of_a_sleep) {
  auto r = run(sio::with_timeout(sio::sleep_for(1h), 0ns));
  EXPECT_EQ(message_of(r), "timed out: sleep: stopped on request");
  EXPECT_EQ(r.error(), std::errc::timed_out);
}

TEST_F(timeouts, go_on_while_the_thread_ends) {
  auto second = must(sio::thread::create("second"));
  std::optional<sio::result<void>> got;
  must(second.ref().send(
      [&] { sio::start(sio::with_timeout(disk.read(buffer, 0), 1ms), [&](auto r) { got = r; }); }));
  while (in_flight() == 0 && second.statistics().io_in_flight == 0) second.poll();
  {
    auto ends = std::move(second);
  }
  ASSERT_TRUE(got);
  expect_timed_out(*got);
}

TEST_F(timeouts, of_a_descriptor) {
  auto limited = must(bdev_desc::open("d0", {.timeout = 4ms}));
  started a(limited.read(buffer, 0));
  started b(read_first(limited, buffer));
  started own(sio::with_timeout(limited.read(buffer, 0), 1h));
  started unlimited(disk.read(buffer, 0));
  EXPECT_FALSE(a.done());
  poll_until([&] { return a.done() && b.done(); });
  poll_times(1000);
  EXPECT_FALSE(own.done());
  EXPECT_FALSE(unlimited.done());
  EXPECT_EQ(in_flight(), 2u);
  own.destroy();
  unlimited.destroy();
  expect_timed_out(a.take());
  expect_timed_out(b.take());
  // Again, after a rest: the ticks go on when there is I/O.
  poll_times(1000);
  expect_timed_out(run(limited.read(buffer, 0)));
  auto channel = must(limited.channel());
  expect_timed_out(run(channel.read(buffer, 0)));
}

// Whether at SPDK or waiting for memory, which never comes: all end with the same error.
TEST(timeouts_without_memory, of_a_descriptor_count_the_wait) {
  must(init_with_pool(24, 1));
  create_delay();
  auto other = open_malloc("m1");
  std::vector<sio::zcopy_buffer> held;  // each holds one bdev_io
  for (int i = 0; i < 4; ++i) held.push_back(must(run(other.zcopy_read(4096 * i, 4096))));
  auto limited = must(bdev_desc::open("d0", {.timeout = 4ms}));
  auto buffer = must(dma_buffer::zeroed(4096));
  std::vector<std::string> ends;
  auto reader = [&](int) -> sio::task<void> {
    auto r = co_await limited.read(buffer, 0);
    ends.push_back(message_of(r));
  };
  sio::task_scope scope;
  for (int i = 0; i < 30; ++i) scope.spawn(reader(i));
  EXPECT_GT(main_thread().statistics().memory_waits, 0u);
  EXPECT_TRUE(ends.empty());
  poll_until([&] { return !ends.empty(); });
  EXPECT_LT(ends.size(), 30u);  // those at SPDK: their aborts wait for memory too
  EXPECT_EQ(main_thread().statistics().io_in_flight, 30 - ends.size());
  held.clear();
  must(run(scope.join()));
  EXPECT_EQ(ends, std::vector<std::string>(30, "read of 4096 bytes at 0 from d0: timed out"));
}

}  // namespace
}  // namespace spdk_io_test
