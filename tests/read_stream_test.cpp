// SPDX-License-Identifier: BSD-3-Clause
// A range in chunks, in order, whatever its bounds; errors in their place; reads that are stopped,
// and destroyed.
#include "stream_model.hpp"

#include <spdk_io/read_stream.hpp>
#include <spdk_io/stream.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace spdk_io_test {
namespace {

using sio::read_chunk;
using sio::read_stream;
using next = started<sio::next_chunk_operation>;

static_assert(sio::stream<read_stream>);
static_assert(std::same_as<sio::stream_value_t<read_stream>, read_chunk>);

std::optional<read_chunk> next_of(read_stream& in) { return must(run(in.next())); }

// All of it, checked chunk by chunk.
std::vector<std::byte> read_all(read_stream& in, std::uint64_t offset) {
  std::vector<std::byte> out;
  while (auto chunk = next_of(in)) {
    EXPECT_EQ(chunk->offset(), offset + out.size());
    EXPECT_FALSE(chunk->empty());
    out.insert(out.end(), chunk->begin(), chunk->end());
  }
  return out;
}

TEST(read_stream, chunk_after_chunk) {
  auto disk = open_malloc("m0");
  const auto model = fill_device(disk, 1);
  read_stream in(disk, {.chunk = 64 << 10, .depth = 4});
  EXPECT_EQ(in.memory(), 0u);
  for (std::uint64_t i = 0; i < 16; ++i) {
    auto chunk = next_of(in);
    ASSERT_TRUE(chunk);
    EXPECT_EQ(chunk->offset(), i * (64 << 10));
    ASSERT_EQ(chunk->size(), 64u << 10);
    EXPECT_TRUE(std::ranges::equal(*chunk, std::span(model).subspan(i * (64 << 10), 64 << 10)));
    EXPECT_EQ(in.memory(), 4u * (64 << 10));
  }
  EXPECT_FALSE(next_of(in));
  EXPECT_FALSE(next_of(in));  // and ever after
}

TEST(read_stream, reads_ahead_up_to_its_depth) {
  auto disk = open_malloc("m0");
  read_stream in(disk, {.chunk = 4096, .depth = 8});
  next first(in.next());
  EXPECT_FALSE(first.done());
  EXPECT_EQ(in.ahead(), 8u);
  poll_until([&] { return first.done(); });
  auto held = must(first.take());
  EXPECT_EQ(in.ahead(), 7u);
  auto second = next_of(in);  // no read ahead for what is held
  EXPECT_EQ(in.ahead(), 6u);
  held->reset();
  EXPECT_TRUE(held->empty());
  auto third = next_of(in);
  EXPECT_EQ(in.ahead(), 6u);  // one back, and one taken
}

TEST(read_stream, any_offset_and_length) {
  auto disk = open_malloc("m0", 64 << 10);
  const auto model = fill_device(disk, 2);
  for (std::uint64_t offset : {0u, 1u, 511u, 512u, 513u, 5000u}) {
    for (std::uint64_t length : {0u, 1u, 2u, 511u, 512u, 513u, 1024u, 4095u, 20000u}) {
      SCOPED_TRACE(testing::Message() << offset << '+' << length);
      read_stream in(disk, {.offset = offset, .length = length, .chunk = 1024, .depth = 3});
      const auto got = read_all(in, offset);
      EXPECT_TRUE(std::ranges::equal(got, std::span(model).subspan(offset, length)));
      EXPECT_LE(in.memory(), 3u * 1024);
    }
  }
}

TEST(read_stream, to_the_end_from_anywhere) {
  auto disk = open_malloc("m0", 64 << 10);
  const auto model = fill_device(disk, 3);
  for (std::uint64_t offset : {0u, 65535u, 65536u, 40001u}) {
    read_stream in(disk, {.offset = offset, .chunk = 3000});  // rounded up to whole blocks
    EXPECT_TRUE(std::ranges::equal(read_all(in, offset), std::span(model).subspan(offset)));
  }
}

TEST(read_stream, what_cannot_be_is_refused_before_anything_is_read) {
  auto disk = open_malloc("m0");
  const auto fails = [&](const sio::read_stream_options& o, std::string_view message) {
    read_stream in(disk, o);
    for (int i = 0; i < 2; ++i) {
      auto r = run(in.next());
      ASSERT_FALSE(r);
      EXPECT_TRUE(r.error() == std::errc::invalid_argument);
      EXPECT_EQ(r.error().message(), message);
    }
    EXPECT_EQ(in.memory(), 0u);
  };
  fails({.chunk = 0}, "read_stream: the chunk size is zero");
  fails({.depth = 0}, "read_stream: the depth is zero");
  fails({.offset = 1 << 20, .length = 1},
        "read of 1 bytes at 1048576 from m0: past the end (device has 1048576 bytes)");
  fails({.offset = 1, .length = 1 << 20},
        "read of 1048576 bytes at 1 from m0: past the end (device has 1048576 bytes)");
  fails({.offset = 2 << 20},
        "read of 0 bytes at 2097152 from m0: past the end (device has 1048576 bytes)");
  fails({.offset = UINT64_MAX, .length = UINT64_MAX - 1},
        "read of 18446744073709551614 bytes at 18446744073709551615 from m0: past the end (device "
        "has 1048576 bytes)");
}

TEST(read_stream, of_nothing) {
  read_stream in{sio::bdev_desc()};
  auto r = run(in.next());
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::bad_file_descriptor) << r.error();
  auto disk = open_malloc("m0");
  read_stream a(disk);
  read_stream b = std::move(a);
  r = run(a.next());  // NOLINT(bugprone-use-after-move)
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "next of a stream: the stream is empty (moved from)");
  EXPECT_EQ(a.ahead(), 0u);  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(next_of(b));
}

