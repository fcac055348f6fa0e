// SPDX-License-Identifier: BSD-3-Clause
// Statistics, histograms, queue depth, rate limits, timeouts and walks over channels. Runs on
// SPDK unchanged. What takes time is measured in ticks and bounded from below only.
#include "bdev_fixture.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <memory>

namespace bdev_test {
namespace {

std::unique_ptr<device> open_on_other(const std::string& name) {
  const on_other scope;
  return std::make_unique<device>(name);
}

void close_on_other(std::unique_ptr<device>& d) {
  const on_other scope;
  d->close();
}

void read_and_wait(const device& d, uint64_t blocks, unsigned count = 1) {
  dma_memory m(blocks * 512);
  for (unsigned i = 0; i < count; ++i) {
    outcome o;
    ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 0, blocks, outcome::callback, &o), 0);
    ASSERT_TRUE(o.wait());
  }
}

// --- statistics ---

TEST(bdev_stat, of_a_channel) {
  ASSERT_EQ(create_malloc("m"), 0);
  device d("m");
  const auto get = [&](spdk_bdev_reset_stat_mode mode = SPDK_BDEV_RESET_STAT_NONE) {
    spdk_bdev_io_stat s{};
    spdk_bdev_get_io_stat(d.bdev(), d.ch, &s, mode);
    return s;
  };
  spdk_bdev_io_stat s = get();
  EXPECT_EQ(s.num_read_ops, 0U);
  EXPECT_EQ(s.min_read_latency_ticks, UINT64_MAX);
  EXPECT_EQ(s.max_read_latency_ticks, 0U);
  EXPECT_EQ(s.ticks_rate, spdk_get_ticks_hz());
  EXPECT_EQ(s.io_error, nullptr);

  dma_memory m(2048);
  outcome o[8];
  const auto cb = outcome::callback;
  ASSERT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, m.data, 0, 4, cb, &o[0]), 0);
  ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 0, 1, cb, &o[1]), 0);
  ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 0, 2, cb, &o[2]), 0);
  ASSERT_EQ(spdk_bdev_unmap_blocks(d.desc, d.ch, 0, 8, cb, &o[3]), 0);
  ASSERT_EQ(spdk_bdev_copy_blocks(d.desc, d.ch, 10, 0, 5, cb, &o[4]), 0);
  // These count nowhere.
  ASSERT_EQ(spdk_bdev_write_zeroes_blocks(d.desc, d.ch, 0, 1, cb, &o[5]), 0);
  ASSERT_EQ(spdk_bdev_flush_blocks(d.desc, d.ch, 0, 1, cb, &o[6]), 0);
  m.data[0] = 1;
  ASSERT_EQ(spdk_bdev_compare_blocks(d.desc, d.ch, m.data, 0, 1, cb, &o[7]), 0);
  s = get();
  EXPECT_EQ(s.num_read_ops + s.num_write_ops + s.num_unmap_ops + s.num_copy_ops, 0U);
  for (outcome& each : o) {
    each.wait();
  }
  s = get(SPDK_BDEV_RESET_STAT_ERROR);
  EXPECT_EQ(s.num_read_ops, 2U);
  EXPECT_EQ(s.bytes_read, 1536U);
  EXPECT_EQ(s.num_write_ops, 1U);
  EXPECT_EQ(s.bytes_written, 2048U);
  EXPECT_EQ(s.num_unmap_ops, 1U);
  EXPECT_EQ(s.bytes_unmapped, 4096U);
  EXPECT_EQ(s.num_copy_ops, 1U);
  EXPECT_EQ(s.bytes_copied, 2560U);
  EXPECT_LE(s.min_read_latency_ticks, s.max_read_latency_ticks);
  EXPECT_GE(s.read_latency_ticks, s.min_read_latency_ticks + s.max_read_latency_ticks);
  EXPECT_EQ(s.write_latency_ticks, s.max_write_latency_ticks);

  s = get(SPDK_BDEV_RESET_STAT_MAXMIN);
  EXPECT_EQ(s.num_read_ops, 2U);
  s = get(SPDK_BDEV_RESET_STAT_ALL);
  EXPECT_EQ(s.num_read_ops, 2U);
  EXPECT_GT(s.read_latency_ticks, 0U);
  EXPECT_EQ(s.max_read_latency_ticks, 0U);
  EXPECT_EQ(s.min_unmap_latency_ticks, UINT64_MAX);
  s = get();
  EXPECT_EQ(s.num_read_ops, 0U);
  EXPECT_EQ(s.read_latency_ticks, 0U);
  EXPECT_EQ(s.bytes_copied, 0U);
  d.close();
  EXPECT_EQ(remove("malloc", "m"), 0);
}

