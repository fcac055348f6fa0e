// SPDX-License-Identifier: BSD-3-Clause
// Devices that fail in the middle, or corrupt: the error has the right place, and what is said to
// be durable is there.
#include "copied.hpp"

#include <spdk_io/error_injection.hpp>
#include <spdk_io/stacked_bdev_options.hpp>

#include <string>
#include <system_error>

namespace copy_test {
namespace {

using sio::inject_how;
using sio::inject_on;
using spdk_io_test::device_content;
using spdk_io_test::dice;
using spdk_io_test::message_of;
using spdk_io_test::started;

sio::bdev_desc open_faulty(std::string_view name, std::uint64_t size, std::uint32_t block_size) {
  must(run(
      sio::create_bdev(sio::malloc_bdev{.name = name, .size = size, .block_size = block_size})));
  return must(sio::bdev_desc::open(must(run(sio::create_bdev(sio::error_bdev{.base = name})))));
}

class faulty_copies : public testing::Test {
 protected:
  void SetUp() override {
    source = fill(from, 1);
    old = fill(to, 2);
  }
  static void fail(const sio::bdev_desc& on, sio::injected_error what) {
    must(run(sio::inject_error(on.bdev().name(), what)));
  }
  // A copy on a thread of its own, which stands still while nobody polls that: putting an error in
  // takes many polls of the first thread.
  auto begin(copy_job& job) {
    return second.ref().call([&job] { return job.run(); });
  }
  template <class Done>
  void poll_both_until(Done done) {
    while (!done()) {
      spdk_io_test::main_thread().poll();
      second.poll();
    }
  }
  // The device fails once so much has been copied.
  sio::result<block_copy::copy_report> copy(copy_job& job, const sio::bdev_desc& faulty,
                                            sio::injected_error what, std::uint64_t after) {
    started copying(begin(job));
    poll_both_until([&] { return told >= after || copying.done(); });
    fail(faulty, what);
    poll_both_until([&] { return copying.done(); });
    must(run(sio::clear_errors(faulty.bdev().name())));
    return copying.take();
  }
  // Many of them.
  copy_options small_chunks(dice& d) {
    copy_options o = random_options(d, source.size(), old.size());
    o.chunk = d.roll(1, 5000);
    o.depth = static_cast<std::uint32_t>(d.roll(1, 5));
    o.tell = [this](block_copy::progress p) { told = p.done; };
    told = 0;
    return o;
  }

  std::uint64_t told = 0;                                    // bytes
  sio::thread second = must(sio::thread::create("second"));  // it outlives the devices
  sio::bdev_desc from = open_faulty("a", 384 << 10, 512);
  sio::bdev_desc to = open_faulty("b", 512 << 10, 4096);
  content source;
  content old;
};

TEST_F(faulty_copies, reads_that_fail_at_random_points) {
  int in_the_middle = 0;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    dice d(seed);
    copy_options o = small_chunks(d);
    o.verify = false;
    copy_job job(from, to, o);
    const auto r = copy(job, from, {.on = inject_on::read}, d.roll(0, o.length));
    old = with_copy(old, source, o, job.durable());
    ASSERT_EQ(device_content(to), old);
    if (r) {
      ASSERT_EQ(job.durable(), o.length);
      continue;
    }
    ASSERT_EQ(r.error().what(), sio::operation_kind::read) << r.error();
    ASSERT_EQ(r.error().device(), "EE_a");
    ASSERT_EQ(job.durable(), std::max(r.error().offset(), o.offset) - o.offset) << r.error();
    if (job.durable() != 0) ++in_the_middle;
  }
  EXPECT_GT(in_the_middle, 30);
}

TEST_F(faulty_copies, writes_that_fail_at_random_points) {
  int in_the_middle = 0;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    dice d(seed);
    copy_options o = small_chunks(d);
    o.verify = false;
    copy_job job(from, to, o);
    const auto count = static_cast<std::uint32_t>(d.roll(1, 3));
    const auto r = copy(job, to, {.on = inject_on::write, .count = count}, d.roll(0, o.length));
    const content now = device_content(to);
    const std::uint64_t durable = job.durable();
    if (r) {
      old = with_copy(old, source, o, o.length);
      ASSERT_EQ(now, old);
      continue;
    }
    ASSERT_EQ(r.error().what(), sio::operation_kind::write) << r.error();
    ASSERT_EQ(r.error().device(), "EE_b");
    // The place: what should have been written there is not.
    const std::uint64_t begin = std::max(r.error().offset(), o.to);
    const std::uint64_t end = std::min(r.error().offset() + r.error().length(), o.to + o.length);
    ASSERT_LT(begin, end) << r.error();
    ASSERT_TRUE(std::ranges::equal(part(now, begin, end - begin), part(old, begin, end - begin)));
    // What is durable: it is there, and ends where something is not.
    ASSERT_TRUE(std::ranges::equal(part(now, o.to, durable), part(source, o.offset, durable)));
    ASSERT_LE(o.to + durable, begin);
    ASSERT_EQ(now[o.to + durable], old[o.to + durable]);
    if (count == 1) {
      ASSERT_EQ(o.to + durable, begin);
    }
    // And outside of the range nothing has changed.
    ASSERT_TRUE(std::ranges::equal(part(now, 0, o.to), part(old, 0, o.to)));
    ASSERT_TRUE(std::ranges::equal(std::span(now).subspan(o.to + o.length),
                                   std::span(old).subspan(o.to + o.length)));
    if (durable != 0) ++in_the_middle;
    old = now;
  }
  EXPECT_GT(in_the_middle, 50);
}

