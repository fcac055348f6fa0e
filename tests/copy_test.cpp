// SPDX-License-Identifier: BSD-3-Clause
// From a stream into a sink: all of it, or the first error with its place.
#include "stream_model.hpp"

#include <spdk_io/channel.hpp>
#include <spdk_io/copy.hpp>
#include <spdk_io/read_stream.hpp>
#include <spdk_io/task_scope.hpp>
#include <spdk_io/write_sink.hpp>

#include <utility>
#include <vector>

namespace spdk_io_test {
namespace {

using sio::read_stream;
using sio::write_sink;

TEST(copy, a_range_to_another_device) {
  auto from = open_malloc("m0");
  auto to = open_malloc("m1");
  const auto source = fill_device(from, 1);
  auto model = fill_device(to, 2);
  read_stream in(from, {.offset = 777, .length = 500'000, .chunk = 16 << 10, .depth = 4});
  write_sink out(to, {.offset = 100, .chunk = 24 << 10, .depth = 3});
  EXPECT_EQ(must(run(sio::copy(in, out))), 500'000u);
  std::copy_n(source.begin() + 777, 500'000, model.begin() + 100);
  EXPECT_EQ(device_content(to), model);  // it has flushed
  EXPECT_TRUE(run(out.send({})));        // and not closed
  must(run(out.close()));
}

TEST(copy, owns_what_it_is_given) {
  auto disk = open_malloc("m0");
  auto model = fill_device(disk, 3);
  EXPECT_EQ(
      must(run(sio::copy(read_stream(disk, {.length = 4096}), write_sink(disk, {.offset = 8192})))),
      4096u);
  std::copy_n(model.begin(), 4096, model.begin() + 8192);
  EXPECT_EQ(device_content(disk), model);
}

TEST(copy, elements_that_are_no_bytes) {
  sio::channel<int> from(5);
  sio::channel<int> to(5);
  for (int i = 0; i < 5; ++i) must(from.try_send(i));
  from.close();
  EXPECT_EQ(must(run(sio::copy(from, to))), 5u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(must(run(to.next())), i);
}

// The chunks themselves, to whoever receives them on the same thread: backpressure from end to end.
TEST(copy, chunks_through_a_channel) {
  auto disk = open_malloc("m0", 256 << 10);
  const auto model = fill_device(disk, 4);
  read_stream in(disk, {.chunk = 4096, .depth = 4});
  sio::channel<sio::read_chunk> chunks(1);
  started copying(sio::copy(in, chunks));
  poll_times(50);
  EXPECT_FALSE(copying.done());
  EXPECT_LE(in.ahead(), 2u);  // one is in the channel, and one waits for room
  std::vector<std::byte> got;
  while (got.size() < model.size()) {
    auto chunk = must(run(chunks.next()));
    got.insert(got.end(), chunk->begin(), chunk->end());
  }
  EXPECT_EQ(got, model);
  poll_until([&] { return copying.done(); });
  EXPECT_EQ(must(copying.take()), model.size());
}

class copy_with_errors : public testing::Test {
 protected:
  void SetUp() override {
    must(run(sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20})));
    must(run(sio::create_bdev(sio::error_bdev{.base = "m0"})));
    disk = must(sio::bdev_desc::open("EE_m0"));
    other = open_malloc("m1");
  }
  void fail(sio::inject_on on) { must(run(sio::inject_error("EE_m0", {.on = on}))); }
  sio::bdev_desc disk;
  sio::bdev_desc other;
};

TEST_F(copy_with_errors, the_place_of_the_first_error) {
  fail(sio::inject_on::read);
  EXPECT_EQ(message_of(run(sio::copy(read_stream(disk, {.chunk = 4096}), write_sink(other)))),
            "read of 4096 bytes at 0 from EE_m0: internal device error (NVMe 0/06h)");
  fail(sio::inject_on::write);
  EXPECT_EQ(message_of(run(sio::copy(read_stream(other), write_sink(disk, {.chunk = 8192})))),
            "write of 8192 bytes at 0 to EE_m0: internal device error (NVMe 0/06h)");
  fail(sio::inject_on::flush);
  EXPECT_EQ(message_of(run(sio::copy(read_stream(other), write_sink(disk)))),
            "flush of 1048576 bytes at 0 on EE_m0: internal device error (NVMe 0/06h)");
}

TEST(copy, more_than_there_is_room_for) {
  auto disk = open_malloc("m0");
  auto r = run(sio::copy(read_stream(disk, {.length = 8192, .chunk = 4096}),
                         write_sink(disk, {.offset = (1 << 20) - 4096, .length = 4096})));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::no_space_on_device);
}

TEST(copy, is_stopped_and_goes_on) {
  auto disk = open_malloc("m0");
  const auto model = fill_device(disk, 5);
  auto to = open_malloc("m1");
  read_stream in(disk, {.chunk = 4096, .depth = 2});
  write_sink out(to, {.chunk = 4096, .depth = 2});
  // Where it waits for a chunk nothing is lost; where it waits for room, position() tells.
  for (int turns = 0; turns < 20; ++turns) {
    sio::local_stop_source stop;
    started copying(sio::with_stop_token(stop.get_token(), sio::copy(in, out)));
    poll_times(turns % 5);
    if (copying.done()) break;
    stop.request_stop();
    poll_until([&] { return copying.done(); });
    auto r = copying.take();
    if (!r) {
      EXPECT_TRUE(r.error() == std::errc::operation_canceled) << r.error();
    }
  }
  EXPECT_GE(out.position(), 0u);
  must(run(out.close()));
  EXPECT_TRUE(main_thread().operations().empty() || in.ahead() > 0);
}

TEST(copy, destroyed_at_each_of_its_suspensions) {
  auto disk = open_malloc("m0", 64 << 10);
  auto to = open_malloc("m1", 64 << 10);
  for (int turns = 0;; ++turns) {
    ASSERT_LT(turns, 500);
    started copying(sio::copy(read_stream(disk, {.chunk = 4096, .depth = 3}),
                              write_sink(to, {.chunk = 6144, .depth = 2})));
    for (int i = 0; i < turns && !copying.done(); ++i) main_thread().poll();
    if (copying.done()) {
      EXPECT_EQ(must(copying.take()), 64u << 10);
      break;
    }
    copying.destroy();
    ASSERT_TRUE(main_thread().operations().empty());
  }
}

// Random ranges, from device to device of any kind, byte for byte.
TEST(copy, random_ranges) {
  temp_folder folder;
  for_each_kind({kind::malloc, kind::uring, kind::aio}, [&](kind k) {
    auto from = open_device(k, folder, "from", 128 << 10);
    auto to = open_device(k, folder, "to", 128 << 10);
    const auto source = fill_device(from, 6);
    auto model = fill_device(to, 7);
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      SCOPED_TRACE(testing::Message() << "seed " << seed);
      dice d(seed);
      const auto depth = [&] { return static_cast<std::uint32_t>(d.roll(1, 6)); };
      const std::uint64_t offset = d.roll(0, source.size());
      const std::uint64_t length = d.roll(0, source.size() - offset);
      const std::uint64_t where = d.roll(0, source.size() - length);
      read_stream in(
          from, {.offset = offset, .length = length, .chunk = d.roll(1, 20000), .depth = depth()});
      write_sink out(to, {.offset = where, .chunk = d.roll(1, 20000), .depth = depth()});
      ASSERT_EQ(must(run(sio::copy(in, out))), length);
      must(run(out.close()));
      std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(offset), length,
                  model.begin() + static_cast<std::ptrdiff_t>(where));
      ASSERT_EQ(device_content(to), model);
    }
  });
}

}  // namespace
}  // namespace spdk_io_test
