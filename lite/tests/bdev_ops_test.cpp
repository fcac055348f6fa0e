// SPDX-License-Identifier: BSD-3-Clause
// Compare, compare and write, copy, zero copy, metadata and options of block devices. Runs on
// SPDK unchanged.
#include "bdev_fixture.hpp"

#include <memory>

namespace bdev_test {
namespace {

constexpr int eio = SPDK_NVME_SC_INTERNAL_DEVICE_ERROR;

int create_malloc_md(const std::string& name, int md_size, bool interleave,
                     const std::string& more = "") {
  return call("bdev_malloc_create", R"({"name":")" + name +
                                        R"(","num_blocks":64,"block_size":512,"md_size":)" +
                                        std::to_string(md_size) + R"(,"md_interleave":)" +
                                        (interleave ? "true" : "false") + more + "}");
}

bool write_blocks(const device& d, dma_memory& m, uint64_t offset, uint64_t count) {
  outcome o;
  EXPECT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, m.data, offset, count, outcome::callback, &o), 0);
  return o.wait();
}

bool read_blocks(const device& d, dma_memory& m, uint64_t offset, uint64_t count) {
  outcome o;
  EXPECT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, offset, count, outcome::callback, &o), 0);
  return o.wait();
}

void expect_miscompare(const outcome& o) {
  EXPECT_TRUE(o.done);
  EXPECT_FALSE(o.success);
  EXPECT_EQ(o.sct, SPDK_NVME_SCT_MEDIA_ERROR);
  EXPECT_EQ(o.sc, SPDK_NVME_SC_COMPARE_FAILURE);
}

// --- compare ---

TEST(bdev_compare, equal_data_succeeds_and_a_difference_says_so) {
  device d("first");
  dma_memory m(2048, 7);
  ASSERT_TRUE(write_blocks(d, m, 2, 4));
  outcome same;
  EXPECT_EQ(spdk_bdev_compare_blocks(d.desc, d.ch, m.data, 2, 4, outcome::callback, &same), 0);
  EXPECT_FALSE(same.done);
  EXPECT_TRUE(same.wait());
  EXPECT_EQ(same.sct, 0);
  EXPECT_EQ(same.sc, 0);
  m.data[2047] = 8;
  outcome different;
  EXPECT_EQ(spdk_bdev_compare_blocks(d.desc, d.ch, m.data, 2, 4, outcome::callback, &different), 0);
  EXPECT_FALSE(different.done);
  EXPECT_FALSE(different.wait());
  expect_miscompare(different);
}

TEST(bdev_compare, vectors) {
  device d("first");
  dma_memory m(1024, 3);
  ASSERT_TRUE(write_blocks(d, m, 0, 2));
  iovec iov[3] = {{m.data, 100}, {m.data + 100, 600}, {m.data + 700, 324}};
  outcome o[3];
  EXPECT_EQ(spdk_bdev_comparev_blocks(d.desc, d.ch, iov, 3, 0, 2, outcome::callback, &o[0]), 0);
  EXPECT_TRUE(o[0].wait());
  m.data[699] = 0;
  EXPECT_EQ(spdk_bdev_comparev_blocks(d.desc, d.ch, iov, 3, 0, 2, outcome::callback, &o[1]), 0);
  EXPECT_FALSE(o[1].wait());
  expect_miscompare(o[1]);
  // Too short for the blocks: malloc fails it.
  EXPECT_EQ(spdk_bdev_comparev_blocks(d.desc, d.ch, iov, 2, 0, 2, outcome::callback, &o[2]), 0);
  EXPECT_FALSE(o[2].done);
  EXPECT_FALSE(o[2].wait());
  EXPECT_EQ(o[2].sct, 0);
  EXPECT_EQ(o[2].sc, eio);
}

