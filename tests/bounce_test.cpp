// SPDX-License-Identifier: BSD-3-Clause
// Ordinary memory to and from devices, by way of a DMA buffer.
#include "devices.hpp"

#include <spdk_io/bounce.hpp>

#include <vector>

namespace spdk_io_test {
namespace {

std::vector<std::byte> pattern(std::size_t size, std::uint64_t seed) {
  std::vector<std::byte> out(size);
  fill_pattern(out, seed);
  return out;
}

// Larger than the buffer, as large, smaller; the last piece is a shorter one.
TEST(bounce, transfers_any_number_of_blocks_through_one_buffer) {
  temp_folder folder;
  for_each_kind({kind::malloc, kind::uring, kind::aio}, [&](kind k) {
    auto disk = open_device(k, folder, "d0");
    auto channel = must(disk.channel());
    auto through = must(sio::dma_buffer::zeroed(8192));
    std::uint64_t seed = 1;
    for (std::size_t size : {512u, 8192u, 8192u + 512u, 65536u, 100u * 512u}) {
      ++seed;
      const auto out = pattern(size, seed);
      must(run(sio::write_bounced(channel, out, 4096, through)));
      std::vector<std::byte> in(size);
      must(run(sio::read_bounced(disk, in, 4096, through)));
      EXPECT_EQ(in, out) << size;
      // What really is on the device, and that nothing beside it was touched.
      auto whole = must(sio::dma_buffer::zeroed(size + 1024));
      must(run(disk.read(whole, 4096 - 512)));
      EXPECT_TRUE(all_are(whole.bytes().first(512), std::byte{0})) << size;
      EXPECT_TRUE(has_pattern(whole.bytes().subspan(512, size), seed)) << size;
      std::ranges::fill(whole, std::byte{0});
      must(run(disk.write(whole, 4096 - 512)));
    }
  });
}

// A buffer that is no multiple of the block size is used as far as whole blocks go.
TEST(bounce, uses_whole_blocks_of_the_buffer) {
  auto disk = open_malloc("m0", 1 << 20, 4096);
  auto buffer = must(sio::dma_buffer::zeroed(3 * 4096));
  const auto out = pattern(5 * 4096, 9);
  must(run(sio::write_bounced(disk, out, 0, buffer.first(2 * 4096 + 100))));
  std::vector<std::byte> in(out.size());
  must(run(sio::read_bounced(disk, in, 0, buffer.first(4096))));
  EXPECT_EQ(in, out);
}

TEST(bounce, refuses_what_cannot_be_before_anything_is_transferred) {
  auto disk = open_malloc("m0");
  auto channel = must(disk.channel());
  auto through = must(sio::dma_buffer::zeroed(4096));
  auto text = [&](std::size_t size, std::uint64_t offset, std::size_t room = 4096) {
    const auto out = pattern(size, 5);
    auto r = run(sio::write_bounced(channel, out, offset, through.first(room)));
    EXPECT_FALSE(r);
    if (!r) {
      EXPECT_TRUE(r.error() == std::errc::invalid_argument);
    }
    std::vector<std::byte> in(size);
    auto read = run(sio::read_bounced(channel, in, offset, through.first(room)));
    EXPECT_TRUE(message_of(read).starts_with("read of ")) << message_of(read);
    EXPECT_TRUE(all_are(in, std::byte{0}));
    return message_of(r);
  };
  EXPECT_EQ(text(8192, 100),
            "write of 8192 bytes at 100 to m0: the offset is not a multiple of the block size (512 "
            "bytes)");
  EXPECT_EQ(text(8200, 512),
            "write of 8200 bytes at 512 to m0: the length is not a multiple of the block size (512 "
            "bytes)");
  EXPECT_EQ(text(8192, (1 << 20) - 4096),
            "write of 8192 bytes at 1044480 to m0: past the end (device has 1048576 bytes)");
  EXPECT_EQ(text(512, 0xffff'ffff'ffff'fe00),
            "write of 512 bytes at 18446744073709551104 to m0: past the end (device has 1048576 "
            "bytes)");
  EXPECT_EQ(text(512, 0, 511),
            "write of 512 bytes at 0 to m0: the buffer to bounce through holds less than a block "
            "(512 bytes)");
  EXPECT_EQ(text(0, 0), "write of 0 bytes at 0 to m0: the buffer is empty");
  auto whole = must(sio::dma_buffer::allocate(1 << 20));
  must(run(disk.read(whole, 0)));
  EXPECT_TRUE(all_are(whole.bytes(), std::byte{0}));
}

TEST(bounce, handles_that_are_of_no_use) {
  auto through = must(sio::dma_buffer::zeroed(4096));
  std::vector<std::byte> memory(8192);
  EXPECT_EQ(message_of(run(sio::read_bounced(sio::bdev_desc(), memory, 0, through))),
            "I/O channel: the handle is empty (moved from, or never opened)");
  EXPECT_EQ(message_of(run(sio::write_bounced(sio::io_channel(), memory, 0, through))),
            "write of 8192 bytes at 0: the handle is empty (moved from, or never opened)");
  open_malloc("m0");
  auto readable = must(sio::bdev_desc::open("m0", sio::access::read_only));
  EXPECT_EQ(message_of(run(sio::write_bounced(readable, memory, 0, through))),
            "write of 4096 bytes at 0 to m0: the descriptor is read-only (open it with "
            "access::read_write)");
}

// One piece at a time, and nothing before the task is awaited.
TEST(bounce, goes_piece_by_piece) {
  auto disk = open_malloc("m0");
  auto through = must(sio::dma_buffer::zeroed(512));
  std::vector<std::byte> memory(2048);
  fill_pattern(memory, 7);
  auto whole = must(sio::dma_buffer::zeroed(2048));
  bool done = false;
  sio::task_scope scope;
  auto body = [&]() -> sio::task<void> {
    auto r = co_await sio::write_bounced(disk, memory, 0, through);
    EXPECT_TRUE(r) << message_of(r);
    done = true;
  };
  auto lazy = body();
  EXPECT_EQ(main_thread().statistics().io_in_flight, 0u);
  scope.spawn(std::move(lazy));
  int polls = 0;
  while (!done) {
    EXPECT_LE(main_thread().statistics().io_in_flight, 1u);
    main_thread().poll();
    ++polls;
  }
  EXPECT_GE(polls, 4);
  must(run(disk.read(whole, 0)));
  EXPECT_TRUE(has_pattern(whole.bytes(), 7));
  must(run(scope.join()));
}

}  // namespace
}  // namespace spdk_io_test
