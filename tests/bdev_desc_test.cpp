// SPDX-License-Identifier: BSD-3-Clause
// Open devices: handles, who closes them and when, and what is left when their thread ends.
#include "devices.hpp"
#include "started.hpp"

#include <spdk_io/bdev_desc.hpp>

#include <optional>
#include <thread>

namespace spdk_io_test {
namespace {

using sio::access;
using sio::bdev_desc;

constexpr std::string_view closed_text =
    "the device was closed when the thread that opened it ended";

// Runs f on `t`, an SPDK thread of this OS thread, from its poll().
template <class F>
void run_on(sio::thread& t, F f) {
  bool done = false;
  must(t.ref().send([&] {
    f();
    done = true;
  }));
  EXPECT_FALSE(done);
  while (!done) t.poll();
}

TEST(bdev_desc, open_says_what_is_wrong) {
  auto early = bdev_desc::open("m0");
  ASSERT_FALSE(early);
  EXPECT_TRUE(early.error() == std::errc::operation_not_permitted);
  EXPECT_TRUE(early.error().message().starts_with(
      "open of \"m0\": SPDK's subsystems are not initialised (co_await "))
      << early.error();
  auto disk = open_malloc("m0");
  auto unknown = bdev_desc::open("nope");
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error() == std::errc::no_such_device);
  EXPECT_EQ(unknown.error().what(), sio::operation_kind::open_bdev);
  EXPECT_EQ(unknown.error().message(), "open of \"nope\": no such device (known: m0)");
  EXPECT_FALSE(bdev_desc::open(""));
  EXPECT_FALSE(bdev_desc::open(std::string_view("m0\0x", 4)));
  std::string text;
  std::thread([&] { text = message_of(bdev_desc::open("m0")); }).join();
  EXPECT_EQ(text,
            "open of \"m0\": no SPDK thread is attached here (call spdk_io::thread::attach() "
            "first)");
}

TEST(bdev_desc, names_of_devices_that_are_not_there_are_not_kept) {
  auto disk = open_malloc("m0");
  const auto before = sio::intern_device_name("one");
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(bdev_desc::open("nope" + std::to_string(i)));
  EXPECT_EQ(sio::intern_device_name("two"), before + 1);
}

TEST(bdev_desc, read_only_and_read_write) {
  auto writable = open_malloc("m0");
  auto readable = must(bdev_desc::open("m0", access::read_only));
  EXPECT_EQ(writable.mode(), access::read_write);
  EXPECT_EQ(readable.mode(), access::read_only);
  EXPECT_EQ(readable.bdev().name(), "m0");
  auto buffer = must(sio::dma_buffer::zeroed(512));
  fill_pattern(buffer.bytes(), 1);
  EXPECT_TRUE(run(readable.write(buffer, 0)).error() == std::errc::bad_file_descriptor);
  must(run(writable.write(buffer, 0)));
  std::ranges::fill(buffer, std::byte{0});
  must(run(readable.read(buffer, 0)));
  EXPECT_TRUE(has_pattern(buffer.bytes(), 1));
}

TEST(bdev_desc, a_claimed_device_opens_read_only) {
  auto configured = run(sio::init_subsystems(
      R"({"subsystems":[{"subsystem":"bdev","config":[)"
      R"({"method":"bdev_malloc_create","params":{"name":"m0","num_blocks":64,"block_size":512}},)"
      R"({"method":"bdev_passthru_create","params":{"name":"p0","base_bdev_name":"m0"}}]}]})"));
  ASSERT_TRUE(configured) << message_of(configured);
  auto r = bdev_desc::open("m0");
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::operation_not_permitted);
  EXPECT_EQ(r.error().message(),
            "open of \"m0\": claimed by a module of SPDK (open it with access::read_only)");
  EXPECT_TRUE(bdev_desc::open("m0", access::read_only));
  EXPECT_TRUE(bdev_desc::open("p0"));
}

