// SPDX-License-Identifier: BSD-3-Clause
// Devices on other devices: what is made, what is refused, how they end, and delays.
#include "devices.hpp"
#include "started.hpp"

#include <spdk_io/stacked_bdev_options.hpp>

namespace spdk_io_test {
namespace {

using namespace std::chrono_literals;
using sio::create_bdev;
using sio::delete_bdev;

void make_malloc(std::string_view name, std::uint64_t size = 1 << 20) {
  must(run(create_bdev(sio::malloc_bdev{.name = name, .size = size})));
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& each : sio::list_bdevs()) all.push_back(each.name);
  return all;
}

using strings = std::vector<std::string>;

TEST(stacked_bdev_options, each_kind_comes_and_goes_again) {
  make_malloc("m0");
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(must(run(create_bdev(sio::passthru_bdev{.name = "p0", .base = "m0"}))), "p0");
    EXPECT_EQ(must(sio::bdev::find("p0")).info().module, "passthru");
    must(run(delete_bdev("p0")));
    EXPECT_EQ(must(run(create_bdev(sio::delay_bdev{.name = "d0", .base = "m0"}))), "d0");
    EXPECT_EQ(must(sio::bdev::find("d0")).info().module, "delay");
    must(run(delete_bdev("d0")));
    EXPECT_EQ(must(run(create_bdev(sio::error_bdev{.base = "m0"}))), "EE_m0");
    EXPECT_EQ(must(sio::bdev::find("EE_m0")).info().module, "error");
    must(run(delete_bdev("EE_m0")));
    EXPECT_EQ(must(run(create_bdev(sio::split_bdev{.base = "m0", .count = 2}))),
              (strings{"m0p0", "m0p1"}));
    EXPECT_EQ(must(sio::bdev::find("m0p1")).info().module, "split");
    EXPECT_EQ(must(sio::bdev::find("m0p1")).size(), 1u << 19);
    must(run(delete_bdev("m0p0")));
    EXPECT_EQ(names(), (strings{"m0", "m0p1"}));
    must(run(delete_bdev("m0p1")));
    EXPECT_EQ(names(), strings{"m0"});
  }
}

TEST(stacked_bdev_options, data_passes_through_all_of_them) {
  make_malloc("m0", 4 << 20);
  must(run(create_bdev(sio::passthru_bdev{.name = "p0", .base = "m0"})));
  must(run(create_bdev(sio::delay_bdev{.name = "d0", .base = "p0", .average_write = 1us})));
  must(run(create_bdev(sio::error_bdev{.base = "d0"})));
  auto parts =
      must(run(create_bdev(sio::split_bdev{.base = "EE_d0", .count = 2, .size = 1 << 20})));
  EXPECT_EQ(parts, (strings{"EE_d0p0", "EE_d0p1"}));
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  fill_pattern(buffer, 3);
  {
    auto part = must(sio::bdev_desc::open("EE_d0p1"));
    EXPECT_EQ(part.bdev().size(), 1u << 20);
    must(run(part.write(buffer, 8192)));
  }
  auto below = must(sio::bdev_desc::open("m0", sio::access::read_only));
  std::ranges::fill(buffer, std::byte{0});
  must(run(below.read(buffer, (1 << 20) + 8192)));
  EXPECT_TRUE(has_pattern(buffer.bytes(), 3));
}

// The options are views: they are gone when the task runs.
TEST(stacked_bdev_options, options_are_copied) {
  make_malloc("a base that is too long for the small string");
  auto task = [] {
    std::string name = "a name that is too long for the small string";
    std::string base = "a base that is too long for the small string";
    std::string uuid = "11111111-2222-3333-4444-555555555555";
    auto made = create_bdev(sio::delay_bdev{.name = name, .base = base, .uuid = uuid});
    for (auto* each : {&name, &base, &uuid}) std::ranges::fill(*each, 'x');
    return made;
  }();
  auto name = must(run(std::move(task)));
  EXPECT_EQ(name, "a name that is too long for the small string");
  EXPECT_EQ(must(sio::bdev::find(name)).info().uuid, "11111111-2222-3333-4444-555555555555");
}