// The first of two writes hangs, and fails after the second one: the durable part ends before it.
// (On a device that cannot flush: the reset that ends the write would end a flush as well.)
TEST_F(faulty_copies, an_earlier_write_that_fails_later) {
  must(run(sio::create_bdev(sio::null_bdev{.name = "n", .size = 1 << 20})));
  auto hole = must(sio::bdev_desc::open(must(run(sio::create_bdev(sio::error_bdev{.base = "n"})))));
  copy_job job(from, hole,
               {.chunk = 4096, .depth = 4, .tell = [&](block_copy::progress p) { told = p.done; }});
  started copying(begin(job));
  poll_both_until([&] { return told >= 12 << 10; });
  fail(hole, {.on = inject_on::write, .how = inject_how::pending});
  const std::uint64_t before = told;
  poll_both_until([&] { return told >= before + (32 << 10); });
  fail(hole, {.on = inject_on::write});
  for (int i = 0; i < 200; ++i) second.poll();
  ASSERT_FALSE(copying.done());
  started resetting(hole.reset());
  poll_both_until([&] { return copying.done() && resetting.done(); });
  must(resetting.take());
  const auto r = copying.take();
  ASSERT_FALSE(r);
  ASSERT_EQ(r.error().what(), sio::operation_kind::write) << r.error();
  EXPECT_FALSE(job.flushes());
  EXPECT_GE(job.durable(), 12U << 10);
  EXPECT_LE(job.durable(), before + 4096);
  EXPECT_GT(r.error().offset(), before + 4096);
}

TEST_F(faulty_copies, a_flush_that_fails_makes_nothing_durable) {
  fail(to, {.on = inject_on::flush});
  copy_job job(from, to, {});
  const auto r = run(job.run());
  EXPECT_EQ(message_of(r),
            "flush of 393216 bytes at 0 on EE_b: internal device error (NVMe 0/06h)");
  EXPECT_EQ(job.durable(), 0U);

  fail(to, {.on = inject_on::flush});
  copy_job resumed(from, to, {.resume_from = 512});
  EXPECT_EQ(run(resumed.run()).error().what(), sio::operation_kind::flush);
  EXPECT_EQ(resumed.durable(), 512U);
}