TEST(bdev_stat, zero_copy_counts_at_its_start_and_a_split_by_its_children) {
  ASSERT_EQ(call("bdev_malloc_create", R"({"name":"m","num_blocks":64,"block_size":512,
      "optimal_io_boundary":4})"),
            0);
  device d("m");
  read_and_wait(d, 16);
  struct keep {
    spdk_bdev_io* io = nullptr;
    static void callback(spdk_bdev_io* io, bool /*success*/, void* arg) {
      static_cast<keep*>(arg)->io = io;
    }
  };
  for (const bool populate : {true, false}) {
    keep k;
    outcome end;
    ASSERT_EQ(spdk_bdev_zcopy_start(d.desc, d.ch, nullptr, 0, 0, 2, populate, keep::callback, &k),
              0);
    ASSERT_TRUE(threads::poll_until([&] { return k.io != nullptr; }));
    ASSERT_EQ(spdk_bdev_zcopy_end(k.io, true, outcome::callback, &end), 0);
    ASSERT_TRUE(end.wait());
  }
  spdk_bdev_io_stat s{};
  spdk_bdev_get_io_stat(d.bdev(), d.ch, &s, SPDK_BDEV_RESET_STAT_NONE);
  EXPECT_EQ(s.num_read_ops, 5U);
  EXPECT_EQ(s.bytes_read, 18U * 512);
  EXPECT_EQ(s.num_write_ops, 1U);
  EXPECT_EQ(s.bytes_written, 1024U);
  d.close();
  EXPECT_EQ(remove("malloc", "m"), 0);
}

struct device_stat {
  bool done = false;
  int rc = 1;
  spdk_bdev_io_stat stat{};

  static void callback(spdk_bdev* /*bdev*/, spdk_bdev_io_stat* s, void* arg, int rc) {
    auto* self = static_cast<device_stat*>(arg);
    EXPECT_EQ(s, &self->stat);
    self->rc = rc;
    self->done = true;
  }
  explicit device_stat(spdk_bdev* bdev,
                       spdk_bdev_reset_stat_mode mode = SPDK_BDEV_RESET_STAT_NONE) {
    spdk_bdev_get_device_stat(bdev, &stat, mode, callback, this);
    EXPECT_FALSE(done);
    EXPECT_TRUE(threads::poll_until([this] { return done; }));
    EXPECT_EQ(rc, 0);
  }
};

TEST(bdev_stat, of_a_device_sums_up_all_channels_former_ones_too) {
  ASSERT_EQ(create_malloc("m"), 0);
  device d("m");
  threads::poll_times(50);
  device_stat(d.bdev(), SPDK_BDEV_RESET_STAT_ALL);  // SPDK's modules look at a new device
  read_and_wait(d, 1, 2);
  auto there = open_on_other("m");
  {
    dma_memory m(512);
    outcome o;
    {
      const on_other scope;
      ASSERT_EQ(spdk_bdev_read_blocks(there->desc, there->ch, m.data, 0, 1, outcome::callback, &o),
                0);
    }
    ASSERT_TRUE(o.wait());
  }
  EXPECT_EQ(device_stat(d.bdev()).stat.num_read_ops, 3U);
  close_on_other(there);
  threads::poll_times(3);
  const device_stat sum(d.bdev(), SPDK_BDEV_RESET_STAT_ALL);
  EXPECT_EQ(sum.stat.num_read_ops, 3U);
  EXPECT_EQ(sum.stat.bytes_read, 1536U);
  EXPECT_EQ(sum.stat.min_write_latency_ticks, UINT64_MAX);
  EXPECT_EQ(device_stat(d.bdev()).stat.num_read_ops, 0U);
  d.close();
  EXPECT_EQ(device_stat(spdk_bdev_get_by_name("m")).stat.num_read_ops, 0U);  // no channel at all
  EXPECT_EQ(remove("malloc", "m"), 0);
}

// --- histograms ---

struct status_callback {
  bool done = false;
  int status = 1;
  static void callback(void* arg, int status) {
    auto* self = static_cast<status_callback*>(arg);
    self->done = true;
    self->status = status;
  }
  int wait() {
    EXPECT_TRUE(threads::poll_until([this] { return done; }));
    return status;
  }
};

struct histogram_result {
  bool done = false;
  int status = 1;
  spdk_histogram_data* data = nullptr;
  static void callback(void* arg, int status, spdk_histogram_data* data) {
    auto* self = static_cast<histogram_result*>(arg);
    self->done = true;
    self->status = status;
    self->data = data;
  }
};

uint64_t tallied(const spdk_histogram_data* histogram) {
  uint64_t total = 0;
  spdk_histogram_data_iterate(
      histogram,
      [](void* ctx, uint64_t, uint64_t, uint64_t, uint64_t sum, uint64_t) {
        *static_cast<uint64_t*>(ctx) = sum;
      },
      &total);
  return total;
}

/// The number of I/Os that the device's histogram has, or a negative error.
int64_t histogram_of(spdk_bdev* bdev) {
  spdk_histogram_data* sum = spdk_histogram_data_alloc();
  histogram_result r;
  spdk_bdev_histogram_get(bdev, sum, histogram_result::callback, &r);
  EXPECT_FALSE(r.done);
  EXPECT_TRUE(threads::poll_until([&] { return r.done; }));
  EXPECT_EQ(r.data, sum);
  const auto total = static_cast<int64_t>(tallied(sum));
  spdk_histogram_data_free(sum);
  return r.status != 0 ? r.status : total;
}

