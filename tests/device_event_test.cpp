// SPDX-License-Identifier: BSD-3-Clause
// Devices that go or grow while they are open: who hears of it, and what becomes of I/O.
#include "devices.hpp"
#include "started.hpp"

#include <spdk_io/resize_bdev.hpp>

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

namespace spdk_io_test {
namespace {

using sio::bdev_desc;
using sio::device_event;
using sio::fault;
using event_kind = sio::device_event::kind;

constexpr std::uint64_t mib = 1 << 20;

using waiting = started<sio::device_event_operation>;
using waiting_with_token = started<decltype(sio::with_stop_token(
    std::declval<sio::local_stop_token>(), std::declval<sio::device_event_operation>()))>;

sio::result<device_event> next(const bdev_desc& disk) { return run(disk.next_event()); }

device_event removed_with(std::uint64_t size) {
  return {.what = event_kind::removed, .size = size, .blocks = size / 512};
}
device_event resized_to(std::uint64_t size) {
  return {.what = event_kind::resized, .size = size, .blocks = size / 512};
}

template <class T>
void expect_failure(const sio::result<T>& r, std::errc code, fault why, std::string_view message) {
  ASSERT_FALSE(r) << "expected: " << message;
  EXPECT_TRUE(r.error() == code) << r.error() << ": " << r.error().error_code();
  EXPECT_EQ(r.error().why(), why);
  EXPECT_EQ(r.error().message(), message);
}

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

TEST(device_event, a_removal_resumes_who_waits) {
  auto disk = open_malloc("d0", mib);
  waiting event(disk.next_event());
  poll_times(100);
  EXPECT_FALSE(event.done());
  deletion gone("d0");
  poll_until([&] { return event.done(); });
  EXPECT_EQ(must(event.take()), removed_with(mib));
  EXPECT_TRUE(disk.removed());
  EXPECT_FALSE(disk.closed());
  EXPECT_TRUE(gone.still_waits());
  disk = {};
  gone.wait();
}

TEST(device_event, a_resize_tells_the_new_size) {
  for_each_kind({kind::null, kind::uring, kind::aio}, [](kind k) {
    temp_folder folder;
    auto disk = open_device(k, folder, "d0", mib);
    auto buffer = must(sio::dma_buffer::zeroed(4096));
    waiting event(disk.next_event());
    EXPECT_FALSE(run(disk.write(buffer, mib)));
    must(run(sio::resize_bdev("d0", 2 * mib)));
    poll_until([&] { return event.done(); });
    EXPECT_EQ(must(event.take()), resized_to(2 * mib));
    EXPECT_EQ(disk.bdev().size(), 2 * mib);
    EXPECT_EQ(disk.bdev().info().block_count, 2 * mib / 512);
    must(run(disk.write(buffer, 2 * mib - 4096)));
    must(run(must(disk.channel()).read(buffer, mib)));
    expect_failure(
        run(disk.read(buffer, 2 * mib)), std::errc::invalid_argument, fault::past_end,
        "read of 4096 bytes at 2097152 from d0: past the end (device has 2097152 bytes)");
    // And again, for the next one.
    waiting second(disk.next_event());
    poll_times(20);
    EXPECT_FALSE(second.done());
    must(run(sio::resize_bdev("d0", 3 * mib)));
    poll_until([&] { return second.done(); });
    EXPECT_EQ(must(second.take()), resized_to(3 * mib));
  });
}

// The size of several changes is the last one, and comes before the removal.
TEST(device_event, what_nobody_waited_for_is_kept) {
  auto disk = open_null("d0", mib);
  must(run(sio::resize_bdev("d0", 2 * mib)));
  must(run(sio::resize_bdev("d0", 3 * mib)));
  poll_times(20);
  deletion gone("d0");
  poll_until([&] { return disk.removed(); });
  EXPECT_EQ(must(next(disk)), resized_to(3 * mib));
  EXPECT_EQ(must(next(disk)), removed_with(3 * mib));
  for (int i = 0; i < 2; ++i) {
    expect_failure(next(disk), std::errc::no_such_device, fault::device_removed,
                   "wait for an event of d0: the device was removed, nothing more will come");
  }
  disk = {};
  gone.wait();
}

TEST(device_event, every_descriptor_has_its_own) {
  auto disk = open_null("d0", mib);
  auto copy = disk;
  auto other = must(bdev_desc::open("d0", sio::access::read_only));
  must(run(sio::resize_bdev("d0", 2 * mib)));
  EXPECT_EQ(must(next(copy)), resized_to(2 * mib));
  EXPECT_EQ(must(next(other)), resized_to(2 * mib));
  waiting event(disk.next_event());  // the copy took it
  waiting there(other.next_event());
  poll_times(100);
  EXPECT_FALSE(event.done() || there.done());
  deletion gone("d0");
  poll_until([&] { return event.done() && there.done(); });
  EXPECT_EQ(must(event.take()), removed_with(2 * mib));
  EXPECT_EQ(must(there.take()), removed_with(2 * mib));
  disk = copy = other = {};
  gone.wait();
}

TEST(device_event, one_waits_at_a_time) {
  auto disk = open_null("d0", mib);
  std::optional<waiting> first(disk.next_event());
  expect_failure(next(disk), std::errc::device_or_resource_busy, fault::events_awaited,
                 "wait for an event of d0: somebody else waits for them already (one at a time)");
  first.reset();
  waiting second(disk.next_event());
  poll_times(10);
  EXPECT_FALSE(second.done());
  must(run(sio::resize_bdev("d0", 2 * mib)));
  poll_until([&] { return second.done(); });
  EXPECT_EQ(must(second.take()), resized_to(2 * mib));
}

TEST(device_event, only_on_the_thread_that_opened_it) {
  auto disk = open_null("d0", mib);
  auto second = must(sio::thread::create("second"));
  run_on(second, [&] {
    waiting there(disk.next_event());
    ASSERT_TRUE(there.done());
    expect_failure(there.take(), std::errc::operation_not_permitted, fault::events_elsewhere,
                   "wait for an event of d0: events come to the thread that opened the device "
                   "(await them there)");
  });
  std::thread([&] {
    waiting there(disk.next_event());
    ASSERT_TRUE(there.done());
    expect_failure(there.take(), std::errc::operation_not_permitted, fault::no_thread,
                   "wait for an event of d0: no SPDK thread is attached here (call "
                   "spdk_io::thread::attach() first)");
  }).join();
  expect_failure(next(bdev_desc()), std::errc::bad_file_descriptor, fault::no_channel,
                 "wait for an event: the handle is empty (moved from, or never opened)");
}

TEST(device_event, waiting_does_not_keep_the_device_open) {
  auto disk = open_null("d0", mib);
  waiting event(disk.next_event());
  auto late = disk.next_event();  // not started yet
  disk = {};
  EXPECT_FALSE(event.done());
  poll_until([&] { return event.done(); });
  expect_failure(event.take(), std::errc::operation_canceled, fault::handles_dropped,
                 "wait for an event of d0: the last handle was dropped, so it is closed");
  must(run(sio::delete_bdev("d0")));
  EXPECT_FALSE(run(std::move(late)));
}

// The last handle goes on an OS thread that knows nothing of SPDK, while I/O keeps it open.
TEST(device_event, the_wait_ends_when_the_last_handle_goes) {
  auto disk = open_malloc("d0", mib);
  auto buffer = must(sio::dma_buffer::zeroed(512));
  auto lent = must(run(must(disk.channel()).zcopy_read(0, 512)));
  waiting event(disk.next_event());
  std::thread([d = std::move(disk)]() mutable { d = {}; }).join();
  EXPECT_FALSE(event.done());
  poll_until([&] { return event.done(); });
  EXPECT_TRUE(event.take().error() == std::errc::operation_canceled);
  deletion gone("d0");
  EXPECT_TRUE(gone.still_waits());
  must(run(lent.release()));
  gone.wait();
}

TEST(device_event, the_wait_ends_with_its_thread) {
  must(run(sio::create_bdev(sio::null_bdev{.name = "d0", .size = mib})));
  bdev_desc disk;
  std::optional<waiting> event;
  {
    auto second = must(sio::thread::create("second"));
    run_on(second, [&] {
      disk = must(bdev_desc::open("d0"));
      event.emplace(disk.next_event());
    });
    EXPECT_FALSE(event->done());
  }
  ASSERT_TRUE(event->done());
  expect_failure(event->take(), std::errc::operation_canceled, fault::thread_exiting,
                 "wait for an event of d0: the thread is exiting");
  expect_failure(next(disk), std::errc::no_such_device, fault::device_closed,
                 "wait for an event of d0: the device was closed when the thread that opened it "
                 "ended");
}

TEST(device_event, destroyed_while_it_waits) {
  auto disk = open_null("d0", mib);
  {
    waiting event(disk.next_event());
    EXPECT_FALSE(event.done());
  }
  must(run(sio::resize_bdev("d0", 2 * mib)));
  EXPECT_EQ(must(next(disk)), resized_to(2 * mib));  // not lost
  // Ready, and not resumed yet.
  std::optional<waiting> event(disk.next_event());
  bool destroyed = false;
  sio::start(sio::sleep_for(std::chrono::nanoseconds(0)), [&](auto) {
    disk.mark_resized();
    auto other = must(sio::thread::create("other"));
    EXPECT_FALSE(event->done());
    event.reset();
    destroyed = true;
  });
  poll_until([&] { return destroyed; });
  poll_times(10);
}

TEST(device_event, a_loop_of_a_watcher) {
  auto disk = open_null("d0", mib);
  std::vector<device_event> seen;
  std::string end;
  auto watch = [&]() -> sio::task<void> {
    while (true) {
      auto event = co_await disk.next_event();
      if (!event) {
        end = event.error().message();
        co_return;
      }
      seen.push_back(*event);
    }
  };
  sio::task_scope scope;
  scope.spawn(watch());
  must(run(sio::resize_bdev("d0", 2 * mib)));
  poll_until([&] { return seen.size() == 1; });
  must(run(sio::resize_bdev("d0", 3 * mib)));
  poll_until([&] { return seen.size() == 2; });
  EXPECT_EQ(end, "");
  deletion gone("d0");
  must(run(scope.join()));
  EXPECT_EQ(seen, (std::vector{resized_to(2 * mib), resized_to(3 * mib), removed_with(3 * mib)}));
  EXPECT_EQ(end, "wait for an event of d0: the device was removed, nothing more will come");
  disk = {};
  gone.wait();
}

TEST(device_event, after_removal_new_io_fails) {
  for_each_kind({kind::malloc, kind::null, kind::uring, kind::aio}, [](kind k) {
    temp_folder folder;
    auto disk = open_device(k, folder, "d0", mib);
    auto channel = must(disk.channel());
    auto buffer = must(sio::dma_buffer::zeroed(4096));
    auto second = must(sio::thread::create("second"));
    std::optional<sio::io_channel> there;
    run_on(second, [&] { there = must(disk.channel()); });
    auto third = must(sio::thread::create("third"));  // no channel yet
    waiting event(disk.next_event());
    must(run(disk.read(buffer, 0)));
    sio::task_scope deletion;
    deletion.spawn(sio::delete_bdev("d0"));
    const auto poll_all_until = [&](auto done) {
      while (!done()) {
        for (sio::thread* each : {&main_thread(), &second, &third}) each->poll();
      }
    };
    // SPDK visits every channel first.
    poll_all_until([&] { return event.done(); });
    constexpr std::string_view text = "read of 4096 bytes at 0 from d0: the device was removed";
    expect_failure(run(disk.read(buffer, 0)), std::errc::no_such_device, fault::device_removed,
                   text);
    expect_failure(run(channel.read_blocks(buffer, 0, 8)), std::errc::no_such_device,
                   fault::device_removed, text);
    expect_failure(run(disk.copy({.from = 0, .to = 4096, .length = 512})),
                   std::errc::no_such_device, fault::device_removed,
                   "copy of 512 bytes from 0 to 4096 on d0: the device was removed");
    expect_failure(run(disk.reset()), std::errc::no_such_device, fault::device_removed,
                   "reset of d0: the device was removed");
    expect_failure(run(sio::device_statistics(disk)), std::errc::no_such_device,
                   fault::device_removed, "statistics on d0: the device was removed");
    expect_failure(sio::channel_statistics(channel), std::errc::no_such_device,
                   fault::device_removed, "statistics on d0: the device was removed");
    for (sio::thread* t : {&second, &third}) {
      expect_failure(sio::block_on(*t, disk.read(buffer, 0)), std::errc::no_such_device,
                     fault::device_removed, text);
    }
    expect_failure(sio::block_on(second, there->read(buffer, 0)), std::errc::no_such_device,
                   fault::device_removed, text);
    run_on(third, [&] {
      expect_failure(disk.channel(), std::errc::no_such_device, fault::device_removed,
                     "I/O channel on d0: the device was removed");
    });
    int polls = 0;
    poll_all_until([&] { return ++polls == 200; });
    EXPECT_EQ(deletion.running(), 1u);
    disk = {};
    channel = {};
    there.reset();
    poll_all_until([&] { return deletion.running() == 0; });
  });
}

// I/O at SPDK when the device is removed has its own result.
TEST(device_event, io_under_way_completes) {
  for_each_kind({kind::malloc, kind::null, kind::uring, kind::aio}, [](kind k) {
    temp_folder folder;
    auto disk = open_device(k, folder, "d0", mib);
    auto buffer = must(sio::dma_buffer::zeroed(4096));
    must(run(disk.read(buffer, 0)));
    disk.mark_removed();
    std::vector<std::string> done;
    // The mark is a message that nobody has read yet.
    sio::start(disk.read(buffer, 0), [&](auto r) { done.push_back(message_of(r)); });
    EXPECT_TRUE(done.empty());
    poll_until([&] { return done.size() == 1; });
    EXPECT_EQ(done.front(), "success");
    EXPECT_FALSE(run(disk.read(buffer, 0)));
    disk = {};
    poll_times(20);
  });
}

TEST(device_event, lent_memory_is_given_back_after_removal) {
  auto disk = open_malloc("d0", mib);
  auto lent = must(run(disk.zcopy_write(0, 512)));
  auto dropped = must(run(disk.zcopy_read(512, 512)));
  waiting event(disk.next_event());
  deletion gone("d0");
  poll_until([&] { return event.done(); });
  expect_failure(run(disk.zcopy_read(0, 512)), std::errc::no_such_device, fault::device_removed,
                 "zcopy for reading of 512 bytes at 0 on d0: the device was removed");
  must(run(lent.commit()));
  disk = {};
  EXPECT_TRUE(gone.still_waits());
  {
    auto end = std::move(dropped);
  }
  gone.wait();
}

TEST(device_event, io_that_waits_for_memory_fails_and_others_keep_their_order) {
  must(init_with_pool(2, 1));
  auto going = open_null("going", mib);
  auto staying = open_null("staying", mib);
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  waiting event(going.next_event());
  std::vector<std::string> order;
  for (int i = 0; i < 12; ++i) {
    const auto& disk = i % 2 == 0 ? going : staying;
    sio::start(disk.read(buffer, 0),
               [&, i](auto r) { order.push_back(std::to_string(i) + " " + message_of(r)); });
  }
  EXPECT_EQ(main_thread().statistics().memory_waits, 10u);
  going.mark_removed();
  EXPECT_TRUE(order.empty());
  poll_until([&] { return order.size() == 12; });
  // In one poll: the two at SPDK complete, and give their memory to the next two.
  std::vector<std::string> kept, failed;
  for (const auto& each : order) {
    (each.ends_with("success") ? kept : failed).push_back(each.substr(0, each.find(' ')));
    if (!each.ends_with("success")) {
      EXPECT_TRUE(each.ends_with(" read of 4096 bytes at 0 from going: the device was removed"))
          << each;
    }
  }
  EXPECT_GE(failed.size(), 3u);
  std::vector<std::string> odd;
  for (const auto& each : kept) {
    if (std::stoi(each) % 2 == 1) odd.push_back(each);
  }
  EXPECT_EQ(odd, (std::vector<std::string>{"1", "3", "5", "7", "9", "11"}));
  EXPECT_TRUE(event.done());
  EXPECT_EQ(main_thread().statistics().io_in_flight, 0u);
  must(run(staying.read(buffer, 0)));
}

// As a program's own event callback does, here from another OS thread.
TEST(device_event, marks_come_from_any_thread) {
  auto disk = open_null("d0", mib);
  waiting event(disk.next_event());
  std::thread([&] { disk.mark_resized(); }).join();
  EXPECT_FALSE(event.done());
  poll_until([&] { return event.done(); });
  EXPECT_EQ(must(event.take()), resized_to(mib));
  std::thread([&] { disk.mark_removed(); }).join();
  EXPECT_TRUE(disk.removed());
  disk.mark_removed();  // twice is once
  disk.mark_resized();  // and nothing comes after it
  EXPECT_EQ(must(next(disk)), removed_with(mib));
  EXPECT_FALSE(next(disk));
  auto buffer = must(sio::dma_buffer::zeroed(512));
  EXPECT_EQ(message_of(run(disk.read(buffer, 0))),
            "read of 512 bytes at 0 from d0: the device was removed");
  // Another descriptor knows nothing of it.
  must(run(must(bdev_desc::open("d0")).read(buffer, 0)));
}

// A message to close and a message about an event, on their way at once.
TEST(device_event, marked_and_dropped) {
  auto disk = open_null("d0", mib);
  must(disk.channel());
  disk.mark_resized();
  disk.mark_removed();
  disk = {};
  poll_times(20);
  must(run(sio::delete_bdev("d0")));
}

TEST(device_event, a_wait_that_is_stopped_ends_at_once_and_loses_no_event) {
  auto disk = open_null("d0", mib);
  sio::local_stop_source stop;
  waiting_with_token event(sio::with_stop_token(stop.get_token(), disk.next_event()));
  poll_times(10);
  EXPECT_FALSE(event.done());
  stop.request_stop();
  EXPECT_FALSE(event.done());  // nobody is resumed inside request_stop()
  main_thread().poll();
  ASSERT_TRUE(event.done());
  expect_failure(event.take(), std::errc::operation_canceled, fault::stopped,
                 "wait for an event of d0: stopped on request");
  expect_failure(run(sio::with_stop_token(stop.get_token(), disk.next_event())),
                 std::errc::operation_canceled, fault::stopped,
                 "wait for an event of d0: stopped on request");
  expect_failure(run(sio::with_timeout(disk.next_event(), std::chrono::nanoseconds(0))),
                 std::errc::timed_out, fault::timed_out, "wait for an event of d0: timed out");
  must(run(sio::resize_bdev("d0", 2 * mib)));
  poll_times(10);
  EXPECT_EQ(must(next(disk)), resized_to(2 * mib));
}

}  // namespace
}  // namespace spdk_io_test
