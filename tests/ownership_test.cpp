// SPDX-License-Identifier: BSD-3-Clause
// What from_native() takes over from a program that uses SPDK's C API, and what it leaves to it.
#include "devices.hpp"

#include <spdk_io/ownership.hpp>

#include <spdk/bdev.h>
#include <spdk/env.h>
#include <spdk/thread.h>

#include <optional>
#include <thread>

namespace spdk_io_test {
namespace {

using sio::access;
using sio::bdev_desc;
using sio::dma_buffer;
using sio::io_channel;
using sio::ownership;

// The existing program: one device, with SPDK's C API.
struct c_program {
  explicit c_program(const char* device, bool write = true) {
    const int rc = spdk_bdev_open_ext(device, write, on_event, this, &desc);
    EXPECT_EQ(rc, 0);
    channel = spdk_bdev_get_io_channel(desc);
    EXPECT_NE(channel, nullptr);
  }
  void put() { spdk_put_io_channel(std::exchange(channel, nullptr)); }
  void close() { spdk_bdev_close(std::exchange(desc, nullptr)); }

  static void on_event(spdk_bdev_event_type type, spdk_bdev*, void* context) {
    auto& self = *static_cast<c_program*>(context);
    if (type != SPDK_BDEV_EVENT_REMOVE) return;
    ++self.removals;
    if (self.tell) self.tell->mark_removed();
  }

  spdk_bdev_desc* desc = nullptr;
  spdk_io_channel* channel = nullptr;
  int removals = 0;
  bdev_desc* tell = nullptr;
};

// One request of C code, with a callback.
struct c_request {
  static void done(spdk_bdev_io* io, bool success, void* context) {
    auto& self = *static_cast<c_request*>(context);
    self.completed = true;
    self.success = success;
    spdk_bdev_free_io(io);
  }
  void write(c_program& c, dma_buffer& from, std::uint64_t offset) {
    EXPECT_EQ(spdk_bdev_write(c.desc, c.channel, from.data(), offset, from.size(), done, this), 0);
  }
  void read(c_program& c, dma_buffer& into, std::uint64_t offset) {
    EXPECT_EQ(spdk_bdev_read(c.desc, c.channel, into.data(), offset, into.size(), done, this), 0);
  }
  void wait() {
    poll_until([&] { return completed; });
    EXPECT_TRUE(success);
  }
  bool completed = false;
  bool success = false;
};

void create_malloc(std::string_view name) {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = name, .size = 1 << 20, .block_size = 512})));
}

TEST(ownership, an_adopted_descriptor_is_closed_with_the_last_handle) {
  create_malloc("m0");
  c_program c("m0");
  auto disk = must(bdev_desc::from_native(c.desc, ownership::adopt));
  EXPECT_EQ(disk.native_handle(), c.desc);
  EXPECT_EQ(disk.bdev().name(), "m0");
  EXPECT_EQ(disk.mode(), access::read_write);
  auto copy = disk;
  c.put();
  deletion gone("m0");
  disk = bdev_desc();
  EXPECT_TRUE(gone.still_waits());
  copy = bdev_desc();
  EXPECT_FALSE(gone.done());  // closed when the thread is polled
  gone.wait();
  EXPECT_EQ(c.removals, 1);
}

TEST(ownership, a_borrowed_descriptor_stays_open) {
  create_malloc("m0");
  c_program c("m0");
  auto buffer = must(dma_buffer::zeroed(512));
  {
    auto disk = must(bdev_desc::from_native(c.desc, ownership::borrow));
    must(run(disk.write(buffer, 0)));
  }
  poll_times(200);
  c_request after;  // the descriptor still works
  after.read(c, buffer, 0);
  after.wait();
  c.put();
  deletion gone("m0");
  EXPECT_TRUE(gone.still_waits());  // nobody but the program closes it
  c.close();
  gone.wait();
}