TEST(bdev_histogram, counts_while_it_is_enabled) {
  ASSERT_EQ(create_malloc("m"), 0);
  device d("m");
  auto there = open_on_other("m");
  EXPECT_EQ(histogram_of(d.bdev()), -EFAULT);
  histogram_result none;
  spdk_bdev_channel_get_histogram(d.ch, histogram_result::callback, &none);
  EXPECT_TRUE(none.done);
  EXPECT_EQ(none.status, -EFAULT);
  EXPECT_EQ(none.data, nullptr);

  status_callback enable;
  status_callback again;
  spdk_bdev_histogram_enable(d.bdev(), status_callback::callback, &enable, true);
  spdk_bdev_histogram_enable(d.bdev(), status_callback::callback, &again, true);
  EXPECT_FALSE(enable.done);
  EXPECT_TRUE(again.done);
  EXPECT_EQ(again.status, -EAGAIN);
  EXPECT_EQ(enable.wait(), 0);

  read_and_wait(d, 1, 5);
  dma_memory m(512);
  outcome flush;
  ASSERT_EQ(spdk_bdev_flush_blocks(d.desc, d.ch, 0, 1, outcome::callback, &flush), 0);
  ASSERT_TRUE(flush.wait());
  EXPECT_EQ(histogram_of(d.bdev()), 6);
  histogram_result own;
  spdk_bdev_channel_get_histogram(d.ch, histogram_result::callback, &own);
  EXPECT_EQ(own.status, 0);
  ASSERT_NE(own.data, nullptr);
  EXPECT_EQ(tallied(own.data), 6U);

  status_callback disable;
  spdk_bdev_histogram_enable(d.bdev(), status_callback::callback, &disable, false);
  EXPECT_EQ(disable.wait(), 0);
  EXPECT_EQ(histogram_of(d.bdev()), -EFAULT);
  close_on_other(there);
  d.close();
  EXPECT_EQ(remove("malloc", "m"), 0);
}

TEST(bdev_histogram, of_one_kind_of_io_in_a_range) {
  ASSERT_EQ(create_malloc("m"), 0);
  device d("m");
  spdk_bdev_enable_histogram_opts opts;
  spdk_bdev_enable_histogram_opts_init(&opts, sizeof(opts));
  EXPECT_EQ(opts.size, sizeof(opts));
  EXPECT_EQ(opts.io_type, 0);
  EXPECT_EQ(opts.granularity, SPDK_HISTOGRAM_GRANULARITY_DEFAULT);
  EXPECT_EQ(opts.min_nsec, 0U);
  EXPECT_EQ(opts.max_nsec, UINT64_MAX);
  opts.io_type = SPDK_BDEV_IO_TYPE_WRITE;
  opts.granularity = 4;
  opts.min_nsec = 1'000;
  opts.max_nsec = 1'000'000;
  status_callback enable;
  spdk_bdev_histogram_enable_ext(d.bdev(), status_callback::callback, &enable, true, &opts);
  EXPECT_EQ(enable.wait(), 0);
  read_and_wait(d, 1, 3);
  dma_memory m(512);
  outcome write;
  ASSERT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, m.data, 0, 1, outcome::callback, &write), 0);
  ASSERT_TRUE(write.wait());
  histogram_result own;
  spdk_bdev_channel_get_histogram(d.ch, histogram_result::callback, &own);
  ASSERT_EQ(own.status, 0);
  EXPECT_EQ(own.data->granularity, 4U);
  EXPECT_GT(own.data->min_range, 0U);
  EXPECT_LT(own.data->max_range, 60U);
  EXPECT_EQ(tallied(own.data), 1U);
  d.close();
  EXPECT_EQ(remove("malloc", "m"), 0);
}

TEST(bdev_histogram, is_enabled_by_the_configuration) {
  ASSERT_EQ(create_malloc("m"), 0);
  EXPECT_EQ(call("bdev_enable_histogram", R"({"name":"m","enable":true,"opc":"read"})"), 0);
  device d("m");  // channels that come later have it too
  read_and_wait(d, 1, 2);
  EXPECT_EQ(histogram_of(d.bdev()), 2);
  EXPECT_EQ(call("bdev_enable_histogram", R"({"name":"m","enable":false})"), 0);
  EXPECT_EQ(histogram_of(d.bdev()), -EFAULT);
  EXPECT_NE(call("bdev_enable_histogram", R"({"name":"nosuch","enable":true})"), 0);
  EXPECT_NE(call("bdev_enable_histogram", R"({"name":"m"})"), 0);
  d.close();
  EXPECT_EQ(remove("malloc", "m"), 0);
}

// --- the header of histograms ---

struct bucket {
  uint64_t start;
  uint64_t end;
  uint64_t count;
  uint64_t so_far;
};

std::vector<bucket> buckets_of(const spdk_histogram_data* h, bool all = false) {
  struct collect {
    std::vector<bucket> found;
    bool all;
  } c{{}, all};
  spdk_histogram_data_iterate(
      h,
      [](void* ctx, uint64_t start, uint64_t end, uint64_t count, uint64_t, uint64_t so_far) {
        auto* c = static_cast<collect*>(ctx);
        if (count != 0 || c->all) {
          c->found.push_back({start, end, count, so_far});
        }
      },
      &c);
  return c.found;
}

