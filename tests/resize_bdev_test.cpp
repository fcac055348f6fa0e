// SPDX-License-Identifier: BSD-3-Clause
// Devices that get another size, and those that cannot.
#include "devices.hpp"

#include <spdk_io/resize_bdev.hpp>
#include <spdk_io/stacked_bdev_options.hpp>

namespace spdk_io_test {
namespace {

using sio::rescan_bdev;
using sio::resize_bdev;

constexpr std::uint64_t mib = 1 << 20;

template <class T>
void expect_failure(const sio::result<T>& r, std::errc code, std::string_view message) {
  ASSERT_FALSE(r) << "expected: " << message;
  EXPECT_TRUE(r.error() == code) << r.error() << ": " << r.error().error_code();
  EXPECT_EQ(r.error().what(), sio::operation_kind::resize_bdev);
  EXPECT_EQ(r.error().message(), message);
}

TEST(resize_bdev, a_null_device_takes_any_size) {
  auto disk = open_null("n0", mib);
  auto buffer = must(sio::dma_buffer::zeroed(512));
  EXPECT_FALSE(run(disk.read(buffer, mib)));
  must(run(resize_bdev("n0", 2 * mib + 512)));
  EXPECT_EQ(disk.bdev().size(), 2 * mib + 512);
  must(run(disk.read(buffer, 2 * mib)));
  must(run(resize_bdev("n0", 2 * mib + 512)));  // as it is
  expect_failure(run(resize_bdev("n0", mib)), std::errc::device_or_resource_busy,
                 "resizing of \"n0\" to 1048576 bytes: it is open, and can only grow then");
  EXPECT_EQ(disk.bdev().size(), 2 * mib + 512);
  disk = sio::bdev_desc();
  poll_times(100);
  must(run(resize_bdev("n0", mib)));
  EXPECT_EQ(must(sio::bdev::find("n0")).size(), mib);
}

TEST(resize_bdev, a_file_grows_with_its_device) {
  for_each_kind({kind::uring, kind::aio}, [](kind k) {
    temp_folder folder;
    auto disk = open_device(k, folder, "f0", mib);
    auto buffer = must(sio::dma_buffer::zeroed(4096));
    must(run(resize_bdev("f0", 2 * mib)));
    EXPECT_EQ(disk.bdev().size(), 2 * mib);
    EXPECT_EQ(std::filesystem::file_size(folder.path("f0")), 2 * mib);
    fill_pattern(buffer, 1);
    must(run(disk.write(buffer, 2 * mib - 4096)));
    const auto content = content_of(folder.path("f0"));
    EXPECT_TRUE(has_pattern(std::span(content).last(4096), 1));
    expect_failure(run(resize_bdev("f0", mib)), std::errc::not_supported,
                   "resizing of \"f0\" to 1048576 bytes: a file device can only grow (it has "
                   "2097152 bytes)");
    EXPECT_EQ(std::filesystem::file_size(folder.path("f0")), 2 * mib);
    EXPECT_EQ(disk.bdev().size(), 2 * mib);
    // A new device of that name has a file of its own.
    disk = sio::bdev_desc();
    must(run(sio::delete_bdev("f0")));
    const auto other = folder.file("other", mib);
    must(run(sio::create_bdev(sio::uring_bdev{.name = "f0", .file = other})));
    must(run(resize_bdev("f0", 3 * mib)));
    EXPECT_EQ(std::filesystem::file_size(other), 3 * mib);
    EXPECT_EQ(std::filesystem::file_size(folder.path("f0")), 2 * mib);
  });
}

TEST(resize_bdev, a_file_that_was_resized_by_others_is_looked_at_again) {
  for_each_kind({kind::uring, kind::aio}, [](kind k) {
    temp_folder folder;
    auto disk = open_device(k, folder, "f0", mib);
    EXPECT_EQ(must(run(rescan_bdev("f0"))), mib);
    std::filesystem::resize_file(folder.path("f0"), 4 * mib);
    EXPECT_EQ(disk.bdev().size(), mib);
    EXPECT_EQ(must(run(rescan_bdev("f0"))), 4 * mib);
    EXPECT_EQ(disk.bdev().size(), 4 * mib);
    std::filesystem::resize_file(folder.path("f0"), 2 * mib);
    expect_failure(run(rescan_bdev("f0")), std::errc::device_or_resource_busy,
                   "rescan of \"f0\": what is behind it has become smaller, which SPDK does not "
                   "take over");
    EXPECT_EQ(disk.bdev().size(), 4 * mib);
  });
}

TEST(resize_bdev, a_file_that_the_configuration_named_is_not_known) {
  temp_folder folder;
  const auto file = folder.file("f0", mib);
  must(run(sio::init_subsystems(
      R"({"subsystems":[{"subsystem":"bdev","config":[{"method":"bdev_aio_create","params":)"
      R"({"name":"f0","block_size":512,"filename":")" +
      file + R"("}}]}]})")));
  expect_failure(run(resize_bdev("f0", 2 * mib)), std::errc::not_supported,
                 "resizing of \"f0\" to 2097152 bytes: its file is not known here, as "
                 "create_bdev() did not make it (resize the file, then call rescan_bdev())");
  std::filesystem::resize_file(file, 2 * mib);
  EXPECT_EQ(must(run(rescan_bdev("f0"))), 2 * mib);
}

