// SPDX-License-Identifier: BSD-3-Clause
// Events one after another, and the end after the removal.
#include "stream_model.hpp"

#include <spdk_io/device_event_stream.hpp>
#include <spdk_io/for_each.hpp>
#include <spdk_io/resize_bdev.hpp>
#include <spdk_io/stream.hpp>

#include <memory>
#include <vector>

namespace spdk_io_test {
namespace {

using event_kind = sio::device_event::kind;

static_assert(sio::stream<sio::device_event_stream>);

TEST(device_event_stream, ends_after_the_removal) {
  must(run(sio::create_bdev(sio::null_bdev{.name = "n0", .size = 1 << 20})));
  auto disk = must(sio::bdev_desc::open("n0"));
  auto events = disk.events();
  started waiting(events.next());
  poll_times(20);
  EXPECT_FALSE(waiting.done());
  must(run(sio::resize_bdev("n0", 2 << 20)));
  poll_until([&] { return waiting.done(); });
  EXPECT_EQ(must(waiting.take())->size, 2u << 20);
  deletion gone("n0");
  auto last = must(run(events.next()));
  ASSERT_TRUE(last);
  EXPECT_EQ(last->what, event_kind::removed);
  EXPECT_FALSE(must(run(events.next())));
  EXPECT_FALSE(must(run(events.next())));
  disk = {};
  gone.wait();
}

TEST(device_event_stream, in_a_loop) {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20})));
  auto disk = std::make_unique<sio::bdev_desc>(must(sio::bdev_desc::open("m0")));
  std::vector<event_kind> seen;
  started watching(
      sio::for_each(disk->events(), [&](sio::device_event e) { seen.push_back(e.what); }));
  deletion gone("m0");
  poll_until([&] { return watching.done(); });
  must(watching.take());
  EXPECT_EQ(seen, (std::vector{event_kind::removed}));
  disk.reset();
  gone.wait();
}

TEST(device_event_stream, errors_and_stops_are_those_of_next_event) {
  sio::bdev_desc none;
  auto nothing = none.events();
  EXPECT_TRUE(run(nothing.next()).error() == std::errc::bad_file_descriptor);
  auto disk = open_malloc("m0");
  auto events = disk.events();
  sio::local_stop_source stop;
  started waiting(sio::with_stop_token(stop.get_token(), events.next()));
  auto second = run(disk.events().next());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().why(), sio::fault::events_awaited);
  stop.request_stop();
  poll_until([&] { return waiting.done(); });
  EXPECT_TRUE(waiting.take().error() == std::errc::operation_canceled);
  {
    started given_up(events.next());
    EXPECT_FALSE(given_up.done());
  }
  started dropped(events.next());
  disk = {};  // the stream does not keep it open
  poll_until([&] { return dropped.done(); });
  auto r = dropped.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().why(), sio::fault::handles_dropped);
}

}  // namespace
}  // namespace spdk_io_test
