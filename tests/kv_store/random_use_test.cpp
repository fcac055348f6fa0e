// SPDX-License-Identifier: BSD-3-Clause
// The store against a model: concurrent callers, opened again and again, full, written anew, on a
// device that fails.
#include "devices.hpp"
#include "faulty_device.hpp"
#include "kv_store.hpp"
#include "model.hpp"
#include "ram_device.hpp"
#include "spdk_test.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <utility>

namespace {

namespace sio = spdk_io;
using kv::kv_store;
using kv_test::faulty_device;
using kv_test::model;
using kv_test::ram_device;
using spdk_io_test::must;
using spdk_io_test::run;

constexpr std::uint32_t record_size = 4096;
constexpr std::uint64_t device_size = 2 * std::uint64_t{512} + 16 * std::uint64_t{record_size};

struct counts {
  std::uint64_t checkpoints = 0;
  int refused_for_space = 0;
  int failed_writes = 0;
  int failed_reads = 0;
  int failed_openings = 0;
  int read = 0;
};

class user {
 public:
  user(kv::block_device& below, std::uint64_t seed) : device_(below), random_(seed) {
    must(run(kv_store::format(below, {.record_size = record_size})));
    keys_ = random_() % 2 == 0 ? 8 : 60;  // the many do not fit
  }

  // From open to close.
  void session(bool with_faults) {
    device_.next = {};
    if (with_faults) plan_a_fault();
    auto store = run(kv_store::open(device_));
    if (!store) {
      EXPECT_EQ(device_.faults, faults_seen_ + 1) << store.error();
      faults_seen_ = device_.faults;
      ++counted.failed_openings;
      return;
    }
    const auto plan = std::exchange(device_.next, {});
    found_ = run(kv_test::read_all(**store));
    EXPECT_TRUE(model_.accepts(found_));
    device_.next = plan;
    failed_ = false;
    use(**store);
    const auto closed = run((*store)->close());
    EXPECT_EQ(closed.has_value(), !failed_);
    counted.checkpoints += (*store)->statistics().checkpoints;
    faults_seen_ = device_.faults;
  }

  counts counted;

 private:
  void plan_a_fault() {
    auto& next = device_.next;
    switch (random_() % 4) {
      case 0: next.reads = random_() % 60; break;
      case 1: next.flushes = random_() % 30; break;
      case 2: next.writes = random_() % 30; break;
      default: next.writes = random_() % 30; next.write_is_done = true;
    }
  }

  void use(kv_store& store) {
    sio::task_scope scope;
    for (int i = 0; i < 5; ++i) scope.spawn(worker(store));
    must(run(scope.join()));
  }

  sio::task<void> worker(kv_store& store) {
    for (auto left = random_() % 60; left != 0; --left) {
      const std::string key = "key" + std::to_string(random_() % keys_);
      switch (random_() % 10) {
        case 0:
        case 1: co_await erase(store, key); break;
        case 2:
        case 3:
        case 4: co_await get(store, key); break;
        default: co_await put(store, key);
      }
      for (auto turns = random_() % 4; turns != 0; --turns) co_await sio::yield();
    }
  }

  sio::task<void> put(kv_store& store, std::string key) {
    const kv::bytes value = kv_test::random_value(random_, store.max_value_size());
    const bool fits = size_after({key, value}) <= store.statistics().capacity;
    const bool must_fail = failed_;
    const auto call = begin({key, value}, fits);
    auto r = co_await store.put(key, value);
    if (r) {
      EXPECT_TRUE(fits);
      EXPECT_FALSE(must_fail);
      model_.acknowledged(call);
    } else if (r.error() == std::errc::no_space_on_device) {
      EXPECT_FALSE(fits);
      EXPECT_FALSE(must_fail);
      ++counted.refused_for_space;
    } else {
      expect_failure(r.error());
    }
  }

  sio::task<void> erase(kv_store& store, std::string key) {
    const bool there = found_.contains(key);
    const bool must_fail = failed_;
    const auto call = begin({key, std::nullopt}, true);
    auto r = co_await store.erase(key);
    if (r) {
      EXPECT_EQ(*r, there);
      EXPECT_FALSE(must_fail);
      model_.acknowledged(call);
    } else {
      expect_failure(r.error());
    }
  }

  sio::task<void> get(kv_store& store, std::string key) {
    const std::size_t from = model_.acknowledged();
    auto value = co_await store.get(key);
    if (value) {
      EXPECT_TRUE(model_.may_be_read(key, *value, from, model_.calls())) << key;
      ++counted.read;
    } else {
      EXPECT_EQ(value.error().message(), "an injected error");
      ++counted.failed_reads;
    }
  }

  // The calls are carried out in their order: what each will find is known when it begins.
  std::size_t begin(kv_test::change what, bool has_effect) {
    if (has_effect) kv_test::apply(found_, what);
    const auto call = model_.begin(std::move(what));
    if (!has_effect) model_.has_no_effect(call);
    return call;
  }

  std::uint64_t size_after(const kv_test::change& what) const {
    kv_test::state after = found_;
    kv_test::apply(after, what);
    std::uint64_t size = 0;
    for (const auto& [key, value] : after) {
      size += kv::operation_header_bytes + key.size() + value.size();
    }
    return size;
  }

  void expect_failure(const sio::error& e) {
    EXPECT_EQ(e.code(), std::errc::io_error) << e;
    EXPECT_EQ(device_.faults, faults_seen_ + 1) << e;  // there is a cause
    failed_ = true;                                    // and from now on nothing is written
    ++counted.failed_writes;
  }

  faulty_device device_;
  std::mt19937_64 random_;
  model model_;
  kv_test::state found_;  // as it will be when all calls were carried out
  std::uint64_t keys_ = 8;
  bool failed_ = false;
  std::uint64_t faults_seen_ = 0;
};

TEST(kv_random_use, agrees_with_a_model) {
  counts all;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ram_device disk(device_size);
    user one(disk, seed);
    for (int i = 0; i < 12; ++i) one.session(i % 2 == 1);
    one.session(false);
    if (HasFailure()) return;
    all.checkpoints += one.counted.checkpoints;
    all.refused_for_space += one.counted.refused_for_space;
    all.failed_writes += one.counted.failed_writes;
    all.failed_reads += one.counted.failed_reads;
    all.failed_openings += one.counted.failed_openings;
    all.read += one.counted.read;
  }
  std::printf("%d checkpoints, %d refused for space, %d writes, %d reads, %d openings failed\n",
              static_cast<int>(all.checkpoints), all.refused_for_space, all.failed_writes,
              all.failed_reads, all.failed_openings);
  EXPECT_GT(all.checkpoints, 100U);
  EXPECT_GT(all.refused_for_space, 100);
  EXPECT_GT(all.failed_writes, 50);
  EXPECT_GT(all.failed_reads, 10);
  EXPECT_GT(all.failed_openings, 10);
  EXPECT_GT(all.read, 1000);
}

}  // namespace
