// SPDX-License-Identifier: BSD-3-Clause
// Bytes in pieces of any size, on the device where they belong, with their neighbours unharmed.
#include "stream_model.hpp"

#include <spdk_io/stream.hpp>
#include <spdk_io/write_sink.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace spdk_io_test {
namespace {

using sio::write_sink;
using sending = started<sio::send_bytes_operation>;
using flushing = started<sio::flush_sink_operation>;

static_assert(sio::sink<write_sink, std::span<const std::byte>>);
static_assert(sio::sink<write_sink, std::vector<std::byte>&>);

std::vector<std::byte> bytes_of(std::size_t size, std::uint64_t seed) {
  std::vector<std::byte> out(size);
  fill_pattern(out, seed);
  return out;
}

void expect_content(const sio::bdev_desc& disk, std::span<const std::byte> model) {
  const auto content = device_content(disk);
  const std::size_t at = first_difference(content, model);
  EXPECT_EQ(at, model.size()) << "differs at " << at;
}

TEST(write_sink, pieces_of_any_size) {
  auto disk = open_malloc("m0", 256 << 10);
  auto model = fill_device(disk, 1);
  const auto data = bytes_of(100'000, 2);
  std::ranges::copy(data, model.begin() + 1000);
  write_sink out(disk, {.offset = 1000, .chunk = 4096, .depth = 3});
  std::size_t at = 0;
  for (std::size_t piece = 1; at < data.size(); piece = piece * 3 % 20011) {
    const std::size_t n = std::min(piece, data.size() - at);
    must(run(out.send(std::span(data).subspan(at, n))));
    at += n;
    EXPECT_EQ(out.position(), 1000 + at);
  }
  must(run(out.close()));
  EXPECT_EQ(out.memory(), 3u * 4096 + 2 * 512);
  expect_content(disk, model);
}

// What lies before and behind the range in its first and last block is others'.
TEST(write_sink, neighbours_in_a_block_are_kept) {
  auto disk = open_malloc("m0", 16 << 10);
  for (std::size_t offset : {0u, 1u, 511u, 512u, 700u, 1023u}) {
    for (std::size_t length : {1u, 10u, 300u, 511u, 512u, 513u, 1024u, 1500u, 3000u}) {
      SCOPED_TRACE(testing::Message() << offset << '+' << length);
      auto model = fill_device(disk, offset + length);
      const auto data = bytes_of(length, 77);
      std::ranges::copy(data, model.begin() + static_cast<std::ptrdiff_t>(offset));
      write_sink out(disk, {.offset = offset, .chunk = 1024, .depth = 2});
      must(run(out.send(data)));
      must(run(out.close()));
      expect_content(disk, model);
    }
  }
}

TEST(write_sink, writes_behind_up_to_its_depth) {
  auto disk = open_delay();
  const auto data = bytes_of(4096, 1);
  write_sink out(disk, {.chunk = 4096, .depth = 3});
  for (int i = 0; i < 3; ++i) {
    sending one(out.send(data));
    EXPECT_TRUE(one.done());  // without suspending
  }
  EXPECT_EQ(main_thread().operations().size(), 3u);
  sending fourth(out.send(data));
  poll_times(20);
  EXPECT_FALSE(fourth.done());
  EXPECT_EQ(main_thread().operations().size(), 3u);
}

TEST(write_sink, flush_writes_what_there_is_and_goes_on) {
  auto disk = open_malloc("m0", 64 << 10);
  auto model = fill_device(disk, 3);
  const auto data = bytes_of(5000, 4);
  write_sink out(disk, {.offset = 100, .chunk = 2048, .depth = 2});
  std::size_t at = 0;
  for (std::size_t n : {10u, 400u, 3u, 600u, 1034u, 1u, 2048u, 904u}) {
    must(run(out.send(std::span(data).subspan(at, n))));
    std::ranges::copy(std::span(data).subspan(at, n),
                      model.begin() + 100 + static_cast<std::ptrdiff_t>(at));
    at += n;
    must(run(out.flush()));
    expect_content(disk, model);
  }
  EXPECT_EQ(at, data.size());
  must(run(out.flush()));  // of nothing new
  must(run(out.close()));
  expect_content(disk, model);
}

TEST(write_sink, written_says_how_far_nothing_is_missing) {
  auto disk = open_malloc("m0", 64 << 10);
  fill_device(disk, 5);
  const auto data = bytes_of(5000, 6);
  write_sink out(disk, {.offset = 100, .chunk = 2048, .depth = 4});
  EXPECT_EQ(out.written(), 100u);
  must(run(out.send(data)));
  EXPECT_EQ(out.written(), 100u);  // all on its way
  poll_times(50);
  EXPECT_EQ(out.written(), 4096u);  // the rest is held back
  must(run(out.flush()));
  EXPECT_EQ(out.written(), 5100u);
  must(run(out.send(std::span(data).first(1))));
  EXPECT_EQ(out.written(), 5100u);
  flushing again(out.flush());
  EXPECT_EQ(out.written(), 4608u);  // the block is written once more
  poll_until([&] { return again.done(); });
  must(again.take());
  EXPECT_EQ(out.written(), 5101u);
  must(run(out.close()));
  write_sink moved = std::move(out);
  EXPECT_EQ(out.written(), 0u);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(moved.written(), 5101u);
}

// A flush that was given up still writes: who goes on in the same block waits for it.
TEST(write_sink, a_block_that_is_being_written_is_not_touched) {
  auto disk = open_malloc("m0", 64 << 10);
  auto model = fill_device(disk, 5);
  const auto data = bytes_of(700, 6);
  write_sink out(disk, {.offset = 10, .chunk = 4096, .depth = 4});
  must(run(out.send(std::span(data).first(300))));
  {
    flushing given_up(out.flush());
    EXPECT_FALSE(given_up.done());
  }
  EXPECT_EQ(main_thread().operations().size(), 1u);  // it reads the block
  sending next(out.send(std::span(data).subspan(300)));
  EXPECT_FALSE(next.done());
  EXPECT_EQ(out.position(), 310u);
  poll_until([&] { return next.done(); });
  must(next.take());
  EXPECT_EQ(main_thread().operations().size(), 0u);
  std::ranges::copy(std::span(data).first(300), model.begin() + 10);
  expect_content(disk, model);
  must(run(out.close()));
  std::ranges::copy(data, model.begin() + 10);
  expect_content(disk, model);
}

TEST(write_sink, no_more_than_the_range_has_room_for) {
  auto disk = open_malloc("m0", 64 << 10);
  const auto data = bytes_of(5000, 7);
  write_sink out(disk, {.offset = 100, .length = 6000, .chunk = 1024});
  must(run(out.send(data)));
  auto r = run(out.send(data));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::no_space_on_device);
  EXPECT_EQ(r.error().message(),
            "send into a sink: 5000 bytes at 5100 are more than its range, which ends at 6100");
  EXPECT_EQ(out.position(), 5100u);  // nothing of it was taken
  must(run(out.send(std::span(data).first(1000))));
  must(run(out.close()));

  write_sink to_the_end(disk, {.offset = (64 << 10) - 100});
  r = run(to_the_end.send(data));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::no_space_on_device);
  EXPECT_EQ(r.error().message(),
            "write of 5000 bytes at 65436 to m0: past the end (device has 65536 bytes)");
  must(run(to_the_end.send(std::span(data).first(100))));
  must(run(to_the_end.close()));
}