TEST(stacked_bdev_options, a_base_that_is_missing_or_taken_is_named) {
  make_malloc("m0");
  auto fails = [](auto options, std::errc code, std::string_view message) {
    auto r = run(create_bdev(options));
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == code) << r.error();
    EXPECT_EQ(r.error().what(), sio::operation_kind::create_bdev);
    EXPECT_EQ(r.error().message(), message);
  };
  const auto missing = std::errc::no_such_device;
  fails(sio::passthru_bdev{.name = "p0", .base = "m1"}, missing,
        "creation of \"p0\" (passthru): base \"m1\": no such device (known: m0)");
  fails(sio::delay_bdev{.name = "d0", .base = "m1"}, missing,
        "creation of \"d0\" (delay): base \"m1\": no such device (known: m0)");
  fails(sio::error_bdev{.base = "m1"}, missing,
        "creation of \"EE_m1\" (error): base \"m1\": no such device (known: m0)");
  fails(sio::split_bdev{.base = "m1"}, missing,
        "creation of \"m1p0…\" (split): base \"m1\": no such device (known: m0)");
  must(run(create_bdev(sio::error_bdev{.base = "m0"})));
  const auto taken = std::errc::device_or_resource_busy;
  const std::string why =
      "base \"m0\": another device is built on it already (claimed by a module of SPDK)";
  fails(sio::passthru_bdev{.name = "p0", .base = "m0"}, taken,
        "creation of \"p0\" (passthru): " + why);
  fails(sio::delay_bdev{.name = "d0", .base = "m0"}, taken, "creation of \"d0\" (delay): " + why);
  fails(sio::split_bdev{.base = "m0"}, taken, "creation of \"m0p0…\" (split): " + why);
  fails(sio::error_bdev{.base = "m0"}, std::errc::file_exists,
        "creation of \"EE_m0\" (error): a device of that name exists already");
  // Nothing was left behind that would come to life, or take the names.
  must(run(delete_bdev("EE_m0")));
  make_malloc("m1");
  EXPECT_EQ(names(), (strings{"m0", "m1"}));
  must(run(create_bdev(sio::passthru_bdev{.name = "p0", .base = "m0"})));
  must(run(create_bdev(sio::delay_bdev{.name = "d0", .base = "m1"})));
}

TEST(stacked_bdev_options, a_taken_or_impossible_name_is_refused) {
  make_malloc("m0");
  make_malloc("m1");
  auto text = [](auto options) { return message_of(run(create_bdev(options))); };
  EXPECT_EQ(text(sio::passthru_bdev{.name = "m1", .base = "m0"}),
            "creation of \"m1\" (passthru): a device of that name exists already");
  EXPECT_EQ(text(sio::delay_bdev{.name = "", .base = "m0"}),
            "creation of \"\" (delay): the name must have 1 to 255 characters and no NUL");
  make_malloc("m0p1");
  EXPECT_EQ(text(sio::split_bdev{.base = "m0", .count = 2}),
            "creation of \"m0p0…\" (split): part 1: a device of that name exists already");
  EXPECT_EQ(names(), (strings{"m0", "m1", "m0p1"}));
  must(run(create_bdev(sio::split_bdev{.base = "m0", .count = 1})));
}

