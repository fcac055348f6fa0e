// SPDX-License-Identifier: BSD-3-Clause
// What SPDK counts, for channels and for whole devices.
#include "devices.hpp"
#include "started.hpp"

#include <spdk_io/statistics.hpp>

#include <optional>
#include <thread>

namespace spdk_io_test {
namespace {

using sio::channel_statistics;
using sio::device_statistics;
using sio::statistics_reset;

// SPDK's modules read a new device to see whether it is one of theirs.
void forget_examination(const sio::bdev_desc& disk) {
  must(run(device_statistics(disk, statistics_reset::all)));
}

template <class F>
void run_on(sio::thread& t, F f) {
  bool done = false;
  must(t.ref().send([&] {
    f();
    done = true;
  }));
  while (!done) t.poll();
}

void expect_count(const sio::operation_statistics& s, std::uint64_t count, std::uint64_t bytes) {
  EXPECT_EQ(s.count, count);
  EXPECT_EQ(s.bytes, bytes);
  EXPECT_LE(s.min_latency, s.mean_latency());
  EXPECT_LE(s.mean_latency(), s.max_latency);
  EXPECT_LE(s.max_latency, s.total_latency);
  EXPECT_EQ(s.count == 0, s.total_latency.count() == 0);
}

TEST(statistics, count_operations_and_bytes) {
  auto disk = open_malloc("m0");
  forget_examination(disk);
  auto channel = must(disk.channel());
  auto buffer = must(sio::dma_buffer::zeroed(8192));
  const auto before = must(channel_statistics(channel));
  expect_count(before.read, 0, 0);
  expect_count(before.write, 0, 0);
  EXPECT_EQ(before.read.mean_latency().count(), 0);

  for (int i = 0; i < 3; ++i) must(run(channel.write(buffer, 0)));
  for (int i = 0; i < 5; ++i) must(run(disk.read(buffer.first(512), 512)));
  EXPECT_FALSE(run(disk.read(buffer, 1)));  // refused: not counted
  const auto mine = must(channel_statistics(channel));
  expect_count(mine.write, 3, 3 * 8192);
  expect_count(mine.read, 5, 5 * 512);
  expect_count(mine.unmap, 0, 0);
  expect_count(mine.copy, 0, 0);

  const auto whole = must(run(device_statistics(disk)));
  expect_count(whole.write, 3, 3 * 8192);
  expect_count(whole.read, 5, 5 * 512);
  EXPECT_EQ(whole.read.total_latency, mine.read.total_latency);
  EXPECT_EQ(whole.write.min_latency, mine.write.min_latency);
}

TEST(statistics, of_a_device_sum_up_its_channels_and_former_ones) {
  auto disk = open_malloc("m0");
  forget_examination(disk);
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  must(run(disk.write(buffer, 0)));
  auto second = must(sio::thread::create("second"));
  std::optional<sio::io_statistics> there;
  int left = 2;
  run_on(second, [&] {
    for (int i = 0; i < 2; ++i) {
      sio::start(disk.write(buffer, 0), [&](auto r) {
        EXPECT_TRUE(r) << message_of(r);
        --left;
      });
    }
  });
  while (left > 0) second.poll();
  run_on(second, [&] { there = must(channel_statistics(must(disk.channel()))); });
  expect_count(there->write, 2, 8192);
  expect_count(must(channel_statistics(must(disk.channel()))).write, 1, 4096);

  // The other thread is asked by message, and polled by nobody yet.
  started asked(device_statistics(disk));
  poll_times(20);
  EXPECT_FALSE(asked.done());
  while (!asked.done()) {
    second.poll();
    main_thread().poll();
  }
  expect_count(must(asked.take()).write, 3, 3 * 4096);

  second = must(sio::thread::create("third"));  // the second ends, and its channel with it
  expect_count(must(run(device_statistics(disk))).write, 3, 3 * 4096);
}

TEST(statistics, are_reset_as_asked) {
  auto disk = open_malloc("m0");
  forget_examination(disk);
  auto channel = must(disk.channel());
  auto buffer = must(sio::dma_buffer::zeroed(512));
  must(run(disk.write(buffer, 0)));
  expect_count(must(run(device_statistics(disk))).write, 1, 512);
  expect_count(must(channel_statistics(channel)).write, 1, 512);
  expect_count(must(channel_statistics(channel, statistics_reset::extremes)).write, 1, 512);
  auto now = must(channel_statistics(channel)).write;
  EXPECT_EQ(now.count, 1u);
  EXPECT_GT(now.total_latency.count(), 0);
  EXPECT_EQ(now.min_latency.count(), 0);
  EXPECT_EQ(now.max_latency.count(), 0);
  must(run(disk.write(buffer, 0)));
  now = must(channel_statistics(channel)).write;
  EXPECT_EQ(now.count, 2u);
  EXPECT_EQ(now.min_latency, now.max_latency);
  EXPECT_GT(now.min_latency.count(), 0);

  EXPECT_EQ(must(run(device_statistics(disk, statistics_reset::all))).write.count, 2u);
  expect_count(must(run(device_statistics(disk))).write, 0, 0);
  expect_count(must(channel_statistics(channel)).write, 0, 0);
}

TEST(statistics, errors) {
  EXPECT_EQ(message_of(run(device_statistics(sio::bdev_desc()))),
            "statistics: the handle is empty (moved from, or never opened)");
  EXPECT_EQ(message_of(channel_statistics(sio::io_channel())),
            "statistics: the handle is empty (moved from, or never opened)");
  auto disk = open_malloc("m0");
  forget_examination(disk);
  auto channel = must(disk.channel());
  auto second = must(sio::thread::create("second"));
  std::string text;
  run_on(second, [&] { text = message_of(channel_statistics(channel)); });
  EXPECT_EQ(text,
            "statistics on m0: the channel belongs to another thread (take one with "
            "bdev_desc::channel() on the thread that does the I/O)");
  std::thread([&] { text = message_of(channel_statistics(channel)); }).join();
  EXPECT_EQ(text,
            "statistics on m0: no SPDK thread is attached here (call spdk_io::thread::attach() "
            "first)");
  sio::bdev_desc closed;
  {
    auto third = must(sio::thread::create("third"));
    run_on(third, [&] { closed = must(sio::bdev_desc::open("m0")); });
    must(run(device_statistics(closed)));
  }
  auto r = run(device_statistics(closed));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::no_such_device);
  EXPECT_EQ(r.error().device(), "m0");
}

// The device is wanted gone while a call about it is under way: it waits for that.
TEST(statistics, keep_the_device_until_they_are_read) {
  auto disk = open_malloc("m0");
  forget_examination(disk);
  auto second = must(sio::thread::create("second"));
  auto buffer = must(sio::dma_buffer::zeroed(512));
  bool read = false;
  run_on(second, [&] { sio::start(disk.read(buffer, 0), [&](auto) { read = true; }); });
  while (!read) second.poll();
  std::optional<started<sio::task<sio::result<sio::io_statistics>>>> asked;
  asked.emplace(device_statistics(std::move(disk)));  // the last handle goes into the call
  deletion gone("m0");
  EXPECT_TRUE(gone.still_waits());
  EXPECT_FALSE(asked->done());
  while (!asked->done()) {
    second.poll();
    main_thread().poll();
  }
  expect_count(must(asked->take()).read, 1, 512);
  asked.reset();
  while (!gone.done()) {
    second.poll();
    main_thread().poll();
  }
}

// Its coroutine goes while SPDK still writes into it.
TEST(statistics, a_destroyed_call_waits_for_spdk) {
  auto disk = open_malloc("m0");
  forget_examination(disk);
  auto second = must(sio::thread::create("second"));
  auto buffer = must(sio::dma_buffer::zeroed(512));
  bool read = false;
  run_on(second, [&] { sio::start(disk.read(buffer, 0), [&](auto) { read = true; }); });
  while (!read) second.poll();
  {
    started asked(device_statistics(disk));
    EXPECT_FALSE(asked.done());
    asked.destroy();  // polls the second thread, too
  }
  second = must(sio::thread::create("third"));
  expect_count(must(run(device_statistics(disk))).read, 1, 512);
}

}  // namespace
}  // namespace spdk_io_test