// On a device with errors: what comes before is handed out, what comes after is not.
class with_errors : public testing::Test {
 protected:
  void SetUp() override {
    must(run(sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20})));
    must(run(sio::create_bdev(sio::error_bdev{.base = "m0"})));
    disk = must(sio::bdev_desc::open("EE_m0"));
    model = fill_device(disk, 4);
  }
  // The next read fails.
  void fail_next() {
    must(run(sio::inject_error("EE_m0", {.on = sio::inject_on::read, .count = 1})));
  }
  sio::bdev_desc disk;
  std::vector<std::byte> model;
};
using read_stream_with_errors = with_errors;

TEST_F(read_stream_with_errors, an_error_comes_in_its_place) {
  read_stream in(disk, {.chunk = 4096, .depth = 4});
  auto held = next_of(in);  // 1, 2 and 3 are in flight or complete
  poll_times(20);
  fail_next();
  held.reset();
  for (std::uint64_t i = 1; i < 4; ++i) {
    auto chunk = next_of(in);  // which starts read 4, and it fails
    ASSERT_TRUE(chunk);
    EXPECT_EQ(chunk->offset(), i * 4096);
    EXPECT_TRUE(std::ranges::equal(*chunk, std::span(model).subspan(i * 4096, 4096)));
    chunk.reset();
    poll_times(20);
  }
  for (int i = 0; i < 3; ++i) {
    auto r = run(in.next());
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().message(),
              "read of 4096 bytes at 16384 from EE_m0: internal device error (NVMe 0/06h)");
  }
}

// Read 1 fails while read 0 is in flight; what is read behind it is nobody's.
TEST_F(read_stream_with_errors, the_error_of_a_later_read_waits_for_its_turn) {
  must(run(sio::inject_error("EE_m0", {.on = sio::inject_on::read, .queue_depth = 1})));
  read_stream in(disk, {.chunk = 4096, .depth = 4});
  auto first = next_of(in);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->offset(), 0u);
  poll_times(20);
  auto r = run(in.next());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().offset(), 4096u);
  EXPECT_EQ(message_of(run(in.next())), r.error().message());
}

// Read 0 is held back by the device, while 1, 2 and 3 complete.
TEST_F(read_stream_with_errors, chunks_come_in_order_whatever_the_device_does) {
  must(run(sio::inject_error(
      "EE_m0", {.on = sio::inject_on::read, .how = sio::inject_how::pending, .count = 1})));
  read_stream in(disk, {.length = 16384, .chunk = 4096, .depth = 4});
  next first(in.next());
  poll_times(100);
  ASSERT_FALSE(first.done());
  auto resumed = run(sio::resume_pending("EE_m0"));
  if (!resumed && resumed.error() == std::errc::not_supported) {
    must(run(disk.reset()));
    poll_until([&] { return first.done(); });
    GTEST_SKIP() << "only releases of SPDK that can resume: " << resumed.error();
  }
  must(resumed);
  poll_until([&] { return first.done(); });
  auto chunk = must(first.take());
  EXPECT_EQ(chunk->offset(), 0u);
  EXPECT_TRUE(std::ranges::equal(*chunk, std::span(model).first(4096)));
  chunk.reset();
  for (std::uint64_t i = 1; i < 4; ++i) {
    chunk = next_of(in);
    EXPECT_TRUE(std::ranges::equal(*chunk, std::span(model).subspan(i * 4096, 4096)));
  }
}

