// SPDX-License-Identifier: BSD-3-Clause
// What the tests of devices on devices share: making these, injecting into them, and one I/O.
#pragma once

#include "bdev_fixture.hpp"

#include "spdk/uuid.h"

#include <cstdint>
#include <string>

namespace bdev_test {

inline constexpr int internal_error = SPDK_NVME_SC_INTERNAL_DEVICE_ERROR;
inline constexpr int aborted = SPDK_NVME_SC_ABORTED_BY_REQUEST;
inline constexpr std::uint64_t long_us = 3'600'000'000;  // an hour: nothing of it passes in a test

inline std::string all_names() {
  std::string names;
  for (spdk_bdev* b = spdk_bdev_first(); b != nullptr; b = spdk_bdev_next(b)) {
    names += std::string(spdk_bdev_get_name(b)) + " ";
  }
  return names;
}

inline std::string leaf_names() {
  std::string names;
  for (spdk_bdev* b = spdk_bdev_first_leaf(); b != nullptr; b = spdk_bdev_next_leaf(b)) {
    names += std::string(spdk_bdev_get_name(b)) + " ";
  }
  return names;
}

inline std::string io_types(const char* name) {
  std::string text;
  for (int type = SPDK_BDEV_IO_TYPE_READ; type < SPDK_BDEV_NUM_IO_TYPES; ++type) {
    const auto t = static_cast<spdk_bdev_io_type>(type);
    if (spdk_bdev_io_type_supported(spdk_bdev_get_by_name(name), t)) {
      text += std::string(spdk_bdev_get_io_type_name(t)) + " ";
    }
  }
  return text;
}

inline std::string uuid_of(const char* name) {
  char text[SPDK_UUID_STRING_LEN];
  spdk_uuid_fmt_lower(text, sizeof(text), spdk_bdev_get_uuid(spdk_bdev_get_by_name(name)));
  return text;
}

/// Whether a call fails with this code and text in SPDK's response.
inline ::testing::AssertionResult fails(const std::string& method, const std::string& params,
                                        int code, const std::string& message) {
  logged.clear();
  if (call(method, params) == 0) {
    return ::testing::AssertionFailure() << "it succeeded";
  }
  const bool as_said = logged.find("\"code\": " + std::to_string(code)) != std::string::npos &&
                       logged.find("\"message\": \"" + message + "\"") != std::string::npos;
  return (as_said ? ::testing::AssertionSuccess() : ::testing::AssertionFailure()) << logged;
}

inline int passthru(const std::string& name, const std::string& base) {
  return call("bdev_passthru_create",
              R"({"name":")" + name + R"(","base_bdev_name":")" + base + "\"}");
}

inline std::string delay_params(const std::string& name, const std::string& base,
                                std::uint64_t read_us, std::uint64_t write_us) {
  const std::string r = std::to_string(read_us);
  const std::string w = std::to_string(write_us);
  return R"({"name":")" + name + R"(","base_bdev_name":")" + base + R"(","avg_read_latency":)" + r +
         R"(,"p99_read_latency":)" + r + R"(,"avg_write_latency":)" + w +
         R"(,"p99_write_latency":)" + w + "}";
}

inline int set_delay(const std::string& name, const std::string& which, std::uint64_t us) {
  return call("bdev_delay_update_latency", R"({"delay_bdev_name":")" + name +
                                               R"(","latency_type":")" + which +
                                               R"(","latency_us":)" + std::to_string(us) + "}");
}

/// First without a latency: SPDK's modules read from a new device before it is free to go.
inline int delay(const std::string& name, const std::string& base, std::uint64_t read_us,
                 std::uint64_t write_us) {
  int rc = call("bdev_delay_create", delay_params(name, base, 0, 0));
  if (rc == 0 && read_us + write_us != 0) {
    rc = call("bdev_wait_for_examine", "");
    for (const char* which : {"avg_read", "p99_read"}) {
      rc = rc != 0 ? rc : set_delay(name, which, read_us);
    }
    for (const char* which : {"avg_write", "p99_write"}) {
      rc = rc != 0 ? rc : set_delay(name, which, write_us);
    }
  }
  return rc;
}

inline int error(const std::string& base) {
  return call("bdev_error_create", R"({"base_name":")" + base + "\"}");
}

inline int inject(const std::string& name, const std::string& on, const std::string& how,
                  const std::string& more = "") {
  return call("bdev_error_inject_error", R"({"name":")" + name + R"(","io_type":")" + on +
                                             R"(","error_type":")" + how + "\"" + more + "}");
}

inline int split(const std::string& base, int count, const std::string& more = "") {
  return call("bdev_split_create", R"({"base_bdev":")" + base + R"(","split_count":)" +
                                       std::to_string(count) + more + "}");
}

inline int unsplit(const std::string& base) {
  const int rc = call("bdev_split_delete", R"({"base_bdev":")" + base + "\"}");
  threads::poll_times(20);
  return rc;
}

inline outcome& read(device& d, dma_memory& m, outcome& o, std::uint64_t block = 0,
                     std::uint64_t count = 1) {
  EXPECT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, m.data, block, count, outcome::callback, &o), 0);
  return o;
}

inline outcome& write(device& d, dma_memory& m, outcome& o, std::uint64_t block = 0,
                      std::uint64_t count = 1) {
  EXPECT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, m.data, block, count, outcome::callback, &o), 0);
  return o;
}

/// A read that ends as it should.
inline ::testing::AssertionResult read_gives(device& d, bool success, int sct = 0, int sc = 0) {
  dma_memory m(512);
  outcome o;
  read(d, m, o).wait();
  return o.success == success && o.sct == sct && o.sc == sc
             ? ::testing::AssertionSuccess()
             : ::testing::AssertionFailure() << o.success << " " << o.sct << "/" << o.sc;
}

inline int open_code(const char* name, bool write) {
  spdk_bdev_desc* desc = nullptr;
  const int rc = spdk_bdev_open_ext(
      name, write, [](spdk_bdev_event_type, spdk_bdev*, void*) {}, nullptr, &desc);
  if (rc == 0) {
    spdk_bdev_close(desc);
  }
  return rc;
}

}  // namespace bdev_test
