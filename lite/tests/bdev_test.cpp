// SPDX-License-Identifier: BSD-3-Clause
// The block device layer with the modules malloc and null. Runs on SPDK unchanged.
#include "bdev_fixture.hpp"

#include "spdk/uuid.h"

#include <deque>
#include <memory>

namespace bdev_test {
namespace {

constexpr int eio = SPDK_NVME_SC_INTERNAL_DEVICE_ERROR;

TEST(bdev_open, needs_an_event_callback_and_an_existing_device) {
  spdk_bdev_desc* desc = nullptr;
  EXPECT_EQ(spdk_bdev_open_ext("first", true, nullptr, nullptr, &desc), -EINVAL);
  EXPECT_EQ(spdk_bdev_open_ext(
                "nosuch", true, [](spdk_bdev_event_type, spdk_bdev*, void*) {}, nullptr, &desc),
            -ENODEV);
}

TEST(bdev_open, without_an_spdk_thread_has_no_channel) {
  device d("first");
  spdk_set_thread(nullptr);
  EXPECT_EQ(spdk_bdev_get_io_channel(d.desc), nullptr);
  spdk_set_thread(threads::app);
}

TEST(bdev_open, one_channel_per_thread_and_device) {
  device d("first");
  spdk_io_channel* again = spdk_bdev_get_io_channel(d.desc);
  EXPECT_EQ(again, d.ch);
  spdk_put_io_channel(again);
  threads::poll_times(3);
  const on_other scope;
  spdk_io_channel* there = spdk_bdev_get_io_channel(d.desc);
  EXPECT_NE(there, d.ch);
  spdk_put_io_channel(there);
  threads::poll_times(3);
}

TEST(bdev_info, of_a_malloc_device) {
  ASSERT_EQ(call("bdev_malloc_create", R"({"name":"info","num_blocks":256,"block_size":4096,
      "uuid":"11111111-2222-3333-4444-555555555555"})"),
            0);
  spdk_bdev* bdev = spdk_bdev_get_by_name("info");
  ASSERT_NE(bdev, nullptr);
  EXPECT_EQ(spdk_bdev_get_by_name("11111111-2222-3333-4444-555555555555"), bdev);
  EXPECT_STREQ(spdk_bdev_get_name(bdev), "info");
  EXPECT_STREQ(spdk_bdev_get_product_name(bdev), "Malloc disk");
  EXPECT_STREQ(spdk_bdev_get_module_name(bdev), "malloc");
  EXPECT_EQ(spdk_bdev_get_block_size(bdev), 4096U);
  EXPECT_EQ(spdk_bdev_get_data_block_size(bdev), 4096U);
  EXPECT_EQ(spdk_bdev_get_physical_block_size(bdev), 4096U);
  EXPECT_EQ(spdk_bdev_get_num_blocks(bdev), 256U);
  EXPECT_EQ(spdk_bdev_get_write_unit_size(bdev), 1U);
  EXPECT_EQ(spdk_bdev_get_buf_align(bdev), 1U);
  EXPECT_EQ(spdk_bdev_get_optimal_io_boundary(bdev), 0U);
  EXPECT_EQ(spdk_bdev_get_acwu(bdev), 1U);
  EXPECT_EQ(spdk_bdev_get_md_size(bdev), 0U);
  EXPECT_EQ(spdk_bdev_get_max_copy(bdev), 0U);
  EXPECT_EQ(spdk_bdev_get_qd(bdev), UINT64_MAX);
  EXPECT_TRUE(spdk_bdev_has_write_cache(bdev));
  EXPECT_FALSE(spdk_bdev_is_md_interleaved(bdev));
  EXPECT_FALSE(spdk_bdev_is_md_separate(bdev));
  EXPECT_FALSE(spdk_bdev_is_zoned(bdev));
  EXPECT_EQ(spdk_bdev_get_dif_type(bdev), SPDK_DIF_DISABLE);
  EXPECT_FALSE(spdk_bdev_is_dif_head_of_md(bdev));
  EXPECT_FALSE(spdk_bdev_is_dif_check_enabled(bdev, SPDK_DIF_CHECK_TYPE_GUARD));
  char uuid[SPDK_UUID_STRING_LEN];
  spdk_uuid_fmt_lower(uuid, sizeof(uuid), spdk_bdev_get_uuid(bdev));
  EXPECT_STREQ(uuid, "11111111-2222-3333-4444-555555555555");
  EXPECT_EQ(remove("malloc", "info"), 0);
}

std::string supported(const char* name) {
  std::string text;
  for (int type = SPDK_BDEV_IO_TYPE_READ; type < SPDK_BDEV_NUM_IO_TYPES; ++type) {
    const auto t = static_cast<spdk_bdev_io_type>(type);
    if (spdk_bdev_io_type_supported(spdk_bdev_get_by_name(name), t)) {
      text += std::string(spdk_bdev_get_io_type_name(t)) + " ";
    }
  }
  return text;
}

TEST(bdev_info, supported_io_types) {
  ASSERT_EQ(create_null("null0"), 0);
  EXPECT_EQ(supported("first"),
            "read write unmap flush reset write_zeroes zcopy compare abort copy ");
  EXPECT_EQ(supported("null0"), "read write reset write_zeroes abort ");
  EXPECT_EQ(spdk_bdev_get_io_type("flush"), SPDK_BDEV_IO_TYPE_FLUSH);
  EXPECT_EQ(spdk_bdev_get_io_type("nonsense"), -1);
  EXPECT_EQ(spdk_bdev_get_io_type_name(SPDK_BDEV_IO_TYPE_INVALID), nullptr);
  EXPECT_FALSE(spdk_bdev_io_type_supported(spdk_bdev_get_by_name("first"), SPDK_BDEV_NUM_IO_TYPES));
  spdk_bdev* null0 = spdk_bdev_get_by_name("null0");
  EXPECT_EQ(spdk_bdev_get_max_copy(null0), 132U * 1024 / 512);
  EXPECT_STREQ(spdk_bdev_get_product_name(null0), "Null disk");
  EXPECT_FALSE(spdk_bdev_has_write_cache(null0));
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_info, metadata_counts_into_the_block_where_it_is_interleaved) {
  ASSERT_EQ(
      call("bdev_malloc_create", R"({"name":"md0","num_blocks":8,"block_size":512,"md_size":16})"),
      0);
  ASSERT_EQ(
      call("bdev_malloc_create",
           R"({"name":"md1","num_blocks":8,"block_size":512,"md_size":16,"md_interleave":true})"),
      0);
  spdk_bdev* separate = spdk_bdev_get_by_name("md0");
  spdk_bdev* interleaved = spdk_bdev_get_by_name("md1");
  EXPECT_EQ(spdk_bdev_get_block_size(separate), 512U);
  EXPECT_TRUE(spdk_bdev_is_md_separate(separate));
  EXPECT_EQ(spdk_bdev_get_block_size(interleaved), 528U);
  EXPECT_EQ(spdk_bdev_get_data_block_size(interleaved), 512U);
  EXPECT_EQ(spdk_bdev_get_physical_block_size(interleaved), 512U);
  EXPECT_TRUE(spdk_bdev_is_md_interleaved(interleaved));
  EXPECT_EQ(remove("malloc", "md0"), 0);
  EXPECT_EQ(remove("malloc", "md1"), 0);
}

TEST(bdev_info, iteration_in_order_of_registration) {
  ASSERT_EQ(create_null("it1"), 0);
  ASSERT_EQ(create_null("it2"), 0);
  std::string names;
  for (spdk_bdev* b = spdk_bdev_first(); b != nullptr; b = spdk_bdev_next(b)) {
    names += std::string(spdk_bdev_get_name(b)) + " ";
  }
  EXPECT_EQ(names, "first it1 it2 ");
  names.clear();
  for (spdk_bdev* b = spdk_bdev_first_leaf(); b != nullptr; b = spdk_bdev_next_leaf(b)) {
    names += std::string(spdk_bdev_get_name(b)) + " ";
  }
  EXPECT_EQ(names, "first it1 it2 ");
  names.clear();
  const auto append = [](void* ctx, spdk_bdev* b) {
    *static_cast<std::string*>(ctx) += spdk_bdev_get_name(b);
    return std::strcmp(spdk_bdev_get_name(b), "it1") == 0 ? 7 : 0;
  };
  EXPECT_EQ(spdk_for_each_bdev(&names, append), 7);
  EXPECT_EQ(names, "firstit1");
  names.clear();
  EXPECT_EQ(spdk_for_each_bdev_leaf(&names, append), 7);
  EXPECT_EQ(remove("null", "it1"), 0);
  EXPECT_EQ(remove("null", "it2"), 0);
}

TEST(bdev_io, what_is_written_is_read_later_but_never_inside_the_call) {
  device d("first");
  dma_memory out(4096, 0x5a);
  dma_memory in(4096, 0);
  outcome write;
  EXPECT_EQ(spdk_bdev_write(d.desc, d.ch, out.data, 512, 4096, outcome::callback, &write), 0);
  EXPECT_FALSE(write.done);
  EXPECT_TRUE(write.wait());
  EXPECT_EQ(write.sct, 0);
  EXPECT_EQ(write.sc, 0);
  outcome read;
  EXPECT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, in.data, 1, 8, outcome::callback, &read), 0);
  EXPECT_FALSE(read.done);
  EXPECT_TRUE(read.wait());
  EXPECT_TRUE(in.all(0x5a));
}