TEST(histogram_data, buckets_double_their_width_from_range_to_range) {
  spdk_histogram_data* h = spdk_histogram_data_alloc();
  ASSERT_NE(h, nullptr);
  EXPECT_EQ(h->granularity, 7U);
  EXPECT_EQ(SPDK_HISTOGRAM_NUM_BUCKETS(h), 58U * 128);
  for (const uint64_t value : {0ULL, 127ULL, 128ULL, 255ULL, 256ULL, 257ULL, 1000ULL, ~0ULL}) {
    spdk_histogram_data_tally(h, value);
  }
  const std::vector<bucket> b = buckets_of(h);
  ASSERT_EQ(b.size(), 7U);
  EXPECT_EQ(b[0].start, 0U);
  EXPECT_EQ(b[0].end, 1U);
  EXPECT_EQ(b[1].start, 127U);
  EXPECT_EQ(b[2].start, 128U);
  EXPECT_EQ(b[3].end, 256U);
  EXPECT_EQ(b[4].start, 256U);
  EXPECT_EQ(b[4].end, 258U);
  EXPECT_EQ(b[4].count, 2U);
  EXPECT_EQ(b[5].start, 1000U);
  EXPECT_EQ(b[5].end, 1004U);
  EXPECT_EQ(b[6].so_far, 8U);
  EXPECT_EQ(b[6].end, 0U);  // 2 to the 64th
  spdk_histogram_data_reset(h);
  EXPECT_TRUE(buckets_of(h).empty());
  spdk_histogram_data_free(h);
  spdk_histogram_data_free(nullptr);
}

TEST(histogram_data, a_part_of_the_range) {
  EXPECT_EQ(spdk_histogram_data_alloc_sized_ext(3, 5, 5), nullptr);
  spdk_histogram_data* h = spdk_histogram_data_alloc_sized_ext(3, 100, 1000);
  spdk_histogram_data* other = spdk_histogram_data_alloc_sized_ext(3, 100, 1000);
  spdk_histogram_data* larger = spdk_histogram_data_alloc_sized(3);
  ASSERT_NE(h, nullptr);
  EXPECT_EQ(h->min_range, 4U);
  EXPECT_EQ(h->max_range, 7U);
  EXPECT_EQ(buckets_of(h, true).size(), 32U);
  for (const uint64_t value : {1ULL, 100ULL, 999ULL, 5000ULL}) {
    spdk_histogram_data_tally(h, value);
  }
  const std::vector<bucket> b = buckets_of(h);
  ASSERT_EQ(b.size(), 3U);
  EXPECT_EQ(b[0].start, 0U);  // the first bucket takes what is below
  EXPECT_EQ(b[1].start, 96U);
  EXPECT_EQ(b[1].end, 104U);
  EXPECT_EQ(b[2].end, 1024U);  // and the last what is above
  EXPECT_EQ(b[2].count, 2U);
  EXPECT_EQ(b[2].so_far, 4U);
  EXPECT_EQ(spdk_histogram_data_merge(other, h), 0);
  EXPECT_EQ(spdk_histogram_data_merge(other, h), 0);
  EXPECT_EQ(tallied(other), 8U);
  EXPECT_EQ(spdk_histogram_data_merge(larger, h), -EINVAL);
  spdk_histogram_data_free(h);
  spdk_histogram_data_free(other);
  spdk_histogram_data_free(larger);
}

// --- queue depth ---

struct depth_result {
  bool done = false;
  uint64_t depth = UINT64_MAX;
  static void callback(spdk_bdev* /*bdev*/, uint64_t depth, void* arg, int rc) {
    auto* self = static_cast<depth_result*>(arg);
    EXPECT_EQ(rc, 0);
    self->depth = depth;
    self->done = true;
  }
};

TEST(bdev_depth, now) {
  ASSERT_EQ(create_null("null0"), 0);
  device d("null0");
  auto there = open_on_other("null0");
  dma_memory m(512);
  outcome o[3];
  const auto cb = outcome::callback;
  ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 0, 1, cb, &o[0]), 0);
  ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 0, 1, cb, &o[1]), 0);
  depth_result r;
  spdk_bdev_get_current_qd(d.bdev(), depth_result::callback, &r);
  EXPECT_FALSE(r.done);
  // Messages come before pollers: the I/O is still there when it is counted.
  ASSERT_TRUE(threads::poll_until([&] { return r.done; }));
  EXPECT_EQ(r.depth, 2U);
  EXPECT_TRUE(o[0].done && o[1].done);
  close_on_other(there);
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_depth, sampled) {
  ASSERT_EQ(create_null("null0"), 0);
  device d("null0");
  spdk_bdev* bdev = d.bdev();
  EXPECT_EQ(spdk_bdev_get_qd(bdev), UINT64_MAX);
  EXPECT_EQ(spdk_bdev_get_qd_sampling_period(bdev), 0U);
  spdk_bdev_set_qd_sampling_period(bdev, 10);
  EXPECT_EQ(spdk_bdev_get_qd_sampling_period(bdev), 10U);
  EXPECT_TRUE(threads::poll_until([&] { return spdk_bdev_get_qd(bdev) != UINT64_MAX; }));
  EXPECT_EQ(spdk_bdev_get_qd(bdev), 0U);
  EXPECT_EQ(spdk_bdev_get_io_time(bdev), 0U);
  EXPECT_EQ(spdk_bdev_get_weighted_io_time(bdev), 0U);
  EXPECT_EQ(call("bdev_set_qd_sampling_period", R"({"name":"null0","period":20})"), 0);
  EXPECT_TRUE(threads::poll_until([&] { return spdk_bdev_get_qd_sampling_period(bdev) == 20; }));
  spdk_bdev_set_qd_sampling_period(bdev, 0);
  EXPECT_TRUE(threads::poll_until([&] { return spdk_bdev_get_qd_sampling_period(bdev) == 0; }));
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_depth, sampling_does_not_keep_a_device) {
  ASSERT_EQ(create_null("null0"), 0);
  spdk_bdev_set_qd_sampling_period(spdk_bdev_get_by_name("null0"), 10);
  threads::poll_times(20);
  EXPECT_EQ(remove("null", "null0"), 0);
  EXPECT_EQ(spdk_bdev_get_by_name("null0"), nullptr);
}

