// SPDX-License-Identifier: BSD-3-Clause
// The key-value store: what it promises where nothing goes wrong, and its errors.
#include "kv_store.hpp"

#include "devices.hpp"
#include "faulty_device.hpp"
#include "ram_device.hpp"
#include "spdk_test.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace {

namespace sio = spdk_io;
using kv::kv_store;
using kv_test::faulty_device;
using kv_test::ram_device;
using spdk_io_test::must;
using spdk_io_test::run;

kv::bytes_view of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string text_of(const kv::bytes& value) {
  return {reinterpret_cast<const char*>(value.data()), value.size()};
}

// Reads that begin while `held` is set end once `let_go` is.
class slow_reads final : public kv::block_device {
 public:
  explicit slow_reads(kv::block_device& below) : below_(below) {}

  std::uint64_t size() const override { return below_.size(); }
  std::uint32_t block_size() const override { return below_.block_size(); }
  sio::task<sio::result<void>> read(sio::dma_span into, std::uint64_t offset) override {
    if (held) {
      while (!let_go) co_await sio::yield();
    }
    co_return co_await below_.read(into, offset);
  }
  sio::task<sio::result<void>> write(sio::const_dma_span from, std::uint64_t offset) override {
    co_return co_await below_.write(from, offset);
  }
  sio::task<sio::result<void>> flush() override { co_return co_await below_.flush(); }

  bool held = false;
  bool let_go = false;

 private:
  kv::block_device& below_;
};

class kv_basics : public testing::Test {
 protected:
  void open() { store = must(run(kv_store::open(device))); }
  void reopen() {
    must(run(store->close()));
    open();
  }
  std::optional<std::string> get(std::string_view key) {
    auto value = must(run(store->get(key)));
    if (!value) return std::nullopt;
    return text_of(*value);
  }
  void make(kv::format_options options = {.record_size = 4096}) {
    must(run(kv_store::format(device, options)));
    open();
  }
  ~kv_basics() override {
    if (store) (void)run(store->close());
  }

  ram_device device{128 << 10};
  std::unique_ptr<kv_store> store;
};

TEST_F(kv_basics, what_was_put_is_there_also_after_it_was_opened_again) {
  make();
  must(run(store->put("a", of("one"))));
  must(run(store->put("b", of(""))));
  must(run(store->put("a", of("two"))));
  EXPECT_EQ(get("a"), "two");
  EXPECT_EQ(get("b"), "");
  EXPECT_EQ(get("c"), std::nullopt);
  reopen();
  EXPECT_EQ(get("a"), "two");
  EXPECT_EQ(get("b"), "");
  EXPECT_EQ(get("c"), std::nullopt);
  EXPECT_EQ(store->statistics().keys, 2U);
}

TEST_F(kv_basics, what_was_erased_is_gone) {
  make();
  must(run(store->put("a", of("one"))));
  EXPECT_TRUE(must(run(store->erase("a"))));
  EXPECT_FALSE(must(run(store->erase("a"))));
  EXPECT_EQ(get("a"), std::nullopt);
  reopen();
  EXPECT_EQ(get("a"), std::nullopt);
}

TEST_F(kv_basics, many_at_once_share_a_record_and_a_flush) {
  make();
  sio::task_scope scope;
  const std::vector<std::string> names = {"a", "b", "c", "d", "e", "f", "g", "h"};
  for (const auto& name : names) scope.spawn(store->put(name, of(name)));
  must(run(scope.join()));
  EXPECT_EQ(store->statistics().records, 1U);
  EXPECT_EQ(store->statistics().operations, 8U);
  for (const auto& name : names) EXPECT_EQ(get(name), name);
}

TEST_F(kv_basics, changes_of_one_key_happen_in_the_order_of_the_calls) {
  make();
  sio::task_scope scope;
  scope.spawn(store->put("a", of("1")));
  scope.spawn(store->put("a", of("2")));
  scope.spawn(store->erase("a"));
  scope.spawn(store->put("a", of("3")));
  EXPECT_EQ(scope.running(), 4U);
  must(run(scope.join()));
  EXPECT_EQ(get("a"), "3");
  reopen();
  EXPECT_EQ(get("a"), "3");
}

TEST_F(kv_basics, what_is_not_acknowledged_is_not_read) {
  make();
  must(run(store->put("a", of("old"))));
  sio::task_scope scope;
  scope.spawn(store->put("a", of("new")));
  EXPECT_EQ(store->statistics().records, 1U);
  EXPECT_EQ(scope.running(), 1U);
  EXPECT_EQ(get("a"), "old");  // its read was started first
  must(run(scope.join()));
  EXPECT_EQ(get("a"), "new");
}