TEST(write_sink, what_cannot_be_is_refused) {
  auto disk = open_malloc("m0");
  const auto data = bytes_of(10, 8);
  const auto fails = [&](const sio::write_sink_options& o, std::string_view message) {
    write_sink out(disk, o);
    EXPECT_EQ(message_of(run(out.send(data))), message);
    EXPECT_EQ(message_of(run(out.flush())), message);
    EXPECT_EQ(message_of(run(out.close())), message);
  };
  fails({.chunk = 0}, "write_sink: the chunk size is zero");
  fails({.depth = 0}, "write_sink: the depth is zero");
  fails({.offset = 1, .length = 1 << 20},
        "write of 1048576 bytes at 1 to m0: past the end (device has 1048576 bytes)");
  write_sink of_nothing{sio::bdev_desc()};
  EXPECT_EQ(run(of_nothing.send(data)).error().code(), std::errc::bad_file_descriptor);
  write_sink a(disk);
  write_sink b = std::move(a);
  EXPECT_EQ(message_of(run(a.send(data))),  // NOLINT(bugprone-use-after-move)
            "send into a sink: the sink is empty (moved from)");
  must(run(b.close()));
}

TEST(write_sink, after_close) {
  auto disk = open_malloc("m0");
  const auto data = bytes_of(10, 9);
  write_sink out(disk);
  must(run(out.send(data)));
  must(run(out.close()));
  EXPECT_EQ(message_of(run(out.send(data))), "send into a sink: the sink is closed");
  EXPECT_EQ(message_of(run(out.flush())), "flush of a sink: the sink is closed");
  EXPECT_EQ(message_of(run(out.close())), "success");  // as it was
}

