// SPDX-License-Identifier: BSD-3-Clause
// Memory that a device lends: its content, its end in every way, and who waits for it.
#include "devices.hpp"
#include "started.hpp"

#include <optional>
#include <thread>
#include <type_traits>

namespace spdk_io_test {
namespace {

using sio::bdev_desc;
using sio::dma_buffer;
using sio::zcopy_buffer;

static_assert(std::is_nothrow_move_constructible_v<zcopy_buffer>);
static_assert(!std::is_copy_constructible_v<zcopy_buffer>);

std::vector<std::string> listed() {
  std::vector<std::string> out;
  for (const auto& each : main_thread().operations()) out.push_back(each.message());
  return out;
}

class zcopy : public testing::Test {
 protected:
  void SetUp() override {
    disk = open_malloc("m0", 64 << 10);
    buffer = must(dma_buffer::zeroed(64 << 10));
    fill_pattern(buffer.bytes(), 1);
    must(run(disk.write(buffer, 0)));
  }
  void TearDown() override {
    poll_until([] { return main_thread().statistics().io_in_flight == 0; });
    EXPECT_TRUE(main_thread().operations().empty());
  }
  void expect_pattern_at(std::uint64_t offset, std::uint64_t seed) {
    std::ranges::fill(buffer, std::byte{0});
    must(run(disk.read(buffer.first(4096), offset)));
    EXPECT_TRUE(has_pattern(buffer.bytes().first(4096), seed));
  }
  // The device can be closed and deleted: nothing holds it.
  void expect_free() {
    disk = bdev_desc();
    must(run(sio::delete_bdev("m0")));
  }
  static void expect_empty(const zcopy_buffer& z) {
    EXPECT_TRUE(z.empty());
    EXPECT_EQ(z.size(), 0u);
    EXPECT_TRUE(z.parts().empty());
    EXPECT_EQ(z.native_handle(), nullptr);
  }

