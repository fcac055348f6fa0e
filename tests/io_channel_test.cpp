// SPDX-License-Identifier: BSD-3-Clause
// Channels: one's own, an explicit one, none, and somebody else's.
#include "devices.hpp"

#include <spdk_io/io_channel.hpp>

#include <optional>
#include <thread>

namespace spdk_io_test {
namespace {

using sio::io_channel;

// Misuse is an assertion in debug builds of the library, which these tests share.
#ifdef NDEBUG
constexpr bool asserts = false;
#else
constexpr bool asserts = true;
#endif

template <class F>
void run_on(sio::thread& t, F f) {
  bool done = false;
  must(t.ref().send([&] {
    f();
    done = true;
  }));
  while (!done) t.poll();
}

// The message of an operation that fails when it is started.
std::string failure_of(sio::io_operation op) {
  EXPECT_FALSE(op.begin());
  return message_of(op.finish());
}

TEST(io_channel, explicit_and_the_threads_own_do_the_same) {
  auto disk = open_malloc("m0");
  auto channel = must(disk.channel());
  EXPECT_EQ(channel.block_size(), 512u);
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  fill_pattern(buffer.bytes(), 1);
  must(run(channel.write(buffer, 4096)));
  std::ranges::fill(buffer, std::byte{0});
  must(run(disk.read(buffer, 4096)));
  EXPECT_TRUE(has_pattern(buffer.bytes(), 1));
  fill_pattern(buffer.bytes(), 2);
  must(run(disk.write_blocks(buffer, 16, 8)));
  must(run(channel.flush(0, 1 << 20)));
  std::ranges::fill(buffer, std::byte{0});
  must(run(channel.read_blocks(buffer, 16, 8)));
  EXPECT_TRUE(has_pattern(buffer.bytes(), 2));
}

TEST(io_channel, copies_and_moves_name_the_same_channel) {
  auto disk = open_malloc("m0");
  auto channel = must(disk.channel());
  auto* native = channel.native_handle();
  ASSERT_NE(native, nullptr);
  io_channel copy = channel;
  io_channel moved = std::move(channel);
  EXPECT_EQ(copy.native_handle(), native);
  EXPECT_EQ(moved.native_handle(), native);
  EXPECT_EQ(channel.native_handle(), nullptr);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(channel.block_size(), 0u);
  channel = copy;
  copy = io_channel();
  moved = io_channel();
  auto buffer = must(sio::dma_buffer::zeroed(512));
  must(run(channel.read(buffer, 0)));
}

TEST(io_channel, an_empty_one_fails_in_every_form) {
  io_channel empty;
  EXPECT_EQ(empty.block_size(), 0u);
  EXPECT_EQ(empty.native_handle(), nullptr);
  auto buffer = must(sio::dma_buffer::zeroed(1024));
  std::vector<sio::dma_span> parts = {buffer.first(512), buffer.subspan(512, 512)};
  const std::string why = ": the handle is empty (moved from, or never opened)";
  EXPECT_EQ(failure_of(empty.read(buffer, 512)), "read of 1024 bytes at 512" + why);
  EXPECT_EQ(failure_of(empty.write(buffer, 512)), "write of 1024 bytes at 512" + why);
  EXPECT_EQ(failure_of(empty.flush(0, 512)), "flush of 512 bytes at 0" + why);
  EXPECT_TRUE(failure_of(empty.readv(parts, 0)).ends_with(why));
  EXPECT_TRUE(failure_of(empty.writev(parts, 0)).ends_with(why));
  EXPECT_TRUE(failure_of(empty.read_blocks(buffer, 0, 1)).ends_with(why));
  EXPECT_TRUE(failure_of(empty.write_blocks(buffer, 0, 1)).ends_with(why));
  EXPECT_TRUE(failure_of(empty.flush_blocks(0, 1)).ends_with(why));
  EXPECT_TRUE(failure_of(empty.readv_blocks(parts, 0)).ends_with(why));
  EXPECT_TRUE(run(empty.read(buffer, 0)).error() == std::errc::bad_file_descriptor);
}

TEST(io_channel, of_another_thread_is_refused) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  auto disk = open_malloc("m0");
  auto channel = must(disk.channel());
  auto buffer = must(sio::dma_buffer::zeroed(512));
  auto second = must(sio::thread::create("second"));
  if (asserts) {
    EXPECT_DEATH(run_on(second, [&] { (void)failure_of(channel.read(buffer, 0)); }),
                 "I/O started on a channel of another thread: take one with "
                 "bdev_desc::channel\\(\\) on the thread that does the I/O");
  } else {
    run_on(second, [&] {
      EXPECT_EQ(failure_of(channel.read(buffer, 512)),
                "read of 512 bytes at 512 from m0: the channel belongs to another thread (take "
                "one with bdev_desc::channel() on the thread that does the I/O)");
    });
  }
  // The descriptor takes the right one by itself.
  run_on(second, [&] {
    sio::start(disk.read(buffer, 0), [](auto r) { must(r); });
    EXPECT_EQ(second.statistics().io_in_flight, 1u);
  });
  while (second.statistics().io_in_flight > 0) second.poll();
}

TEST(io_channel, without_an_attached_thread_is_refused) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  auto disk = open_malloc("m0");
  auto channel = must(disk.channel());
  auto buffer = must(sio::dma_buffer::zeroed(512));
  const std::string why = "no SPDK thread is attached here (call spdk_io::thread::attach() first)";
  std::string by_desc, by_channel, from_channel, from_callback;
  auto elsewhere = [&] {
    std::thread([&] { by_channel = failure_of(channel.write(buffer, 0)); }).join();
  };
  if (asserts) {
    EXPECT_DEATH(
        elsewhere(),
        "I/O started without an attached thread: call spdk_io::thread::attach\\(\\) first");
  } else {
    elsewhere();
    EXPECT_EQ(by_channel, "write of 512 bytes at 0 to m0: " + why);
  }
  std::thread([&] {
    by_desc = failure_of(disk.read(buffer, 0));
    from_channel = message_of(disk.channel());
    // Nobody could run it later, so it runs now.
    sio::start(disk.read(buffer, 0), [&](auto r) { from_callback = message_of(r); });
  }).join();
  EXPECT_EQ(by_desc, "read of 512 bytes at 0 from m0: " + why);
  EXPECT_EQ(from_callback, by_desc);
  EXPECT_EQ(from_channel, "I/O channel on m0: " + why);
}