TEST(bdev_compare, is_emulated_by_a_read) {
  ASSERT_EQ(create_null("null0", 4096), 0);
  device d("null0", false);
  dma_memory zeroes(512 * 130, 0);
  outcome o[3];
  EXPECT_EQ(spdk_bdev_compare_blocks(d.desc, d.ch, zeroes.data, 0, 128, outcome::callback, &o[0]),
            0);
  EXPECT_FALSE(o[0].done);
  EXPECT_TRUE(o[0].wait());  // what null provides for a read without a buffer
  zeroes.data[1000] = 1;
  iovec iov[2] = {{zeroes.data, 512}, {zeroes.data + 512, 512}};
  EXPECT_EQ(spdk_bdev_comparev_blocks(d.desc, d.ch, iov, 2, 0, 2, outcome::callback, &o[1]), 0);
  EXPECT_FALSE(o[1].wait());
  expect_miscompare(o[1]);
  // The read fails: no such buffer.
  EXPECT_EQ(spdk_bdev_compare_blocks(d.desc, d.ch, zeroes.data, 0, 129, outcome::callback, &o[2]),
            0);
  EXPECT_FALSE(o[2].done);
  EXPECT_FALSE(o[2].wait());
  EXPECT_EQ(o[2].sct, 0);
  EXPECT_EQ(o[2].sc, eio);
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_compare, errors_of_submission) {
  device ro("first", false);
  dma_memory m(512);
  iovec iov{m.data, 512};
  outcome o;
  const auto cb = outcome::callback;
  EXPECT_EQ(spdk_bdev_compare_blocks(ro.desc, ro.ch, m.data, 64, 1, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_comparev_blocks(ro.desc, ro.ch, &iov, 1, 63, 2, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_compare_blocks_with_md(ro.desc, ro.ch, m.data, m.data, 0, 1, cb, &o),
            -EINVAL);
  EXPECT_EQ(spdk_bdev_comparev_blocks_with_md(ro.desc, ro.ch, &iov, 1, m.data, 0, 1, cb, &o),
            -EINVAL);
  threads::poll_times(3);
  EXPECT_FALSE(o.done);
  EXPECT_EQ(spdk_bdev_compare_blocks(ro.desc, ro.ch, m.data, 64, 0, cb, &o), 0);
  EXPECT_FALSE(o.done);
  EXPECT_TRUE(o.wait());  // nothing to compare
}

// --- compare and write ---

struct compare_and_write {
  outcome o;
  int first_sct = -1;
  int first_sc = -1;
  int second_sct = -1;
  int second_sc = -1;

  static void callback(spdk_bdev_io* io, bool success, void* arg) {
    auto* self = static_cast<compare_and_write*>(arg);
    std::uint32_t cdw0 = 0;
    spdk_bdev_io_get_nvme_fused_status(io, &cdw0, &self->first_sct, &self->first_sc,
                                       &self->second_sct, &self->second_sc);
    outcome::callback(io, success, &self->o);
  }
  int submit(const device& d, dma_memory& expected, dma_memory& wanted, uint64_t block,
             spdk_io_channel* ch = nullptr) {
    compare = {expected.data, 512};
    write = {wanted.data, 512};
    return spdk_bdev_comparev_and_writev_blocks(d.desc, ch != nullptr ? ch : d.ch, &compare, 1,
                                                &write, 1, block, 1, callback, this);
  }
  iovec compare{};
  iovec write{};
};

TEST(bdev_compare_and_write, writes_only_what_compares) {
  device d("first");
  dma_memory zero(512, 0);
  dma_memory one(512, 1);
  dma_memory in(512, 9);
  ASSERT_TRUE(write_blocks(d, zero, 5, 1));
  compare_and_write first;
  EXPECT_EQ(first.submit(d, zero, one, 5), 0);
  EXPECT_FALSE(first.o.done);
  EXPECT_TRUE(first.o.wait());
  EXPECT_EQ(first.first_sc, 0);
  EXPECT_EQ(first.second_sc, 0);
  compare_and_write second;
  EXPECT_EQ(second.submit(d, zero, one, 5), 0);
  EXPECT_FALSE(second.o.wait());
  expect_miscompare(second.o);
  EXPECT_EQ(second.first_sct, SPDK_NVME_SCT_MEDIA_ERROR);
  EXPECT_EQ(second.first_sc, SPDK_NVME_SC_COMPARE_FAILURE);
  EXPECT_EQ(second.second_sct, SPDK_NVME_SCT_GENERIC);
  EXPECT_EQ(second.second_sc, SPDK_NVME_SC_ABORTED_FAILED_FUSED);
  ASSERT_TRUE(read_blocks(d, in, 5, 1));
  EXPECT_TRUE(in.all(1));
}

TEST(bdev_compare_and_write, errors_of_submission) {
  device d("first");
  device ro("first", false);
  dma_memory m(1024);
  compare_and_write c;
  EXPECT_EQ(c.submit(ro, m, m, 99), -EBADF);
  EXPECT_EQ(c.submit(d, m, m, 64), -EINVAL);
  iovec iov{m.data, 1024};
  EXPECT_EQ(spdk_bdev_get_acwu(d.bdev()), 1U);
  EXPECT_EQ(spdk_bdev_comparev_and_writev_blocks(d.desc, d.ch, &iov, 1, &iov, 1, 0, 2,
                                                 compare_and_write::callback, &c),
            -EINVAL);
  threads::poll_times(3);
  EXPECT_FALSE(c.o.done);
}

TEST(bdev_compare_and_write, of_several_at_once_one_wins) {
  device d("first");
  dma_memory zero(512, 0);
  dma_memory one(512, 1);
  dma_memory two(512, 2);
  ASSERT_TRUE(write_blocks(d, zero, 0, 1));
  compare_and_write a;
  compare_and_write b;
  compare_and_write elsewhere;
  ASSERT_EQ(a.submit(d, zero, one, 0), 0);
  ASSERT_EQ(b.submit(d, zero, two, 0), 0);  // waits for the lock
  ASSERT_EQ(elsewhere.submit(d, one, two, 20), 0);
  EXPECT_TRUE(a.o.wait());
  EXPECT_FALSE(b.o.done);
  EXPECT_FALSE(b.o.wait());
  expect_miscompare(b.o);
  EXPECT_TRUE(elsewhere.o.done);
  EXPECT_LT(elsewhere.o.order, b.o.order);
  dma_memory in(512, 9);
  ASSERT_TRUE(read_blocks(d, in, 0, 1));
  EXPECT_TRUE(in.all(1));
}

TEST(bdev_compare_and_write, other_writes_wait_and_reads_do_not) {
  device d("first");
  std::unique_ptr<device> there;
  {
    const on_other scope;
    there = std::make_unique<device>("first");
  }
  dma_memory zero(512, 0);
  dma_memory one(512, 1);
  dma_memory two(512, 2);
  dma_memory in(512, 9);
  ASSERT_TRUE(write_blocks(d, zero, 0, 1));
  compare_and_write locked;
  ASSERT_EQ(locked.submit(d, zero, one, 0), 0);
  threads::poll();  // both channels know of the lock
  outcome write_here;
  outcome write_there;
  outcome beside;
  outcome read;
  EXPECT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, two.data, 0, 1, outcome::callback, &write_here),
            0);
  EXPECT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, two.data, 1, 1, outcome::callback, &beside), 0);
  EXPECT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, in.data, 0, 1, outcome::callback, &read), 0);
  {
    const on_other scope;
    EXPECT_EQ(spdk_bdev_write_zeroes_blocks(there->desc, there->ch, 0, 1, outcome::callback,
                                            &write_there),
              0);
  }
  EXPECT_TRUE(threads::poll_until([&] { return beside.done && read.done; }));
  EXPECT_FALSE(locked.o.done || write_here.done || write_there.done);
  EXPECT_TRUE(locked.o.wait());
  EXPECT_TRUE(write_here.wait());
  EXPECT_TRUE(write_there.wait());
  const on_other scope;
  there->close();
}