// --- walks ---

TEST(bdev_walk, visits_each_channel_on_its_thread) {
  ASSERT_EQ(create_null("null0"), 0);
  device d("null0");
  auto there = open_on_other("null0");
  struct walk {
    std::vector<spdk_thread*> visited;
    bool done = false;
    int status = 1;
    int stop_with = 0;

    static void visit(spdk_bdev_channel_iter* i, spdk_bdev* /*bdev*/, spdk_io_channel* ch,
                      void* ctx) {
      auto* self = static_cast<walk*>(ctx);
      EXPECT_EQ(spdk_io_channel_get_thread(ch), spdk_get_thread());
      self->visited.push_back(spdk_get_thread());
      spdk_bdev_for_each_channel_continue(i, self->stop_with);
    }
    static void end(spdk_bdev* /*bdev*/, void* ctx, int status) {
      auto* self = static_cast<walk*>(ctx);
      EXPECT_EQ(spdk_get_thread(), threads::app);
      self->status = status;
      self->done = true;
    }
  } all, first;
  first.stop_with = -7;
  spdk_bdev_for_each_channel(d.bdev(), walk::visit, &all, walk::end);
  spdk_bdev_for_each_channel(d.bdev(), walk::visit, &first, walk::end);
  EXPECT_TRUE(all.visited.empty());
  ASSERT_TRUE(threads::poll_until([&] { return all.done && first.done; }));
  EXPECT_EQ(all.visited, (std::vector<spdk_thread*>{threads::app, threads::other}));
  EXPECT_EQ(all.status, 0);
  EXPECT_EQ(first.visited.size(), 1U);
  EXPECT_EQ(first.status, -7);
  close_on_other(there);
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_walk, visits_each_io) {
  ASSERT_EQ(create_null("null0"), 0);
  device d("null0");
  dma_memory m(512);
  outcome o[3];
  for (outcome& each : o) {
    ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 0, 1, outcome::callback, &each), 0);
  }
  struct walk {
    std::vector<void*> args;
    bool done = false;
    int rc = 1;
  } w;
  spdk_bdev_for_each_bdev_io(
      d.bdev(), &w,
      [](void* ctx, spdk_bdev_io* io) {
        static_cast<walk*>(ctx)->args.push_back(spdk_bdev_io_get_cb_arg(io));
        return 0;
      },
      [](void* ctx, int rc) {
        static_cast<walk*>(ctx)->rc = rc;
        static_cast<walk*>(ctx)->done = true;
      });
  ASSERT_TRUE(threads::poll_until([&] { return w.done; }));
  EXPECT_EQ(w.rc, 0);
  EXPECT_EQ(w.args, (std::vector<void*>{&o[0], &o[1], &o[2]}));
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_walk, by_name) {
  std::string found;
  const auto append = [](void* ctx, spdk_bdev* bdev) {
    *static_cast<std::string*>(ctx) += spdk_bdev_get_name(bdev);
    return 0;
  };
  ASSERT_EQ(create_null("null0"), 0);
  const char* names[] = {"null0", "first", "nosuch", "first"};
  EXPECT_EQ(spdk_for_each_bdev_by_name(&found, append, names, 2), 0);
  EXPECT_EQ(found, "null0first");
  EXPECT_EQ(spdk_for_each_bdev_by_name(&found, append, names, 4), -ENODEV);
  EXPECT_EQ(found, "null0firstnull0first");
  EXPECT_EQ(remove("null", "null0"), 0);
}

// --- names ---

TEST(bdev_alias, is_another_name) {
  ASSERT_EQ(create_null("null0"), 0);
  spdk_bdev* bdev = spdk_bdev_get_by_name("null0");
  EXPECT_EQ(spdk_bdev_alias_add(bdev, nullptr), -EINVAL);
  EXPECT_EQ(spdk_bdev_alias_add(bdev, "first"), -EEXIST);
  EXPECT_EQ(spdk_bdev_alias_add(bdev, "other name"), 0);
  EXPECT_EQ(spdk_bdev_alias_add(bdev, "other name"), -EEXIST);
  EXPECT_EQ(spdk_bdev_get_by_name("other name"), bdev);
  EXPECT_EQ(spdk_bdev_alias_del(bdev, "null0"), -ENOENT);
  EXPECT_EQ(spdk_bdev_alias_del(bdev, "other name"), 0);
  EXPECT_EQ(spdk_bdev_get_by_name("other name"), nullptr);
  EXPECT_EQ(spdk_bdev_alias_add(bdev, "last"), 0);
  EXPECT_EQ(remove("null", "null0"), 0);
  EXPECT_EQ(spdk_bdev_get_by_name("last"), nullptr);
}