TEST(bdev_io, vectors) {
  device d("first");
  dma_memory a(512, 1);
  dma_memory b(1024, 2);
  dma_memory in(1536, 0);
  iovec iov[2] = {{a.data, 512}, {b.data, 1024}};
  outcome o;
  EXPECT_EQ(spdk_bdev_writev(d.desc, d.ch, iov, 2, 0, 1536, outcome::callback, &o), 0);
  EXPECT_TRUE(o.wait());
  iovec back[3] = {{in.data, 100}, {in.data + 100, 900}, {in.data + 1000, 536}};
  outcome r;
  EXPECT_EQ(spdk_bdev_readv_blocks(d.desc, d.ch, back, 3, 0, 3, outcome::callback, &r), 0);
  EXPECT_TRUE(r.wait());
  EXPECT_TRUE(in.all(1, 0, 512));
  EXPECT_TRUE(in.all(2, 512));
  // Sums of vectors are the module's business: malloc fails what is too short.
  outcome s;
  EXPECT_EQ(spdk_bdev_readv_blocks(d.desc, d.ch, back, 1, 0, 3, outcome::callback, &s), 0);
  EXPECT_FALSE(s.done);
  EXPECT_FALSE(s.wait());
  EXPECT_EQ(s.sct, SPDK_NVME_SCT_GENERIC);
  EXPECT_EQ(s.sc, eio);
}