TEST(bdev_compare_and_write, waits_for_writes_in_flight) {
  ASSERT_EQ(create_malloc("m"), 0);
  ASSERT_EQ(call("bdev_set_qos_limit", R"({"name":"m","w_mbytes_per_sec":1})"), 0);
  device d("m");
  threads::poll_times(5);
  dma_memory large(64 * 512, 9);
  dma_memory one(512, 1);
  dma_memory two(512, 2);
  dma_memory in(512, 9);
  outcome first;
  outcome in_flight;
  const auto cb = outcome::callback;
  // The second write waits for some 30 ms, until the rate limit's debt is paid.
  ASSERT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, large.data, 100, 64, cb, &first), 0);
  ASSERT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, one.data, 0, 1, cb, &in_flight), 0);
  compare_and_write c;
  ASSERT_EQ(c.submit(d, one, two, 0), 0);
  EXPECT_TRUE(first.wait());
  EXPECT_FALSE(in_flight.done);
  EXPECT_TRUE(c.o.wait());  // did not compare what had not been written yet
  EXPECT_TRUE(in_flight.done);
  EXPECT_LT(in_flight.order, c.o.order);
  ASSERT_TRUE(read_blocks(d, in, 0, 1));
  EXPECT_TRUE(in.all(2));
  d.close();
  EXPECT_EQ(remove("malloc", "m"), 0);
}

TEST(bdev_compare_and_write, a_removal_waits_for_the_lock) {
  ASSERT_EQ(create_malloc("going"), 0);
  device d("going");
  threads::poll_times(3);
  dma_memory zero(512, 0);
  compare_and_write c;
  ASSERT_EQ(c.submit(d, zero, zero, 0), 0);
  bool gone = false;
  spdk_bdev_unregister(d.bdev(), [](void* arg, int) { *static_cast<bool*>(arg) = true; }, &gone);
  EXPECT_TRUE(threads::poll_until([&] { return !d.events.empty(); }));
  EXPECT_TRUE(c.o.done);
  EXPECT_TRUE(c.o.success);
  d.close();
  EXPECT_TRUE(threads::poll_until([&] { return gone; }));
}

// --- copy ---

TEST(bdev_copy, within_malloc) {
  device d("first");
  dma_memory m(1024, 0x44);
  ASSERT_TRUE(write_blocks(d, m, 0, 2));
  outcome o;
  EXPECT_EQ(spdk_bdev_copy_blocks(d.desc, d.ch, 10, 0, 2, outcome::callback, &o), 0);
  EXPECT_FALSE(o.done);
  EXPECT_TRUE(o.wait());
  std::memset(m.data, 0, m.size);
  ASSERT_TRUE(read_blocks(d, m, 10, 2));
  EXPECT_TRUE(m.all(0x44));
}

