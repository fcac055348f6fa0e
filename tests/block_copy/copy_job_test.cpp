// SPDX-License-Identifier: BSD-3-Clause
// Copies where nothing fails: byte for byte, checked, stopped, resumed, and what is refused.
#include "copied.hpp"
#include "lockstep.hpp"

#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace copy_test {
namespace {

using block_copy::pass;
using block_copy::progress;
using spdk_io_test::device_content;
using spdk_io_test::dice;
using spdk_io_test::for_each_kind;
using spdk_io_test::kind;
using spdk_io_test::message_of;
using spdk_io_test::open_malloc;
using spdk_io_test::poll_times;
using spdk_io_test::poll_until;
using spdk_io_test::started;

TEST(copy_job, a_whole_device) {
  auto from = open_malloc("a", 1 << 20);
  auto to = open_malloc("b", 2 << 20);
  const content source = fill(from, 1);
  const content old = fill(to, 2);
  copy_job job(from, to, {.chunk = 10'000, .depth = 5});
  const auto report = must(run(job.run()));
  EXPECT_EQ(report.length, 1U << 20);
  EXPECT_EQ(report.copied, 1U << 20);
  EXPECT_EQ(report.checksum, crc32c_of(source));
  EXPECT_EQ(job.durable(), 1U << 20);
  EXPECT_EQ(device_content(to), with_copy(old, source, {}, 1 << 20));
  EXPECT_EQ(device_content(from), source);
}

TEST(copy_job, of_nothing) {
  auto from = open_malloc("a");
  auto to = open_malloc("b");
  copy_job job(from, to, {.offset = 1 << 20, .to = 5});
  const auto report = must(run(job.run()));
  EXPECT_EQ(report.length, 0U);
  EXPECT_EQ(report.checksum, 0U);
}

// Ranges, chunks and depths of any kind, between devices with blocks of different sizes.
TEST(copy_job, random_ranges) {
  spdk_io_test::temp_folder folder;
  for (auto [blocks_from, blocks_to] : {std::pair{512, 4096}, {4096, 512}, {512, 512}}) {
    SCOPED_TRACE(testing::Message() << blocks_from << " to " << blocks_to);
    for_each_kind({kind::malloc, kind::aio, kind::uring}, [&](kind k) {
      auto from = open_device(k, folder, "a", 96 << 10, static_cast<std::uint32_t>(blocks_from));
      auto to = open_device(k, folder, "b", 128 << 10, static_cast<std::uint32_t>(blocks_to));
      const content source = fill(from, 3);
      content model = fill(to, 4);
      for (std::uint64_t seed = 0; seed < 40; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        dice d(seed);
        const copy_options o = random_options(d, source.size(), model.size());
        copy_job job(from, to, o);
        const auto report = must(run(job.run()));
        ASSERT_EQ(report.checksum, crc32c_of(part(source, o.offset, o.length)));
        ASSERT_EQ(job.durable(), o.length);
        model = with_copy(std::move(model), source, o, o.length);
        ASSERT_EQ(device_content(to), model);
      }
      ASSERT_EQ(device_content(from), source);
    });
  }
}

TEST(copy_job, tells_how_far_it_is) {
  auto from = open_malloc("a", 64 << 10);
  auto to = open_malloc("b", 64 << 10);
  std::vector<progress> told;
  copy_job job(from, to, {.chunk = 4096, .depth = 2, .resume_from = 8192, .tell = [&](progress p) {
                            told.push_back(p);
                          }});
  must(run(job.run()));
  const auto of = [&](pass which) {
    std::vector<std::uint64_t> done;
    for (const progress& each : told) {
      if (each.now == which) done.push_back(each.done);
    }
    return done;
  };
  std::vector<std::uint64_t> copied;
  for (std::uint64_t at = 8192; at <= 64 << 10; at += 4096) copied.push_back(at);
  EXPECT_EQ(of(pass::read_again), (std::vector<std::uint64_t>{4096, 8192}));
  EXPECT_EQ(of(pass::copy), copied);
  EXPECT_EQ(of(pass::verify).size(), 16U);
  EXPECT_EQ(of(pass::verify).back(), 64U << 10);
  EXPECT_EQ(told.back().total, 64U << 10);
  for (std::size_t i = 1; i < told.size(); ++i) EXPECT_GE(told[i].now, told[i - 1].now);
}

TEST(copy_job, without_verification_the_destination_is_not_read) {
  auto from = open_malloc("a");
  auto to = open_malloc("b");
  bool verified = false;
  copy_job job(from, to,
               {.verify = false, .tell = [&](progress p) { verified |= p.now == pass::verify; }});
  const auto before = must(run(sio::device_statistics(to)));
  must(run(job.run()));
  const auto after = must(run(sio::device_statistics(to)));
  EXPECT_FALSE(verified);
  EXPECT_EQ(after.read.bytes, before.read.bytes);
  EXPECT_EQ(after.write.bytes, before.write.bytes + (1 << 20));
}

class refused_copies : public testing::Test {
 protected:
  std::string refused(const sio::bdev_desc& from, const sio::bdev_desc& to, copy_options o) {
    o.tell = [](progress) { ADD_FAILURE() << "it has begun"; };
    copy_job job(from, to, std::move(o));
    auto r = run(job.run());
    EXPECT_EQ(job.durable(), 0U);
    EXPECT_EQ(device_content(small), before);
    return message_of(r);
  }
  sio::bdev_desc large = open_malloc("large", 1 << 20);
  sio::bdev_desc small = open_malloc("small", 64 << 10);
  content before = fill(small, 5);
};

TEST_F(refused_copies, too_large_for_the_destination) {
  EXPECT_EQ(refused(large, small, {}),
            "write of 1048576 bytes at 0 to small: past the end (device has 65536 bytes)");
  EXPECT_EQ(refused(large, small, {.length = 65'536, .to = 1}),
            "write of 65536 bytes at 1 to small: past the end (device has 65536 bytes)");
  EXPECT_EQ(refused(large, small, {.length = 0, .to = 65'537}),
            "write of 0 bytes at 65537 to small: past the end (device has 65536 bytes)");
  copy_job job(large, small, {});
  EXPECT_EQ(run(job.run()).error(), std::errc::no_space_on_device);
}

TEST_F(refused_copies, more_than_the_source_has) {
  EXPECT_EQ(refused(large, small, {.offset = 1 << 20, .length = 1}),
            "read of 1 bytes at 1048576 from large: past the end (device has 1048576 bytes)");
  EXPECT_EQ(refused(large, small, {.offset = 1 << 19, .length = (1 << 19) + 1, .resume_from = 10}),
            "read of 524289 bytes at 524288 from large: past the end (device has 1048576 bytes)");
  EXPECT_EQ(refused(large, small, {.offset = (1 << 20) + 1}),
            "read of 0 bytes at 1048577 from large: past the end (device has 1048576 bytes)");
  EXPECT_EQ(refused(large, small, {.length = 1000, .resume_from = 1001}),
            "copy: to be resumed from 1001, but the range has only 1000 bytes");
}

TEST_F(refused_copies, without_chunks) {
  EXPECT_EQ(refused(large, small, {.length = 10, .chunk = 0}), "copy: the chunk size is zero");
  EXPECT_EQ(refused(large, small, {.length = 10, .depth = 0}), "copy: the depth is zero");
}

TEST_F(refused_copies, the_same_device_on_both_sides) {
  EXPECT_EQ(refused(small, small, {.length = 10, .to = 1000}),
            "copy: small is the same device on both sides");
  // By another descriptor, and another name.
  const auto aliases = small.bdev().info().aliases;
  ASSERT_FALSE(aliases.empty());
  auto again = must(sio::bdev_desc::open(aliases[0]));
  EXPECT_EQ(refused(again, small, {.length = 10, .to = 1000}),
            "copy: small is the same device on both sides");
}

TEST_F(refused_copies, a_destination_that_cannot_be_written) {
  auto read_only = must(sio::bdev_desc::open("small", sio::access::read_only));
  EXPECT_EQ(refused(large, read_only, {.length = 4096}),
            "write of 4096 bytes at 0 to small: the descriptor is read-only (open it with "
            "access::read_write)");
}

// One run to a random point, then another that goes on from where the first one said.
class stopped_copies : public testing::Test {
 protected:
  void check(std::uint64_t seed, dice& d) {
    copy_options o = random_options(d, source.size(), old.size());
    old = fill(to, seed + 1000);
    sio::local_stop_source stop;
    const std::uint64_t stop_at = d.roll(0, o.length);
    const bool by_progress = d.once_in(2);
    o.tell = [&](progress p) {
      if (by_progress && p.now == pass::copy && p.done >= stop_at) stop.request_stop();
    };
    copy_job job(from, to, o);
    started copying(sio::with_stop_token(stop.get_token(), job.run()));
    if (!by_progress) {
      poll_times(static_cast<int>(d.roll(0, 40)));
      stop.request_stop();
    }
    poll_until([&] { return copying.done(); });
    const auto r = copying.take();
    // What it says is there, and nothing else.
    ASSERT_EQ(device_content(to), with_copy(old, source, o, job.durable()));
    if (r) {
      ASSERT_EQ(job.durable(), o.length);
      ++completed;
    } else {
      ASSERT_TRUE(block_copy::is_stop(r.error())) << r.error();
      if (by_progress) {
        ASSERT_GE(job.durable(), stop_at);
      }
      if (job.durable() != 0 && job.durable() != o.length) ++in_the_middle;
    }
    resume(o, job.durable());
  }

  void resume(copy_options o, std::uint64_t at) {
    o.tell = nullptr;
    o.resume_from = at;
    o.verify = true;
    copy_job job(from, to, o);
    const auto report = must(run(job.run()));
    ASSERT_EQ(report.copied, o.length - at);
    ASSERT_EQ(report.checksum, crc32c_of(part(source, o.offset, o.length)));
    ASSERT_EQ(device_content(to), with_copy(old, source, o, o.length));
  }

  sio::bdev_desc from = open_malloc("a", 96 << 10);
  sio::bdev_desc to = open_malloc("b", 128 << 10, 4096);
  content source = fill(from, 6);
  content old = fill(to, 7);
  int in_the_middle = 0;
  int completed = 0;
};

TEST_F(stopped_copies, at_random_points_and_resumed) {
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    dice d(seed);
    check(seed, d);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(in_the_middle, 30);
  EXPECT_LT(completed, 100);
}

TEST_F(stopped_copies, before_it_begins) {
  sio::local_stop_source stop;
  stop.request_stop();
  copy_job job(from, to, {});
  const auto r = run(sio::with_stop_token(stop.get_token(), job.run()));
  ASSERT_FALSE(r);
  EXPECT_TRUE(block_copy::is_stop(r.error())) << r.error();
  EXPECT_EQ(job.durable(), 0U);
  EXPECT_EQ(device_content(to), old);
}

// The copy is complete, and need not be made again.
TEST_F(stopped_copies, while_it_verifies) {
  sio::local_stop_source stop;
  copy_job job(from, to, {.chunk = 4096, .tell = [&](progress p) {
                            if (p.now == pass::verify) stop.request_stop();
                          }});
  const auto r = run(sio::with_stop_token(stop.get_token(), job.run()));
  ASSERT_FALSE(r);
  EXPECT_TRUE(block_copy::is_stop(r.error())) << r.error();
  EXPECT_EQ(job.durable(), source.size());
  resume({.length = source.size()}, job.durable());
}

// A part that an earlier run is said to have copied is verified as well.
TEST(copy_job, resumed_from_where_nothing_is) {
  auto from = open_malloc("a");
  auto to = open_malloc("b");
  const content source = fill(from, 8);
  const content old = fill(to, 9);
  const copy_options o{.chunk = 4096, .resume_from = 10'000};
  copy_job job(from, to, o);
  const auto r = run(job.run());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::illegal_byte_sequence);
  ASSERT_TRUE(job.first_difference());
  EXPECT_EQ(job.first_difference()->chunk, 0U);
  const auto now = device_content(to);
  EXPECT_TRUE(std::ranges::equal(part(now, 0, 10'000), part(old, 0, 10'000)));
  EXPECT_TRUE(
      std::ranges::equal(std::span(now).subspan(10'000), std::span(source).subspan(10'000)));
}

TEST(lockstep, finds_the_first_byte_that_differs) {
  auto a = open_malloc("a", 64 << 10);
  auto b = open_malloc("b", 64 << 10, 4096);
  const content all = fill(a, 10);
  auto buffer = must(sio::dma_buffer::zeroed(64 << 10));
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    dice d(seed);
    const copy_options o = random_options(d, all.size(), all.size());
    std::ranges::copy(with_copy(content(all.size()), all, o, o.length), buffer.begin());
    std::optional<std::uint64_t> expected;
    for (int i = static_cast<int>(d.roll(0, 3)); i > 0 && o.length != 0; --i) {
      const std::uint64_t at = d.roll(0, o.length - 1);
      buffer.data()[o.to + at] = ~all[o.offset + at];
      expected = std::min(expected.value_or(at), at);
    }
    must(run(b.write(buffer, 0)));
    block_copy::lockstep both(a, o.offset, b, o.to, o.length, {.chunk = o.chunk, .depth = o.depth});
    ASSERT_EQ(must(run(both.first_difference())), expected);
  }
}

}  // namespace
}  // namespace copy_test
