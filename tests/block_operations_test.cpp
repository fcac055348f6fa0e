// SPDX-License-Identifier: BSD-3-Clause
// The operations beyond read, write and flush: what they do to a device's content.
#include "devices.hpp"

#include <functional>

namespace spdk_io_test {
namespace {

using sio::bdev_desc;
using sio::const_dma_span;
using sio::dma_buffer;
using sio::dma_span;

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
  struct range {
    std::uint64_t from;
    std::uint64_t to;
  };
  // The pattern, but for zeroes in these.
  void expect_zero_at(std::vector<range> zeroed) {
    const auto all = content();
    for (std::uint64_t i = 0; i < size; ++i) {
      const bool zero =
          std::ranges::any_of(zeroed, [i](range r) { return i >= r.from && i < r.to; });
      ASSERT_EQ(all[i], zero ? std::byte{0} : pattern_byte(1, i)) << "at " << i;
    }
  }
  void expect_zeroed(std::uint64_t from, std::uint64_t to) { expect_zero_at({{from, to}}); }

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

TEST_F(block_operations, compare) {
  if (!tells_a_miscompare()) GTEST_SKIP() << no_miscompare;
  on_each({kind::malloc, kind::uring, kind::aio}, [&](kind) {
    const auto part = buffer.subspan(512, 2048);
    must(run(disk.compare(part, 512)));
    must(run(disk.compare_blocks(part, 1, 4)));
    must(run(disk.compare_blocks(part, 1, 2)));  // the first half of the buffer
    const std::vector<dma_span> parts = {part.first(100), part.subspan(100, 412),
                                         part.subspan(512, 1536)};
    const std::vector<const_dma_span> const_parts(parts.begin(), parts.end());
    must(run(disk.comparev(parts, 512)));
    must(run(disk.comparev_blocks(const_parts, 1)));
    // A single byte, in any place.
    for (const std::size_t at : {0u, 99u, 100u, 2047u}) {
      part.data()[at] ^= std::byte{1};
      for (auto r : {run(disk.compare(part, 512)), run(disk.compare_blocks(part, 1, 4)),
                     run(disk.comparev(const_parts, 512)), run(disk.comparev_blocks(parts, 1))}) {
        ASSERT_FALSE(r) << at;
        EXPECT_EQ(r.error().why(), sio::fault::miscompare);
        EXPECT_TRUE(r.error() == std::errc::illegal_byte_sequence);
        EXPECT_EQ(r.error().status(), (sio::nvme_status{2, 0x85}));
        EXPECT_EQ(r.error().message(),
                  "compare of 2048 bytes at 512 on d0: the data differs (NVMe 2/85h)");
      }
      part.data()[at] ^= std::byte{1};
    }
    must(run(disk.compare(part, 512)));
    // A comparison only reads.
    must(run(must(bdev_desc::open("d0", sio::access::read_only)).compare(part, 512)));
    expect_zeroed(0, 0);
  });
}

TEST_F(block_operations, compare_and_write) {
  if (!tells_a_miscompare()) GTEST_SKIP() << no_miscompare;
  on_each({kind::malloc, kind::uring, kind::aio}, [&](kind) {
    auto fresh = must(dma_buffer::zeroed(512));
    const auto old = [&](std::uint64_t block) { return buffer.subspan(block * 512, 512); };
    must(run(disk.compare_and_write(old(2), fresh, 1024)));
    expect_zeroed(1024, 1536);
    // Once more: the device no longer holds what was there.
    fill_pattern(buffer.bytes(), 1);
    for (auto r : {run(disk.compare_and_write(old(2), fresh, 1024)),
                   run(disk.compare_and_write_blocks(old(2), fresh, 2, 1))}) {
      ASSERT_FALSE(r);
      EXPECT_EQ(r.error().why(), sio::fault::miscompare);
      EXPECT_TRUE(r.error() == std::errc::illegal_byte_sequence);
      EXPECT_EQ(r.error().message(),
                "compare-and-write of 512 bytes at 1024 on d0: the data differs (NVMe 2/85h)");
    }
    expect_zeroed(1024, 1536);
    fill_pattern(buffer.bytes(), 1);
    must(run(disk.compare_and_write_blocks(old(3), fresh, 3, 1)));
    const std::vector<const_dma_span> compare = {old(4).first(12), old(4).subspan(12, 500)};
    const std::vector<const_dma_span> write = {fresh.first(300), fresh.subspan(300, 212)};
    must(run(disk.comparev_and_writev(compare, write, 4 * 512)));
    const std::vector<const_dma_span> next = {old(5)};
    must(run(disk.comparev_and_writev_blocks(next, write, 5)));
    expect_zeroed(1024, 3072);
  });
}

// Of many that want to replace the same block, exactly one does.
TEST_F(block_operations, compare_and_write_is_atomic) {
  on_each({kind::malloc, kind::uring, kind::aio}, [&](kind) {
    constexpr std::size_t count = 20;
    auto writes = must(dma_buffer::zeroed(count * 512));
    std::size_t done = 0;
    std::vector<std::size_t> winners;
    for (std::size_t i = 0; i < count; ++i) {
      fill_pattern(writes.bytes().subspan(i * 512, 512), 100 + i);
      sio::start(disk.compare_and_write(buffer.first(512), writes.subspan(i * 512, 512), 0),
                 [&, i](auto r) {
                   ++done;
                   if (r) winners.push_back(i);
                 });
    }
    EXPECT_EQ(done, 0u);
    poll_until([&] { return done == count; });
    ASSERT_EQ(winners.size(), 1u);
    EXPECT_TRUE(has_pattern(content().first(512), 100 + winners[0]));
  });
}

TEST_F(block_operations, copy) {
  on_each({kind::malloc, kind::uring, kind::aio}, [&](kind) {
    must(run(disk.write_zeroes(0, 4096)));
    must(run(disk.copy({.from = 0, .to = 8192, .length = 1024})));
    expect_zero_at({{0, 4096}, {8192, 9216}});
    must(run(disk.copy_blocks({.from = 1, .to = 18, .length = 2})));
    expect_zero_at({{0, 4096}, {8192, 10240}});
    // What is copied is what lies at `from`, and goes to `to`.
    must(run(disk.copy({.from = 32768, .to = 0, .length = 4096})));
    const auto all = content();
    EXPECT_TRUE(std::ranges::equal(all.first(4096), all.subspan(32768, 4096)));
    EXPECT_FALSE(all_are(all.first(4096), std::byte{0}));
    // Nothing to do.
    must(run(disk.copy({.from = 512, .to = 512, .length = 512})));
    must(run(disk.copy({.from = 0, .to = 512, .length = 0})));
    // More than any buffer holds: SPDK does it in parts.
    must(run(disk.copy({.from = 0, .to = size / 2, .length = size / 2})));
    const auto copied = content();
    EXPECT_TRUE(std::ranges::equal(copied.first(size / 2), copied.subspan(size / 2)));
  });
}

// The forms with options, without any: the same as the plain ones.
TEST_F(block_operations, options_that_say_nothing) {
  on_each({kind::malloc, kind::uring, kind::aio}, [&](kind) {
    const sio::io_options none = {};
    const auto part = buffer.subspan(1024, 1024);
    fill_pattern(part, 7);
    must(run(disk.write(part, 0, none)));
    must(run(disk.write_blocks(part, 2, 2, none)));
    const std::vector<dma_span> parts = {part.first(300), part.subspan(300, 724)};
    must(run(disk.writev(parts, 2048, none)));
    must(run(disk.writev_blocks(parts, 6, none)));
    for (std::uint64_t i = 0; i < 4; ++i) {
      auto expect_read = [&](auto&& op) {
        std::ranges::fill(part, std::byte{0});
        must(run(std::move(op)));
        EXPECT_TRUE(has_pattern(part, 7)) << i;
      };
      expect_read(disk.read(part, i * 1024, none));
      expect_read(disk.read_blocks(part, i * 2, 2, none));
      expect_read(disk.readv(parts, i * 1024, none));
      expect_read(disk.readv_blocks(parts, i * 2, none));
    }
  });
}

// Malloc devices m0 with metadata apart from the blocks, m1 with it inside.
class with_metadata : public testing::Test {
 protected:
  static constexpr std::uint32_t md = 16;