TEST(bdev_copy, onto_itself_or_of_nothing_succeeds_later) {
  ASSERT_EQ(create_null("null0"), 0);
  device d("null0");
  outcome same;
  outcome empty;
  EXPECT_EQ(spdk_bdev_copy_blocks(d.desc, d.ch, 3, 3, 5, outcome::callback, &same), 0);
  EXPECT_EQ(spdk_bdev_copy_blocks(d.desc, d.ch, 3, 0, 0, outcome::callback, &empty), 0);
  EXPECT_FALSE(same.done || empty.done);
  EXPECT_TRUE(same.wait() && empty.wait());
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_copy, is_emulated_and_split) {
  ASSERT_EQ(create_null("null0", 8192), 0);
  device d("null0");
  EXPECT_EQ(spdk_bdev_get_max_copy(d.bdev()), 264U);
  outcome small;
  outcome large;
  EXPECT_EQ(spdk_bdev_copy_blocks(d.desc, d.ch, 0, 1000, 264, outcome::callback, &small), 0);
  EXPECT_EQ(spdk_bdev_copy_blocks(d.desc, d.ch, 4000, 0, 3000, outcome::callback, &large), 0);
  EXPECT_FALSE(small.done || large.done);
  EXPECT_TRUE(small.wait() && large.wait());
  EXPECT_LT(small.order, large.order);
  // It counts as the reads and writes that it is made of.
  spdk_bdev_io_stat stat{};
  spdk_bdev_get_io_stat(d.bdev(), d.ch, &stat, SPDK_BDEV_RESET_STAT_NONE);
  EXPECT_EQ(stat.num_copy_ops, 0U);
  EXPECT_EQ(stat.num_read_ops, 13U);
  EXPECT_EQ(stat.num_write_ops, 13U);
  EXPECT_EQ(stat.bytes_read, 3264U * 512);
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_copy, errors_of_submission) {
  device d("first");
  device ro("first", false);
  outcome o;
  const auto cb = outcome::callback;
  EXPECT_EQ(spdk_bdev_copy_blocks(ro.desc, ro.ch, 99, 99, 1, cb, &o), -EBADF);
  EXPECT_EQ(spdk_bdev_copy_blocks(d.desc, d.ch, 64, 0, 1, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_copy_blocks(d.desc, d.ch, 0, 60, 5, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_copy_blocks(d.desc, d.ch, 0, UINT64_MAX, 5, cb, &o), -EINVAL);
  threads::poll_times(3);
  EXPECT_FALSE(o.done);
}

// --- zero copy ---

struct zcopy {
  bool done = false;
  bool success = false;
  spdk_bdev_io* io = nullptr;
  iovec* iov = nullptr;
  int iovcnt = 0;

  static void callback(spdk_bdev_io* io, bool success, void* arg) {
    auto* self = static_cast<zcopy*>(arg);
    self->io = io;
    self->done = true;
    self->success = success;
    spdk_bdev_io_get_iovec(io, &self->iov, &self->iovcnt);
  }
};

TEST(bdev_zcopy, lends_the_memory_of_malloc) {
  device d("first");
  dma_memory m(1024, 0x21);
  ASSERT_TRUE(write_blocks(d, m, 8, 2));
  zcopy z;
  EXPECT_EQ(spdk_bdev_zcopy_start(d.desc, d.ch, nullptr, 0, 8, 2, true, zcopy::callback, &z), 0);
  EXPECT_FALSE(z.done);
  ASSERT_TRUE(threads::poll_until([&] { return z.done; }));
  EXPECT_TRUE(z.success);
  ASSERT_EQ(z.iovcnt, 1);
  EXPECT_EQ(z.iov[0].iov_len, 1024U);
  auto* data = static_cast<unsigned char*>(z.iov[0].iov_base);
  EXPECT_EQ(data[0], 0x21);
  EXPECT_EQ(data[1023], 0x21);
  data[1023] = 0x22;
  outcome end;
  EXPECT_EQ(spdk_bdev_zcopy_end(z.io, true, outcome::callback, &end), 0);
  EXPECT_FALSE(end.done);
  EXPECT_TRUE(end.wait());
  ASSERT_TRUE(read_blocks(d, m, 8, 2));
  EXPECT_EQ(m.data[1022], 0x21);
  EXPECT_EQ(m.data[1023], 0x22);
}

TEST(bdev_zcopy, fills_in_the_callers_vector) {
  device d("first");
  iovec iov[2] = {};
  zcopy z;
  EXPECT_EQ(spdk_bdev_zcopy_start(d.desc, d.ch, iov, 1, 0, 3, false, zcopy::callback, &z), 0);
  ASSERT_TRUE(threads::poll_until([&] { return z.done; }));
  EXPECT_EQ(z.iov, iov);
  EXPECT_EQ(iov[0].iov_len, 1536U);
  EXPECT_NE(iov[0].iov_base, nullptr);
  outcome end;
  EXPECT_EQ(spdk_bdev_zcopy_end(z.io, false, outcome::callback, &end), 0);
  EXPECT_TRUE(end.wait());
}

TEST(bdev_zcopy, errors_of_submission) {
  device d("first");
  device ro("first", false);
  zcopy z;
  const auto start = [&](const device& dev, uint64_t offset, uint64_t count) {
    return spdk_bdev_zcopy_start(dev.desc, dev.ch, nullptr, 0, offset, count, true, zcopy::callback,
                                 &z);
  };
  EXPECT_EQ(start(ro, 99, 1), -EBADF);
  EXPECT_EQ(start(d, 64, 1), -EINVAL);
  ASSERT_EQ(create_null("null0"), 0);
  device n("null0");
  EXPECT_EQ(start(n, 9999, 1), -EINVAL);
  EXPECT_EQ(start(n, 0, 1), -ENOTSUP);
  threads::poll_times(3);
  EXPECT_FALSE(z.done);
  // The end of an I/O of another kind.
  dma_memory m(512);
  ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 0, 1, zcopy::callback, &z), 0);
  ASSERT_TRUE(threads::poll_until([&] { return z.done; }));
  EXPECT_EQ(spdk_bdev_zcopy_end(z.io, true, zcopy::callback, &z), -EINVAL);
  spdk_bdev_free_io(z.io);
  n.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

// --- metadata ---

TEST(bdev_metadata, separate_on_malloc) {
  ASSERT_EQ(create_malloc_md("md", 16, false), 0);
  device d("md");
  EXPECT_EQ(spdk_bdev_desc_get_md_size(d.desc), 16U);
  EXPECT_EQ(spdk_bdev_desc_get_block_size(d.desc), 512U);
  EXPECT_TRUE(spdk_bdev_desc_is_md_separate(d.desc));
  EXPECT_FALSE(spdk_bdev_desc_is_md_interleaved(d.desc));
  dma_memory data(1024, 1);
  dma_memory md(32, 2);
  outcome o[6];
  const auto cb = outcome::callback;
  ASSERT_EQ(spdk_bdev_write_blocks_with_md(d.desc, d.ch, data.data, md.data, 4, 2, cb, &o[0]), 0);
  EXPECT_FALSE(o[0].done);
  EXPECT_TRUE(o[0].wait());
  dma_memory data_in(1024, 0);
  dma_memory md_in(32, 0);
  ASSERT_EQ(spdk_bdev_read_blocks_with_md(d.desc, d.ch, data_in.data, md_in.data, 4, 2, cb, &o[1]),
            0);
  EXPECT_TRUE(o[1].wait());
  EXPECT_TRUE(data_in.all(1));
  EXPECT_TRUE(md_in.all(2));
  // The same with vectors, and one block further.
  iovec iov[2] = {{data_in.data, 200}, {data_in.data + 200, 824}};
  std::memset(md_in.data, 0, 32);
  ASSERT_EQ(spdk_bdev_readv_blocks_with_md(d.desc, d.ch, iov, 2, md_in.data, 5, 2, cb, &o[2]), 0);
  EXPECT_TRUE(o[2].wait());
  EXPECT_TRUE(md_in.all(2, 0, 16));
  EXPECT_TRUE(md_in.all(0, 16));
  // Without metadata it stays as it is; unmap leaves it as well.
  ASSERT_TRUE(write_blocks(d, data, 4, 1));
  ASSERT_EQ(spdk_bdev_unmap_blocks(d.desc, d.ch, 5, 1, cb, &o[3]), 0);
  EXPECT_TRUE(o[3].wait());
  ASSERT_EQ(spdk_bdev_read_blocks_with_md(d.desc, d.ch, data_in.data, md_in.data, 4, 2, cb, &o[4]),
            0);
  EXPECT_TRUE(o[4].wait());
  EXPECT_TRUE(md_in.all(2));
  EXPECT_TRUE(data_in.all(1, 0, 512));
  EXPECT_TRUE(data_in.all(0, 512));
  d.close();
  EXPECT_EQ(remove("malloc", "md"), 0);
}

TEST(bdev_metadata, is_compared_too) {
  ASSERT_EQ(create_malloc_md("md", 8, false), 0);
  device d("md");
  dma_memory data(1024, 0);
  dma_memory md(16, 0);
  iovec iov{data.data, 1024};
  outcome o[3];
  const auto cb = outcome::callback;
  ASSERT_EQ(spdk_bdev_compare_blocks_with_md(d.desc, d.ch, data.data, md.data, 0, 2, cb, &o[0]), 0);
  EXPECT_TRUE(o[0].wait());
  md.data[15] = 1;
  ASSERT_EQ(spdk_bdev_comparev_blocks_with_md(d.desc, d.ch, &iov, 1, md.data, 0, 2, cb, &o[1]), 0);
  EXPECT_FALSE(o[1].wait());
  expect_miscompare(o[1]);
  ASSERT_EQ(spdk_bdev_compare_blocks(d.desc, d.ch, data.data, 0, 2, cb, &o[2]), 0);
  EXPECT_TRUE(o[2].wait());
  d.close();
  EXPECT_EQ(remove("malloc", "md"), 0);
}

TEST(bdev_metadata, follows_a_split) {
  ASSERT_EQ(create_malloc_md("md", 8, false, R"(,"optimal_io_boundary":4)"), 0);
  device d("md");
  dma_memory data(20 * 512);
  dma_memory md(20 * 8);
  for (std::size_t i = 0; i < md.size; ++i) {
    md.data[i] = static_cast<unsigned char>(i);
  }
  outcome o[2];
  const auto cb = outcome::callback;
  ASSERT_EQ(spdk_bdev_write_blocks_with_md(d.desc, d.ch, data.data, md.data, 3, 20, cb, &o[0]), 0);
  EXPECT_TRUE(o[0].wait());
  dma_memory md_in(20 * 8);
  iovec iov{data.data, data.size};
  ASSERT_EQ(spdk_bdev_readv_blocks_with_md(d.desc, d.ch, &iov, 1, md_in.data, 3, 20, cb, &o[1]), 0);
  EXPECT_TRUE(o[1].wait());
  EXPECT_EQ(std::memcmp(md.data, md_in.data, md.size), 0);
  // Read without a buffer: the layer provides one, for the metadata as well.
  struct peek {
    bool done = false;
    int first_difference = -1;
    static void callback(spdk_bdev_io* io, bool success, void* arg) {
      EXPECT_TRUE(success);
      auto* self = static_cast<peek*>(arg);
      const auto* got = static_cast<unsigned char*>(spdk_bdev_io_get_md_buf(io));
      EXPECT_NE(got, nullptr);
      for (int i = 0; got != nullptr && i < 20 * 8 && self->first_difference < 0; ++i) {
        self->first_difference = got[i] == i ? -1 : i;
      }
      self->done = true;
      spdk_bdev_free_io(io);
    }
  } p;
  ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, nullptr, 3, 20, peek::callback, &p), 0);
  EXPECT_TRUE(threads::poll_until([&] { return p.done; }));
  EXPECT_EQ(p.first_difference, -1);
  d.close();
  EXPECT_EQ(remove("malloc", "md"), 0);
}

