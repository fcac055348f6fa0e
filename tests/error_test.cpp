// SPDX-License-Identifier: BSD-3-Clause
// What errors say, and how they compare and convert.
#include <spdk_io/error.hpp>

#include <gtest/gtest.h>

#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace sio = spdk_io;

namespace {

std::string streamed(const sio::error& e) {
  std::ostringstream out;
  out << e;
  return out.str();
}

TEST(error, says_where_a_write_went_past_the_end) {
  sio::error e({.code = std::errc::invalid_argument,
                .what = sio::operation_kind::write,
                .why = sio::fault::past_end,
                .device = sio::intern_device_name("disk0"),
                .offset = 4294967296,
                .length = 4096,
                .device_size = 268435456});
  EXPECT_EQ(
      e.message(),
      "write of 4096 bytes at 4294967296 to disk0: past the end (device has 268435456 bytes)");
  EXPECT_EQ(streamed(e), e.message());
}

TEST(error, names_the_status_of_a_device) {
  sio::error e({.what = sio::operation_kind::read,
                .status = {2, 0x81},
                .device = sio::intern_device_name("Nvme0n1"),
                .offset = 8192,
                .length = 4096});
  EXPECT_EQ(e.message(),
            "read of 4096 bytes at 8192 from Nvme0n1: unrecovered read error (NVMe 2/81h)");
}

TEST(error, names_the_number_of_a_status_without_a_name) {
  sio::error e(
      {.what = sio::operation_kind::flush, .status = {7, 0x0c}, .offset = 0, .length = 512});
  EXPECT_EQ(e.message(), "flush of 512 bytes at 0: device error (NVMe 7/0Ch)");
}

TEST(error, adds_what_the_system_said_to_a_status) {
  sio::error e({.code = std::errc::no_space_on_device,
                .what = sio::operation_kind::write,
                .status = {0, 0x06},
                .length = 512});
  EXPECT_EQ(e.message(),
            "write of 512 bytes at 0: internal device error, No space left on device (NVMe 0/06h)");
}

// Each fault has words of its own, and they tell what to do where something can be done.
TEST(error, has_words_for_every_fault) {
  std::vector<std::string> seen;
  for (auto why : {sio::fault::past_end, sio::fault::misaligned_offset,
                   sio::fault::misaligned_length, sio::fault::read_only, sio::fault::no_buffer,
                   sio::fault::short_buffer, sio::fault::bad_vector, sio::fault::no_channel,
                   sio::fault::wrong_thread, sio::fault::no_thread, sio::fault::thread_exiting,
                   sio::fault::device_closed, sio::fault::unsupported}) {
    sio::error e({.what = sio::operation_kind::read, .why = why, .block_size = 512});
    for (const auto& other : seen) EXPECT_NE(e.message(), other);
    EXPECT_EQ(e.message().find("Input/output error"), std::string::npos) << e;
    EXPECT_EQ(e.message().find('\n'), std::string::npos) << e;
    seen.push_back(e.message());
  }
  EXPECT_NE(seen[1].find("block size (512 bytes)"), std::string::npos) << seen[1];
  EXPECT_NE(seen[3].find("access::read_write"), std::string::npos) << seen[3];
  EXPECT_NE(seen[8].find("bdev_desc::channel()"), std::string::npos) << seen[8];
  EXPECT_NE(seen[9].find("thread::attach()"), std::string::npos) << seen[9];
}

TEST(error, keeps_its_parts) {
  sio::error e({.code = std::errc::no_such_device,
                .what = sio::operation_kind::write,
                .why = sio::fault::device_closed,
                .status = {1, 2},
                .device = sio::intern_device_name("a disk"),
                .offset = 3,
                .length = 4});
  EXPECT_EQ(e.code(), std::errc::no_such_device);
  EXPECT_EQ(e.what(), sio::operation_kind::write);
  EXPECT_EQ(e.why(), sio::fault::device_closed);
  EXPECT_EQ(e.status(), (sio::nvme_status{1, 2}));
  EXPECT_EQ(e.device(), "a disk");
  EXPECT_EQ(e.offset(), 3u);
  EXPECT_EQ(e.length(), 4u);
}

TEST(error, is_none_by_default) {
  sio::error e;
  EXPECT_EQ(e.code(), std::errc());
  EXPECT_EQ(e.message(), "no error");
  EXPECT_FALSE(e.error_code());
  EXPECT_EQ(e.device(), "");
}

TEST(error, compares_with_conditions_and_converts) {
  sio::error e(std::errc::timed_out, sio::operation_kind::run, "too late");
  EXPECT_TRUE(e == std::errc::timed_out);
  EXPECT_TRUE(std::errc::timed_out == e);
  EXPECT_FALSE(e == std::errc::io_error);
  EXPECT_TRUE(e != std::errc::io_error);
  std::error_code code = e;
  EXPECT_EQ(code, std::make_error_code(std::errc::timed_out));
  EXPECT_EQ(code.category(), std::generic_category());
}

TEST(error, value_throws_system_error_with_the_same_text) {
  sio::error e(std::errc::no_such_device, sio::operation_kind::open_bdev,
               "open of \"disk0\": no such device (known: Malloc0, Null0)");
  sio::result<int> failed = std::unexpected(e);
  try {
    (void)failed.value();
    FAIL() << "value() did not throw";
  } catch (const std::system_error& thrown) {
    EXPECT_STREQ(thrown.what(), "open of \"disk0\": no such device (known: Malloc0, Null0)");
    EXPECT_EQ(thrown.code(), std::errc::no_such_device);
  }
  sio::result<void> nothing = std::unexpected(e);
  EXPECT_THROW(nothing.value(), std::system_error);
  EXPECT_THROW((void)std::move(failed).value(), std::bad_expected_access<sio::error>);
}

TEST(error, text_is_bounded_and_an_old_one_falls_back) {
  sio::error old(std::errc::timed_out, sio::operation_kind::sleep, "the first");
  for (int i = 0; i < 1023; ++i) sio::error(std::errc::io_error, sio::operation_kind::run, "later");
  EXPECT_EQ(old.message(), "the first");
  sio::error last(std::errc::io_error, sio::operation_kind::run, "the last");
  EXPECT_EQ(old.message(), "sleep: Connection timed out");
  EXPECT_EQ(old.code(), std::errc::timed_out);
  EXPECT_EQ(last.message(), "the last");
}

TEST(error, control_characters_are_written_out) {
  using namespace std::string_view_literals;
  EXPECT_EQ(
      sio::error(std::errc::io_error, sio::operation_kind::run, "a\nb\x1b[2J\0c\x7f"sv).message(),
      R"(a\x0ab\x1b[2J\x00c\x7f)");
  const auto name = sio::intern_device_name("two\nlines");
  const sio::error e(sio::error::io{.what = sio::operation_kind::reset, .device = name});
  EXPECT_EQ(e.message(), R"(reset of two\x0alines: Input/output error)");
  EXPECT_EQ(e.device(), "two\nlines");
}

TEST(error, names_are_interned_once_and_outlive_their_device) {
  std::string name = "gone0";
  const auto number = sio::intern_device_name(name);
  name = "other";
  EXPECT_EQ(sio::intern_device_name("gone0"), number);
  EXPECT_NE(sio::intern_device_name("gone1"), number);
  EXPECT_EQ(sio::intern_device_name(""), 0u);
  EXPECT_EQ(sio::error(sio::error::io{.device = number}).device(), "gone0");
}

TEST(error, texts_and_names_may_be_made_on_any_thread) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      const std::string text = "thread " + std::to_string(t);
      for (int i = 0; i < 200; ++i) {
        sio::error e(std::errc::io_error, sio::operation_kind::run, text);
        EXPECT_EQ(e.message(), text);
        sio::error on({.device = sio::intern_device_name(text)});
        EXPECT_EQ(on.device(), text);
      }
    });
  }
}

}  // namespace