TEST(bdev_io, a_read_without_buffer_gets_one) {
  device d("first");
  dma_memory out(512, 0x77);
  outcome w;
  ASSERT_EQ(spdk_bdev_write(d.desc, d.ch, out.data, 0, 512, outcome::callback, &w), 0);
  ASSERT_TRUE(w.wait());
  struct peek {
    bool done = false;
    int first = -1;
    std::size_t len = 0;
    static void callback(spdk_bdev_io* io, bool /*success*/, void* arg) {
      auto* self = static_cast<peek*>(arg);
      iovec* iov = nullptr;
      int count = 0;
      spdk_bdev_io_get_iovec(io, &iov, &count);
      EXPECT_EQ(count, 1);
      EXPECT_EQ(spdk_bdev_io_get_cb_arg(io), arg);
      EXPECT_EQ(spdk_bdev_io_get_md_buf(io), nullptr);
      EXPECT_EQ(spdk_bdev_io_get_thread(io), threads::app);
      self->first = *static_cast<unsigned char*>(iov->iov_base);
      self->len = iov->iov_len;
      self->done = true;
      spdk_bdev_free_io(io);
    }
  } p;
  ASSERT_EQ(spdk_bdev_read(d.desc, d.ch, nullptr, 0, 512, peek::callback, &p), 0);
  ASSERT_TRUE(threads::poll_until([&] { return p.done; }));
  EXPECT_EQ(p.first, 0x77);
  EXPECT_EQ(p.len, 512U);
}