TEST_F(kv_basics, keys_and_values_have_limits) {
  make();
  EXPECT_EQ(store->max_value_size(), 1024U);
  const std::string long_key(256, 'k');
  const std::string long_value(1025, 'v');
  EXPECT_EQ(run(store->put("", of("x"))).error().message(),
            "kv: a key of 0 bytes; it must have from 1 to 255");
  EXPECT_EQ(run(store->erase(long_key)).error().message(),
            "kv: a key of 256 bytes; it must have from 1 to 255");
  const auto r = run(store->put("a", of(long_value)));
  EXPECT_EQ(r.error(), std::errc::invalid_argument);
  EXPECT_EQ(r.error().message(), "kv: a value of 1025 bytes, more than 1024");
  EXPECT_EQ(store->statistics().keys, 0U);
  const auto longest_key = std::string_view(long_key).substr(1);
  const auto longest_value = std::string_view(long_value).substr(1);
  must(run(store->put(longest_key, of(longest_value))));
  reopen();
  EXPECT_EQ(get(longest_key), longest_value);
  EXPECT_EQ(get(long_key), std::nullopt);
}

TEST_F(kv_basics, a_full_store_says_so_and_goes_on) {
  make();
  const std::string value(1000, 'v');
  int stored = 0;
  sio::result<void> r;
  while ((r = run(store->put("key" + std::to_string(stored), of(value)))).has_value()) ++stored;
  EXPECT_EQ(r.error(), std::errc::no_space_on_device);
  EXPECT_NE(r.error().message().find("kv: full: "), std::string::npos) << r.error();
  const auto now = store->statistics();
  EXPECT_EQ(now.keys, static_cast<std::size_t>(stored));
  EXPECT_GT(now.live_bytes + 1100, now.capacity);
  EXPECT_GT(stored, 20);

  // What is there can be replaced as often as one likes, and erased.
  const std::string other(1000, 'w');
  for (int i = 0; i < 200; ++i)
    must(run(store->put("key" + std::to_string(i % stored), of(other))));
  EXPECT_GT(store->statistics().checkpoints, 2U);
  EXPECT_TRUE(must(run(store->erase("key0"))));
  must(run(store->put("another", of(value))));
  EXPECT_EQ(run(store->put("one more", of(value))).error(), std::errc::no_space_on_device);
  reopen();
  EXPECT_EQ(store->statistics().live_bytes, now.live_bytes + 3);
  EXPECT_EQ(get("another"), value);
  for (int i = 1; i < stored; ++i) EXPECT_EQ(get("key" + std::to_string(i)), other);
}

// What is left of a log that was longer is not read as the end of a shorter one.
TEST_F(kv_basics, remains_of_an_older_log_do_not_come_back) {
  make();
  const std::string value(900, 'v');
  int i = 0;
  const auto put_until_checkpoint = [&](std::uint64_t checkpoints) {
    while (store->statistics().checkpoints < checkpoints) {
      must(run(store->put("key" + std::to_string(i++ % 20), of(value))));
    }
  };
  put_until_checkpoint(1);
  for (int k = 0; k < 20; ++k) must(run(store->erase("key" + std::to_string(k))));
  // Back in the first area, whose old records are as long as the new ones are.
  while (store->statistics().checkpoints < 2) must(run(store->put("other", of(value))));
  reopen();
  EXPECT_EQ(store->keys(), std::vector<std::string>{"other"});
}

TEST_F(kv_basics, more_may_read_at_once_than_there_are_buffers) {
  make();
  must(run(store->put("a", of("value"))));
  int same = 0;
  const auto check = [&]() -> sio::task<void> {
    auto value = co_await store->get("a");
    if (value && *value && text_of(**value) == "value") ++same;
  };
  sio::task_scope scope;
  for (int i = 0; i < 100; ++i) scope.spawn(check());
  must(run(scope.join()));
  EXPECT_EQ(same, 100);
}

