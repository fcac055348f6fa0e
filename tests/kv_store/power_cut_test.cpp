// SPDX-License-Identifier: BSD-3-Clause
// The store loses power, a thousand times, at any moment: while it writes, while it is opened, in a
// checkpoint. What was acknowledged is there; nothing is torn.
#include "power_cut_device.hpp"

#include "devices.hpp"
#include "kv_store.hpp"
#include "model.hpp"
#include "ram_device.hpp"
#include "spdk_test.hpp"
#include "superblocks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>

namespace {

namespace sio = spdk_io;
using kv::kv_store;
using kv_test::model;
using kv_test::power_cut_device;
using kv_test::ram_device;
using spdk_io_test::must;
using spdk_io_test::run;

constexpr std::uint32_t record_size = 4096;
// Two areas of eight records, so that checkpoints come every few records.
constexpr std::uint64_t device_size = 2 * std::uint64_t{4096} + 16 * std::uint64_t{record_size};

struct counts {
  int while_opening = 0;
  int in_checkpoint = 0;
  int while_writing = 0;
  std::uint64_t acknowledged = 0;
};

class ordeal {
 public:
  ordeal(kv::block_device& below, std::uint64_t seed)
      : below_(below), device_(below), random_(seed) {
    must(run(kv_store::format(below_, {.record_size = record_size})));
  }

  // From power on to power on.
  void round() {
    const bool early = random_() % 4 == 0;
    device_.cut_at(1 + random_() % (early ? 6 : 80));
    auto store = run(kv_store::open(device_));
    if (store) {
      EXPECT_TRUE(model_.accepts(run(kv_test::read_all(**store))));
      write_until_the_cut(**store);
      count_the_cut();
      EXPECT_FALSE(run((*store)->close()));
      store->reset();
    } else {
      EXPECT_TRUE(device_.is_off()) << store.error();
      ++counted_.while_opening;
    }
    must(run(device_.come_back(random_)));
  }

  // At last, with power.
  void check() {
    auto store = must(run(kv_store::open(device_)));
    EXPECT_TRUE(model_.accepts(run(kv_test::read_all(*store))));
    must(run(store->close()));
  }

  const counts& counted() const { return counted_; }

 private:
  void write_until_the_cut(kv_store& store) {
    sio::task_scope scope;
    for (int i = 0; i < 4; ++i) scope.spawn(worker(store));
    must(run(scope.join()));
    EXPECT_TRUE(device_.is_off());
  }

  sio::task<void> worker(kv_store& store) {
    while (true) {
      kv_test::change what{"key" + std::to_string(random_() % 12), {}};
      if (random_() % 4 != 0) what.value = kv_test::random_value(random_, store.max_value_size());
      const std::size_t call = model_.begin(what);
      auto r = co_await perform(store, what);
      if (!r) break;
      model_.acknowledged(call);
      ++counted_.acknowledged;
      for (auto turns = random_() % 3; turns != 0; --turns) co_await sio::yield();
    }
  }

  static sio::task<sio::result<void>> perform(kv_store& store, const kv_test::change& what) {
    if (what.value) co_return co_await store.put(what.key, *what.value);
    auto r = co_await store.erase(what.key);
    if (!r) co_return std::unexpected(r.error());
    co_return sio::result<void>();
  }

  // What is on its way belongs to a checkpoint if it is not meant for the log that counts.
  void count_the_cut() {
    const auto super = must(run(kv::read_superblock(below_)));
    const auto of_the_log = [&](const power_cut_device::cached_write& each) {
      return each.offset >= super.area_begin(super.area) &&
             each.offset < super.area_end(super.area);
    };
    ++(std::ranges::all_of(device_.cached(), of_the_log) ? counted_.while_writing
                                                         : counted_.in_checkpoint);
  }

  kv::block_device& below_;
  power_cut_device device_;
  std::mt19937_64 random_;
  model model_;
  counts counted_;
};

void survive(kv::block_device& below, std::uint64_t seed, int cuts) {
  ordeal all(below, seed);
  for (int i = 0; i < cuts; ++i) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", cut " + std::to_string(i));
    all.round();
    if (testing::Test::HasFailure()) return;
  }
  all.check();
  // Each kind of moment has been there.
  const counts& counted = all.counted();
  EXPECT_GT(counted.while_opening, cuts / 10);
  EXPECT_GT(counted.in_checkpoint, cuts / 20);
  EXPECT_GT(counted.while_writing, cuts / 5);
  EXPECT_GT(counted.acknowledged, static_cast<std::uint64_t>(cuts) * 5);
  std::printf("cuts: %d while opening, %d in a checkpoint, %d while writing; %d acknowledged\n",
              counted.while_opening, counted.in_checkpoint, counted.while_writing,
              static_cast<int>(counted.acknowledged));
}

TEST(kv_power_cut, a_thousand_of_them) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    ram_device disk(device_size);
    survive(disk, seed, 250);
  }
}

TEST(kv_power_cut, with_blocks_of_which_a_part_may_be_written) {
  ram_device disk(device_size, 4096);
  survive(disk, 7, 250);
}

TEST(kv_power_cut, on_a_file) {
  spdk_io_test::temp_folder folder;
  kv::bdev_device disk(
      spdk_io_test::open_device(spdk_io_test::kind::aio, folder, "disk", device_size));
  survive(disk, 11, 60);
}

// A kernel tells of a failed flush once, and what it could not write looks written to who reads.
TEST(kv_power_cut, after_a_flush_that_failed) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 100; ++i) {
    ram_device disk(device_size);
    power_cut_device device(disk);
    model all;
    must(run(kv_store::format(device, {.record_size = record_size})));
    const kv::bytes value(100, std::byte(i));
    {
      auto store = must(run(kv_store::open(device)));
      device.fail_next_flush();
      all.begin({"first", value});
      EXPECT_FALSE(run(store->put("first", value)));
      EXPECT_FALSE(run(store->close()));
    }
    {
      auto store = must(run(kv_store::open(device)));
      const auto found = run(kv_test::read_all(*store));
      EXPECT_TRUE(found.contains("first"));  // it looks written
      EXPECT_TRUE(all.accepts(found));
      const auto call = all.begin({"second", value});
      must(run(store->put("second", value)));
      all.acknowledged(call);
      must(run(store->close()));
    }
    device.cut_at(1);
    EXPECT_FALSE(run(device.flush()));
    must(run(device.come_back(random)));
    auto store = must(run(kv_store::open(device)));
    EXPECT_TRUE(all.accepts(run(kv_test::read_all(*store))));
    must(run(store->close()));
  }
}

}  // namespace