// --- opening what may come later ---

struct opening {
  bool done = false;
  int rc = 1;
  spdk_bdev_desc* desc = nullptr;

  static void event(spdk_bdev_event_type /*type*/, spdk_bdev* /*bdev*/, void* /*ctx*/) {}
  static void callback(spdk_bdev_desc* desc, int rc, void* arg) {
    auto* self = static_cast<opening*>(arg);
    self->desc = desc;
    self->rc = rc;
    self->done = true;
  }
  int open(const char* name, spdk_bdev_open_async_opts* opts) {
    return spdk_bdev_open_async(name, true, event, nullptr, opts, callback, this);
  }
  bool wait() {
    return threads::poll_until([this] { return done; });
  }
};

TEST(bdev_open_async, of_a_device_that_is_there_or_not) {
  opening there;
  opening absent;
  EXPECT_EQ(there.open("first", nullptr), 0);
  EXPECT_EQ(absent.open("nosuch", nullptr), 0);
  EXPECT_FALSE(there.done || absent.done);
  ASSERT_TRUE(there.wait() && absent.wait());
  EXPECT_EQ(there.rc, 0);
  ASSERT_NE(there.desc, nullptr);
  spdk_bdev_close(there.desc);
  EXPECT_EQ(absent.rc, -ENODEV);
  EXPECT_EQ(absent.desc, nullptr);

  opening o;
  spdk_bdev_open_async_opts opts{};
  EXPECT_EQ(o.open("first", &opts), -EINVAL);  // no size
  EXPECT_EQ(spdk_bdev_open_async("first", true, nullptr, nullptr, nullptr, opening::callback, &o),
            -EINVAL);
  EXPECT_EQ(spdk_bdev_open_async("first", true, opening::event, nullptr, nullptr, nullptr, nullptr),
            -EINVAL);
}

TEST(bdev_open_async, waits_for_a_device) {
  spdk_bdev_open_async_opts opts{};
  opts.size = sizeof(opts);
  opts.timeout_ms = 100'000;
  opening o;
  EXPECT_EQ(o.open("late", &opts), 0);
  threads::poll_times(20);
  EXPECT_FALSE(o.done);
  ASSERT_EQ(create_null("late"), 0);
  ASSERT_TRUE(o.wait());
  EXPECT_EQ(o.rc, 0);
  spdk_bdev_close(o.desc);
  EXPECT_EQ(remove("null", "late"), 0);
  opts.timeout_ms = 1;
  opening never;
  EXPECT_EQ(never.open("never", &opts), 0);
  ASSERT_TRUE(never.wait());
  EXPECT_EQ(never.rc, -ETIMEDOUT);
}

// --- rate limits ---

using limits = std::array<uint64_t, SPDK_BDEV_QOS_NUM_RATE_LIMIT_TYPES>;
constexpr uint64_t keep = UINT64_MAX;

int set_limits(spdk_bdev* bdev, limits l) {
  status_callback set;
  spdk_bdev_set_qos_rate_limits(bdev, l.data(), status_callback::callback, &set);
  return set.wait();
}

limits get_limits(spdk_bdev* bdev) {
  limits l{};
  spdk_bdev_get_qos_rate_limits(bdev, l.data());
  return l;
}

uint64_t ticks_of_ms(uint64_t ms) { return ms * spdk_get_ticks_hz() / 1000; }

TEST(bdev_qos, limits_are_kept_and_rounded) {
  ASSERT_EQ(create_malloc("m"), 0);
  device d("m");
  EXPECT_STREQ(spdk_bdev_get_qos_rpc_type(SPDK_BDEV_QOS_RW_IOPS_RATE_LIMIT), "rw_ios_per_sec");
  EXPECT_STREQ(spdk_bdev_get_qos_rpc_type(SPDK_BDEV_QOS_RW_BPS_RATE_LIMIT), "rw_mbytes_per_sec");
  EXPECT_STREQ(spdk_bdev_get_qos_rpc_type(SPDK_BDEV_QOS_R_BPS_RATE_LIMIT), "r_mbytes_per_sec");
  EXPECT_STREQ(spdk_bdev_get_qos_rpc_type(SPDK_BDEV_QOS_W_BPS_RATE_LIMIT), "w_mbytes_per_sec");
  EXPECT_EQ(get_limits(d.bdev()), (limits{0, 0, 0, 0}));
  limits l{1500, 3, keep, 0};
  status_callback set;
  status_callback meanwhile;
  spdk_bdev_set_qos_rate_limits(d.bdev(), l.data(), status_callback::callback, &set);
  EXPECT_FALSE(set.done);
  EXPECT_EQ(l[0], 2000U);
  EXPECT_EQ(l[1], 3U * 1024 * 1024);
  limits more{1000, keep, keep, keep};
  spdk_bdev_set_qos_rate_limits(d.bdev(), more.data(), status_callback::callback, &meanwhile);
  EXPECT_TRUE(meanwhile.done);
  EXPECT_EQ(meanwhile.status, -EAGAIN);
  EXPECT_EQ(set.wait(), 0);
  EXPECT_EQ(get_limits(d.bdev()), (limits{2000, 3, 0, 0}));
  EXPECT_EQ(set_limits(d.bdev(), {keep, 0, 7, keep}), 0);
  EXPECT_EQ(get_limits(d.bdev()), (limits{2000, 0, 7, 0}));
  EXPECT_EQ(set_limits(d.bdev(), {0, 0, 0, 0}), 0);
  EXPECT_EQ(get_limits(d.bdev()), (limits{0, 0, 0, 0}));
  EXPECT_EQ(set_limits(d.bdev(), {0, 0, 0, 0}), 0);
  d.close();
  EXPECT_EQ(remove("malloc", "m"), 0);
}