// Coroutines and C callbacks on one descriptor and one channel, in flight at the same time.
TEST(ownership, c_callbacks_and_coroutines_share_an_adopted_descriptor) {
  create_malloc("m0");
  c_program c("m0");
  auto disk = must(bdev_desc::from_native(c.desc, ownership::adopt));
  EXPECT_EQ(must(disk.channel()).native_handle(), c.channel);

  constexpr std::uint64_t half = 1 << 19;
  constexpr int slots = 8;
  int coroutines_done = 0;
  auto worker = [&](std::uint64_t slot) -> sio::task<void> {
    auto buffer = must(dma_buffer::zeroed(4096));
    for (std::uint64_t at = slot * 4096; at < half; at += slots * 4096) {
      fill_pattern(buffer.bytes(), at);
      auto wrote = co_await disk.write(buffer, at);
      EXPECT_TRUE(wrote) << message_of(wrote);
    }
    ++coroutines_done;
  };
  sio::task_scope scope;
  for (int slot = 0; slot < slots; ++slot) scope.spawn(worker(static_cast<std::uint64_t>(slot)));

  auto block = must(dma_buffer::zeroed(4096));
  std::uint64_t overlapped = 0;
  for (std::uint64_t at = half; at < 2 * half; at += 4096) {
    fill_pattern(block.bytes(), at);
    c_request request;
    request.write(c, block, at);
    EXPECT_FALSE(request.completed);
    overlapped += main_thread().statistics().io_in_flight > 0;
    request.wait();
  }
  must(run(scope.join()));
  EXPECT_EQ(coroutines_done, slots);
  EXPECT_GT(overlapped, 0u);

  // Each reads what the other wrote.
  for (std::uint64_t at = 0; at < 2 * half; at += 4096) {
    std::ranges::fill(block, std::byte{0});
    if (at < half) {
      c_request request;
      request.read(c, block, at);
      request.wait();
    } else {
      must(run(disk.read(block, at)));
    }
    ASSERT_TRUE(has_pattern(block.bytes(), at)) << at;
  }
  c.put();
}

// C code that takes every bdev_io there is makes the library's operations wait, not fail.
TEST(ownership, a_coroutine_waits_for_memory_that_c_code_holds) {
  must(init_with_pool(4, 1));
  create_malloc("m0");
  c_program c("m0");
  auto disk = must(bdev_desc::from_native(c.desc, ownership::adopt));
  auto buffer = must(dma_buffer::zeroed(512));
  std::vector<std::unique_ptr<c_request>> requests;
  for (;;) {
    auto next = std::make_unique<c_request>();
    int rc = spdk_bdev_read(c.desc, c.channel, buffer.data(), 0, 512, c_request::done, next.get());
    if (rc != 0) {
      EXPECT_EQ(rc, -ENOMEM);
      break;
    }
    requests.push_back(std::move(next));
  }
  EXPECT_GT(requests.size(), 0u);
  auto other = must(dma_buffer::zeroed(512));
  must(run(disk.read(other, 512)));
  EXPECT_EQ(main_thread().statistics().memory_waits, 1u);
  poll_until([&] { return std::ranges::all_of(requests, &c_request::completed); });
  c.put();
}

TEST(ownership, the_mode_is_what_the_program_says) {
  create_malloc("m0");
  c_program c("m0", false);
  auto disk = must(bdev_desc::from_native(c.desc, ownership::adopt, access::read_only));
  EXPECT_EQ(disk.mode(), access::read_only);
  auto buffer = must(dma_buffer::zeroed(512));
  must(run(disk.read(buffer, 0)));
  EXPECT_EQ(message_of(run(disk.write(buffer, 0))),
            "write of 512 bytes at 0 to m0: the descriptor is read-only (open it with "
            "access::read_write)");
  c.put();
}

TEST(ownership, a_descriptor_that_cannot_be_taken) {
  auto null = bdev_desc::from_native(nullptr, ownership::borrow);
  ASSERT_FALSE(null);
  EXPECT_TRUE(null.error() == std::errc::invalid_argument);
  EXPECT_EQ(message_of(null), "descriptor from SPDK's C API: it is null");
  create_malloc("m0");
  c_program c("m0");
  std::string elsewhere;
  std::thread([&] {
    elsewhere = message_of(bdev_desc::from_native(c.desc, ownership::adopt));
  }).join();
  EXPECT_EQ(elsewhere,
            "descriptor from SPDK's C API: no SPDK thread is attached here (call "
            "spdk_io::thread::attach() first)");
  auto disk = must(bdev_desc::from_native(c.desc, ownership::adopt));
  auto twice = bdev_desc::from_native(c.desc, ownership::adopt);
  ASSERT_FALSE(twice);
  EXPECT_TRUE(twice.error() == std::errc::invalid_argument);
  EXPECT_EQ(message_of(twice),
            "descriptor from SPDK's C API: it is the library's already (copy that bdev_desc, or "
            "borrow it)");
  EXPECT_TRUE(bdev_desc::from_native(c.desc, ownership::borrow));
  c.put();
}