TEST(write_sink, two_at_a_time_are_refused) {
  auto disk = open_delay();
  const auto data = bytes_of(100, 10);
  write_sink out(disk, {.chunk = 4096});
  must(run(out.send(data)));
  flushing first(out.flush());
  EXPECT_EQ(message_of(run(out.send(data))),
            "send into a sink: somebody else awaits the sink already (one at a time)");
  EXPECT_FALSE(first.done());
}

TEST(write_sink, a_stopped_send_says_how_far_it_came) {
  auto disk = open_delay();
  const auto data = bytes_of(10000, 11);
  write_sink out(disk, {.chunk = 4096, .depth = 2});
  sio::local_stop_source stop;
  started one(sio::with_stop_token(stop.get_token(), out.send(data)));
  EXPECT_FALSE(one.done());
  stop.request_stop();
  main_thread().poll();
  ASSERT_TRUE(one.done());
  EXPECT_EQ(message_of(one.take()), "send into a sink: stopped on request");
  EXPECT_EQ(out.position(), 8192u);
  auto r = run(sio::with_timeout(out.close(), std::chrono::milliseconds(1)));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::timed_out);
}

class write_sink_with_errors : public testing::Test {
 protected:
  void SetUp() override {
    must(run(sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20})));
    must(run(sio::create_bdev(sio::error_bdev{.base = "m0"})));
    disk = must(sio::bdev_desc::open("EE_m0"));
    model = fill_device(disk, 4);
  }
  void fail(sio::inject_on on, std::uint32_t count = 1) {
    must(run(sio::inject_error("EE_m0", {.on = on, .count = count})));
  }
  sio::bdev_desc disk;
  std::vector<std::byte> model;
};

const std::string write_fails =
    "write of 4096 bytes at 4096 to EE_m0: internal device error (NVMe 0/06h)";

TEST_F(write_sink_with_errors, an_error_comes_with_the_next_send_and_with_all_after_it) {
  const auto data = bytes_of(4096, 1);
  write_sink out(disk, {.chunk = 4096, .depth = 2});
  must(run(out.send(data)));
  must(run(out.flush()));
  fail(sio::inject_on::write);
  must(run(out.send(data)));  // which nobody has waited for
  poll_times(20);
  EXPECT_EQ(message_of(run(out.send(data))), write_fails);
  EXPECT_EQ(out.position(), 8192u);
  EXPECT_EQ(message_of(run(out.flush())), write_fails);
  EXPECT_EQ(message_of(run(out.close())), write_fails);
  EXPECT_EQ(message_of(run(out.close())), write_fails);
  EXPECT_EQ(message_of(run(out.send(data))), "send into a sink: the sink is closed");
}

TEST_F(write_sink_with_errors, an_error_comes_with_close) {
  const auto data = bytes_of(8192, 1);
  write_sink out(disk, {.chunk = 4096, .depth = 4});
  must(run(out.send(std::span(data).first(4096))));
  poll_times(20);
  fail(sio::inject_on::write);
  must(run(out.send(std::span(data).first(4096))));
  EXPECT_EQ(message_of(run(out.close())), write_fails);
}

