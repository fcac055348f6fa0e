// SPDX-License-Identifier: BSD-3-Clause
// What devices say of themselves, and how they are found.
#include "devices.hpp"

#include <spdk_io/bdev.hpp>

#include <spdk/bdev_module.h>

#include <set>
#include <thread>

namespace spdk_io_test {
namespace {

using sio::bdev;
using sio::bdev_info;
using sio::io_kind;

const std::string uuid = "12345678-9abc-4def-8123-456789abcdef";

std::set<io_kind> kinds(const bdev_info& info) {
  return {info.supported.begin(), info.supported.end()};
}

bdev_info info_of(std::string_view name) { return must(bdev::find(name)).info(); }

TEST(bdev, nothing_is_known_before_the_subsystems_run) {
  EXPECT_TRUE(sio::list_bdevs().empty());
  auto r = bdev::find("m0");
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::operation_not_permitted);
  EXPECT_EQ(r.error().message(),
            "look-up of \"m0\": SPDK's subsystems are not initialised (co_await "
            "spdk_io::init_subsystems() or create_bdev() first)");
}

TEST(bdev, malloc_tells_its_properties) {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "m0",
                                             .size = 1 << 20,
                                             .block_size = 512,
                                             .physical_block_size = 4096,
                                             .optimal_boundary = 64,
                                             .uuid = uuid})));
  auto info = info_of("m0");
  EXPECT_EQ(info.name, "m0");
  EXPECT_EQ(info.product, "Malloc disk");
  EXPECT_EQ(info.module, "malloc");
  EXPECT_EQ(info.uuid, uuid);
  EXPECT_EQ(info.block_size, 512u);
  EXPECT_EQ(info.data_block_size, 512u);
  EXPECT_EQ(info.physical_block_size, 4096u);
  EXPECT_EQ(info.block_count, 2048u);
  EXPECT_EQ(info.size(), 1u << 20);
  EXPECT_EQ(info.write_unit, 1u);
  EXPECT_EQ(info.atomic_compare_and_write, 1u);
  EXPECT_EQ(info.max_copy, 0u);
  EXPECT_EQ(info.optimal_boundary, 64u);
  EXPECT_GE(info.alignment, 1u);
  EXPECT_EQ(info.metadata_size, 0u);
  EXPECT_FALSE(info.metadata_interleaved);
  EXPECT_EQ(info.protection_type, 0u);
  EXPECT_FALSE(info.zoned);
  // Whether the module itself compares depends on SPDK's release (25.05 does not); the layer
  // does it for those that do not.
  auto supported = kinds(info);
  supported.erase(io_kind::compare);
  EXPECT_EQ(supported, (std::set{io_kind::read, io_kind::write, io_kind::flush, io_kind::unmap,
                                 io_kind::write_zeroes, io_kind::reset, io_kind::copy,
                                 io_kind::abort, io_kind::zcopy}));
}

TEST(bdev, null_tells_its_properties) {
  must(run(sio::create_bdev(
      sio::null_bdev{.name = "n0", .size = 1 << 30, .block_size = 4096, .uuid = uuid})));
  auto info = info_of("n0");
  EXPECT_EQ(info.product, "Null disk");
  EXPECT_EQ(info.module, "null");
  EXPECT_EQ(info.uuid, uuid);
  EXPECT_EQ(info.block_size, 4096u);
  EXPECT_EQ(info.block_count, (1u << 30) / 4096);
  EXPECT_FALSE(info.write_cache);
  EXPECT_FALSE(info.supports(io_kind::flush));
  EXPECT_FALSE(info.supports(io_kind::unmap));
  EXPECT_TRUE(info.supports(io_kind::read));
  EXPECT_TRUE(info.supports(io_kind::write));
  EXPECT_TRUE(info.supports(io_kind::write_zeroes));
  EXPECT_TRUE(info.supports(io_kind::reset));
  EXPECT_TRUE(info.supports(io_kind::abort));
}

// With SPDK's own configuration: the usual options know no metadata.
TEST(bdev, metadata_is_told) {
  const std::string protection = on_spdk() ? R"(,"dif_type":1)" : "";  // lite has none
  must(run(sio::init_subsystems(
      R"({"subsystems":[{"subsystem":"bdev","config":[)"
      R"({"method":"bdev_malloc_create","params":{"name":"mixed","num_blocks":64,)"
      R"("block_size":512,"md_size":8,"md_interleave":true)" +
      protection +
      R"(}},)"
      R"({"method":"bdev_malloc_create","params":{"name":"apart","num_blocks":64,)"
      R"("block_size":512,"md_size":16,"md_interleave":false}}]}]})")));
  auto mixed = info_of("mixed");
  EXPECT_EQ(mixed.block_size, 520u);
  EXPECT_EQ(mixed.data_block_size, 512u);
  EXPECT_EQ(mixed.metadata_size, 8u);
  EXPECT_TRUE(mixed.metadata_interleaved);
  EXPECT_EQ(mixed.protection_type, on_spdk() ? 1u : 0u);
  auto apart = info_of("apart");
  EXPECT_EQ(apart.block_size, 512u);
  EXPECT_EQ(apart.data_block_size, 512u);
  EXPECT_EQ(apart.metadata_size, 16u);
  EXPECT_FALSE(apart.metadata_interleaved);
  EXPECT_EQ(apart.protection_type, 0u);
}