TEST(bdev_io, null_leaves_the_buffer_alone_and_bounds_reads_without_one) {
  ASSERT_EQ(create_null("null0", 4096), 0);
  device d("null0");
  dma_memory in(512, 0x33);
  outcome o;
  EXPECT_EQ(spdk_bdev_read(d.desc, d.ch, in.data, 0, 512, outcome::callback, &o), 0);
  EXPECT_TRUE(o.wait());
  EXPECT_TRUE(in.all(0x33));
  outcome small;
  EXPECT_EQ(spdk_bdev_read(d.desc, d.ch, nullptr, 0, 65536, outcome::callback, &small), 0);
  EXPECT_TRUE(small.wait());
  outcome large;
  EXPECT_EQ(spdk_bdev_read(d.desc, d.ch, nullptr, 0, 66048, outcome::callback, &large), 0);
  EXPECT_FALSE(large.done);
  EXPECT_FALSE(large.wait());
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_errors, submission_codes_and_their_order) {
  device rw("first");
  device ro("first", false);
  dma_memory m(4096);
  outcome o;
  const auto cb = outcome::callback;
  // Not block-aligned, beyond the end, wrapping around.
  EXPECT_EQ(spdk_bdev_read(rw.desc, rw.ch, m.data, 1, 512, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_read(rw.desc, rw.ch, m.data, 0, 511, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_read_blocks(rw.desc, rw.ch, m.data, 64, 1, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_read_blocks(rw.desc, rw.ch, m.data, 63, 2, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_read_blocks(rw.desc, rw.ch, m.data, UINT64_MAX, 2, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_write_blocks(rw.desc, rw.ch, m.data, 64, 1, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_flush_blocks(rw.desc, rw.ch, 0, 65, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_unmap_blocks(rw.desc, rw.ch, 0, 65, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_write_zeroes_blocks(rw.desc, rw.ch, 0, 65, cb, &o), -EINVAL);
  // A read-only descriptor says so before the range is looked at, but after the alignment.
  iovec iov{m.data, 512};
  EXPECT_EQ(spdk_bdev_write(ro.desc, ro.ch, m.data, 1, 512, cb, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_write(ro.desc, ro.ch, m.data, 0, 512, cb, &o), -EBADF);
  EXPECT_EQ(spdk_bdev_write_blocks(ro.desc, ro.ch, m.data, 99, 1, cb, &o), -EBADF);
  EXPECT_EQ(spdk_bdev_writev(ro.desc, ro.ch, &iov, 1, 0, 512, cb, &o), -EBADF);
  EXPECT_EQ(spdk_bdev_writev_blocks(ro.desc, ro.ch, &iov, 1, 99, 1, cb, &o), -EBADF);
  EXPECT_EQ(spdk_bdev_write_zeroes(ro.desc, ro.ch, 0, 512, cb, &o), -EBADF);
  EXPECT_EQ(spdk_bdev_unmap(ro.desc, ro.ch, 0, 512, cb, &o), -EBADF);
  EXPECT_EQ(spdk_bdev_flush(ro.desc, ro.ch, 0, 512, cb, &o), -EBADF);
  EXPECT_EQ(spdk_bdev_abort(rw.desc, rw.ch, nullptr, cb, &o), -EINVAL);
  threads::poll_times(5);
  EXPECT_FALSE(o.done);
}

TEST(bdev_errors, what_a_device_does_not_support) {
  ASSERT_EQ(create_null("null0"), 0);
  device d("null0");
  outcome o;
  EXPECT_EQ(spdk_bdev_flush(d.desc, d.ch, 0, 512, outcome::callback, &o), -ENOTSUP);
  EXPECT_EQ(spdk_bdev_flush_blocks(d.desc, d.ch, 0, 9999, outcome::callback, &o), -ENOTSUP);
  EXPECT_EQ(spdk_bdev_unmap(d.desc, d.ch, 0, 512, outcome::callback, &o), 0);
  EXPECT_FALSE(o.done);
  EXPECT_FALSE(o.wait());
  EXPECT_EQ(o.sc, eio);
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_io, nothing_to_do_still_succeeds_later) {
  device d("first");
  dma_memory m(512);
  outcome read;
  outcome unmap;
  outcome flush;
  EXPECT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 64, 0, outcome::callback, &read), 0);
  EXPECT_EQ(spdk_bdev_unmap_blocks(d.desc, d.ch, 0, 0, outcome::callback, &unmap), 0);
  EXPECT_EQ(spdk_bdev_flush_blocks(d.desc, d.ch, 0, 0, outcome::callback, &flush), 0);
  EXPECT_FALSE(read.done || unmap.done || flush.done);
  EXPECT_TRUE(read.wait() && unmap.wait() && flush.wait());
}

TEST(bdev_io, zeroes_and_unmap_on_malloc) {
  device d("first");
  dma_memory m(2048, 0xff);
  outcome o[4];
  ASSERT_EQ(spdk_bdev_write(d.desc, d.ch, m.data, 0, 2048, outcome::callback, &o[0]), 0);
  ASSERT_TRUE(o[0].wait());
  ASSERT_EQ(spdk_bdev_write_zeroes(d.desc, d.ch, 512, 512, outcome::callback, &o[1]), 0);
  ASSERT_EQ(spdk_bdev_unmap(d.desc, d.ch, 1536, 512, outcome::callback, &o[2]), 0);
  ASSERT_TRUE(o[1].wait() && o[2].wait());
  ASSERT_EQ(spdk_bdev_read(d.desc, d.ch, m.data, 0, 2048, outcome::callback, &o[3]), 0);
  ASSERT_TRUE(o[3].wait());
  EXPECT_TRUE(m.all(0xff, 0, 512));
  EXPECT_TRUE(m.all(0, 512, 1024));
  EXPECT_TRUE(m.all(0xff, 1024, 1536));
  EXPECT_TRUE(m.all(0, 1536));
}

TEST(bdev_io, order_of_completions_on_malloc) {
  // What copies completes in one poll before what does not.
  device d("first");
  dma_memory m(512);
  outcome flush;
  outcome read;
  outcome write;
  ASSERT_EQ(spdk_bdev_flush(d.desc, d.ch, 0, 512, outcome::callback, &flush), 0);
  ASSERT_EQ(spdk_bdev_read(d.desc, d.ch, m.data, 0, 512, outcome::callback, &read), 0);
  ASSERT_EQ(spdk_bdev_write(d.desc, d.ch, m.data, 0, 512, outcome::callback, &write), 0);
  EXPECT_TRUE(flush.wait() && read.wait() && write.wait());
  EXPECT_LT(read.order, write.order);
  EXPECT_LT(write.order, flush.order);
}

TEST(bdev_io, splits_at_the_optimal_boundary) {
  ASSERT_EQ(call("bdev_malloc_create", R"({"name":"striped","num_blocks":64,"block_size":512,
      "optimal_io_boundary":4})"),
            0);
  device d("striped");
  EXPECT_EQ(spdk_bdev_get_optimal_io_boundary(d.bdev()), 4U);
  dma_memory out(20 * 512);
  for (std::size_t i = 0; i < out.size; ++i) {
    out.data[i] = static_cast<unsigned char>(i / 300);
  }
  // Pieces that end within blocks, so that children have to share them.
  iovec iov[3] = {{out.data, 700}, {out.data + 700, 5000}, {out.data + 5700, 20 * 512 - 5700}};
  outcome w;
  ASSERT_EQ(spdk_bdev_writev_blocks(d.desc, d.ch, iov, 3, 3, 20, outcome::callback, &w), 0);
  EXPECT_TRUE(w.wait());
  dma_memory in(20 * 512, 0xee);
  outcome r;
  ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, in.data, 3, 20, outcome::callback, &r), 0);
  EXPECT_TRUE(r.wait());
  EXPECT_EQ(std::memcmp(in.data, out.data, in.size), 0);
  // More pieces than fit into one round of children.
  std::vector<iovec> many;
  for (int i = 0; i < 100; ++i) {
    many.push_back({in.data + i * 100, 100});
  }
  many.push_back({in.data + 10000, 240});
  std::memset(in.data, 0, in.size);
  outcome v;
  ASSERT_EQ(spdk_bdev_readv_blocks(d.desc, d.ch, many.data(), static_cast<int>(many.size()), 3, 20,
                                   outcome::callback, &v),
            0);
  EXPECT_TRUE(v.wait());
  EXPECT_EQ(std::memcmp(in.data, out.data, in.size), 0);
  d.close();
  EXPECT_EQ(remove("malloc", "striped"), 0);
}

// --- reset and abort ---

TEST(bdev_reset, is_allowed_read_only_and_aborts_what_comes_meanwhile) {
  device d("first", false);
  dma_memory m(512);
  outcome before;
  outcome reset;
  outcome again;
  outcome during;
  ASSERT_EQ(spdk_bdev_read(d.desc, d.ch, m.data, 0, 512, outcome::callback, &before), 0);
  ASSERT_EQ(spdk_bdev_reset(d.desc, d.ch, outcome::callback, &reset), 0);
  ASSERT_EQ(spdk_bdev_reset(d.desc, d.ch, outcome::callback, &again), 0);
  threads::poll();  // the channels are frozen now
  ASSERT_EQ(spdk_bdev_read(d.desc, d.ch, m.data, 0, 512, outcome::callback, &during), 0);
  EXPECT_FALSE(during.done);
  EXPECT_TRUE(reset.wait());
  EXPECT_TRUE(again.wait());
  EXPECT_TRUE(before.wait());
  EXPECT_FALSE(during.wait());
  EXPECT_EQ(during.sct, SPDK_NVME_SCT_GENERIC);
  EXPECT_EQ(during.sc, SPDK_NVME_SC_ABORTED_BY_REQUEST);
  outcome after;
  ASSERT_EQ(spdk_bdev_read(d.desc, d.ch, m.data, 0, 512, outcome::callback, &after), 0);
  EXPECT_TRUE(after.wait());
}

TEST(bdev_abort, on_null_completes_the_target_inside_the_call) {
  ASSERT_EQ(create_null("null0"), 0);
  device d("null0");
  dma_memory m(512);
  outcome target;
  outcome abort;
  ASSERT_EQ(spdk_bdev_read(d.desc, d.ch, m.data, 0, 512, outcome::callback, &target), 0);
  ASSERT_EQ(spdk_bdev_abort(d.desc, d.ch, &target, outcome::callback, &abort), 0);
  EXPECT_TRUE(target.done);
  EXPECT_FALSE(target.success);
  EXPECT_EQ(target.sct, SPDK_NVME_SCT_GENERIC);
  EXPECT_EQ(target.sc, SPDK_NVME_SC_ABORTED_BY_REQUEST);
  EXPECT_FALSE(abort.done);
  EXPECT_TRUE(abort.wait());
  EXPECT_EQ(abort.cdw0, 0U);
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_abort, without_a_match_fails_inside_the_call) {
  device d("first");
  outcome abort;
  int unrelated = 0;
  ASSERT_EQ(spdk_bdev_abort(d.desc, d.ch, &unrelated, outcome::callback, &abort), 0);
  EXPECT_TRUE(abort.done);
  EXPECT_FALSE(abort.success);
  EXPECT_EQ(abort.sct, 0);
  EXPECT_EQ(abort.sc, 0);
  EXPECT_EQ(abort.cdw0, 1U);
}

TEST(bdev_abort, malloc_accepts_and_does_not_do_it) {
  device d("first");
  dma_memory m(512);
  outcome target;
  outcome abort;
  ASSERT_EQ(spdk_bdev_read(d.desc, d.ch, m.data, 0, 512, outcome::callback, &target), 0);
  ASSERT_EQ(spdk_bdev_abort(d.desc, d.ch, &target, outcome::callback, &abort), 0);
  EXPECT_FALSE(target.done || abort.done);
  EXPECT_TRUE(target.wait());
  // The target has completed before the abort did, so there is nothing to complain about.
  EXPECT_TRUE(abort.wait());
}

// --- I/O objects and waiting for one ---

struct waiter {
  spdk_bdev_io_wait_entry entry{};
  int id = 0;
  static inline std::vector<int> woken;

  static void callback(void* arg) { woken.push_back(static_cast<waiter*>(arg)->id); }
};

TEST(bdev_memory, all_objects_but_the_other_caches_are_to_be_had) {
  ASSERT_EQ(create_null("null0"), 0);
  device d("null0");
  dma_memory m(512);
  std::deque<outcome> outcomes;
  int rc = 0;
  while (rc == 0) {
    rc = spdk_bdev_read(d.desc, d.ch, m.data, 0, 512, outcome::callback, &outcomes.emplace_back());
  }
  EXPECT_EQ(rc, -ENOMEM);
  outcomes.pop_back();
  EXPECT_EQ(outcomes.size(), environment::pool_size);
  // Out of memory, but invalid requests are found first.
  outcome o;
  EXPECT_EQ(spdk_bdev_read(d.desc, d.ch, m.data, 1, 512, outcome::callback, &o), -EINVAL);
  EXPECT_EQ(spdk_bdev_unmap(d.desc, d.ch, 0, 512, outcome::callback, &o), -ENOMEM);
  EXPECT_EQ(spdk_bdev_reset(d.desc, d.ch, outcome::callback, &o), -ENOMEM);
  EXPECT_EQ(spdk_bdev_abort(d.desc, d.ch, &o, outcome::callback, &o), -ENOMEM);

  waiter w[3];
  for (int i = 0; i < 3; ++i) {
    w[i].id = i;
    w[i].entry = {};
    w[i].entry.bdev = d.bdev();
    w[i].entry.cb_fn = waiter::callback;
    w[i].entry.cb_arg = &w[i];
    w[i].entry.dep_unblock = i == 2;
    EXPECT_EQ(spdk_bdev_queue_io_wait(d.bdev(), d.ch, &w[i].entry), 0);
  }
  EXPECT_TRUE(waiter::woken.empty());
  for (outcome& each : outcomes) {
    EXPECT_TRUE(each.wait());
  }
  EXPECT_EQ(waiter::woken, (std::vector<int>{2, 0, 1}));
  EXPECT_EQ(spdk_bdev_queue_io_wait(d.bdev(), d.ch, &w[0].entry), -EINVAL);  // there are some
  EXPECT_EQ(spdk_bdev_queue_io_wait(spdk_bdev_get_by_name("first"), d.ch, &w[0].entry), -EINVAL);
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_memory, each_thread_has_its_own_cache) {
  ASSERT_EQ(create_null("null0"), 0);
  device d("null0");
  dma_memory m(512);
  spdk_set_thread(threads::other);
  spdk_io_channel* there = spdk_bdev_get_io_channel(d.desc);
  spdk_set_thread(threads::app);
  std::deque<outcome> outcomes;
  while (spdk_bdev_read(d.desc, d.ch, m.data, 0, 512, outcome::callback,
                        &outcomes.emplace_back()) == 0) {
  }
  outcomes.pop_back();
  EXPECT_EQ(outcomes.size(), environment::pool_size - environment::cache_size);
  std::size_t elsewhere = 0;
  {
    const on_other scope;
    while (spdk_bdev_read(d.desc, there, m.data, 0, 512, outcome::callback,
                          &outcomes.emplace_back()) == 0) {
      ++elsewhere;
    }
    outcomes.pop_back();
  }
  EXPECT_EQ(elsewhere, environment::cache_size);
  for (outcome& each : outcomes) {
    EXPECT_TRUE(each.wait());
  }
  spdk_set_thread(threads::other);
  spdk_put_io_channel(there);
  spdk_set_thread(threads::app);
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_memory, a_split_io_gets_by_with_the_objects_there_are) {
  ASSERT_EQ(call("bdev_malloc_create", R"({"name":"striped","num_blocks":1024,"block_size":512,
      "optimal_io_boundary":1})"),
            0);
  device d("striped");
  dma_memory m(512 * 200, 0x42);
  outcome w[4];
  for (outcome& o : w) {  // 800 children, 160 objects
    ASSERT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, m.data, 0, 200, outcome::callback, &o), 0);
  }
  for (outcome& o : w) {
    EXPECT_TRUE(o.wait());
  }
  d.close();
  EXPECT_EQ(remove("malloc", "striped"), 0);
}

// --- options ---

TEST(bdev_options, only_known_fields_are_written) {
  spdk_bdev_opts opts;
  std::memset(&opts, 0xff, sizeof(opts));
  spdk_bdev_get_opts(&opts, sizeof(opts));
  EXPECT_EQ(opts.bdev_io_pool_size, environment::pool_size);
  EXPECT_EQ(opts.bdev_io_cache_size, environment::cache_size);
  EXPECT_TRUE(opts.bdev_auto_examine);
  EXPECT_EQ(opts.opts_size, sizeof(opts));
  EXPECT_EQ(opts.iobuf_small_cache_size, 32U);
  EXPECT_EQ(opts.iobuf_large_cache_size, 8U);

  std::memset(&opts, 0xff, sizeof(opts));
  spdk_bdev_get_opts(&opts, 24);
  EXPECT_EQ(opts.bdev_io_cache_size, environment::cache_size);
  EXPECT_EQ(opts.opts_size, 24U);
  EXPECT_EQ(opts.iobuf_small_cache_size, UINT32_MAX);

  opts.opts_size = 0;
  EXPECT_EQ(spdk_bdev_set_opts(&opts), -1);
  EXPECT_EQ(spdk_bdev_set_opts(nullptr), -1);
  spdk_bdev_get_opts(&opts, sizeof(opts));
  opts.bdev_io_cache_size = environment::pool_size / 3 + 1;  // two threads and one more
  EXPECT_EQ(spdk_bdev_set_opts(&opts), -1);
  opts.bdev_io_cache_size = environment::pool_size / 3;
  EXPECT_EQ(spdk_bdev_set_opts(&opts), 0);
  opts.bdev_io_cache_size = environment::cache_size;
  EXPECT_EQ(spdk_bdev_set_opts(&opts), 0);
}

// --- events, removal, resizing ---

TEST(bdev_events, removal_waits_for_descriptors_then_for_channels) {
  ASSERT_EQ(create_malloc("going"), 0);
  device d("going");
  std::unique_ptr<device> there;
  {
    const on_other scope;
    there = std::make_unique<device>("going");
  }
  threads::poll_times(3);  // the examination of the new device is over
  struct removal {
    int rc = 1;
    static void callback(void* arg, int rc) { static_cast<removal*>(arg)->rc = rc; }
  } first, second;
  spdk_bdev_unregister(d.bdev(), removal::callback, &first);
  EXPECT_TRUE(d.events.empty());
  ASSERT_TRUE(threads::poll_until([&] { return !d.events.empty() && !there->events.empty(); }));
  EXPECT_EQ(d.events[0].type, SPDK_BDEV_EVENT_REMOVE);
  EXPECT_EQ(d.events[0].thread, threads::app);
  EXPECT_EQ(there->events[0].thread, threads::other);
  spdk_bdev_unregister(d.bdev(), removal::callback, &second);
  EXPECT_EQ(second.rc, -EBUSY);

  spdk_bdev_desc* desc = nullptr;
  EXPECT_EQ(spdk_bdev_open_ext(
                "going", true, [](spdk_bdev_event_type, spdk_bdev*, void*) {}, nullptr, &desc),
            -ENODEV);
  dma_memory m(512);
  outcome o;
  EXPECT_EQ(spdk_bdev_read(d.desc, d.ch, m.data, 0, 512, outcome::callback, &o), 0);
  EXPECT_TRUE(o.wait());  // still works

  spdk_bdev_close(d.desc);
  d.desc = nullptr;
  threads::poll_times(5);
  EXPECT_NE(spdk_bdev_get_by_name("going"), nullptr);
  {
    const on_other scope;
    there->close();
  }
  EXPECT_EQ(spdk_bdev_get_by_name("going"), nullptr);
  threads::poll_times(5);
  EXPECT_EQ(first.rc, 1);  // a channel is left
  d.put_channel();
  EXPECT_TRUE(threads::poll_until([&] { return first.rc != 1; }));
  EXPECT_EQ(first.rc, 0);
}

TEST(bdev_events, none_after_the_close) {
  ASSERT_EQ(create_malloc("going"), 0);
  device d("going");
  threads::poll_times(3);
  bool gone = false;
  spdk_bdev_unregister(d.bdev(), [](void* arg, int) { *static_cast<bool*>(arg) = true; }, &gone);
  d.close();
  EXPECT_TRUE(threads::poll_until([&] { return gone; }));
  EXPECT_TRUE(d.events.empty());
}

TEST(bdev_events, resizing) {
  ASSERT_EQ(create_null("sized", 2048), 0);  // 1 MiB
  {
    device d("sized");
    threads::poll_times(3);
    EXPECT_EQ(call("bdev_null_resize", R"({"name":"sized","new_size":2})"), 0);
    ASSERT_TRUE(threads::poll_until([&] { return !d.events.empty(); }));
    EXPECT_EQ(d.events[0].type, SPDK_BDEV_EVENT_RESIZE);
    EXPECT_EQ(d.events[0].thread, threads::app);
    EXPECT_EQ(spdk_bdev_get_num_blocks(d.bdev()), 4096U);
    EXPECT_EQ(spdk_bdev_notify_blockcnt_change(d.bdev(), 2048), -EBUSY);
    EXPECT_EQ(spdk_bdev_notify_blockcnt_change(d.bdev(), 4096), 0);
    threads::poll_times(3);
    EXPECT_EQ(d.events.size(), 1U);
    EXPECT_EQ(call("bdev_null_resize", R"({"name":"sized","new_size":1})"), -EINVAL);
  }
  EXPECT_EQ(spdk_bdev_notify_blockcnt_change(spdk_bdev_get_by_name("sized"), 1024), 0);
  EXPECT_EQ(spdk_bdev_get_num_blocks(spdk_bdev_get_by_name("sized")), 1024U);
  // The call has the device open itself, so it cannot shrink by less than a MiB either.
  EXPECT_EQ(spdk_bdev_notify_blockcnt_change(spdk_bdev_get_by_name("sized"), 3000), 0);
  logged.clear();
  EXPECT_EQ(call("bdev_null_resize", R"({"name":"sized","new_size":1})"), -EINVAL);
  EXPECT_NE(logged.find("\"code\": -16"), std::string::npos) << logged;
  EXPECT_EQ(call("bdev_null_resize", R"({"name":"first","new_size":1})"), -EINVAL);
  EXPECT_NE(logged.find("\"code\": -22"), std::string::npos) << logged;
  EXPECT_EQ(remove("null", "sized"), 0);
}

TEST(bdev_events, closing_in_the_callback_of_the_last_io) {
  ASSERT_EQ(create_null("null0"), 0);
  auto d = std::make_unique<device>("null0");
  struct last {
    device* d;
    bool done = false;
    static void callback(spdk_bdev_io* io, bool /*success*/, void* arg) {
      auto* self = static_cast<last*>(arg);
      spdk_bdev_free_io(io);
      self->d->close();
      self->done = true;
    }
  } l{d.get()};
  dma_memory m(512);
  ASSERT_EQ(spdk_bdev_read(d->desc, d->ch, m.data, 0, 512, last::callback, &l), 0);
  EXPECT_TRUE(threads::poll_until([&] { return l.done; }));
  threads::poll_times(3);
  EXPECT_EQ(remove("null", "null0"), 0);
}

}  // namespace
}  // namespace bdev_test