TEST(bdev_qos, one_io_in_each_timeslice) {
  ASSERT_EQ(create_null("null0"), 0);
  device d("null0");
  ASSERT_EQ(set_limits(d.bdev(), {1000, keep, keep, keep}), 0);
  dma_memory m(512);
  std::deque<outcome> o(20);
  const uint64_t start = spdk_get_ticks();
  for (outcome& each : o) {
    ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 0, 1, outcome::callback, &each), 0);
  }
  EXPECT_FALSE(o[0].done);
  threads::poll();
  EXPECT_FALSE(o[19].done);
  for (std::size_t i = 0; i < o.size(); ++i) {
    EXPECT_TRUE(o[i].wait());
    EXPECT_EQ(o[i].order, o[0].order + static_cast<int>(i));
  }
  // The first timeslice was under way: two I/Os may have been admitted right at the start.
  EXPECT_GE(spdk_get_ticks() - start, ticks_of_ms(18));
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_qos, what_is_not_limited_overtakes) {
  ASSERT_EQ(create_malloc("m"), 0);
  device d("m");
  // 1 MiB per second: about two blocks of 512 bytes in a timeslice; writes only.
  ASSERT_EQ(set_limits(d.bdev(), {keep, keep, keep, 1}), 0);
  dma_memory m(512 * 64);
  outcome large;
  outcome small;
  outcome read;
  outcome zeroes;
  const auto cb = outcome::callback;
  // Larger than a timeslice's share: admitted, and the next 31 timeslices pay for it.
  ASSERT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, m.data, 0, 64, cb, &large), 0);
  ASSERT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, m.data, 0, 1, cb, &small), 0);
  ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 0, 64, cb, &read), 0);
  ASSERT_EQ(spdk_bdev_write_zeroes_blocks(d.desc, d.ch, 0, 64, cb, &zeroes), 0);
  const uint64_t start = spdk_get_ticks();
  spdk_thread_poll(threads::app, 0, 0);
  EXPECT_TRUE(large.done && read.done && zeroes.done);
  EXPECT_FALSE(small.done);
  EXPECT_TRUE(small.wait());
  EXPECT_GE(spdk_get_ticks() - start, ticks_of_ms(29));
  d.close();
  EXPECT_EQ(remove("malloc", "m"), 0);
}

TEST(bdev_qos, disabling_lets_everything_go) {
  ASSERT_EQ(create_null("null0"), 0);
  device d("null0");
  ASSERT_EQ(call("bdev_set_qos_limit", R"({"name":"null0","rw_ios_per_sec":1000})"), 0);
  EXPECT_EQ(get_limits(d.bdev()), (limits{1000, 0, 0, 0}));
  dma_memory m(512);
  std::deque<outcome> o(100);
  for (outcome& each : o) {
    ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 0, 1, outcome::callback, &each), 0);
  }
  EXPECT_EQ(call("bdev_set_qos_limit", R"({"name":"null0","rw_ios_per_sec":0})"), 0);
  threads::poll();
  EXPECT_TRUE(std::ranges::all_of(o, [](const outcome& each) { return each.done; }));
  EXPECT_NE(call("bdev_set_qos_limit", R"({"name":"null0"})"), 0);
  EXPECT_NE(call("bdev_set_qos_limit", R"({"name":"nosuch","rw_ios_per_sec":1000})"), 0);
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_qos, queued_io_can_be_aborted) {
  ASSERT_EQ(create_malloc("m"), 0);
  device d("m");
  ASSERT_EQ(set_limits(d.bdev(), {keep, 1, keep, keep}), 0);
  dma_memory m(512 * 64);
  outcome large;
  outcome queued;
  outcome abort;
  outcome left;
  outcome reset;
  ASSERT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, m.data, 0, 64, outcome::callback, &large), 0);
  ASSERT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, m.data, 0, 1, outcome::callback, &queued), 0);
  ASSERT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, m.data, 0, 1, outcome::callback, &left), 0);
  ASSERT_EQ(spdk_bdev_abort(d.desc, d.ch, &queued, outcome::callback, &abort), 0);
  EXPECT_TRUE(queued.done);
  EXPECT_EQ(queued.sc, SPDK_NVME_SC_ABORTED_BY_REQUEST);
  EXPECT_FALSE(abort.done);
  EXPECT_TRUE(abort.wait());
  EXPECT_EQ(abort.cdw0, 0U);
  EXPECT_FALSE(left.done);
  ASSERT_EQ(spdk_bdev_reset(d.desc, d.ch, outcome::callback, &reset), 0);
  EXPECT_TRUE(reset.wait());
  EXPECT_TRUE(left.done);
  EXPECT_EQ(left.sc, SPDK_NVME_SC_ABORTED_BY_REQUEST);
  d.close();
  EXPECT_EQ(remove("malloc", "m"), 0);
}