TEST_F(write_sink_with_errors, of_the_read_of_a_block_and_of_the_flush) {
  const auto data = bytes_of(100, 1);
  {
    write_sink out(disk, {.offset = 10});
    fail(sio::inject_on::read);
    must(run(out.send(data)));
    EXPECT_EQ(message_of(run(out.close())),
              "read of 512 bytes at 0 from EE_m0: internal device error (NVMe 0/06h)");
    expect_content(disk, model);
  }
  write_sink out(disk);
  fail(sio::inject_on::flush);
  must(run(out.send(data)));
  EXPECT_EQ(message_of(run(out.close())),
            "flush of 512 bytes at 0 on EE_m0: internal device error (NVMe 0/06h)");
}

// The first of two writes hangs, the second one fails: nobody knows yet what becomes of the first.
TEST_F(write_sink_with_errors, written_ends_before_whatever_has_failed) {
  const auto data = bytes_of(4096, 1);
  write_sink out(disk, {.chunk = 4096, .depth = 4});
  EXPECT_EQ(out.written(), 0u);
  must(run(out.send(data)));
  must(run(out.flush()));
  EXPECT_EQ(out.written(), 4096u);
  must(run(
      sio::inject_error("EE_m0", {.on = sio::inject_on::write, .how = sio::inject_how::pending})));
  must(run(out.send(data)));
  fail(sio::inject_on::write);
  must(run(out.send(data)));
  must(run(out.send(data)));  // written well
  poll_times(50);
  EXPECT_EQ(message_of(run(out.send(data))),
            "write of 4096 bytes at 8192 to EE_m0: internal device error (NVMe 0/06h)");
  EXPECT_EQ(out.written(), 4096u);
  flushing closing(out.close());
  poll_times(50);
  EXPECT_FALSE(closing.done());  // one is on its way
  must(run(disk.reset()));       // which fails it
  poll_until([&] { return closing.done(); });
  EXPECT_EQ(message_of(closing.take()),
            "write of 4096 bytes at 8192 to EE_m0: internal device error (NVMe 0/06h)");
  EXPECT_EQ(out.written(), 4096u);
}

