// SPDX-License-Identifier: BSD-3-Clause
// Errors that a test puts into a device, and what the program under test sees of them.
#include "devices.hpp"
#include "started.hpp"

#include <spdk_io/error_injection.hpp>
#include <spdk_io/stacked_bdev_options.hpp>

namespace spdk_io_test {
namespace {

using sio::inject_error;
using sio::inject_how;
using sio::inject_on;

class error_injection : public testing::Test {
 protected:
  void SetUp() override {
    must(run(sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20})));
    must(run(sio::create_bdev(sio::error_bdev{.base = "m0"})));
    disk = must(sio::bdev_desc::open("EE_m0"));
    buffer = must(sio::dma_buffer::zeroed(1024));
  }
  void put(sio::injected_error e) { must(run(inject_error("EE_m0", e))); }
  std::string read() { return message_of(run(disk.read(buffer, 512))); }
  std::string write() { return message_of(run(disk.write(buffer, 512))); }

  sio::bdev_desc disk;
  sio::dma_buffer buffer;
};

const std::string read_fails =
    "read of 1024 bytes at 512 from EE_m0: internal device error (NVMe 0/06h)";

TEST_F(error_injection, as_many_as_asked_for) {
  EXPECT_EQ(read(), "success");
  put({.on = inject_on::read, .how = inject_how::failure, .count = 2});
  EXPECT_EQ(read(), read_fails);
  EXPECT_EQ(write(), "success");
  EXPECT_EQ(read(), read_fails);
  EXPECT_EQ(read(), "success");
}

TEST_F(error_injection, one_for_each_kind_of_io) {
  put({.on = inject_on::all});
  EXPECT_EQ(read(), read_fails);
  EXPECT_NE(write(), "success");
  EXPECT_NE(message_of(run(disk.flush(0, 512))), "success");
  EXPECT_NE(message_of(run(disk.unmap(0, 512))), "success");
  EXPECT_EQ(read(), "success");
  EXPECT_EQ(write(), "success");
  for (auto on : {inject_on::write, inject_on::flush, inject_on::unmap}) {
    put({.on = on});
    EXPECT_EQ(read(), "success");
    EXPECT_EQ(write() == "success", on != inject_on::write);
    EXPECT_EQ(message_of(run(disk.flush(0, 512))) == "success", on != inject_on::flush);
    EXPECT_EQ(message_of(run(disk.unmap(0, 512))) == "success", on != inject_on::unmap);
  }
}

TEST_F(error_injection, clearing) {
  put({.on = inject_on::all, .count = 1000});
  EXPECT_EQ(read(), read_fails);
  must(run(sio::clear_errors("EE_m0")));
  EXPECT_EQ(read(), "success");
  EXPECT_EQ(write(), "success");
}

TEST_F(error_injection, a_status_of_nvme) {
  auto r = run(inject_error("EE_m0", {.on = inject_on::read,
                                      .how = inject_how::nvme_failure,
                                      .status = {.type = 2, .code = 0x81}}));
  if (!r && r.error() == std::errc::not_supported) {
    GTEST_SKIP() << "only releases of SPDK that can inject an NVMe status: " << r.error();
  }
  must(r);
  auto failed = run(disk.read(buffer, 512));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().status(), (sio::nvme_status{.type = 2, .code = 0x81}));
  EXPECT_EQ(failed.error().message(),
            "read of 1024 bytes at 512 from EE_m0: unrecovered read error (NVMe 2/81h)");
}

// The device has no resources: nobody but SPDK learns of it.
TEST_F(error_injection, no_memory_is_retried) {
  put({.on = inject_on::read, .how = inject_how::no_memory, .count = 3});
  started reading(disk.read(buffer, 512));
  main_thread().poll();
  main_thread().poll();
  EXPECT_FALSE(reading.done());
  poll_until([&] { return reading.done(); });
  EXPECT_TRUE(reading.take());
}

TEST_F(error_injection, pending_until_it_is_resumed) {
  put({.on = inject_on::write, .how = inject_how::pending, .count = 2});
  fill_pattern(buffer, 9);
  started writing(disk.write(buffer, 512));
  poll_times(500);
  EXPECT_FALSE(writing.done());
  auto resumed = run(sio::resume_pending("EE_m0"));
  if (!resumed && resumed.error() == std::errc::not_supported) {
    must(run(disk.reset()));
    poll_until([&] { return writing.done(); });
    GTEST_SKIP() << "only releases of SPDK that can resume: " << resumed.error();
  }
  must(resumed);
  poll_until([&] { return writing.done(); });
  EXPECT_TRUE(writing.take());
  EXPECT_EQ(write(), "success");  // the second one was withdrawn
  std::ranges::fill(buffer, std::byte{0});
  EXPECT_EQ(read(), "success");
  EXPECT_TRUE(has_pattern(buffer.bytes(), 9));
}

TEST_F(error_injection, pending_until_a_reset) {
  put({.on = inject_on::read, .how = inject_how::pending});
  started reading(disk.read(buffer, 512));
  poll_times(500);
  EXPECT_FALSE(reading.done());
  must(run(disk.reset()));
  poll_until([&] { return reading.done(); });
  auto r = reading.take();
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::operation_canceled) << r.error();
}

TEST_F(error_injection, a_corrupted_byte) {
  put({.on = inject_on::read,
       .how = inject_how::corrupt_data,
       .corrupt_offset = 700,
       .corrupt_value = 0x81});
  EXPECT_EQ(read(), "success");
  EXPECT_EQ(buffer.bytes()[700], std::byte{0x81});
  EXPECT_TRUE(all_are(buffer.bytes().first(700), std::byte{0}));
  EXPECT_EQ(read(), "success");
  EXPECT_TRUE(all_are(buffer.bytes(), std::byte{0}));
}

TEST_F(error_injection, from_a_queue_depth_on) {
  put({.on = inject_on::read, .how = inject_how::failure, .count = 100, .queue_depth = 1});
  EXPECT_EQ(read(), "success");
  auto other = must(sio::dma_buffer::zeroed(1024));
  started first(disk.read(buffer, 512));
  started second(disk.read(other, 512));
  poll_until([&] { return first.done() && second.done(); });
  EXPECT_TRUE(first.take());
  EXPECT_FALSE(second.take());
}

TEST_F(error_injection, what_cannot_be_is_refused) {
  auto fails = [](const sio::result<void>& r, std::errc code, std::string_view message) {
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == code) << r.error();
    EXPECT_EQ(r.error().what(), sio::operation_kind::change_bdev);
    EXPECT_EQ(r.error().message(), message);
  };
  fails(run(inject_error("nope", {})), std::errc::no_such_device,
        "injection of errors into \"nope\": no such device (known: m0, EE_m0)");
  fails(run(inject_error("m0", {})), std::errc::not_supported,
        "injection of errors into \"m0\": it is not an error device (create_bdev(error_bdev{…}) "
        "makes one)");
  fails(run(inject_error("EE_m0", {.how = inject_how::nvme_failure})), std::errc::invalid_argument,
        "injection of errors into \"EE_m0\": nvme_failure needs a status, not {0, 0}");
  fails(run(inject_error("EE_m0", {.how = inject_how::corrupt_data, .corrupt_value = 0})),
        std::errc::invalid_argument,
        "injection of errors into \"EE_m0\": a corrupt_value of 0 changes nothing");
  fails(run(sio::clear_errors("m0")), std::errc::not_supported,
        "clearing the errors of \"m0\": it is not an error device (create_bdev(error_bdev{…}) "
        "makes one)");
  EXPECT_EQ(read(), "success");
}

}  // namespace
}  // namespace spdk_io_test