// Some reads wait for a bdev_io, and go on later than others.
TEST(read_stream, while_memory_for_io_is_short) {
  must(init_with_pool(3, 1));
  auto disk = open_malloc("m0", 256 << 10);
  const auto model = fill_device(disk, 21);
  read_stream in(disk, {.offset = 700, .length = 200'000, .chunk = 1024, .depth = 8});
  const auto got = read_all(in, 700);
  EXPECT_GT(main_thread().statistics().memory_waits, 0u);
  EXPECT_TRUE(std::ranges::equal(got, std::span(model).subspan(700, 200'000)));
}

TEST(read_stream, two_at_a_time_are_refused) {
  auto disk = open_delay();
  read_stream in(disk, {.chunk = 4096, .depth = 2});
  next first(in.next());
  auto second = run(in.next());
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error() == std::errc::device_or_resource_busy);
  EXPECT_EQ(second.error().message(),
            "next of a stream: somebody else awaits the stream already (one at a time)");
  EXPECT_FALSE(first.done());
}

TEST(read_stream, a_stopped_wait_loses_nothing) {
  auto disk = open_malloc("m0");
  const auto model = fill_device(disk, 5);
  read_stream in(disk, {.chunk = 4096, .depth = 2});
  sio::local_stop_source stop;
  started stopped(sio::with_stop_token(stop.get_token(), in.next()));
  EXPECT_EQ(in.ahead(), 2u);
  stop.request_stop();
  EXPECT_FALSE(stopped.done());  // not from within request_stop()
  main_thread().poll();
  ASSERT_TRUE(stopped.done());
  auto r = stopped.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "next of a stream: stopped on request");
  EXPECT_EQ(in.ahead(), 2u);
  EXPECT_TRUE(std::ranges::equal(read_all(in, 0), model));
}

TEST(read_stream, a_time_limit_ends_the_wait_on_any_device) {
  auto disk = open_delay();
  read_stream in(disk, {.chunk = 4096, .depth = 2});
  auto r = run(sio::with_timeout(in.next(), std::chrono::milliseconds(1)));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::timed_out) << r.error();
  EXPECT_EQ(in.ahead(), 2u);
}  // and the stream is destroyed with reads that take an hour

TEST(read_stream, waits_until_a_chunk_is_given_back) {
  auto disk = open_malloc("m0");
  read_stream in(disk, {.chunk = 4096, .depth = 2});
  auto a = next_of(in);
  auto b = next_of(in);
  next third(in.next());
  poll_times(50);
  EXPECT_FALSE(third.done());
  EXPECT_EQ(in.ahead(), 0u);
  a.reset();
  EXPECT_EQ(in.ahead(), 1u);
  EXPECT_FALSE(third.done());
  poll_until([&] { return third.done(); });
  EXPECT_EQ(must(third.take())->offset(), 8192u);
  EXPECT_EQ(b->offset(), 4096u);
}

TEST(read_stream, chunks_may_outlive_it) {
  auto disk = open_malloc("m0");
  const auto model = fill_device(disk, 6);
  auto in = std::make_unique<read_stream>(disk, sio::read_stream_options{.chunk = 4096});
  auto a = next_of(*in);
  auto b = next_of(*in);
  in.reset();
  EXPECT_TRUE(std::ranges::equal(*a, std::span(model).first(4096)));
  a.reset();
  EXPECT_TRUE(std::ranges::equal(*b, std::span(model).subspan(4096, 4096)));
  read_chunk c = std::move(*b);
  EXPECT_TRUE(b->empty());
  b.reset();
  EXPECT_EQ(c.offset(), 4096u);
}

// Whoever waits goes on once, and finds all that the device has completed by then.
TEST(read_stream, one_wait_for_all_that_comes_with_a_poll) {
  const temp_folder folder;
  auto disk = open_device(kind::null, folder, "n0");
  const auto reader = [](const sio::bdev_desc& d, int& chunks, int& waits) -> sio::task<void> {
    read_stream in(d, {.chunk = 4096, .depth = 8});
    for (;;) {
      auto chunk = co_await counting_waits{in.next(), waits};
      if (!chunk || !*chunk) break;
      ++chunks;
    }
  };
  int chunks = 0;
  int waits = 0;
  started reading(reader(disk, chunks, waits));
  poll_until([&] { return reading.done(); });
  EXPECT_EQ(chunks, 256);
  EXPECT_EQ(waits, 256 / 8);
}

// Where reads can be aborted, and where they come back in their own time.
TEST(read_stream, destroyed_with_reads_in_flight_on_any_device) {
  const temp_folder folder;
  for_each_kind({kind::malloc, kind::null, kind::uring, kind::aio}, [&](kind k) {
    auto disk = open_device(k, folder, "d0");
    for (bool somebody_waits : {false, true}) {
      auto in = std::make_unique<read_stream>(disk, sio::read_stream_options{.chunk = 4096});
      next waiting(in->next());
      EXPECT_EQ(in->ahead(), 8u);
      if (!somebody_waits) waiting.destroy();
      in.reset();
      EXPECT_TRUE(main_thread().operations().empty());
      if (!somebody_waits) continue;
      EXPECT_FALSE(waiting.done());
      main_thread().poll();
      ASSERT_TRUE(waiting.done());
      EXPECT_EQ(message_of(waiting.take()), "next of a stream: the stream was destroyed meanwhile");
    }
  });
}

TEST(read_stream, destroyed_with_reads_in_flight) {
  auto disk = open_delay();
  auto in = std::make_unique<read_stream>(disk, sio::read_stream_options{.chunk = 4096});
  next waiting(in->next());
  poll_times(10);
  in.reset();
  EXPECT_FALSE(waiting.done());
  main_thread().poll();
  ASSERT_TRUE(waiting.done());
  auto r = waiting.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "next of a stream: the stream was destroyed meanwhile");
  EXPECT_TRUE(main_thread().operations().empty());
}

// Suspended in next() with the stream in the frame, after any number of turns.
TEST(read_stream, a_coroutine_destroyed_at_each_of_its_suspensions) {
  auto disk = open_malloc("m0", 64 << 10);
  const auto reader = [](const sio::bdev_desc& d, int& chunks) -> sio::task<void> {
    read_stream in(d, {.chunk = 4096, .depth = 3});
    std::optional<read_chunk> kept;  // destroyed after the stream
    for (;;) {
      auto chunk = co_await in.next();
      if (!chunk || !*chunk) break;
      ++chunks;
      kept = std::move(**chunk);
      co_await sio::yield();
    }
  };
  int most = 0;
  for (int turns = 0;; ++turns) {
    int chunks = 0;
    started reading(reader(disk, chunks));
    for (int i = 0; i < turns && !reading.done(); ++i) main_thread().poll();
    if (reading.done()) break;
    reading.destroy();
    most = std::max(most, chunks);
    EXPECT_TRUE(main_thread().operations().empty());
  }
  EXPECT_EQ(most, 16);
}

TEST(read_stream, its_thread_ends_while_somebody_waits) {
  auto disk = open_malloc("m0");
  std::string waited;
  std::string refused;
  std::thread other([&] {
    auto thread = std::make_unique<sio::thread>(must(sio::thread::attach("other")));
    read_stream in(disk, {.chunk = 4096, .depth = 1});
    auto held = must(sio::block_on(*thread, in.next()));
    next waiting(in.next());  // until `held` is given back
    thread.reset();
    EXPECT_TRUE(waiting.done());
    waited = message_of(waiting.take());
  });
  other.join();
  EXPECT_EQ(waited, "next of a stream: the thread is exiting");
}

#ifdef NDEBUG
TEST(read_stream, on_another_thread_is_an_error) {
  auto disk = open_malloc("m0");
  auto second = must(sio::thread::create("second"));
  read_stream in(disk, {.chunk = 4096});
  EXPECT_TRUE(next_of(in));
  auto r = sio::block_on(second, in.next());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(),
            "next of a stream: the stream belongs to another thread (the one that used it first)");
  EXPECT_TRUE(next_of(in));
}
#endif