TEST(bdev_metadata, interleaved_is_part_of_the_block) {
  ASSERT_EQ(create_malloc_md("md", 8, true), 0);
  device d("md");
  EXPECT_TRUE(spdk_bdev_desc_is_md_interleaved(d.desc));
  dma_memory out(1040, 0x31);
  dma_memory in(1040, 0);
  outcome o[3];
  const auto cb = outcome::callback;
  EXPECT_EQ(spdk_bdev_write(d.desc, d.ch, out.data, 0, 1024, cb, &o[0]), -EINVAL);
  ASSERT_EQ(spdk_bdev_write(d.desc, d.ch, out.data, 520, 1040, cb, &o[0]), 0);
  EXPECT_TRUE(o[0].wait());
  ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, in.data, 1, 2, cb, &o[1]), 0);
  EXPECT_TRUE(o[1].wait());
  EXPECT_TRUE(in.all(0x31));
  EXPECT_EQ(spdk_bdev_read_blocks_with_md(d.desc, d.ch, in.data, in.data, 1, 1, cb, &o[2]),
            -EINVAL);
  d.close();
  EXPECT_EQ(remove("malloc", "md"), 0);
}

TEST(bdev_metadata, of_null_is_interleaved) {
  ASSERT_EQ(call("bdev_null_create",
                 R"({"name":"null0","num_blocks":64,"block_size":512,"md_size":8,
                     "preferred_write_alignment":2,"preferred_write_granularity":3,
                     "optimal_write_size":4,"preferred_unmap_alignment":5,
                     "preferred_unmap_granularity":6})"),
            0);
  spdk_bdev* bdev = spdk_bdev_get_by_name("null0");
  EXPECT_TRUE(spdk_bdev_is_md_interleaved(bdev));
  EXPECT_EQ(spdk_bdev_get_block_size(bdev), 520U);
  EXPECT_EQ(spdk_bdev_get_data_block_size(bdev), 512U);
  EXPECT_EQ(spdk_bdev_get_preferred_write_alignment(bdev), 2U);
  EXPECT_EQ(spdk_bdev_get_preferred_write_granularity(bdev), 3U);
  EXPECT_EQ(spdk_bdev_get_optimal_write_size(bdev), 4U);
  EXPECT_EQ(spdk_bdev_get_preferred_unmap_alignment(bdev), 5U);
  EXPECT_EQ(spdk_bdev_get_preferred_unmap_granularity(bdev), 6U);
  EXPECT_EQ(spdk_bdev_get_numa_id(bdev), SPDK_ENV_NUMA_ID_ANY);
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_metadata, needs_a_device_with_it_and_a_data_buffer) {
  ASSERT_EQ(create_malloc_md("md", 8, false), 0);
  device d("md");
  device plain("first");
  dma_memory m(512);
  iovec iov{m.data, 512};
  iovec no_buffer{nullptr, 512};
  outcome o;
  const auto cb = outcome::callback;
  EXPECT_EQ(spdk_bdev_read_blocks_with_md(plain.desc, plain.ch, m.data, m.data, 0, 1, cb, &o),
            -EINVAL);
  EXPECT_EQ(spdk_bdev_write_blocks_with_md(plain.desc, plain.ch, m.data, m.data, 0, 1, cb, &o),
            -EINVAL);
  EXPECT_EQ(spdk_bdev_readv_blocks_with_md(plain.desc, plain.ch, &iov, 1, m.data, 0, 1, cb, &o),
            -EINVAL);
  EXPECT_EQ(spdk_bdev_writev_blocks_with_md(plain.desc, plain.ch, &iov, 1, m.data, 0, 1, cb, &o),
            -EINVAL);
  EXPECT_EQ(spdk_bdev_read_blocks_with_md(d.desc, d.ch, nullptr, m.data, 0, 1, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_write_blocks_with_md(d.desc, d.ch, nullptr, m.data, 0, 1, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_readv_blocks_with_md(d.desc, d.ch, &no_buffer, 1, m.data, 0, 1, cb, &o),
            -EINVAL);
  EXPECT_EQ(spdk_bdev_writev_blocks_with_md(d.desc, d.ch, &no_buffer, 1, m.data, 0, 1, cb, &o),
            -EINVAL);
  // That is looked at before the descriptor.
  device ro("first", false);
  EXPECT_EQ(spdk_bdev_write_blocks_with_md(ro.desc, ro.ch, m.data, m.data, 0, 1, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_write_blocks_with_md(ro.desc, ro.ch, m.data, nullptr, 0, 1, cb, &o), -EBADF);
  threads::poll_times(3);
  EXPECT_FALSE(o.done);
  // Without metadata the forms work on any device.
  EXPECT_EQ(spdk_bdev_write_blocks_with_md(plain.desc, plain.ch, m.data, nullptr, 0, 1, cb, &o), 0);
  EXPECT_TRUE(o.wait());
  d.close();
  EXPECT_EQ(remove("malloc", "md"), 0);
}

// --- options of an I/O ---

TEST(bdev_ext, options_may_be_missing_or_of_any_known_size) {
  ASSERT_EQ(create_malloc_md("md", 8, false), 0);
  device d("md");
  dma_memory data(512, 0x61);
  dma_memory md(8, 0x62);
  iovec iov{data.data, 512};
  outcome o[3];
  const auto cb = outcome::callback;
  spdk_bdev_ext_io_opts opts{};
  opts.size = 40;
  opts.metadata = md.data;
  ASSERT_EQ(spdk_bdev_writev_blocks_ext(d.desc, d.ch, &iov, 1, 0, 1, cb, &o[0], &opts), 0);
  EXPECT_FALSE(o[0].done);
  EXPECT_TRUE(o[0].wait());
  std::memset(data.data, 0, 512);
  ASSERT_EQ(spdk_bdev_readv_blocks_ext(d.desc, d.ch, &iov, 1, 0, 1, cb, &o[1], nullptr), 0);
  EXPECT_TRUE(o[1].wait());
  EXPECT_TRUE(data.all(0x61));
  std::memset(md.data, 0, 8);
  opts.size = sizeof(opts);
  ASSERT_EQ(spdk_bdev_readv_blocks_ext(d.desc, d.ch, &iov, 1, 0, 1, cb, &o[2], &opts), 0);
  EXPECT_TRUE(o[2].wait());
  EXPECT_TRUE(md.all(0x62));
  d.close();
  EXPECT_EQ(remove("malloc", "md"), 0);
}

TEST(bdev_ext, sizes_and_metadata_are_checked) {
  ASSERT_EQ(create_malloc_md("md", 8, false), 0);
  device d("md");
  device plain("first");
  device ro("first", false);
  dma_memory m(512);
  iovec iov{m.data, 512};
  iovec no_buffer{nullptr, 512};
  outcome o;
  const auto read = [&](const device& dev, iovec* v, spdk_bdev_ext_io_opts* opts) {
    return spdk_bdev_readv_blocks_ext(dev.desc, dev.ch, v, 1, 0, 1, outcome::callback, &o, opts);
  };
  const auto write = [&](const device& dev, iovec* v, spdk_bdev_ext_io_opts* opts) {
    return spdk_bdev_writev_blocks_ext(dev.desc, dev.ch, v, 1, 0, 1, outcome::callback, &o, opts);
  };
  spdk_bdev_ext_io_opts opts{};
  for (const std::size_t size : {std::size_t{0}, std::size_t{31}, sizeof(opts) + 1}) {
    opts.size = size;
    EXPECT_EQ(read(d, &iov, &opts), -EINVAL) << size;
    EXPECT_EQ(write(ro, &iov, &opts), -EINVAL) << size;
  }
  opts.size = sizeof(opts);
  EXPECT_EQ(write(ro, &iov, &opts), -EBADF);
  opts.metadata = m.data;
  EXPECT_EQ(read(plain, &iov, &opts), -EINVAL);
  EXPECT_EQ(write(plain, &iov, &opts), -EINVAL);
  EXPECT_EQ(read(d, &no_buffer, &opts), -EINVAL);
  EXPECT_EQ(write(d, &no_buffer, &opts), -EINVAL);
  opts.nvme_cdw12.raw = SPDK_DIF_FLAGS_NVME_PRACT;
  EXPECT_EQ(read(d, &iov, &opts), -ENOTSUP);
  EXPECT_EQ(write(d, &iov, &opts), -ENOTSUP);
  threads::poll_times(3);
  EXPECT_FALSE(o.done);
  opts.size = 32;  // what lies behind is not looked at
  EXPECT_EQ(read(d, &iov, &opts), 0);
  EXPECT_TRUE(o.wait());
  d.close();
  EXPECT_EQ(remove("malloc", "md"), 0);
}

// --- options of a descriptor ---

TEST(bdev_open_options, hiding_metadata) {
  ASSERT_EQ(create_malloc_md("md", 8, false), 0);
  spdk_bdev_open_opts opts;
  spdk_bdev_open_opts_init(&opts, sizeof(opts));
  EXPECT_EQ(opts.size, sizeof(opts));
  EXPECT_FALSE(opts.hide_metadata);
  opts.hide_metadata = true;
  const auto event = [](spdk_bdev_event_type, spdk_bdev*, void*) {};
  spdk_bdev_desc* desc = nullptr;
  EXPECT_EQ(spdk_bdev_open_ext_v2("md", true, event, nullptr, &opts, &desc), -EINVAL);
  EXPECT_EQ(spdk_bdev_open_ext_v2("md", true, nullptr, nullptr, &opts, &desc), -EINVAL);
  EXPECT_EQ(spdk_bdev_open_ext_v2("nosuch", true, event, nullptr, &opts, &desc), -ENODEV);
  ASSERT_EQ(spdk_bdev_open_ext_v2("first", true, event, nullptr, &opts, &desc), 0);
  EXPECT_TRUE(spdk_bdev_desc_hide_metadata(desc));
  EXPECT_EQ(spdk_bdev_desc_get_block_size(desc), 512U);
  EXPECT_EQ(spdk_bdev_get_module_ctx(desc), nullptr);
  spdk_bdev_close(desc);
  opts.size = 8;  // hide_metadata lies behind
  ASSERT_EQ(spdk_bdev_open_ext_v2("md", true, event, nullptr, &opts, &desc), 0);
  EXPECT_FALSE(spdk_bdev_desc_hide_metadata(desc));
  spdk_bdev_close(desc);
  EXPECT_EQ(remove("malloc", "md"), 0);
}

TEST(bdev_uncorrectable, is_not_for_these_devices) {
  device d("first");
  device ro("first", false);
  outcome o;
  const auto cb = outcome::callback;
  EXPECT_EQ(spdk_bdev_write_uncorrectable_blocks(ro.desc, ro.ch, 99, 1, cb, &o), -EBADF);
  EXPECT_EQ(spdk_bdev_write_uncorrectable_blocks(d.desc, d.ch, 99, 1, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_write_uncorrectable_blocks(d.desc, d.ch, 0, 1, cb, &o), -ENOTSUP);
}

// --- seeking ---

struct seek_result {
  bool done = false;
  uint64_t offset = 0;
  static void callback(spdk_bdev_io* io, bool success, void* arg) {
    auto* self = static_cast<seek_result*>(arg);
    EXPECT_TRUE(success);
    self->offset = spdk_bdev_io_get_seek_offset(io);
    self->done = true;
    spdk_bdev_free_io(io);
  }
};

TEST(bdev_seek, a_device_that_does_not_know_is_full_of_data) {
  device d("first", false);
  seek_result data;
  seek_result hole;
  EXPECT_EQ(spdk_bdev_seek_data(d.desc, d.ch, 63, seek_result::callback, &data), 0);
  EXPECT_EQ(spdk_bdev_seek_hole(d.desc, d.ch, 0, seek_result::callback, &hole), 0);
  EXPECT_EQ(spdk_bdev_seek_hole(d.desc, d.ch, 64, seek_result::callback, &hole), -EINVAL);
  EXPECT_FALSE(data.done || hole.done);
  EXPECT_TRUE(threads::poll_until([&] { return data.done && hole.done; }));
  EXPECT_EQ(data.offset, 63U);
  EXPECT_EQ(hole.offset, UINT64_MAX);
}

// --- the order of completions ---

TEST(bdev_order, of_malloc_and_null_on_one_thread) {
  // Pollers run in reverse order of their registration: accel's, which moves the data, is
  // registered with the first use and so runs before both; null's was registered after malloc's.
  ASSERT_EQ(create_null("null0"), 0);
  device m("first");
  device n("null0");
  dma_memory mem(512);
  outcome flush;
  outcome read;
  outcome null_read;
  const auto submit = [&] {
    flush = read = null_read = {};
    EXPECT_EQ(spdk_bdev_flush_blocks(m.desc, m.ch, 0, 1, outcome::callback, &flush), 0);
    EXPECT_EQ(spdk_bdev_read_blocks(m.desc, m.ch, mem.data, 0, 1, outcome::callback, &read), 0);
    EXPECT_EQ(spdk_bdev_read_blocks(n.desc, n.ch, mem.data, 0, 1, outcome::callback, &null_read),
              0);
    spdk_thread_poll(threads::app, 0, 0);
    EXPECT_TRUE(flush.done && read.done && null_read.done);
  };
  submit();
  EXPECT_LT(read.order, null_read.order);
  EXPECT_LT(null_read.order, flush.order);
  n.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_order, accels_poller_stays_where_it_was_first_used) {
  ASSERT_EQ(create_null("null0"), 0);
  device m("first");
  dma_memory mem(512);
  outcome first;
  EXPECT_EQ(spdk_bdev_read_blocks(m.desc, m.ch, mem.data, 0, 1, outcome::callback, &first), 0);
  device n("null0");  // its poller comes after accel's, and runs before
  outcome read;
  outcome null_read;
  EXPECT_TRUE(first.wait());
  EXPECT_EQ(spdk_bdev_read_blocks(m.desc, m.ch, mem.data, 0, 1, outcome::callback, &read), 0);
  EXPECT_EQ(spdk_bdev_read_blocks(n.desc, n.ch, mem.data, 0, 1, outcome::callback, &null_read), 0);
  spdk_thread_poll(threads::app, 0, 0);
  EXPECT_TRUE(read.done && null_read.done);
  EXPECT_LT(null_read.order, read.order);
  n.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_order, the_split_of_too_large_a_read_without_a_buffer_fails_inside_the_call) {
  ASSERT_EQ(call("bdev_malloc_create", R"({"name":"striped","num_blocks":1024,"block_size":512,
      "optimal_io_boundary":4})"),
            0);
  device d("striped");
  outcome o;
  EXPECT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, nullptr, 0, 512, outcome::callback, &o), 0);
  EXPECT_TRUE(o.done);
  EXPECT_FALSE(o.success);
  EXPECT_EQ(o.sc, eio);
  d.close();
  EXPECT_EQ(remove("malloc", "striped"), 0);
}

TEST(bdev_order, during_a_reset_vectors_are_aborted_like_buffers) {
  device d("first");
  dma_memory m(512);
  iovec iov{m.data, 512};
  outcome reset;
  outcome buffer;
  outcome vector;
  ASSERT_EQ(spdk_bdev_reset(d.desc, d.ch, outcome::callback, &reset), 0);
  spdk_thread_poll(threads::app, 0, 0);
  EXPECT_FALSE(reset.done);
  EXPECT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 0, 1, outcome::callback, &buffer), 0);
  EXPECT_EQ(spdk_bdev_readv_blocks(d.desc, d.ch, &iov, 1, 0, 1, outcome::callback, &vector), 0);
  EXPECT_FALSE(buffer.done || vector.done);
  EXPECT_FALSE(buffer.wait());
  EXPECT_FALSE(vector.wait());
  EXPECT_EQ(buffer.sc, SPDK_NVME_SC_ABORTED_BY_REQUEST);
  EXPECT_EQ(vector.sc, SPDK_NVME_SC_ABORTED_BY_REQUEST);
  EXPECT_LT(buffer.order, vector.order);
  EXPECT_TRUE(reset.wait());
}

