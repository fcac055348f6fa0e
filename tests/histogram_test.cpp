// SPDX-License-Identifier: BSD-3-Clause
// Distributions of latencies: the arithmetic, and what SPDK counts.
#include "devices.hpp"
#include "started.hpp"

#include <spdk_io/histogram.hpp>

#include <spdk/env.h>

#include <limits>
#include <optional>

namespace spdk_io_test {
namespace {

using namespace std::chrono_literals;
using sio::latency_histogram;

template <class F>
void run_on(sio::thread& t, F f) {
  bool done = false;
  must(t.ref().send([&] {
    f();
    done = true;
  }));
  while (!done) t.poll();
}

void read_times(const sio::bdev_desc& disk, sio::dma_span into, int times) {
  for (int i = 0; i < times; ++i) must(run(disk.read(into, 0)));
}

void expect_sane(const latency_histogram& h, std::uint64_t count) {
  EXPECT_EQ(h.count(), count);
  std::uint64_t sum = 0;
  auto last = 0ns;
  for (const auto& each : h.buckets()) {
    EXPECT_GT(each.count, 0u);
    EXPECT_LE(each.from, each.to);
    EXPECT_LE(last, each.to);
    last = each.to;
    sum += each.count;
  }
  EXPECT_EQ(sum, count);
  EXPECT_LE(h.min(), h.percentile(0.5));
  EXPECT_LE(h.percentile(0.5), h.percentile(0.99));
  EXPECT_LE(h.percentile(0.99), h.max());
  EXPECT_EQ(h.percentile(1), h.max());
  EXPECT_LE(h.min(), h.mean());
  EXPECT_LE(h.mean(), h.max());
}

TEST(histogram, percentiles) {
  latency_histogram empty;
  EXPECT_TRUE(empty.empty());
  for (auto value : {empty.percentile(0.5), empty.min(), empty.max(), empty.mean()})
    EXPECT_EQ(value, 0ns);

  latency_histogram h({{10ns, 20ns, 90}, {100ns, 200ns, 9}, {1000ns, 2000ns, 1}});
  EXPECT_EQ(h.count(), 100u);
  EXPECT_EQ(h.percentile(0), 20ns);
  EXPECT_EQ(h.percentile(-1), 20ns);
  EXPECT_EQ(h.percentile(0.5), 20ns);
  EXPECT_EQ(h.percentile(0.9), 20ns);
  EXPECT_EQ(h.percentile(0.901), 200ns);
  EXPECT_EQ(h.percentile(0.99), 200ns);
  EXPECT_EQ(h.percentile(0.999), 2000ns);
  EXPECT_EQ(h.percentile(1), 2000ns);
  EXPECT_EQ(h.percentile(7), 2000ns);
  EXPECT_EQ(h.min(), 10ns);
  EXPECT_EQ(h.max(), 2000ns);
  EXPECT_EQ(h.mean(), 42ns);  // (90 * 15 + 9 * 150 + 1500) / 100
}

TEST(histogram, counts_while_it_is_enabled) {
  auto disk = open_malloc("m0");
  auto channel = must(disk.channel());
  auto buffer = must(sio::dma_buffer::zeroed(512));
  read_times(disk, buffer, 3);
  for (auto text : {message_of(run(sio::device_histogram(disk))),
                    message_of(sio::channel_histogram(channel))}) {
    EXPECT_EQ(text, "latency histogram on m0: none is being taken (call enable_histogram() first)");
  }
  EXPECT_TRUE(run(sio::device_histogram(disk)).error() == std::errc::bad_address);

  must(run(sio::enable_histogram(disk)));
  expect_sane(must(run(sio::device_histogram(disk))), 0);
  read_times(disk, buffer, 100);
  must(run(disk.write(buffer, 0)));
  expect_sane(must(run(sio::device_histogram(disk))), 101);
  expect_sane(must(sio::channel_histogram(channel)), 101);
  EXPECT_GT(must(sio::channel_histogram(channel)).min(), 0ns);

  must(run(sio::enable_histogram(disk)));  // goes on
  EXPECT_EQ(must(sio::channel_histogram(channel)).count(), 101u);
  must(run(sio::disable_histogram(disk)));
  EXPECT_FALSE(run(sio::device_histogram(disk)));
  must(run(sio::disable_histogram(disk)));
  must(run(sio::enable_histogram(disk)));
  EXPECT_EQ(must(sio::channel_histogram(channel)).count(), 0u);
}

TEST(histogram, of_one_kind_only) {
  auto disk = open_malloc("m0");
  auto buffer = must(sio::dma_buffer::zeroed(512));
  must(run(sio::enable_histogram(disk, {.kind = sio::io_kind::write})));
  read_times(disk, buffer, 5);
  must(run(disk.write(buffer, 0)));
  EXPECT_EQ(must(run(sio::device_histogram(disk))).count(), 1u);
}

// Whatever the layout, and whichever thread asks: a channel that is made later has another one.
TEST(histogram, sums_up_channels_of_different_layouts) {
  auto disk = open_malloc("m0");
  auto buffer = must(sio::dma_buffer::zeroed(512));
  must(run(sio::enable_histogram(disk, {.min = 1us, .max = 1s, .granularity = 3})));
  read_times(disk, buffer, 10);
  auto second = must(sio::thread::create("second"));
  int left = 4;
  run_on(second, [&] {
    for (int i = 0; i < 4; ++i) sio::start(disk.read(buffer, 0), [&](auto) { --left; });
  });
  while (left > 0) second.poll();
  started asked(sio::device_histogram(disk));
  poll_times(20);
  EXPECT_FALSE(asked.done());  // the other thread was not polled
  while (!asked.done()) {
    second.poll();
    main_thread().poll();
  }
  expect_sane(must(asked.take()), 14);
  EXPECT_EQ(must(sio::channel_histogram(must(disk.channel()))).count(), 10u);
  run_on(second,
         [&] { EXPECT_EQ(must(sio::channel_histogram(must(disk.channel()))).count(), 4u); });
}

TEST(histogram, options_that_cannot_be) {
  auto disk = open_malloc("m0");
  for (auto options :
       {sio::histogram_options{.granularity = 0}, sio::histogram_options{.granularity = 15},
        sio::histogram_options{.min = 1s, .max = 1s}, sio::histogram_options{.min = -1ns},
        sio::histogram_options{.max = 0ns}}) {
    auto r = run(sio::enable_histogram(disk, options));
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::invalid_argument);
    EXPECT_TRUE(r.error().message().starts_with("latency histogram on m0: min must be from 0"))
        << r.error();
  }
  // Just above what SPDK can multiply by its clock in 64 bits: it would come to nothing.
  const auto most = std::numeric_limits<std::uint64_t>::max() / spdk_get_ticks_hz() + 1;
  must(run(sio::enable_histogram(disk, {.max = std::chrono::nanoseconds(most)})));
  auto buffer = must(sio::dma_buffer::zeroed(512));
  read_times(disk, buffer, 10);
  expect_sane(must(run(sio::device_histogram(disk))), 10);
}

TEST(histogram, one_change_at_a_time) {
  auto disk = open_malloc("m0");
  started first(sio::enable_histogram(disk));
  EXPECT_FALSE(first.done());
  auto second = run(sio::disable_histogram(disk));
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error() == std::errc::resource_unavailable_try_again);
  EXPECT_EQ(message_of(second),
            "latency histogram on m0: another change is under way (try again when it is done)");
  poll_until([&] { return first.done(); });
  must(first.take());
  EXPECT_EQ(message_of(run(sio::enable_histogram(sio::bdev_desc()))),
            "latency histogram: the handle is empty (moved from, or never opened)");
}

}  // namespace
}  // namespace spdk_io_test