  void SetUp() override {
    must(run(sio::init_subsystems(
        R"({"subsystems":[{"subsystem":"bdev","config":[)"
        R"({"method":"bdev_malloc_create","params":{"name":"m0","num_blocks":256,)"
        R"("block_size":512,"md_size":16,"md_interleave":false}},)"
        R"({"method":"bdev_malloc_create","params":{"name":"m1","num_blocks":256,)"
        R"("block_size":512,"md_size":16,"md_interleave":true}}]}]})")));
    disk = must(bdev_desc::open("m0"));
    data = must(dma_buffer::zeroed(4096));
    metadata = must(dma_buffer::zeroed(8 * md));
  }
  void clear() {
    std::ranges::fill(data, std::byte{0xee});
    std::ranges::fill(metadata, std::byte{0xee});
  }
  void expect_patterns(std::uint64_t seed, std::size_t blocks) {
    EXPECT_TRUE(has_pattern(data.bytes().first(blocks * 512), seed));
    EXPECT_TRUE(has_pattern(metadata.bytes().first(blocks * md), seed + 1));
    EXPECT_TRUE(all_are(metadata.bytes().subspan(blocks * md), std::byte{0xee}));
  }
  void fill(std::uint64_t seed) {
    fill_pattern(data.bytes(), seed);
    fill_pattern(metadata.bytes(), seed + 1);
  }
  bdev_desc disk;
  dma_buffer data;
  dma_buffer metadata;
};

TEST_F(with_metadata, is_written_and_read) {
  const std::vector<dma_span> parts = {data.first(100), data.subspan(100, 1436)};
  struct form {
    std::function<sio::extended_io_operation()> write;
    std::function<sio::extended_io_operation()> read;
  };
  const sio::io_options options = {.metadata = metadata};
  const form forms[] = {
      {[&] { return disk.write_with_metadata(data.first(1536), metadata, 512); },
       [&] { return disk.read_with_metadata(data.first(1536), metadata, 512); }},
      {[&] { return disk.write_blocks_with_metadata(data, metadata, 1, 3); },
       [&] { return disk.read_blocks_with_metadata(data, metadata, 1, 3); }},
      {[&] { return disk.writev_with_metadata(parts, metadata, 512); },
       [&] { return disk.readv_with_metadata(parts, metadata, 512); }},
      {[&] { return disk.writev_blocks_with_metadata(parts, metadata, 1); },
       [&] { return disk.readv_blocks_with_metadata(parts, metadata, 1); }},
      {[&] { return disk.write(data.first(1536), 512, options); },
       [&] { return disk.read(data.first(1536), 512, options); }},
      {[&] { return disk.write_blocks(data, 1, 3, options); },
       [&] { return disk.read_blocks(data, 1, 3, options); }},
      {[&] { return disk.writev(parts, 512, options); },
       [&] { return disk.readv(parts, 512, options); }},
      {[&] { return disk.writev_blocks(parts, 1, options); },
       [&] { return disk.readv_blocks(parts, 1, options); }},
  };
  std::uint64_t seed = 10;
  for (const auto& each : forms) {
    SCOPED_TRACE("form " + std::to_string(&each - forms));
    seed += 10;
    fill(seed);
    must(run(each.write()));
    for (const auto& other : forms) {
      clear();
      must(run(other.read()));
      expect_patterns(seed, 3);
    }
  }
  // Plain I/O leaves the metadata alone.
  fill(seed);
  must(run(disk.read(data, 0)));
  must(run(disk.read_with_metadata(data.first(1536), metadata, 512)));
}

TEST_F(with_metadata, is_compared) {
  if (!tells_a_miscompare()) GTEST_SKIP() << no_miscompare;
  fill(1);
  must(run(disk.write_with_metadata(data, metadata, 0)));
  must(run(disk.compare_with_metadata(data, metadata, 0)));
  must(run(disk.compare_blocks_with_metadata(data, metadata, 0, 8)));
  const std::vector<dma_span> parts = {data.first(512)};
  must(run(disk.comparev_with_metadata(parts, metadata, 0)));
  must(run(disk.comparev_blocks_with_metadata(parts, metadata, 0)));
  data.data()[5] ^= std::byte{1};
  auto r = run(disk.compare_with_metadata(data, metadata, 0));
  EXPECT_EQ(message_of(r), "compare of 4096 bytes at 0 on m0: the data differs (NVMe 2/85h)");
  EXPECT_TRUE(r.error() == std::errc::illegal_byte_sequence);
  data.data()[5] ^= std::byte{1};
  // Of the metadata SPDK compares more than the first block's only where the device does it.
  metadata.data()[0] ^= std::byte{1};
  r = run(disk.compare_with_metadata(data, metadata, 0));
  EXPECT_EQ(message_of(r), "compare of 4096 bytes at 0 on m0: the data differs (NVMe 2/85h)");
}

TEST_F(with_metadata, refusals) {
  const std::string small = ": the metadata buffer is smaller than the blocks' metadata";
  auto invalid = [](const sio::result<void>& r, sio::fault why, std::string_view text) {
    ASSERT_FALSE(r) << text;
    EXPECT_TRUE(r.error() == std::errc::invalid_argument);
    EXPECT_EQ(r.error().why(), why);
    EXPECT_EQ(r.error().message(), text);
  };
  invalid(run(disk.read_with_metadata(data, metadata.first(8 * md - 1), 0)),
          sio::fault::short_metadata, "read of 4096 bytes at 0 from m0" + small);
  invalid(run(disk.write_blocks_with_metadata(data, metadata.first(md), 3, 2)),
          sio::fault::short_metadata, "write of 1024 bytes at 1536 to m0" + small);
  invalid(run(disk.write_with_metadata(data, dma_buffer(), 0)), sio::fault::short_metadata,
          "write of 4096 bytes at 0 to m0" + small);
  invalid(run(disk.read(data, 0, {.metadata = metadata.first(100)})), sio::fault::short_metadata,
          "read of 4096 bytes at 0 from m0" + small);
  auto inside = must(bdev_desc::open("m1"));
  const std::uint32_t block = inside.bdev().block_size();
  EXPECT_EQ(block, 528u);
  invalid(run(inside.read_with_metadata(data.first(block), metadata, 0)), sio::fault::no_metadata,
          "read of 528 bytes at 0 from m1: the device has no metadata apart from its blocks");
  invalid(run(inside.write(data.first(block), 0, {.metadata = metadata})), sio::fault::no_metadata,
          "write of 528 bytes at 0 to m1: the device has no metadata apart from its blocks");
  // The ordinary refusals are as ever.
  invalid(run(disk.read_with_metadata(data.first(100), metadata, 512)),
          sio::fault::misaligned_length,
          "read of 100 bytes at 512 from m0: the length is not a multiple of the block size (512 "
          "bytes)");
  invalid(run(disk.read_blocks_with_metadata(data.first(512), metadata, 0, 2)),
          sio::fault::short_buffer,
          "read of 1024 bytes at 0 from m0: the buffer is smaller than that");
  invalid(run(disk.write_with_metadata(dma_buffer(), metadata, 0)), sio::fault::no_buffer,
          "write of 0 bytes at 0 to m0: the buffer is empty");
  // Metadata inside the blocks is data.
  fill(3);
  must(run(inside.write(data.first(block), 0)));
  std::ranges::fill(data, std::byte{0});
  must(run(inside.read(data.first(block), 0)));
  EXPECT_TRUE(has_pattern(data.bytes().first(block), 3));
}

// Data integrity fields: the device checks the guard of what is written, unless told not to.
TEST(data_integrity, checks_can_be_left_out) {
  if (!on_spdk()) GTEST_SKIP() << "lite has no data integrity fields (docs/providers.md)";
  must(run(sio::init_subsystems(
      R"({"subsystems":[{"subsystem":"bdev","config":[{"method":"bdev_malloc_create","params":)"
      R"({"name":"m0","num_blocks":256,"block_size":512,"md_size":8,"md_interleave":true,)"
      R"("dif_type":1}}]}]})")));
  auto disk = must(bdev_desc::open("m0"));
  auto data = must(dma_buffer::zeroed(520));
  fill_pattern(data.bytes(), 1);
  auto refused = run(disk.write(data, 0));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error() == std::errc::io_error) << message_of(refused);
  refused = run(disk.write(data, 0, {.skip_checks = sio::dif_checks::guard}));
  EXPECT_FALSE(refused);  // the reference tag is wrong as well
  must(run(disk.write(data, 0, {.skip_checks = sio::dif_checks::all})));
  std::ranges::fill(data, std::byte{0});
  EXPECT_FALSE(run(disk.read(data, 0)));
  must(run(disk.read(data, 0, {.skip_checks = sio::dif_checks::all})));
  EXPECT_TRUE(has_pattern(data.bytes(), 1));
}

}  // namespace
}  // namespace spdk_io_test
