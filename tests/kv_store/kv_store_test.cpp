// SPDX-License-Identifier: BSD-3-Clause
// The key-value store: what it promises where nothing goes wrong, and its errors.
#include "kv_store.hpp"

#include "devices.hpp"
#include "ram_device.hpp"
#include "spdk_test.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace sio = spdk_io;
using kv::kv_store;
using kv_test::ram_device;
using spdk_io_test::must;
using spdk_io_test::run;

kv::bytes_view of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string text_of(const kv::bytes& value) {
  return {reinterpret_cast<const char*>(value.data()), value.size()};
}

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

}  // namespace