TEST(stacked_bdev_options, impossible_cuts_are_refused) {
  make_malloc("m0", 4 << 20);
  auto text = [](auto options) { return message_of(run(create_bdev(options))); };
  const std::string what = "creation of \"m0p0…\" (split): ";
  EXPECT_EQ(text(sio::split_bdev{.base = "m0", .count = 0}), what + "count is 0");
  EXPECT_EQ(text(sio::split_bdev{.base = "m0", .count = 2, .size = 1000}),
            what + "size 1000 is no multiple of 1 MiB");
  EXPECT_EQ(text(sio::split_bdev{.base = "m0", .count = 5, .size = 1 << 20}),
            what + "5 parts of 1048576 bytes do not fit (the base has 4194304 bytes)");
  EXPECT_EQ(text(sio::split_bdev{.base = "m0", .count = 8193}),
            what + "8193 parts of 512 bytes do not fit (the base has 4194304 bytes)");
  EXPECT_EQ(names(), strings{"m0"});
  EXPECT_EQ(must(run(create_bdev(sio::split_bdev{.base = "m0", .count = 3}))).size(), 3u);
}

TEST(stacked_bdev_options, the_base_is_closed_to_writers) {
  make_malloc("m0");
  must(run(create_bdev(sio::passthru_bdev{.name = "p0", .base = "m0"})));
  auto r = sio::bdev_desc::open("m0");
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::operation_not_permitted);
  EXPECT_TRUE(sio::bdev_desc::open("m0", sio::access::read_only));
  must(run(delete_bdev("p0")));
  EXPECT_TRUE(sio::bdev_desc::open("m0"));
}

TEST(stacked_bdev_options, when_the_base_goes_so_do_they) {
  make_malloc("m0");
  must(run(create_bdev(sio::passthru_bdev{.name = "p0", .base = "m0"})));
  must(run(create_bdev(sio::split_bdev{.base = "p0", .count = 2})));
  auto part = must(sio::bdev_desc::open("p0p1"));
  sio::task_scope scope;
  scope.spawn(delete_bdev("m0"));
  poll_until([&] { return part.removed(); });
  auto buffer = must(sio::dma_buffer::zeroed(512));
  poll_times(200);
  EXPECT_EQ(scope.running(), 1u) << "deleted while a part was open";
  part = sio::bdev_desc();
  must(run(scope.join()));
  EXPECT_EQ(names(), strings{});
  // It comes again with its base, and not once it was deleted.
  make_malloc("m0");
  EXPECT_EQ(names(), (strings{"m0", "p0"}));
  must(run(delete_bdev("p0")));
  must(run(delete_bdev("m0")));
  make_malloc("m0");
  EXPECT_EQ(names(), strings{"m0"});
}

// The deletion of a passthru or delay device is a call of its module, which ends with the device.
TEST(stacked_bdev_options, a_deletion_that_waits_holds_up_nobody) {
  make_malloc("m0");
  must(run(create_bdev(sio::delay_bdev{.name = "d0", .base = "m0"})));
  auto disk = must(sio::bdev_desc::open("d0"));
  sio::task_scope scope;
  scope.spawn(delete_bdev("d0"));
  poll_until([&] { return disk.removed(); });
  auto again = run(delete_bdev("d0"));
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error() == std::errc::device_or_resource_busy) << again.error();
  EXPECT_EQ(again.error().message(), "deletion of \"d0\": it is being deleted already");
  make_malloc("m1");
  must(run(delete_bdev("m1")));
  EXPECT_EQ(scope.running(), 1u);
  disk = sio::bdev_desc();
  must(run(scope.join()));
  EXPECT_EQ(names(), strings{"m0"});
}

// --- delays ---

TEST(stacked_bdev_options, a_delayed_read_is_not_yet_there_and_then_it_is) {
  make_malloc("m0");
  must(run(create_bdev(
      sio::delay_bdev{.name = "d0", .base = "m0", .average_read = 24h, .average_write = 0us})));
  auto disk = must(sio::bdev_desc::open("d0"));
  auto buffer = must(sio::dma_buffer::zeroed(512));
  auto other = must(sio::dma_buffer::zeroed(512));
  must(run(disk.write(other, 0)));
  {
    started late(disk.read(buffer, 0));
    poll_times(2000);
    EXPECT_FALSE(late.done());
    must(run(disk.reset()));
    poll_until([&] { return late.done(); });
    auto r = late.take();
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::operation_canceled) << r.error();
  }
  must(run(sio::set_delay("d0", {.average_read = 2ms, .p99_read = 2ms})));
  started soon(disk.read(buffer, 0));
  main_thread().poll();
  main_thread().poll();
  EXPECT_FALSE(soon.done());
  poll_until([&] { return soon.done(); });
  EXPECT_TRUE(soon.take());
}