TEST(read_stream, without_a_coroutine) {
  auto disk = open_malloc("m0");
  read_stream in(disk, {.chunk = 4096});
  auto first = must(in.next().get());
  EXPECT_EQ(first->offset(), 0u);
  std::optional<std::uint64_t> offset;
  sio::start(in.next(), [&](auto r) { offset = must(std::move(r))->offset(); });
  EXPECT_FALSE(offset);
  poll_until([&] { return offset.has_value(); });
  EXPECT_EQ(offset, 4096u);
}

// One that found its chunk at once, and is destroyed before it took it, loses nothing.
TEST(read_stream, a_claim_that_is_dropped_loses_nothing) {
  auto disk = open_malloc("m0");
  read_stream in(disk, {.chunk = 4096, .depth = 4});
  EXPECT_EQ(next_of(in)->offset(), 0u);
  poll_times(20);
  {
    sio::pending claimed(in.next(), [](auto) { FAIL() << "called"; });
    claimed.start();
  }
  main_thread().poll();
  EXPECT_EQ(next_of(in)->offset(), 4096u);
}

// Random ranges on several kinds of devices, with reads that fail, byte for byte.
TEST(read_stream, random_ranges) {
  temp_folder folder;
  for_each_kind({kind::malloc, kind::uring, kind::aio}, [&](kind k) {
    auto disk = open_device(k, folder, "d", 256 << 10);
    const auto model = fill_device(disk, 7);
    for (std::uint64_t seed = 0; seed < 150; ++seed) {
      SCOPED_TRACE(testing::Message() << "seed " << seed);
      dice d(seed);
      const std::uint64_t offset = d.roll(0, model.size());
      const std::uint64_t length = d.roll(0, model.size() - offset);
      const std::size_t chunk = d.roll(1, d.once_in(2) ? 2000 : 100000);
      const auto depth = static_cast<std::uint32_t>(d.roll(1, 12));
      read_stream in(disk, {.offset = offset, .length = length, .chunk = chunk, .depth = depth});
      std::vector<std::byte> got;
      std::vector<read_chunk> held;
      while (auto c = next_of(in)) {
        got.insert(got.end(), c->begin(), c->end());
        if (held.size() + 1 < depth && d.once_in(3)) held.push_back(std::move(*c));
        if (!held.empty() && d.once_in(3)) {
          held.erase(held.begin() + static_cast<std::ptrdiff_t>(d.roll(0, held.size() - 1)));
        }
      }
      ASSERT_EQ(got.size(), length);
      ASSERT_TRUE(std::ranges::equal(got, std::span(model).subspan(offset, length)));
      ASSERT_LE(in.memory(), depth * ((chunk + 511) / 512 * 512));
      for (const auto& c : held) {  // still what it was
        ASSERT_TRUE(std::ranges::equal(c, std::span(model).subspan(c.offset(), c.size())));
      }
    }
  });
}