TEST(bdev, aliases_are_names_that_open_it) {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20, .uuid = uuid})));
  EXPECT_EQ(info_of("m0").aliases, std::vector{uuid});
  EXPECT_EQ(info_of(uuid).name, "m0");
  spdk_bdev* native = must(bdev::find("m0")).native_handle();
  ASSERT_EQ(spdk_bdev_alias_add(native, "another name"), 0);
  EXPECT_EQ(info_of("m0").aliases, (std::vector<std::string>{uuid, "another name"}));
  EXPECT_EQ(must(sio::bdev_desc::open("another name")).bdev().name(), "m0");
  ASSERT_EQ(spdk_bdev_alias_del(native, "another name"), 0);
  EXPECT_EQ(info_of("m0").aliases, std::vector{uuid});
}

TEST(bdev, files_tell_their_properties) {
  temp_folder folder;
  must(run(sio::create_bdev(sio::uring_bdev{
      .name = "u0", .file = folder.file("u0", 40960), .block_size = 512, .uuid = uuid})));
  auto uring = info_of("u0");
  EXPECT_EQ(uring.product, "URING bdev");
  EXPECT_EQ(uring.module, "uring");
  EXPECT_EQ(uring.uuid, uuid);
  EXPECT_EQ(uring.block_size, 512u);
  EXPECT_EQ(uring.size(), 40960u);
  EXPECT_TRUE(uring.supports(io_kind::read));
  EXPECT_TRUE(uring.supports(io_kind::write));
  EXPECT_FALSE(uring.supports(io_kind::flush));
  EXPECT_FALSE(uring.supports(io_kind::reset));
  EXPECT_FALSE(uring.supports(io_kind::abort));

  must(run(sio::create_bdev(
      sio::aio_bdev{.name = "a0", .file = folder.file("a0", 1 << 20), .block_size = 4096})));
  auto aio = info_of("a0");
  EXPECT_EQ(aio.product, "AIO disk");
  EXPECT_EQ(aio.module, "aio");
  EXPECT_EQ(aio.uuid.size(), uuid.size());  // SPDK makes one
  EXPECT_EQ(aio.block_size, 4096u);
  EXPECT_EQ(aio.block_count, 256u);
  EXPECT_TRUE(aio.write_cache);
  EXPECT_TRUE(aio.supports(io_kind::flush));
  EXPECT_TRUE(aio.supports(io_kind::reset));
  EXPECT_FALSE(aio.supports(io_kind::unmap));  // only with fallocate
}

TEST(bdev, the_view_agrees_with_the_copy) {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20})));
  auto view = must(bdev::find("m0"));
  auto copy = view.info();
  EXPECT_EQ(view.name(), copy.name);
  EXPECT_EQ(view.product(), copy.product);
  EXPECT_EQ(view.block_size(), copy.block_size);
  EXPECT_EQ(view.block_count(), copy.block_count);
  EXPECT_EQ(view.size(), copy.size());
  EXPECT_EQ(view.alignment(), copy.alignment);
  EXPECT_EQ(view.write_cache(), copy.write_cache);
  for (int i = 0; i <= static_cast<int>(io_kind::nvme_io); ++i) {
    EXPECT_EQ(view.supports(io_kind(i)), copy.supports(io_kind(i))) << i;
  }
  EXPECT_EQ(bdev::from_native(view.native_handle()).name(), "m0");
  must(run(sio::delete_bdev("m0")));
  EXPECT_EQ(copy.name, "m0");  // valid whatever becomes of the device
}

TEST(bdev, listing_has_all_in_order_of_registration) {
  must(run(sio::create_bdev(sio::null_bdev{.name = "zz", .size = 512})));
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "aa", .size = 1 << 20})));
  must(run(sio::create_bdev(sio::null_bdev{.name = "mm", .size = 1024})));
  std::vector<std::string> names;
  for (const auto& each : sio::list_bdevs()) names.push_back(each.name);
  EXPECT_EQ(names, (std::vector<std::string>{"zz", "aa", "mm"}));
  must(run(sio::delete_bdev("aa")));
  EXPECT_EQ(sio::list_bdevs().size(), 2u);
}

TEST(bdev, an_unknown_name_lists_the_known_ones) {
  must(run(sio::init_subsystems()));
  EXPECT_EQ(message_of(bdev::find("nope")), "look-up of \"nope\": no such device (known: none)");
  must(run(sio::create_bdev(sio::null_bdev{.name = "n0", .size = 512})));
  must(run(sio::create_bdev(sio::null_bdev{.name = "n1", .size = 512})));
  auto r = bdev::find("nope");
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::no_such_device);
  EXPECT_EQ(r.error().message(), "look-up of \"nope\": no such device (known: n0, n1)");
  EXPECT_FALSE(bdev::find(""));
  EXPECT_FALSE(bdev::find(std::string_view("n0\0x", 4)));
  EXPECT_TRUE(bdev::find("n0"));

  // So many that the line must end somewhere.
  for (int i = 0; i < 40; ++i) {
    const std::string name = "a_rather_long_name_" + std::to_string(i);
    must(run(sio::create_bdev(sio::null_bdev{.name = name, .size = 512})));
  }
  auto many = message_of(bdev::find("nope"));
  EXPECT_TRUE(many.ends_with(", …)")) << many;
  EXPECT_LT(many.size(), 600u);
}

TEST(bdev, without_a_thread_there_is_an_error_and_an_empty_list) {
  must(run(sio::create_bdev(sio::null_bdev{.name = "n0", .size = 512})));
  std::string text;
  std::size_t listed = 99;
  std::thread([&] {
    text = message_of(bdev::find("n0"));
    listed = sio::list_bdevs().size();
  }).join();
  EXPECT_EQ(text,
            "look-up of \"n0\": no SPDK thread is attached here (call spdk_io::thread::attach() "
            "first)");
  EXPECT_EQ(listed, 0u);
}

}  // namespace
}  // namespace spdk_io_test