TEST(bdev_desc, copies_share_one_descriptor) {
  auto disk = open_malloc("m0");
  bdev_desc copy = disk;
  EXPECT_EQ(copy.native_handle(), disk.native_handle());
  EXPECT_NE(must(bdev_desc::open("m0")).native_handle(), disk.native_handle());
  deletion gone("m0");
  disk = bdev_desc();
  EXPECT_TRUE(gone.still_waits());
  bdev_desc moved = std::move(copy);
  EXPECT_TRUE(gone.still_waits());
  auto self = &moved;
  moved = *self;
  EXPECT_TRUE(gone.still_waits());
  EXPECT_FALSE(moved.closed());
  moved = bdev_desc();
  EXPECT_FALSE(gone.done());  // it is closed when the thread is polled
  gone.wait();
}

TEST(bdev_desc, an_empty_handle_fails_clearly) {
  bdev_desc empty;
  EXPECT_TRUE(empty.closed());
  EXPECT_FALSE(empty.removed());
  EXPECT_EQ(empty.native_handle(), nullptr);
  EXPECT_EQ(empty.mode(), access::read_only);
  EXPECT_EQ(message_of(empty.channel()),
            "I/O channel: the handle is empty (moved from, or never opened)");
  auto buffer = must(sio::dma_buffer::zeroed(512));
  auto r = run(empty.read(buffer, 4096));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::bad_file_descriptor);
  EXPECT_EQ(r.error().message(),
            "read of 512 bytes at 4096: the handle is empty (moved from, or never opened)");
  auto disk = open_malloc("m0");
  auto taken = std::move(disk);
  EXPECT_TRUE(disk.closed());  // NOLINT(bugprone-use-after-move)
  EXPECT_FALSE(run(disk.write(buffer, 0)));
  must(run(taken.write(buffer, 0)));
}

TEST(bdev_desc, dropped_on_another_os_thread) {
  auto disk = open_malloc("m0");
  auto channel = must(disk.channel());
  auto buffer = must(sio::dma_buffer::zeroed(512));
  must(run(channel.read(buffer, 0)));
  deletion gone("m0");
  EXPECT_TRUE(gone.still_waits());
  // One that knows nothing of SPDK.
  std::thread([d = std::move(disk), c = std::move(channel)]() mutable {
    d = bdev_desc();
    c = sio::io_channel();
  }).join();
  EXPECT_FALSE(gone.done());  // closed on the thread that opened it, when that is polled
  gone.wait();
}

// As it is right after open(): no channel that has to be given back first.
TEST(bdev_desc, dropped_on_another_os_thread_before_any_use) {
  auto disk = open_malloc("m0");
  deletion gone("m0");
  EXPECT_TRUE(gone.still_waits());
  std::thread([d = std::move(disk)]() mutable { d = bdev_desc(); }).join();
  EXPECT_FALSE(gone.done());  // closed on the thread that opened it, when that is polled
  gone.wait();
}

TEST(bdev_desc, one_channel_for_each_thread) {
  auto disk = open_malloc("m0");
  auto first = must(disk.channel());
  auto again = must(disk.channel());
  ASSERT_NE(first.native_handle(), nullptr);
  EXPECT_EQ(first.native_handle(), again.native_handle());
  auto second = must(sio::thread::create("second"));
  run_on(second, [&] {
    auto there = must(disk.channel());
    EXPECT_NE(there.native_handle(), first.native_handle());
    EXPECT_EQ(there.native_handle(), must(disk.channel()).native_handle());
  });
}

// All handles are gone, and still the device stays open for what is under way.
TEST(bdev_desc, io_in_flight_keeps_it_open) {
  auto disk = open_malloc("m0");
  auto buffer = must(sio::dma_buffer::zeroed(512));
  auto channel = must(disk.channel());
  std::vector<std::string> done;
  sio::start(disk.read(buffer, 0), [&](auto r) { done.push_back(message_of(r)); });
  sio::start(channel.read(buffer, 512), [&](auto r) { done.push_back(message_of(r)); });
  disk = bdev_desc();
  channel = sio::io_channel();
  EXPECT_TRUE(done.empty());
  poll_until([&] { return done.size() == 2; });
  EXPECT_EQ(done, (std::vector<std::string>{"success", "success"}));
  must(run(sio::delete_bdev("m0")));
}