TEST(bdev_qos, limits_stay_when_all_close_the_device) {
  ASSERT_EQ(create_null("null0"), 0);
  ASSERT_EQ(set_limits(spdk_bdev_get_by_name("null0"), {1000, keep, keep, keep}), 0);
  for (int round = 0; round < 2; ++round) {
    device d("null0");
    threads::poll_times(5);
    EXPECT_EQ(get_limits(d.bdev()), (limits{1000, 0, 0, 0}));
    dma_memory m(512);
    std::deque<outcome> o(5);
    const uint64_t start = spdk_get_ticks();
    for (outcome& each : o) {
      ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 0, 1, outcome::callback, &each), 0);
    }
    for (outcome& each : o) {
      EXPECT_TRUE(each.wait());
    }
    EXPECT_GE(spdk_get_ticks() - start, ticks_of_ms(3));
    d.close();
    threads::poll_times(5);
  }
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_qos, all_channels_share_the_limit) {
  ASSERT_EQ(create_null("null0"), 0);
  device d("null0");
  auto there = open_on_other("null0");
  ASSERT_EQ(set_limits(d.bdev(), {2000, keep, keep, keep}), 0);
  dma_memory m(512);
  std::deque<outcome> here(20);
  std::deque<outcome> elsewhere(20);
  const uint64_t start = spdk_get_ticks();
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 0, 1, outcome::callback, &here[i]), 0);
    const on_other scope;
    ASSERT_EQ(spdk_bdev_read_blocks(there->desc, there->ch, m.data, 0, 1, outcome::callback,
                                    &elsewhere[i]),
              0);
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(here[i].wait());
    EXPECT_TRUE(elsewhere[i].wait());
  }
  EXPECT_GE(spdk_get_ticks() - start, ticks_of_ms(17));
  close_on_other(there);
  d.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

TEST(bdev_qos, removal_of_a_limited_device) {
  ASSERT_EQ(create_null("null0"), 0);
  {
    device d("null0");
    ASSERT_EQ(set_limits(d.bdev(), {1000, 1, 1, 1}), 0);
    threads::poll_times(3);
    bool gone = false;
    spdk_bdev_unregister(d.bdev(), [](void* arg, int) { *static_cast<bool*>(arg) = true; }, &gone);
    EXPECT_TRUE(threads::poll_until([&] { return !d.events.empty(); }));
    d.close();
    EXPECT_TRUE(threads::poll_until([&] { return gone; }));
  }
  EXPECT_EQ(spdk_bdev_get_by_name("null0"), nullptr);
}

// --- timeouts ---

TEST(bdev_timeout, tells_of_io_that_is_too_old_and_leaves_it_alone) {
  ASSERT_EQ(create_null("null0", 16384), 0);
  struct seen {
    std::vector<void*> args;
    static void callback(void* ctx, spdk_bdev_io* io) {
      static_cast<seen*>(ctx)->args.push_back(spdk_bdev_io_get_cb_arg(io));
    }
  } closed, s;
  {
    device soon_closed("null0");
    EXPECT_EQ(spdk_bdev_set_timeout(soon_closed.desc, 1, seen::callback, &closed), 0);
  }
  device d("null0");
  device bystander("null0");
  ASSERT_EQ(set_limits(d.bdev(), {keep, 1, keep, keep}), 0);
  EXPECT_EQ(spdk_bdev_set_timeout(d.desc, 1, seen::callback, &s), 0);
  // 8 MiB at 1 MiB per second: the reads after them would wait for eight seconds.
  dma_memory m(8 * 1024 * 1024);
  outcome large;
  outcome late;
  outcome of_another;
  const auto cb = outcome::callback;
  ASSERT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, m.data, 0, 16384, cb, &large), 0);
  ASSERT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, 0, 1, cb, &late), 0);
  ASSERT_EQ(spdk_bdev_read_blocks(bystander.desc, bystander.ch, m.data, 0, 1, cb, &of_another), 0);
  threads::poll_times(3);
  EXPECT_TRUE(large.done);
  EXPECT_TRUE(s.args.empty());
  EXPECT_TRUE(threads::poll_until([&] { return !s.args.empty() || late.done; }));
  EXPECT_FALSE(late.done);
  EXPECT_EQ(s.args, (std::vector<void*>{&late}));
  EXPECT_EQ(spdk_bdev_set_timeout(d.desc, 0, nullptr, nullptr), 0);
  EXPECT_EQ(set_limits(d.bdev(), {0, 0, 0, 0}), 0);
  EXPECT_TRUE(late.wait());
  EXPECT_TRUE(of_another.wait());
  EXPECT_TRUE(closed.args.empty());
  d.close();
  bystander.close();
  EXPECT_EQ(remove("null", "null0"), 0);
}

}  // namespace
}  // namespace bdev_test