// A value that a checkpoint moves, and the next one's records overwrite, while it is read.
TEST_F(kv_basics, what_moves_while_it_is_read_is_read_again) {
  must(run(kv_store::format(device, {.record_size = 4096})));
  slow_reads slow(device);
  store = must(run(kv_store::open(slow)));
  const std::string other(1000, 'o');
  must(run(store->put("b", of(other))));
  must(run(store->put("a", of("value"))));  // a checkpoint will put it elsewhere
  slow.held = true;
  std::optional<std::string> read;
  const auto reading = [&]() -> sio::task<void> {
    auto value = must(co_await store->get("a"));
    if (value) read = text_of(*value);
  };
  sio::task_scope scope;
  scope.spawn(reading());
  slow.held = false;  // those that come later
  for (int i = 0; store->statistics().checkpoints < 4; ++i) {
    must(run(store->put(i % 2 == 0 ? "b" : "c", of(other))));
  }
  EXPECT_EQ(read, std::nullopt);
  slow.let_go = true;
  must(run(scope.join()));
  EXPECT_EQ(read, "value");
}

TEST_F(kv_basics, either_superblock_alone_is_enough) {
  make();
  for (int i = 0; i < 300; ++i) must(run(store->put("a", of(std::string(1000, 'v')))));
  EXPECT_GT(store->statistics().checkpoints, 0U);
  must(run(store->put("a", of("last"))));
  must(run(store->close()));
  const auto whole = device.content;
  for (std::size_t copy : {0U, 1U}) {
    device.content = whole;
    device.content[copy * 512 + 40] ^= std::byte(1);
    open();
    EXPECT_EQ(get("a"), "last");
    must(run(store->close()));
    // And it is whole again.
    device.content[(1 - copy) * 512 + 40] ^= std::byte(1);
    open();
    EXPECT_EQ(get("a"), "last");
    must(run(store->close()));
  }
}

TEST_F(kv_basics, without_a_superblock_there_is_a_clear_error) {
  auto none = run(kv_store::open(device));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error(), std::errc::no_such_device_or_address);
  EXPECT_EQ(none.error().message(), "kv: no store on this device");

  make();
  must(run(store->close()));
  for (std::size_t copy : {0U, 1U}) device.content[copy * 512 + 40] ^= std::byte(1);
  auto damaged = run(kv_store::open(device));
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error(), std::errc::io_error);
  EXPECT_EQ(damaged.error().message(), "kv: no superblock is whole: the store is damaged");
}

// A torn end is an end; damage before it would lose what was acknowledged.
TEST_F(kv_basics, damage_in_the_middle_of_the_log_is_an_error) {
  make();
  for (int i = 0; i < 5; ++i) must(run(store->put("key" + std::to_string(i), of("value"))));
  must(run(store->close()));
  const std::size_t third = 2 * 512 + 2 * 512;
  device.content[third + 50] ^= std::byte(1);
  auto r = run(kv_store::open(device));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::io_error);
  EXPECT_NE(r.error().message().find("the record at 2048 is damaged"), std::string::npos)
      << r.error();

  device.content[third + 50] ^= std::byte(1);
  device.content[third + 2 * 512 + 50] ^= std::byte(1);  // the last one
  open();
  EXPECT_EQ(store->statistics().keys, 4U);
}

TEST_F(kv_basics, a_value_that_has_changed_on_the_device_is_an_error) {
  make();
  must(run(store->put("a", of("value"))));
  device.content[2 * 512 + 40 + 12 + 1] ^= std::byte(1);
  auto r = run(store->get("a"));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::io_error);
  EXPECT_EQ(r.error().message(), "kv: what lies at 1064 is not what was written there");
}

TEST_F(kv_basics, after_a_failed_write_it_is_read_only_until_it_is_opened_again) {
  must(run(kv_store::format(device, {.record_size = 4096})));
  faulty_device faulty(device);
  store = must(run(kv_store::open(faulty)));
  must(run(store->put("a", of("one"))));
  faulty.next.writes = 0;
  EXPECT_EQ(run(store->put("a", of("two"))).error().message(), "an injected error");
  const auto refused = run(store->put("a", of("three")));
  EXPECT_EQ(refused.error(), std::errc::io_error);
  EXPECT_EQ(refused.error().message(),
            "kv: open the store again, writing has failed: an injected error");
  EXPECT_EQ(get("a"), "one");
  EXPECT_EQ(run(store->close()).error(), std::errc::io_error);
  open();
  EXPECT_EQ(get("a"), "one");
  must(run(store->put("a", of("four"))));
  EXPECT_EQ(get("a"), "four");
}

