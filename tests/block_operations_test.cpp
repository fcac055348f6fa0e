// SPDX-License-Identifier: BSD-3-Clause
// The operations beyond read, write and flush: what they do to a device's content.
#include "devices.hpp"

namespace spdk_io_test {
namespace {

using sio::bdev_desc;
using sio::dma_buffer;

constexpr std::uint64_t size = 64 << 10;

// A device whose whole content is a pattern, and a buffer as large.
class block_operations : public testing::Test {
 protected:
  void on_each(std::initializer_list<kind> kinds, auto body) {
    for_each_kind(kinds, [&](kind k) {
      temp_folder folder;
      disk = open_device(k, folder, "d0", size);
      if (buffer.empty()) buffer = must(dma_buffer::zeroed(size));
      fill_pattern(buffer.bytes(), 1);
      must(run(disk.write(buffer, 0)));
      body(k);
      disk = bdev_desc();
    });
  }
  std::span<const std::byte> content() {
    std::ranges::fill(buffer, std::byte{0xee});
    must(run(disk.read(buffer, 0)));
    return buffer.bytes();
  }
  // The pattern, but for zeroes in [from, to).
  void expect_zeroed(std::uint64_t from, std::uint64_t to) {
    const auto all = content();
    for (std::uint64_t i = 0; i < size; ++i) {
      const auto expected = i >= from && i < to ? std::byte{0} : pattern_byte(1, i);
      ASSERT_EQ(all[i], expected) << "at " << i;
    }
  }

  bdev_desc disk;
  dma_buffer buffer;
};

TEST_F(block_operations, write_zeroes) {
  on_each({kind::malloc, kind::uring, kind::aio}, [&](kind) {
    must(run(disk.write_zeroes(512, 1024)));
    expect_zeroed(512, 1536);
    must(run(disk.write_zeroes_blocks(3, 5)));
    expect_zeroed(512, 4096);
    auto channel = must(disk.channel());
    must(run(channel.write_zeroes(4096, size - 4096)));
    expect_zeroed(512, size);
  });
}

TEST_F(block_operations, unmap) {
  on_each({kind::malloc}, [&](kind) {
    must(run(disk.unmap(512, 1024)));
    expect_zeroed(512, 1536);
    must(run(disk.unmap_blocks(3, 5)));
    expect_zeroed(512, 4096);
    must(run(disk.unmap_blocks(7, 0)));
    expect_zeroed(512, 4096);
  });
}

TEST_F(block_operations, reset_leaves_the_content) {
  on_each({kind::malloc, kind::aio}, [&](kind) {
    must(run(disk.reset()));
    auto channel = must(disk.channel());
    must(run(channel.reset()));
    expect_zeroed(0, 0);
  });
}

}  // namespace
}  // namespace spdk_io_test