TEST(stacked_bdev_options, only_what_was_set_changes) {
  make_malloc("m0");
  must(run(create_bdev(sio::delay_bdev{.name = "d0", .base = "m0", .average_read = 24h})));
  must(run(sio::set_delay("d0", {.average_write = 24h, .p99_write = 24h})));
  auto disk = must(sio::bdev_desc::open("d0"));
  auto buffer = must(sio::dma_buffer::zeroed(512));
  auto other = must(sio::dma_buffer::zeroed(512));
  started read(disk.read(buffer, 0));
  started write(disk.write(other, 0));
  poll_times(2000);
  EXPECT_FALSE(read.done() || write.done());
  must(run(disk.reset()));
  poll_until([&] { return read.done() && write.done(); });
}

TEST(stacked_bdev_options, impossible_delays_are_refused) {
  make_malloc("m0");
  auto text = [](const sio::delay_bdev& options) { return message_of(run(create_bdev(options))); };
  const std::string what = "creation of \"d0\" (delay): ";
  EXPECT_EQ(text({.name = "d0", .base = "m0", .average_read = 2us, .p99_read = 1us}),
            what + "p99_read is less than average_read");
  EXPECT_EQ(text({.name = "d0", .base = "m0", .average_write = 2us, .p99_write = 1us}),
            what + "p99_write is less than average_write");
  EXPECT_EQ(text({.name = "d0", .base = "m0", .average_write = -1us}),
            what + "a latency is negative");
  must(run(create_bdev(sio::delay_bdev{.name = "d0", .base = "m0"})));
  auto set = [](std::string_view name, sio::delay_latencies l) {
    return run(sio::set_delay(name, l));
  };
  EXPECT_EQ(message_of(set("d0", {.p99_read = -1us})),
            "latencies of \"d0\": a latency is negative");
  auto missing = set("d1", {.p99_read = 1us});
  ASSERT_FALSE(missing);
  EXPECT_TRUE(missing.error() == std::errc::no_such_device);
  EXPECT_EQ(missing.error().message(), "latencies of \"d1\": no such device (known: m0, d0)");
  auto other = set("m0", {.p99_read = 1us});
  ASSERT_FALSE(other);
  EXPECT_TRUE(other.error() == std::errc::not_supported);
  EXPECT_EQ(other.error().what(), sio::operation_kind::change_bdev);
  EXPECT_EQ(other.error().message(),
            "latencies of \"m0\": it is not a delay device (create_bdev(delay_bdev{…}) makes one)");
}

TEST(stacked_bdev_options, many_at_once_take_turns) {
  sio::task_scope scope;
  for (int i = 0; i < 8; ++i) make_malloc("m" + std::to_string(i));
  for (int i = 0; i < 8; ++i) {
    const std::string name = "d" + std::to_string(i), base = "m" + std::to_string(i);
    scope.spawn(create_bdev(sio::delay_bdev{.name = name, .base = base, .average_read = 1us}));
  }
  must(run(scope.join()));
  EXPECT_EQ(sio::list_bdevs().size(), 16u);
  // Of two for the same base one is refused, and told so.
  sio::result<std::string> first, second;
  auto both = [&]() -> sio::task<void> {
    auto all = co_await sio::when_all(create_bdev(sio::passthru_bdev{.name = "p", .base = "d0"}),
                                      create_bdev(sio::passthru_bdev{.name = "q", .base = "d0"}));
    first = std::get<0>(all);
    second = std::get<1>(all);
  };
  run(both());
  EXPECT_TRUE(first) << message_of(first);
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error() == std::errc::device_or_resource_busy) << second.error();
}

}  // namespace
}  // namespace spdk_io_test