// What lies before a write that failed is not durable before it has been flushed.
TEST_F(faulty_copies, a_write_and_the_flush_after_it_fail) {
  copy_job job(from, to,
               {.chunk = 4096, .depth = 1, .tell = [&](block_copy::progress p) { told = p.done; }});
  fail(to, {.on = inject_on::flush});
  started copying(begin(job));
  poll_both_until([&] { return told >= 12 << 10; });
  fail(to, {.on = inject_on::write});
  poll_both_until([&] { return copying.done(); });
  const auto r = copying.take();
  ASSERT_FALSE(r);
  ASSERT_EQ(r.error().what(), sio::operation_kind::write) << r.error();
  EXPECT_EQ(job.durable(), 0U);
  const content now = device_content(to);
  EXPECT_TRUE(std::ranges::equal(part(now, 0, 8192), part(source, 0, 8192)));
}

// Ctrl-C must not hide that nothing is durable.
TEST_F(faulty_copies, a_stop_whose_flush_fails_is_an_error) {
  sio::local_stop_source stop;
  copy_job job(from, to, {.chunk = 4096, .depth = 2, .tell = [&](block_copy::progress p) {
                            if (p.done >= 20'000) stop.request_stop();
                          }});
  fail(to, {.on = inject_on::flush});
  const auto r = run(sio::with_stop_token(stop.get_token(), job.run()));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().what(), sio::operation_kind::flush) << r.error();
  EXPECT_EQ(job.durable(), 0U);
}

TEST_F(faulty_copies, what_the_destination_corrupts_is_found_with_its_place) {
  int found = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    dice d(seed);
    copy_options o = small_chunks(d);
    if (o.length == 0) continue;
    const std::uint64_t at = d.roll(0, 4095);
    const sio::injected_error corruption{
        .on = inject_on::write, .how = inject_how::corrupt_data, .corrupt_offset = at};
    auto supported = run(sio::inject_error("EE_b", corruption));
    if (!supported && supported.error() == std::errc::not_supported) {
      GTEST_SKIP() << "only releases of SPDK that can corrupt: " << supported.error();
    }
    must(run(sio::clear_errors("EE_b")));
    copy_job job(from, to, o);
    const auto r = copy(job, to, corruption, d.roll(0, o.length));
    const content now = device_content(to);
    const content wanted = with_copy(old, source, o, o.length);
    const std::size_t differs = static_cast<std::size_t>(
        std::ranges::mismatch(part(now, o.to, o.length), part(wanted, o.to, o.length)).in1 -
        part(now, o.to, o.length).begin());
    if (differs == o.length) {  // outside of the range, if at all
      ASSERT_TRUE(r) << r.error();
      old = now;
      continue;
    }
    ++found;
    old = now;
    ASSERT_FALSE(r);
    ASSERT_EQ(r.error(), std::errc::illegal_byte_sequence);
    const auto where = job.first_difference();
    ASSERT_TRUE(where);
    ASSERT_EQ(where->at, differs);
    ASSERT_EQ(where->chunk, differs / o.chunk);
    ASSERT_EQ(where->begin, differs / o.chunk * o.chunk);
    ASSERT_EQ(where->length, std::min<std::uint64_t>(o.chunk, o.length - where->begin));
    ASSERT_EQ(r.error().message(), "verification of EE_b: chunk " + std::to_string(where->chunk) +
                                       " (" + std::to_string(where->length) + " bytes at " +
                                       std::to_string(o.to + where->begin) +
                                       ") is the first that differs from EE_a, at " +
                                       std::to_string(o.to + differs));
  }
  EXPECT_GT(found, 30);
}

// Read once more it is right: nobody could say where it was wrong.
TEST_F(faulty_copies, a_destination_that_reads_unreliably) {
  auto supported =
      run(sio::inject_error("EE_b", {.on = inject_on::read, .how = inject_how::corrupt_data}));
  if (!supported && supported.error() == std::errc::not_supported) {
    GTEST_SKIP() << "only releases of SPDK that can corrupt: " << supported.error();
  }
  copy_job job(from, to, {});
  const auto r = run(job.run());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::illegal_byte_sequence);
  EXPECT_FALSE(job.first_difference());
  EXPECT_NE(r.error().message().find("read once more they are equal"), std::string::npos)
      << r.error();
  EXPECT_EQ(job.durable(), source.size());
}

}  // namespace
}  // namespace copy_test