TEST(ownership, released_descriptors_are_the_programs_again) {
  create_malloc("m0");
  c_program c("m0");
  auto buffer = must(dma_buffer::zeroed(512));
  {
    auto disk = must(bdev_desc::from_native(c.desc, ownership::adopt));
    EXPECT_EQ(must(disk.release()), c.desc);
    must(run(disk.read(buffer, 0)));                                 // as a borrowed one
    EXPECT_TRUE(bdev_desc::from_native(c.desc, ownership::borrow));  // which may be had twice
    EXPECT_EQ(must(disk.release()), c.desc);
  }
  c.put();
  deletion gone("m0");
  EXPECT_TRUE(gone.still_waits());
  c.close();
  gone.wait();

  EXPECT_EQ(message_of(bdev_desc().release()),
            "release of the descriptor: the handle is empty (moved from, or never opened)");
  auto own = open_malloc("m1");
  auto refused = own.release();
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error() == std::errc::operation_not_permitted);
  EXPECT_EQ(message_of(refused),
            "release of the descriptor on m1: it was opened with bdev_desc::open(), so that only "
            "the library can close it");
}

TEST(ownership, events_go_to_the_program_which_may_pass_them_on) {
  create_malloc("m0");
  c_program c("m0");
  auto disk = must(bdev_desc::from_native(c.desc, ownership::adopt));
  auto copy = disk;
  c.tell = &disk;
  c.put();
  EXPECT_FALSE(copy.removed());
  deletion gone("m0");
  poll_until([&] { return c.removals == 1; });
  EXPECT_TRUE(copy.removed());
  disk = copy = bdev_desc();
  gone.wait();
}

// The end of the thread closes what was adopted there and lets go of what was borrowed.
TEST(ownership, at_the_end_of_the_thread) {
  create_malloc("m0");
  create_malloc("m1");
  auto buffer = must(dma_buffer::zeroed(512));
  std::optional<c_program> kept;
  bdev_desc adopted;
  bdev_desc borrowed;
  {
    auto second = must(sio::thread::create("second"));
    bool done = false;
    must(second.ref().send([&] {
      c_program taken("m0");
      adopted = must(bdev_desc::from_native(taken.desc, ownership::adopt));
      taken.put();
      done = true;
    }));
    while (!done) second.poll();
    kept.emplace("m1");  // opened by the first thread
    done = false;
    must(second.ref().send([&] {
      borrowed = must(bdev_desc::from_native(kept->desc, ownership::borrow));
      done = true;
    }));
    while (!done) second.poll();
    must(run(adopted.read(buffer, 0)));
    must(run(borrowed.read(buffer, 0)));
  }
  EXPECT_TRUE(adopted.closed());
  must(run(sio::delete_bdev("m0")));
  EXPECT_TRUE(borrowed.closed());
  EXPECT_EQ(message_of(run(borrowed.read(buffer, 0))),
            "read of 512 bytes at 0 from m1: the device was closed when the thread that opened it "
            "ended");
  EXPECT_EQ(borrowed.release().error().code(), std::errc::no_such_device);
  c_request after;
  after.read(*kept, buffer, 0);
  after.wait();
  kept->put();
  kept->close();
  must(run(sio::delete_bdev("m1")));
}

TEST(ownership, an_adopted_channel_is_put) {
  create_malloc("m0");
  c_program c("m0");
  auto disk = must(bdev_desc::from_native(c.desc, ownership::adopt));
  auto channel = must(io_channel::from_native(disk, c.channel, ownership::adopt));
  EXPECT_EQ(channel.native_handle(), c.channel);
  auto buffer = must(dma_buffer::zeroed(512));
  must(run(channel.read(buffer, 0)));
  c_request side_by_side;
  side_by_side.read(c, buffer, 0);  // valid for C code as long as the library keeps it
  side_by_side.wait();
  disk = bdev_desc();
  deletion gone("m0");
  EXPECT_TRUE(gone.still_waits());  // the channel keeps its device open
  channel = io_channel();
  gone.wait();  // would wait for ever for a channel that nobody puts
}

