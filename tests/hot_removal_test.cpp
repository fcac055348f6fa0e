// SPDX-License-Identifier: BSD-3-Clause
// Devices that are removed while two threads do I/O on them: every I/O ends, with success or with
// the error that says so, and the device goes once its handles are dropped.
#include "devices.hpp"

#include <spdk_io/stacked_bdev_options.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <optional>

namespace spdk_io_test {
namespace {

using sio::dma_span;
using sio::io_channel;
using sio::operation_kind;

constexpr std::size_t depth = 32;
constexpr std::size_t block = 512;
constexpr std::uint64_t device_size = 1 << 20;

// A device to do I/O on, and the one that is deleted: it, or the one below.
struct stack {
  std::string_view label;
  std::string_view device;
  std::string_view deleted;
  void (*create)(const temp_folder&);
};
void PrintTo(const stack& s, std::ostream* out) { *out << s.label; }

void create_file(kind k, const temp_folder& folder) { create_device(k, folder, "d0", device_size); }
void create_malloc(const temp_folder& folder) { create_file(kind::malloc, folder); }
void create_null(const temp_folder& folder) { create_file(kind::null, folder); }
void create_uring(const temp_folder& folder) { create_file(kind::uring, folder); }
void create_aio(const temp_folder& folder) { create_file(kind::aio, folder); }
void create_delay(const temp_folder& folder) {
  constexpr std::chrono::microseconds later(20);
  create_malloc(folder);
  // SPDK makes it anew for a base that comes back.
  if (sio::bdev::find("slow")) return;
  must(run(sio::create_bdev(sio::delay_bdev{.name = "slow",
                                            .base = "d0",
                                            .average_read = later,
                                            .p99_read = later,
                                            .average_write = later,
                                            .p99_write = later})));
}
void create_error(const temp_folder& folder) {
  create_malloc(folder);
  must(run(sio::create_bdev(sio::error_bdev{.base = "d0"})));
}

// What became of the I/O of one thread. Counters may be read by the other one meanwhile.
struct tally {
  std::uint64_t first = 0;  // where it reads and writes: half of the device, bytes
  std::atomic<std::size_t> succeeded = 0;
  std::atomic<std::size_t> refused = 0;
  std::atomic<bool> ended = false;
  std::vector<std::string> others;
};

// Reads and writes one after the other, until the device says that it is gone.
sio::task<void> one_after_the_other(const io_channel& channel, dma_span buffer, std::size_t self,
                                    std::string_view device, tally& out) {
  for (std::size_t i = self;; ++i) {
    const std::uint64_t at = out.first + i * 7 % (device_size / 2 / block) * block;
    const bool reads = i % 2 == 0;
    sio::result<void> r;
    if (reads) {
      r = co_await channel.read(buffer, at);
    } else {
      r = co_await channel.write(buffer, at);
    }
    if (r) {
      ++out.succeeded;
      continue;
    }
    const std::string text = (reads ? "read of 512 bytes at " : "write of 512 bytes at ") +
                             std::to_string(at) + (reads ? " from " : " to ") +
                             std::string(device) + ": the device was removed";
    if (r.error() == std::errc::no_such_device && r.error().message() == text) {
      ++out.refused;
    } else {
      out.others.push_back(r.error().message());
    }
    co_return;
  }
}

// As much of that at once as `depth` says, on the thread where it runs.
sio::task<void> load(const sio::bdev_desc& disk, std::string_view device, tally& out) {
  auto channel = must(disk.channel());
  auto memory = must(sio::dma_buffer::zeroed(depth * block));
  sio::task_scope scope;
  for (std::size_t i = 0; i < depth; ++i) {
    scope.spawn(one_after_the_other(channel, memory.subspan(i * block, block), i, device, out));
  }
  auto joined = co_await scope.join();
  EXPECT_TRUE(joined) << message_of(joined);
  out.ended = true;
}

// The device under load by two threads, one of them the main one. `poll` polls those of this OS
// thread.
template <class Poll>
void remove_under_load(const stack& s, sio::bdev_desc& disk, std::array<tally, 2>& tallies,
                       Poll poll) {
  for (const tally& each : tallies) {
    while (each.succeeded < 10 * depth) poll();
    EXPECT_EQ(each.refused, 0u);
  }
  bool told = false;
  auto watch = [&]() -> sio::task<void> {
    auto event = co_await disk.next_event();
    EXPECT_TRUE(event) << message_of(event);
    told = event && event->what == sio::device_event::kind::removed;
  };
  sio::task_scope watching;
  watching.spawn(watch());
  sio::task_scope deletion;
  deletion.spawn(sio::delete_bdev(s.deleted));
  EXPECT_FALSE(told);
  for (const tally& each : tallies) {
    while (!each.ended) poll();
    EXPECT_EQ(each.refused, depth);
    EXPECT_TRUE(each.others.empty()) << each.others.size() << ", the first: " << each.others[0];
  }
  EXPECT_TRUE(told);
  for (int i = 0; i < 200; ++i) poll();
  EXPECT_EQ(deletion.running(), 1u);
  disk = {};
  while (deletion.running() > 0) poll();
  must(run(deletion.join()));
}

class hot_removal : public testing::TestWithParam<stack> {
 protected:
  // Twice: the second one has the names of the first.
  template <class Round>
  void twice(Round round) {
    for (int i = 0; i < 2; ++i) {
      temp_folder folder;
      GetParam().create(folder);
      round(must(sio::bdev_desc::open(GetParam().device)));
      for (const auto& left : sio::list_bdevs()) must(run(sio::delete_bdev(left.name)));
    }
  }
};

TEST_P(hot_removal, on_two_os_threads) {
  twice([](sio::bdev_desc disk) {
    std::array<tally, 2> tallies;
    tallies[1].first = device_size / 2;
    auto other = must(sio::thread::spawn("other", [&](sio::thread&) -> sio::task<void> {
      co_await load(disk, GetParam().device, tallies[1]);
    }));
    sio::task_scope here;
    here.spawn(load(disk, GetParam().device, tallies[0]));
    remove_under_load(GetParam(), disk, tallies, [] { main_thread().poll(); });
    other.join();
  });
}

TEST_P(hot_removal, on_two_threads_of_one_os_thread) {
  twice([](sio::bdev_desc disk) {
    std::array<tally, 2> tallies;
    tallies[1].first = device_size / 2;
    auto second = must(sio::thread::create("second"));
    sio::task_scope both;
    must(second.ref().send([&] { both.spawn(load(disk, GetParam().device, tallies[1])); }));
    both.spawn(load(disk, GetParam().device, tallies[0]));
    remove_under_load(GetParam(), disk, tallies, [&] {
      main_thread().poll();
      second.poll();
    });
  });
}

INSTANTIATE_TEST_SUITE_P(, hot_removal,
                         testing::Values(stack{"malloc", "d0", "d0", create_malloc},
                                         stack{"null", "d0", "d0", create_null},
                                         stack{"uring", "d0", "d0", create_uring},
                                         stack{"aio", "d0", "d0", create_aio},
                                         stack{"delay", "slow", "slow", create_delay},
                                         stack{"base_of_delay", "slow", "d0", create_delay},
                                         stack{"error", "EE_d0", "EE_d0", create_error},
                                         stack{"base_of_error", "EE_d0", "d0", create_error}),
                         [](const auto& each) { return std::string(each.param.label); });

// Most of what is started has to wait for a bdev_io.
TEST(hot_removal_without_memory, on_two_os_threads) {
  must(init_with_pool(24, 4));
  temp_folder folder;
  const stack null{"null", "d0", "d0", create_null};
  null.create(folder);
  auto disk = must(sio::bdev_desc::open("d0"));
  // Each channel takes what its cache holds when it is made.
  must(disk.channel());
  std::array<tally, 2> tallies;
  tallies[1].first = device_size / 2;
  auto other = must(sio::thread::spawn(
      "other", [&](sio::thread&) -> sio::task<void> { co_await load(disk, "d0", tallies[1]); }));
  poll_until([&] { return tallies[1].succeeded > 0; });
  sio::task_scope here;
  here.spawn(load(disk, "d0", tallies[0]));
  remove_under_load(null, disk, tallies, [] { main_thread().poll(); });
  EXPECT_GT(main_thread().statistics().memory_waits, 0u);
  other.join();
}

}  // namespace
}  // namespace spdk_io_test