TEST(resize_bdev, other_kinds_keep_their_size) {
  auto disk = open_malloc("m0", mib);
  expect_failure(run(resize_bdev("m0", 2 * mib)), std::errc::not_supported,
                 "resizing of \"m0\" to 2097152 bytes: a device of the kind \"malloc\" keeps the "
                 "size it was made with");
  expect_failure(run(rescan_bdev("m0")), std::errc::not_supported,
                 "rescan of \"m0\": there is no file behind it");
  // A device on another one does not follow it.
  must(run(sio::create_bdev(sio::null_bdev{.name = "n0", .size = mib})));
  must(run(sio::create_bdev(sio::passthru_bdev{.name = "p0", .base = "n0"})));
  must(run(resize_bdev("n0", 2 * mib)));
  EXPECT_EQ(must(sio::bdev::find("n0")).size(), 2 * mib);
  EXPECT_EQ(must(sio::bdev::find("p0")).size(), mib);
  EXPECT_FALSE(run(resize_bdev("p0", 2 * mib)));
}

TEST(resize_bdev, what_cannot_be_is_refused) {
  must(run(sio::create_bdev(sio::null_bdev{.name = "n0", .size = mib})));
  expect_failure(run(resize_bdev("n0", 1000)), std::errc::invalid_argument,
                 "resizing of \"n0\" to 1000 bytes: it must be a multiple, above 0, of the block "
                 "size 512");
  expect_failure(run(resize_bdev("n0", 0)), std::errc::invalid_argument,
                 "resizing of \"n0\" to 0 bytes: it must be a multiple, above 0, of the block "
                 "size 512");
  expect_failure(run(resize_bdev("nope", 512)), std::errc::no_such_device,
                 "resizing of \"nope\" to 512 bytes: no such device (known: n0)");
  expect_failure(run(rescan_bdev("nope")), std::errc::no_such_device,
                 "rescan of \"nope\": no such device (known: n0)");
  temp_folder folder;
  create_device(kind::aio, folder, "f0", mib);
  std::filesystem::rename(folder.path("f0"), folder.path("moved"));
  expect_failure(run(resize_bdev("f0", 2 * mib)), std::errc::no_such_file_or_directory,
                 "resizing of \"f0\" to 2097152 bytes: cannot resize \"" + folder.path("f0") +
                     "\": No such file or directory");
}

}  // namespace
}  // namespace spdk_io_test