TEST_F(kv_basics, closed_is_closed) {
  make();
  sio::task_scope scope;
  scope.spawn(store->put("a", of("one")));
  must(run(store->close()));  // waits for it
  must(run(scope.join()));
  EXPECT_EQ(run(store->put("a", of("two"))).error(), std::errc::operation_not_permitted);
  EXPECT_EQ(run(store->erase("a")).error().message(), "kv: the store is closed");
  EXPECT_EQ(run(store->get("a")).error(), std::errc::operation_not_permitted);
  must(run(store->close()));
}

TEST_F(kv_basics, a_caller_that_goes_away_takes_nobody_along) {
  make();
  sio::task_scope others;
  {
    sio::task_scope gone;
    gone.spawn(store->put("a", of("never")));  // not on its way before the next poll
    others.spawn(store->put("b", of("one")));
  }
  must(run(others.join()));
  EXPECT_EQ(get("a"), std::nullopt);
  EXPECT_EQ(get("b"), "one");
  {
    sio::task_scope gone;
    gone.spawn(store->put("c", of("perhaps")));
    others.spawn(store->put("d", of("two")));
    spdk_io_test::poll_times(1);  // its record is being written
    EXPECT_EQ(store->statistics().records, 1U);
  }
  must(run(others.join()));
  EXPECT_EQ(store->statistics().records, 2U);
  EXPECT_EQ(get("c"), "perhaps");  // written all the same
  EXPECT_EQ(get("d"), "two");
}

// From where put() came back, one may close the store and destroy it.
TEST_F(kv_basics, it_may_be_destroyed_by_whom_it_acknowledges) {
  make();
  const auto put_and_go = [&]() -> sio::task<sio::result<void>> {
    if (auto r = co_await store->put("a", of("one")); !r) co_return r;
    auto r = co_await store->close();
    store.reset();
    co_return r;
  };
  must(run(put_and_go()));
  open();
  EXPECT_EQ(get("a"), "one");
}

TEST_F(kv_basics, what_cannot_be_a_store_is_refused) {
  for (std::uint32_t record_size : {0U, 512U, 4100U, 32U << 20}) {
    EXPECT_EQ(run(kv_store::format(device, {.record_size = record_size})).error(),
              std::errc::invalid_argument);
  }
  const auto r = run(kv_store::format(device, {.record_size = 16384}));
  EXPECT_EQ(r.error().message(), "kv: a device of 131072 bytes is too small for records of 16384");
  ram_device tiny(512);
  EXPECT_EQ(run(kv_store::format(tiny)).error(), std::errc::invalid_argument);
  make();
  must(run(store->close()));
  device.content.resize(100 << 10);
  EXPECT_EQ(run(kv_store::open(device)).error().message(),
            "kv: the device has become smaller than the store on it");
  device.content.resize(128 << 10);
  ram_device coarse(128 << 10, 4096);
  coarse.content = device.content;
  EXPECT_EQ(run(kv_store::open(coarse)).error(), std::errc::not_supported);
}

// On devices of SPDK's, with the sizes that one gets without asking, and on large blocks too.
TEST(kv_devices, it_works_on_memory_and_on_files) {
  using spdk_io_test::kind;
  spdk_io_test::for_each_kind({kind::malloc, kind::aio}, [](kind k) {
    for (std::uint32_t block_size : {512U, 4096U}) {
      const spdk_io_test::temp_folder folder;
      const std::string name = "disk" + std::to_string(block_size);
      kv::bdev_device device(spdk_io_test::open_device(k, folder, name, 4 << 20, block_size));
      must(run(kv_store::format(device)));
      auto store = must(run(kv_store::open(device)));
      const std::string longest(store->max_value_size(), 'x');
      for (int i = 0; i < 40; ++i) must(run(store->put(i % 2 == 0 ? "a" : "b", of(longest))));
      must(run(store->put("c", of("small"))));
      EXPECT_GT(store->statistics().checkpoints, 0U);
      must(run(store->close()));
      store = must(run(kv_store::open(device)));
      for (const char* key : {"a", "b"}) EXPECT_EQ(text_of(*must(run(store->get(key)))), longest);
      EXPECT_EQ(text_of(*must(run(store->get("c")))), "small");
      must(run(store->close()));
    }
  });
}

// A device without flush() promises nothing.
TEST(kv_devices, without_flush_the_store_is_refused) {
  const spdk_io_test::temp_folder folder;
  kv::bdev_device device(
      spdk_io_test::open_device(spdk_io_test::kind::uring, folder, "disk", 4 << 20));
  EXPECT_EQ(run(kv_store::format(device)).error(), std::errc::not_supported);
}

}  // namespace