TEST(bdev_desc, io_that_takes_long_keeps_it_open) {
  auto disk = open_delay();
  auto channel = must(disk.channel());
  auto buffer = must(sio::dma_buffer::zeroed(512));
  sio::local_stop_source stop;
  started reading(sio::with_stop_token(stop.get_token(), channel.read(buffer, 512)));
  disk = bdev_desc();
  channel = sio::io_channel();
  deletion gone("d0");
  poll_times(100);
  EXPECT_FALSE(gone.done());
  EXPECT_FALSE(reading.done());
  stop.request_stop();
  gone.wait();
  ASSERT_TRUE(reading.done());
  EXPECT_EQ(reading.take().error(), std::errc::operation_canceled);
}

TEST(bdev_desc, removed_is_seen_by_every_handle) {
  auto disk = open_malloc("m0");
  auto other = must(bdev_desc::open("m0", access::read_only));
  auto copy = disk;
  EXPECT_FALSE(disk.removed() || other.removed() || copy.removed());
  deletion gone("m0");
  poll_until([&] { return disk.removed() && other.removed() && copy.removed(); });
  EXPECT_FALSE(disk.closed());
  EXPECT_FALSE(gone.done());
  disk = other = copy = bdev_desc();
  gone.wait();
}

TEST(bdev_desc, when_the_opening_thread_ends_the_others_get_errors) {
  open_malloc("m0");
  bdev_desc disk;
  sio::io_channel untouched;
  auto buffer = must(sio::dma_buffer::zeroed(512));
  {
    auto second = must(sio::thread::create("second"));
    run_on(second, [&] { disk = must(bdev_desc::open("m0")); });
    untouched = must(disk.channel());
    must(run(disk.read(buffer, 0)));
    must(run(untouched.read(buffer, 0)));
    EXPECT_FALSE(disk.closed());
  }
  EXPECT_TRUE(disk.closed());
  EXPECT_EQ(disk.native_handle(), nullptr);
  EXPECT_EQ(untouched.native_handle(), nullptr);
  for (int round = 0; round < 2; ++round) {
    auto by_desc = run(disk.write(buffer, 1024));
    ASSERT_FALSE(by_desc);
    EXPECT_TRUE(by_desc.error() == std::errc::no_such_device);
    EXPECT_EQ(by_desc.error().message(),
              "write of 512 bytes at 1024 to m0: " + std::string(closed_text));
    auto by_channel = run(untouched.read_blocks(buffer, 2, 1));
    ASSERT_FALSE(by_channel);
    EXPECT_TRUE(by_channel.error() == std::errc::no_such_device);
    EXPECT_EQ(by_channel.error().message(),
              "read of 512 bytes at 1024 from m0: " + std::string(closed_text));
    EXPECT_EQ(message_of(run(disk.read_blocks(buffer, 2, 1))),
              "read of 512 bytes at 1024 from m0: " + std::string(closed_text));
    EXPECT_EQ(message_of(disk.channel()), "I/O channel on m0: " + std::string(closed_text));
    auto copy = disk;
    EXPECT_TRUE(copy.closed());
  }
  must(run(sio::delete_bdev("m0")));
}