TEST_F(read_stream_with_errors, at_random_places) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    dice d(seed);
    const std::uint64_t offset = d.roll(0, 100000);
    const std::uint64_t length = d.roll(1, 200000);
    const std::size_t chunk = d.roll(1, 20000);
    read_stream in(disk, {.offset = offset,
                          .length = length,
                          .chunk = chunk,
                          .depth = static_cast<std::uint32_t>(d.roll(1, 8))});
    std::uint64_t got = 0;
    const std::uint64_t fail_after = d.roll(0, 30);
    for (std::uint64_t i = 0;; ++i) {
      if (i == fail_after) fail_next();
      auto r = run(in.next());
      if (!r) {
        // In its place: the read that failed covers the next byte.
        ASSERT_LE(r.error().offset(), offset + got);
        ASSERT_LT(offset + got, r.error().offset() + r.error().length());
        ASSERT_EQ(message_of(run(in.next())), r.error().message());
        break;
      }
      if (!*r) {
        ASSERT_EQ(got, length);
        break;
      }
      ASSERT_EQ((*r)->offset(), offset + got);
      ASSERT_TRUE(std::ranges::equal(**r, std::span(model).subspan((*r)->offset(), (*r)->size())));
      got += (*r)->size();
    }
    must(run(sio::clear_errors("EE_m0")));
  }
}

}  // namespace
}  // namespace spdk_io_test