  bdev_desc disk;
  dma_buffer buffer;
};

TEST_F(zcopy, reads_what_the_device_holds) {
  for (bool in_blocks : {false, true}) {
    auto z = must(run(in_blocks ? disk.zcopy_read_blocks(2, 8) : disk.zcopy_read(1024, 4096)));
    EXPECT_FALSE(z.empty());
    EXPECT_EQ(z.offset(), 1024u);
    EXPECT_EQ(z.size(), 4096u);
    EXPECT_NE(z.native_handle(), nullptr);
    std::size_t at = 1024;
    for (sio::dma_span part : z.parts()) {
      for (std::byte b : part) ASSERT_EQ(b, pattern_byte(1, at++));
    }
    EXPECT_EQ(at, 5120u);
    EXPECT_EQ(listed(), std::vector<std::string>{
                            "zcopy for reading of 4096 bytes at 1024 on m0 (held by the program)"});
    must(run(z.release()));
    expect_empty(z);
    EXPECT_TRUE(listed().empty());
  }
  expect_free();
}

TEST_F(zcopy, writes_what_is_committed) {
  for (bool in_blocks : {false, true}) {
    auto z = must(run(in_blocks ? disk.zcopy_write_blocks(16, 8) : disk.zcopy_write(8192, 4096)));
    std::size_t at = 0;
    for (sio::dma_span part : z.parts()) {
      for (std::byte& b : part) b = pattern_byte(in_blocks ? 8 : 9, at++);
    }
    EXPECT_EQ(at, 4096u);
    must(run(z.commit()));
    expect_empty(z);
    expect_pattern_at(8192, in_blocks ? 8 : 9);
  }
  expect_free();
}

TEST_F(zcopy, ends_once) {
  auto z = must(run(disk.zcopy_read(0, 512)));
  must(run(z.release()));
  for (auto r : {run(z.release()), run(z.commit()), run(zcopy_buffer().release())}) {
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().why(), sio::fault::zcopy_ended);
    EXPECT_TRUE(r.error() == std::errc::invalid_argument);
  }
  EXPECT_EQ(message_of(run(z.commit())),
            "commit of a zcopy: it has ended (committed, released, moved from, or its thread has "
            "ended)");
  expect_free();
}

TEST_F(zcopy, moves) {
  auto a = must(run(disk.zcopy_read(0, 512)));
  const auto* memory = a.parts()[0].data();
  zcopy_buffer b = std::move(a);
  expect_empty(a);
  EXPECT_EQ(b.parts()[0].data(), memory);
  EXPECT_EQ(listed().size(), 1u);
  auto c = must(run(disk.zcopy_read(512, 512)));
  EXPECT_EQ(listed().size(), 2u);
  c = std::move(b);  // what it held is released
  expect_empty(b);
  EXPECT_EQ(c.parts()[0].data(), memory);
  EXPECT_EQ(c.offset(), 0u);
  auto& itself = c;
  c = std::move(itself);
  EXPECT_FALSE(c.empty());
  poll_until([] { return main_thread().statistics().io_in_flight == 0; });
  EXPECT_EQ(listed().size(), 1u);
  c = zcopy_buffer();
  EXPECT_TRUE(listed().empty());
}

TEST_F(zcopy, dropped_it_ends) {
  {
    auto z = must(run(disk.zcopy_write(0, 4096)));
  }
  EXPECT_EQ(main_thread().statistics().io_in_flight, 1u);  // its end, which nobody waits for
  {
    auto z = must(run(disk.zcopy_write(0, 4096)));
    auto unused = z.commit();  // never started
    expect_empty(z);
    EXPECT_EQ(listed().size(), 1u);
  }
  expect_free();
}

TEST_F(zcopy, refusals) {
  auto refused = [](const sio::result<zcopy_buffer>& r, std::errc code, std::string_view text) {
    ASSERT_FALSE(r) << text;
    EXPECT_TRUE(r.error() == code) << text;
    EXPECT_EQ(r.error().message(), text);
  };
  refused(run(disk.zcopy_read(1, 512)), std::errc::invalid_argument,
          "zcopy for reading of 512 bytes at 1 on m0: the offset is not a multiple of the block "
          "size (512 bytes)");
  refused(run(disk.zcopy_write(512, 100)), std::errc::invalid_argument,
          "zcopy for writing of 100 bytes at 512 on m0: the length is not a multiple of the block "
          "size (512 bytes)");
  refused(run(disk.zcopy_read_blocks(127, 2)), std::errc::invalid_argument,
          "zcopy for reading of 1024 bytes at 65024 on m0: past the end (device has 65536 bytes)");
  auto readable = must(bdev_desc::open("m0", sio::access::read_only));
  refused(run(readable.zcopy_read(0, 512)), std::errc::bad_file_descriptor,
          "zcopy for reading of 512 bytes at 0 on m0: the descriptor is read-only (open it with "
          "access::read_write)");
  refused(run(bdev_desc().zcopy_write(0, 512)), std::errc::bad_file_descriptor,
          "zcopy for writing of 512 bytes at 0: the handle is empty (moved from, or never "
          "opened)");
  temp_folder folder;
  for (kind k : {kind::null, kind::uring, kind::aio}) {
    auto other = open_device(k, folder, std::string(to_string(k)));
    refused(run(other.zcopy_read(0, 512)), std::errc::not_supported,
            "zcopy for reading of 512 bytes at 0 on " + std::string(to_string(k)) +
                ": not supported by this device");
  }
  EXPECT_TRUE(listed().empty());
  readable = bdev_desc();
  expect_free();
}

// The handles go, the memory stays; so does the device, until the memory is given back.
TEST_F(zcopy, keeps_the_device_open) {
  auto z = must(run(disk.zcopy_write(0, 4096)));
  disk = bdev_desc();
  started deletion(sio::delete_bdev("m0"));
  poll_times(200);
  EXPECT_FALSE(deletion.done());
  for (sio::dma_span part : z.parts()) std::ranges::fill(part, std::byte{1});
  must(run(z.commit()));
  poll_until([&] { return deletion.done(); });
  must(deletion.take());
}

TEST_F(zcopy, dropped_after_its_handles) {
  std::optional<zcopy_buffer> z = must(run(must(disk.channel()).zcopy_read(0, 4096)));
  disk = bdev_desc();
  started deletion(sio::delete_bdev("m0"));
  poll_times(200);
  EXPECT_FALSE(deletion.done());
  z.reset();
  poll_until([&] { return deletion.done(); });
  must(deletion.take());
}

// ---- destroyed on the way ---------------------------------------------------------------------

TEST_F(zcopy, destroyed_in_flight) {
  for (int polls = 0; polls < 3; ++polls) {
    int resumed = 0;
    auto body = [&]() -> sio::task<void> {
      auto z = co_await disk.zcopy_write(0, 4096);
      ++resumed;
      EXPECT_TRUE(z.has_value());
    };
    started reader(body());
    EXPECT_EQ(listed(),
              std::vector<std::string>{"zcopy for writing of 4096 bytes at 0 on m0 (in flight)"});
    reader.destroy();
    EXPECT_EQ(resumed, 0);
    poll_times(10);
    EXPECT_TRUE(listed().empty());
  }
  expect_free();
}

TEST_F(zcopy, destroyed_when_completed_but_not_resumed) {
  std::optional<started<sio::zcopy_operation>> second;
  bool looked = false;
  // Resumed in the same turn, and before it.
  sio::start(disk.read(buffer.first(512), 0), [&](auto) {
    EXPECT_EQ(listed(),
              std::vector<std::string>{
                  "zcopy for reading of 512 bytes at 0 on m0 (completed, not resumed yet)"});
    second.reset();
    EXPECT_TRUE(listed().empty());
    EXPECT_EQ(main_thread().statistics().io_in_flight, 1u);  // its end
    looked = true;
  });
  second.emplace(disk.zcopy_read(0, 512));
  poll_until([&] { return looked; });
  expect_free();
}

TEST_F(zcopy, destroyed_in_its_end) {
  for (bool commit : {false, true}) {
    auto z = must(run(disk.zcopy_write(0, 4096)));
    for (sio::dma_span part : z.parts()) fill_pattern(part, 5);
    started ending(commit ? z.commit() : z.release());
    EXPECT_EQ(listed().size(), 1u);
    EXPECT_FALSE(ending.done());
    ending.destroy();
    EXPECT_EQ(main_thread().statistics().io_in_flight, 0u);
    if (commit) expect_pattern_at(0, 5);
  }
  expect_free();
}

TEST_F(zcopy, callbacks) {
  std::vector<std::string> seen;
  zcopy_buffer kept;
  sio::start(disk.zcopy_read(0, 512), [&](auto r) {
    seen.push_back(message_of(r));
    kept = must(std::move(r));
  });
  sio::start(disk.zcopy_read(1, 512), [&](auto r) { seen.push_back(r ? "?" : "refused"); });
  EXPECT_TRUE(seen.empty());
  poll_until([&] { return seen.size() == 2; });
  sio::start(kept.release(), [&](auto r) { seen.push_back("end: " + message_of(r)); });
  EXPECT_EQ(seen.size(), 2u);
  poll_until([&] { return seen.size() == 3; });
  EXPECT_EQ(seen[2], "end: success");
}

// ---- its thread ends --------------------------------------------------------------------------

TEST_F(zcopy, its_thread_ends) {
  auto second = std::optional(must(sio::thread::create("second")));
  zcopy_buffer held;
  zcopy_buffer held_too;
  int taken = 0;
  must(second->ref().send([&] {
    sio::start(disk.zcopy_write(0, 512), [&](auto r) {
      held = must(std::move(r));
      ++taken;
    });
    sio::start(disk.zcopy_read(512, 512), [&](auto r) {
      held_too = must(std::move(r));
      ++taken;
    });
  }));
  while (taken < 2) second->poll();
  EXPECT_EQ(second->operations().size(), 2u);
  // Here it is another thread's.
  EXPECT_FALSE(held.empty());
  second.reset();
  expect_empty(held);
  expect_empty(held_too);
  EXPECT_EQ(run(held.commit()).error().why(), sio::fault::zcopy_ended);
  expect_free();
}

// One that a coroutine still uses is not taken away: the thread waits for its I/O, and it commits.
TEST_F(zcopy, its_thread_ends_while_it_is_in_use) {
  auto second = std::optional(must(sio::thread::create("second")));
  std::string result;
  sio::task_scope scope;
  auto body = [&]() -> sio::task<void> {
    auto z = co_await disk.zcopy_write(0, 4096);
    EXPECT_TRUE(z.has_value());
    auto again = co_await disk.read(buffer.first(512), 0);
    EXPECT_TRUE(again.has_value()) << message_of(again);
    for (sio::dma_span part : z->parts()) fill_pattern(part, 6);
    auto r = co_await z->commit();
    result = message_of(r);
  };
  bool reading = false;
  must(second->ref().send([&] { scope.spawn(body()); }));
  while (!reading) {
    second->poll(1);
    for (const auto& each : second->operations()) {
      reading = reading || each.kind == sio::operation_kind::read;
    }
  }
  EXPECT_EQ(result, "");
  second.reset();
  EXPECT_EQ(result, "success");
  expect_pattern_at(0, 6);
}

TEST_F(zcopy, on_another_os_thread_ends_the_program) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  std::optional<zcopy_buffer> z = must(run(disk.zcopy_read(0, 512)));
  EXPECT_DEATH(std::thread([&] { z.reset(); }).join(),
               "spdk-io: a zcopy_buffer was dropped on another OS thread than its own: zcopy for "
               "reading of 512 bytes at 0 on m0");
}