TEST(ownership, a_borrowed_channel_is_left) {
  create_malloc("m0");
  c_program c("m0");
  auto disk = must(bdev_desc::from_native(c.desc, ownership::adopt));
  auto channel = must(io_channel::from_native(disk, c.channel, ownership::borrow));
  EXPECT_EQ(channel.native_handle(), c.channel);
  deletion gone("m0");
  disk = bdev_desc();
  channel = io_channel();
  EXPECT_TRUE(gone.still_waits());
  c.put();
  gone.wait();
}

// The program may put its reference first.
TEST(ownership, a_borrowed_channel_outlives_the_programs_reference) {
  create_malloc("m0");
  c_program c("m0");
  auto disk = must(bdev_desc::from_native(c.desc, ownership::adopt));
  auto channel = must(io_channel::from_native(disk, c.channel, ownership::borrow));
  c.put();
  poll_times(200);
  auto buffer = must(dma_buffer::zeroed(512));
  must(run(channel.read(buffer, 0)));
}

TEST(ownership, a_channel_that_cannot_be_taken) {
  create_malloc("m0");
  c_program c("m0");
  auto disk = must(bdev_desc::from_native(c.desc, ownership::adopt));
  auto other = open_malloc("m1");
  auto text = [](const sio::result<io_channel>& r) { return message_of(r); };
  EXPECT_EQ(text(io_channel::from_native(disk, nullptr, ownership::adopt)),
            "channel from SPDK's C API: it is null");
  auto wrong = io_channel::from_native(other, c.channel, ownership::adopt);
  EXPECT_EQ(text(wrong), "channel from SPDK's C API: it is not a channel of m1");
  EXPECT_TRUE(wrong.error() == std::errc::invalid_argument);
  EXPECT_EQ(text(io_channel::from_native(bdev_desc(), c.channel, ownership::adopt)),
            "I/O channel: the handle is empty (moved from, or never opened)");
  auto second = must(sio::thread::create("second"));
  std::optional<sio::result<io_channel>> there;
  must(second.ref().send(
      [&] { there = io_channel::from_native(disk, c.channel, ownership::adopt); }));
  while (!there) second.poll();
  EXPECT_EQ(text(*there),
            "channel from SPDK's C API: it belongs to SPDK thread \"main\", not to \"second\", "
            "which is current here");
  EXPECT_TRUE(there->error() == std::errc::operation_not_permitted);
  // None of them put it: it still works, and its reference is there to be put.
  auto buffer = must(dma_buffer::zeroed(512));
  c_request request;
  request.read(c, buffer, 0);
  request.wait();
  c.put();
}

TEST(ownership, dma_memory_goes_back_and_forth) {
  void* raw = spdk_dma_zmalloc(8192, 4096, nullptr);
  ASSERT_NE(raw, nullptr);
  auto buffer = dma_buffer::from_native(raw, 8192);
  EXPECT_EQ(buffer.data(), raw);
  EXPECT_EQ(buffer.size(), 8192u);
  auto disk = open_malloc("m0");
  fill_pattern(buffer.bytes(), 3);
  must(run(disk.write(buffer, 0)));
  std::byte* back = buffer.release();
  EXPECT_EQ(back, raw);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.data(), nullptr);
  EXPECT_EQ(buffer.release(), nullptr);
  EXPECT_TRUE(has_pattern({back, 8192}, 3));
  // As a span, for as long as the program keeps it.
  std::ranges::fill(std::span(back, 8192), std::byte{0});
  must(run(disk.read(sio::dma_span::trusted({back, 8192}), 0)));
  EXPECT_TRUE(has_pattern({back, 8192}, 3));
  spdk_dma_free(back);
  EXPECT_TRUE(dma_buffer::from_native(nullptr, 0).empty());
}

// Adopted memory is freed: were it not, this would run out.
TEST(ownership, adopted_memory_is_freed) {
  for (int i = 0; i < 200; ++i) {
    void* raw = spdk_dma_malloc(32 << 20, 4096, nullptr);
    ASSERT_NE(raw, nullptr) << i;
    auto buffer = dma_buffer::from_native(raw, 32 << 20);
  }
}

}  // namespace
}  // namespace spdk_io_test