// --- out of I/O objects ---

TEST(bdev_memory_ops, all_of_them_say_enomem_and_check_first) {
  ASSERT_EQ(create_null("null0"), 0);
  ASSERT_EQ(create_malloc("m"), 0);
  device d("null0");
  device m("m");
  dma_memory mem(512);
  iovec iov{mem.data, 512};
  std::vector<std::unique_ptr<outcome>> held;
  int rc = 0;
  while (rc == 0) {
    held.push_back(std::make_unique<outcome>());
    rc = spdk_bdev_read(d.desc, d.ch, mem.data, 0, 512, outcome::callback, held.back().get());
  }
  held.pop_back();
  outcome o;
  const auto cb = outcome::callback;
  EXPECT_EQ(spdk_bdev_compare_blocks(m.desc, m.ch, mem.data, 0, 1, cb, &o), -ENOMEM);
  EXPECT_EQ(spdk_bdev_comparev_blocks(m.desc, m.ch, &iov, 1, 0, 1, cb, &o), -ENOMEM);
  EXPECT_EQ(spdk_bdev_comparev_and_writev_blocks(m.desc, m.ch, &iov, 1, &iov, 1, 0, 1, cb, &o),
            -ENOMEM);
  EXPECT_EQ(spdk_bdev_copy_blocks(m.desc, m.ch, 0, 1, 1, cb, &o), -ENOMEM);
  EXPECT_EQ(spdk_bdev_copy_blocks(m.desc, m.ch, 0, 0, 1, cb, &o), -ENOMEM);
  EXPECT_EQ(spdk_bdev_zcopy_start(m.desc, m.ch, nullptr, 0, 0, 1, true, cb, &o), -ENOMEM);
  EXPECT_EQ(spdk_bdev_zcopy_start(d.desc, d.ch, nullptr, 0, 0, 1, true, cb, &o), -ENOTSUP);
  EXPECT_EQ(spdk_bdev_seek_data(m.desc, m.ch, 0, cb, &o), -ENOMEM);
  EXPECT_EQ(spdk_bdev_readv_blocks_ext(m.desc, m.ch, &iov, 1, 0, 1, cb, &o, nullptr), -ENOMEM);
  for (const auto& each : held) {
    EXPECT_TRUE(each->wait());
  }
  EXPECT_FALSE(o.done);
  d.close();
  m.close();
  EXPECT_EQ(remove("null", "null0"), 0);
  EXPECT_EQ(remove("malloc", "m"), 0);
}