TEST(io_channel, outlives_its_thread_without_use) {
  auto disk = open_malloc("m0");
  auto buffer = must(sio::dma_buffer::zeroed(512));
  io_channel left;
  {
    auto second = must(sio::thread::create("second"));
    run_on(second, [&] { left = must(disk.channel()); });
    EXPECT_NE(left.native_handle(), nullptr);
  }
  EXPECT_EQ(left.native_handle(), nullptr);
  EXPECT_EQ(left.block_size(), 512u);
  EXPECT_FALSE(disk.closed());
  EXPECT_EQ(failure_of(left.read(buffer, 0)),
            "read of 512 bytes at 0 from m0: the channel belongs to another thread (take one with "
            "bdev_desc::channel() on the thread that does the I/O)");
  must(run(disk.read(buffer, 0)));
}

TEST(io_channel, dropped_on_another_os_thread) {
  auto disk = open_malloc("m0");
  auto buffer = must(sio::dma_buffer::zeroed(512));
  auto channel = must(disk.channel());
  disk = sio::bdev_desc();
  must(run(channel.read(buffer, 0)));  // it keeps the device open
  std::thread([c = std::move(channel)]() mutable { c = io_channel(); }).join();
  must(run(sio::delete_bdev("m0")));
}

// Handles of a device may come and go while others of the same device work.
TEST(io_channel, reopening_gives_a_working_channel) {
  open_malloc("m0");
  auto buffer = must(sio::dma_buffer::zeroed(512));
  for (std::uint64_t i = 0; i < 50; ++i) {
    auto disk = must(sio::bdev_desc::open("m0"));
    auto channel = must(disk.channel());
    fill_pattern(buffer.bytes(), i);
    must(run(channel.write(buffer, i * 512)));
    if (i % 3 == 0) main_thread().poll();
  }
  auto disk = must(sio::bdev_desc::open("m0"));
  for (std::uint64_t i = 0; i < 50; ++i) {
    must(run(disk.read(buffer, i * 512)));
    EXPECT_TRUE(has_pattern(buffer.bytes(), i)) << i;
  }
}

}  // namespace
}  // namespace spdk_io_test