TEST_F(write_sink_with_errors, at_random_places) {
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    dice d(seed);
    const std::uint64_t offset = d.roll(0, 100000);
    const std::size_t chunk = d.roll(1, 20000);
    write_sink out(
        disk,
        {.offset = offset, .chunk = chunk, .depth = static_cast<std::uint32_t>(d.roll(1, 8))});
    const std::uint64_t fail_at = d.roll(0, 30);
    bool failed = false;
    for (std::uint64_t i = 0; i < 30 && !failed; ++i) {
      if (i == fail_at) fail(d.once_in(2) ? sio::inject_on::write : sio::inject_on::all);
      const auto data = bytes_of(d.roll(0, 8000), seed + i);
      const std::uint64_t at = out.position();
      auto r = run(out.send(data));
      if (r && d.once_in(8)) r = run(out.flush());
      if (!r) {
        failed = true;
        ASSERT_EQ(message_of(run(out.close())), r.error().message());
        break;
      }
      std::ranges::copy(data, model.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (!failed) failed = !run(out.close());
    ASSERT_TRUE(main_thread().operations().empty());
    must(run(sio::clear_errors("EE_m0")));
    if (failed) {
      // What lies before the range, and behind all that was sent, is as it was.
      const auto content = device_content(disk);
      ASSERT_TRUE(
          std::ranges::equal(std::span(content).first(offset), std::span(model).first(offset)));
      const std::size_t behind = out.position() + 1;
      ASSERT_TRUE(
          std::ranges::equal(std::span(content).subspan(behind), std::span(model).subspan(behind)));
      model = content;
    } else {
      expect_content(disk, model);
    }
  }
}

TEST(write_sink, dropped_without_close_loses_what_is_not_written_and_says_so) {
  auto disk = open_malloc("m0");
  auto model = fill_device(disk, 12);
  const auto data = bytes_of(5000, 13);
  testing::internal::CaptureStderr();
  {
    write_sink out(disk, {.chunk = 4096, .depth = 2});
    must(run(out.send(data)));
    poll_times(20);  // the full chunk is written
  }
  const std::string said = testing::internal::GetCapturedStderr();
#ifdef NDEBUG
  EXPECT_EQ(said, "");
#else
  EXPECT_EQ(said,
            "spdk-io: a write_sink on m0 was destroyed without close(): 904 bytes that were sent "
            "have not been written\n");
#endif
  std::ranges::copy(std::span(data).first(4096), model.begin());
  expect_content(disk, model);
}

TEST(write_sink, destroyed_with_writes_in_flight) {
  auto disk = open_delay();
  const auto data = bytes_of(20000, 14);
  auto out = std::make_unique<write_sink>(disk, sio::write_sink_options{.chunk = 4096, .depth = 2});
  sending waiting(out->send(data));
  poll_times(10);
  out.reset();
  main_thread().poll();
  ASSERT_TRUE(waiting.done());
  EXPECT_EQ(message_of(waiting.take()), "send into a sink: the sink was destroyed meanwhile");
  EXPECT_TRUE(main_thread().operations().empty());
}

// Whoever waits for room goes on once for all that the device has completed by then.
TEST(write_sink, one_wait_for_all_that_comes_with_a_poll) {
  const temp_folder folder;
  auto disk = open_device(kind::null, folder, "n0");
  const auto writer = [](const sio::bdev_desc& d, int& chunks, int& waits) -> sio::task<void> {
    write_sink out(d, {.chunk = 4096, .depth = 8});
    const auto data = bytes_of(4096, 17);
    while (chunks < 256) {
      if (auto r = co_await counting_waits{out.send(data), waits}; !r) co_return;
      ++chunks;
    }
    must(co_await out.close());
  };
  int chunks = 0;
  int waits = 0;
  started writing(writer(disk, chunks, waits));
  poll_until([&] { return writing.done(); });
  EXPECT_EQ(chunks, 256);
  EXPECT_EQ(waits, 256 / 8 - 1);
}

// Where writes can be aborted, and where they come back in their own time.
TEST(write_sink, destroyed_with_writes_in_flight_on_any_device) {
  const temp_folder folder;
  for_each_kind({kind::malloc, kind::null, kind::uring, kind::aio}, [&](kind k) {
    auto disk = open_device(k, folder, "d0");
    const auto data = bytes_of(20000, 14);
    for (bool somebody_waits : {false, true}) {
      auto out =
          std::make_unique<write_sink>(disk, sio::write_sink_options{.chunk = 4096, .depth = 2});
      sending waiting(out->send(data));
      EXPECT_EQ(out->position(), 2 * 4096u);
      if (!somebody_waits) waiting.destroy();
      out.reset();
      EXPECT_TRUE(main_thread().operations().empty());
      if (!somebody_waits) continue;
      EXPECT_FALSE(waiting.done());
      main_thread().poll();
      ASSERT_TRUE(waiting.done());
      EXPECT_EQ(message_of(waiting.take()), "send into a sink: the sink was destroyed meanwhile");
    }
  });
}

TEST(write_sink, a_coroutine_destroyed_at_each_of_its_suspensions) {
  auto disk = open_malloc("m0", 64 << 10);
  const auto writer = [](const sio::bdev_desc& d) -> sio::task<void> {
    write_sink out(d, {.offset = 100, .chunk = 1024, .depth = 2});
    const auto data = bytes_of(3000, 15);
    for (int i = 0; i < 4; ++i) {
      if (auto r = co_await out.send(data); !r) co_return;
      if (i == 2) {
        if (auto r = co_await out.flush(); !r) co_return;
      }
    }
    if (auto r = co_await out.close(); !r) co_return;
  };
  for (int turns = 0;; ++turns) {
    ASSERT_LT(turns, 1000);
    auto model = fill_device(disk, 16);
    started writing(writer(disk));
    for (int i = 0; i < turns && !writing.done(); ++i) main_thread().poll();
    const bool done = writing.done();
    writing.destroy();
    ASSERT_TRUE(main_thread().operations().empty());
    const auto content = device_content(disk);
    ASSERT_TRUE(std::ranges::equal(std::span(content).first(100), std::span(model).first(100)));
    ASSERT_TRUE(
        std::ranges::equal(std::span(content).subspan(12100), std::span(model).subspan(12100)));
    if (done) break;
  }
}

TEST(write_sink, its_thread_ends_while_somebody_waits) {
  open_malloc("m0");
  std::string waited;
  std::thread other([&] {
    auto thread = std::make_unique<sio::thread>(must(sio::thread::attach("other")));
    auto m0 = must(sio::bdev_desc::open("m0"));
    write_sink out(m0, {.chunk = 512, .depth = 1});
    const auto data = bytes_of(2000, 1);
    sending waiting(out.send(data));
    EXPECT_FALSE(waiting.done());
    thread.reset();
    EXPECT_TRUE(waiting.done());
    waited = message_of(waiting.take());
  });
  other.join();
  EXPECT_EQ(waited, "send into a sink: the thread is exiting");
}

// Some writes wait for a bdev_io, and go on later than others.
TEST(write_sink, while_memory_for_io_is_short) {
  must(init_with_pool(3, 1));
  auto disk = open_malloc("m0", 256 << 10);
  auto model = fill_device(disk, 18);
  const auto data = bytes_of(200'000, 19);
  std::ranges::copy(data, model.begin() + 700);
  write_sink out(disk, {.offset = 700, .chunk = 1024, .depth = 8});
  dice random(20);
  for (std::size_t at = 0; at < data.size();) {
    const std::size_t most = random.once_in(4) ? random.roll(1, 5000) : 1024;
    const std::size_t n = std::min<std::size_t>(most, data.size() - at);
    must(run(out.send(std::span(data).subspan(at, n))));
    at += n;
    if (random.once_in(20)) must(run(out.flush()));
  }
  must(run(out.close()));
  EXPECT_GT(main_thread().statistics().memory_waits, 0u);
  expect_content(disk, model);
}

// The rest of a chunk, from another place in its memory than what was written of it before.
TEST(write_sink, the_rest_of_a_chunk_waits_for_memory) {
  must(init_with_pool(1, 0));
  auto disk = open_malloc("m0", 64 << 10);
  auto model = fill_device(disk, 22);
  const auto data = bytes_of(2048, 23);
  std::ranges::copy(data, model.begin());
  auto buffer = must(sio::dma_buffer::zeroed(512));
  write_sink out(disk, {.chunk = 4096});
  must(run(out.send(std::span(data).first(1024))));
  must(run(out.flush()));
  must(run(out.send(std::span(data).subspan(1024))));
  started reading(disk.read(buffer, 0));  // has the only bdev_io
  started closing(out.close());
  EXPECT_EQ(main_thread().statistics().memory_waits, 1u);
  poll_until([&] { return closing.done(); });
  must(closing.take());
  expect_content(disk, model);
}

// Random ranges, chunks and pieces, with flushes between them, byte for byte.
TEST(write_sink, random_pieces) {
  temp_folder folder;
  for_each_kind({kind::malloc, kind::uring, kind::aio}, [&](kind k) {
    auto disk = open_device(k, folder, "d", 256 << 10);
    auto model = fill_device(disk, 17);
    for (std::uint64_t seed = 0; seed < 120; ++seed) {
      SCOPED_TRACE(testing::Message() << "seed " << seed);
      dice d(seed);
      const std::uint64_t offset = d.roll(0, model.size());
      const std::uint64_t room = model.size() - offset;
      std::uint64_t left = d.roll(0, room);
      const std::size_t chunk = d.roll(1, d.once_in(2) ? 2000 : 50000);
      const auto depth = static_cast<std::uint32_t>(d.roll(1, 8));
      write_sink out(
          disk, {.offset = offset, .length = d.roll(left, room), .chunk = chunk, .depth = depth});
      while (left > 0) {
        const std::uint64_t n =
            d.roll(0, std::min<std::uint64_t>(left, d.once_in(3) ? 60000 : 700));
        const auto data = bytes_of(n, seed + left);
        const std::uint64_t at = out.position();
        if (d.once_in(10)) {
          flushing given_up(out.flush());
        }
        must(run(out.send(data)));
        std::ranges::copy(data, model.begin() + static_cast<std::ptrdiff_t>(at));
        left -= n;
        if (d.once_in(10)) must(run(out.flush()));
      }
      must(run(out.close()));
      ASSERT_LE(out.memory(), depth * ((chunk + 511) / 512 * 512) + 1024);
      if (d.once_in(4)) {
        const auto content = device_content(disk);
        ASSERT_EQ(first_difference(content, model), model.size());
      }
    }
    expect_content(disk, model);
  });
}

}  // namespace
}  // namespace spdk_io_test