TEST(bdev_memory_ops, what_is_emulated_waits_for_an_object_by_itself) {
  ASSERT_EQ(create_null("null0"), 0);
  device d("null0");
  dma_memory mem(512, 0);
  iovec iov{mem.data, 512};
  std::vector<std::unique_ptr<outcome>> held;
  for (unsigned i = 0; i < environment::pool_size - 3; ++i) {
    held.push_back(std::make_unique<outcome>());
    ASSERT_EQ(spdk_bdev_read(d.desc, d.ch, mem.data, 0, 512, outcome::callback, held.back().get()),
              0);
  }
  // Each takes one object, and finds none for the I/O that it is made of.
  outcome compare;
  outcome copy;
  outcome both;
  EXPECT_EQ(spdk_bdev_comparev_and_writev_blocks(d.desc, d.ch, &iov, 1, &iov, 1, 0, 1,
                                                 outcome::callback, &both),
            0);
  EXPECT_EQ(spdk_bdev_copy_blocks(d.desc, d.ch, 9, 5, 1, outcome::callback, &copy), 0);
  EXPECT_EQ(spdk_bdev_compare_blocks(d.desc, d.ch, mem.data, 0, 1, outcome::callback, &compare),
            -ENOMEM);
  for (const auto& each : held) {
    EXPECT_TRUE(each->wait());
  }
  EXPECT_TRUE(both.wait());
  EXPECT_TRUE(copy.wait());
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

}  // namespace
}  // namespace bdev_test