// Handles and channels, of a thread that is gone, dropped on OS threads that know nothing of SPDK.
TEST(bdev_desc, dropped_when_the_opening_thread_is_gone) {
  open_malloc("m0");
  bdev_desc disk;
  std::vector<sio::io_channel> channels;
  {
    auto second = must(sio::thread::create("second"));
    run_on(second, [&] {
      disk = must(bdev_desc::open("m0"));
      channels.push_back(must(disk.channel()));
    });
    channels.push_back(must(disk.channel()));
  }
  deletion gone("m0");  // nobody holds it
  gone.wait();
  EXPECT_TRUE(disk.closed());
  std::vector<std::thread> droppers;
  for (int i = 0; i < 4; ++i) {
    droppers.emplace_back([d = disk, c = channels]() mutable {
      auto copy = d;
      d = {};
      c.clear();
    });
  }
  disk = {};
  channels.clear();
  for (auto& each : droppers) each.join();
  open_malloc("m0");
}

// The last handle goes on one OS thread while the opening thread ends on another.
TEST(bdev_desc, dropped_while_the_opening_thread_ends) {
  for (int round = 0; round < 20; ++round) {
    must(run(sio::create_bdev(sio::null_bdev{.name = "n0", .size = 1 << 20})));
    bdev_desc disk;
    std::atomic<bool> open = false;
    auto other = must(sio::thread::spawn("other", [&](sio::thread&) -> sio::task<void> {
      disk = must(bdev_desc::open("n0"));
      must(disk.channel());
      open = true;
      co_return;
    }));
    poll_until([&] { return open.load(); });
    must(disk.channel());
    std::thread dropper([d = std::move(disk)]() mutable { d = {}; });
    other.request_stop();
    sio::task_scope deletion;
    deletion.spawn(sio::delete_bdev("n0"));
    poll_until([&] { return deletion.running() == 0; });
    dropper.join();
    other.join();
  }
}

// The thread that opened it goes while another one has I/O in flight: that completes first.
TEST(bdev_desc, the_opening_thread_waits_for_io_of_others) {
  open_malloc("m0");
  bdev_desc disk;
  auto buffer = must(sio::dma_buffer::zeroed(512));
  std::optional<sio::thread> second = must(sio::thread::create("second"));
  run_on(*second, [&] { disk = must(bdev_desc::open("m0")); });
  std::string text;
  sio::start(disk.read(buffer, 0), [&](auto r) { text = message_of(r); });
  EXPECT_EQ(main_thread().statistics().io_in_flight, 1u);
  second.reset();
  EXPECT_TRUE(disk.closed());
  EXPECT_EQ(main_thread().statistics().io_in_flight, 0u);
  EXPECT_EQ(text, "");  // completed, but nobody resumed it inside that destructor
  poll_until([&] { return !text.empty(); });
  EXPECT_EQ(text, "success");
}

TEST(bdev_desc, on_two_os_threads_at_once) {
  auto disk = open_malloc("m0");
  std::atomic<bool> done = false;
  auto other = must(sio::thread::spawn("other", [&, disk](sio::thread&) -> sio::task<void> {
    auto buffer = must(sio::dma_buffer::zeroed(4096));
    for (std::uint64_t i = 0; i < 200; ++i) {
      fill_pattern(buffer.bytes(), i);
      auto wrote = co_await disk.write(buffer, 512 << 10);
      EXPECT_TRUE(wrote) << message_of(wrote);
      std::ranges::fill(buffer, std::byte{0});
      auto read = co_await disk.read(buffer, 512 << 10);
      EXPECT_TRUE(read) << message_of(read);
      EXPECT_TRUE(has_pattern(buffer.bytes(), i));
    }
    done = true;
  }));
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  for (std::uint64_t i = 0; i < 200; ++i) {
    fill_pattern(buffer.bytes(), 1000 + i);
    must(run(disk.write(buffer, 0)));
    std::ranges::fill(buffer, std::byte{0});
    must(run(disk.read(buffer, 0)));
    ASSERT_TRUE(has_pattern(buffer.bytes(), 1000 + i));
  }
  poll_until([&] { return done.load(); });
  // Its channel over there is put by message once the last handle is dropped here.
  deletion gone("m0");
  disk = bdev_desc();
  EXPECT_TRUE(gone.still_waits());  // main of the other thread still holds its copy
  other.join();
  gone.wait();
}

}  // namespace
}  // namespace spdk_io_test