// With one bdev_io for all, the next one waits until it is given back.
TEST(zcopy_without_memory, waits_for_the_one_before) {
  must(init_with_pool(1, 0));
  auto disk = open_malloc("m0");
  auto buffer = must(dma_buffer::zeroed(512));
  auto z = must(run(disk.zcopy_read(0, 512)));
  started reading(disk.read(buffer, 0));
  poll_times(100);
  EXPECT_FALSE(reading.done());
  EXPECT_EQ(listed().size(), 2u);
  must(run(z.release()));
  poll_until([&] { return reading.done(); });
  must(reading.take());
  started next(disk.zcopy_read(0, 512));
  started waiting(disk.zcopy_read(512, 512));
  poll_until([&] { return next.done(); });
  poll_times(100);
  EXPECT_FALSE(waiting.done());
  {
    auto dropped = must(next.take());
  }
  poll_until([&] { return waiting.done(); });
  EXPECT_EQ(must(waiting.take()).offset(), 512u);
}

// The process ends with one in hand; see the fixture's TearDown.
TEST(zcopy_at_the_end_of_the_process, is_released) {
  static zcopy_buffer left;
  auto disk = open_malloc("m0");
  left = must(run(disk.zcopy_write(0, 512)));
  EXPECT_FALSE(left.empty());
}

}  // namespace
}  // namespace spdk_io_test
