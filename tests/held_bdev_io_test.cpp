// SPDX-License-Identifier: BSD-3-Clause
// I/O that is complete holds its bdev_io until it goes on. Nobody is to notice, however few of
// these there are and whatever happens meanwhile.
#include "devices.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace spdk_io_test {
namespace {

using sio::bdev_desc;
using sio::dma_buffer;

std::uint64_t waits() { return main_thread().statistics().memory_waits; }

// Calls `then` where it goes on.
struct held_bdev_io : testing::Test {
  using then = std::function<void()>;
  using operation = sio::pending<sio::io_operation, std::function<void(sio::result<void>)>>;

  void with_pool(unsigned size, unsigned cache) {
    must(init_with_pool(size, cache));
    buffer = must(dma_buffer::zeroed(512));
  }
  std::unique_ptr<operation> start_read(const bdev_desc& disk, then t = [] {}) {
    auto made = std::make_unique<operation>(disk.read(buffer, 0), [this, t](sio::result<void> r) {
      EXPECT_TRUE(r) << message_of(r);
      ++completed;
      t();
    });
    made->start();
    return made;
  }

  dma_buffer buffer;
  int completed = 0;
};

// Four are complete: the first to go on starts three, with the bdev_ios of all.
TEST_F(held_bdev_io, is_given_up_for_whoever_needs_one) {
  with_pool(4, 0);
  auto disk = open_null("n0");
  std::vector<std::unique_ptr<operation>> all;
  all.push_back(start_read(disk, [&] {
    for (int i = 0; i < 3; ++i) all.push_back(start_read(disk));
  }));
  for (int i = 0; i < 3; ++i) all.push_back(start_read(disk));
  poll_until([&] { return completed == 7; });
  EXPECT_EQ(waits(), 0u);
}

// An abort needs two: it is asked for by the first to go on.
TEST_F(held_bdev_io, is_given_up_for_an_abort) {
  with_pool(4, 0);
  auto disk = open_null("n0");
  std::vector<std::unique_ptr<operation>> all;
  all.push_back(start_read(disk, [&] {
    auto victim = start_read(disk);
    victim->request_stop();
    const std::uint64_t before = waits();
    victim.reset();  // waits for the abort, and runs nobody
    EXPECT_EQ(completed, 1);
    EXPECT_EQ(waits(), before);
  }));
  for (int i = 0; i < 3; ++i) all.push_back(start_read(disk));
  poll_until([&] { return completed == 4; });
}

// What waits for SPDK without running user code lets SPDK have them: a device on another one needs
// a second bdev_io, which SPDK itself waits for. (A file cannot abort, so that nothing else asks.)
TEST_F(held_bdev_io, is_given_up_while_a_destructor_waits) {
  with_pool(2, 1);
  const temp_folder folder;
  create_device(kind::uring, folder, "u0");
  must(run(sio::create_bdev(sio::passthru_bdev{.name = "p0", .base = "u0"})));
  auto disk = open_null("n1");
  auto stacked = must(sio::bdev_desc::open("p0"));
  must(run(stacked.read(buffer, 0)));
  must(run(disk.read(buffer, 0)));
  std::unique_ptr<operation> second;
  auto first = start_read(disk, [&] {
    auto victim = start_read(stacked);
    victim.reset();
    EXPECT_EQ(completed, 1);
  });
  second = start_read(disk);
  poll_until([&] { return completed == 2; });
}

// The channel goes while one of its I/Os is complete and has not gone on.
TEST_F(held_bdev_io, does_not_outlive_its_channel) {
  with_pool(64, 8);
  auto disk = open_null("n0");
  auto other = open_null("n1");
  auto first = start_read(disk, [&] { disk = bdev_desc(); });
  // What goes on before the last one, one in each turn: the channel goes meanwhile.
  std::vector<std::unique_ptr<operation>> between;
  for (int i = 0; i < 10; ++i) between.push_back(start_read(other));
  auto last = start_read(disk);
  while (completed < 12) main_thread().poll(1);
  must(run(sio::delete_bdev("n0")));
}

// Destroyed before they went on, a thousand times, each gives its own back.
TEST_F(held_bdev_io, is_given_back_by_who_is_destroyed) {
  with_pool(4, 1);
  auto disk = open_null("n0");
  for (int round = 0; round < 1000; ++round) {
    std::unique_ptr<operation> victim;
    completed = 0;
    auto killer = start_read(disk, [&] { victim.reset(); });
    victim = start_read(disk);
    poll_until([&] { return completed == 1; });
    main_thread().poll();
    ASSERT_EQ(completed, 1);
  }
  EXPECT_EQ(waits(), 0u);
}

// It is listed as complete meanwhile, and the thread may end.
TEST_F(held_bdev_io, is_of_an_operation_that_is_complete) {
  with_pool(64, 8);
  auto disk = open_null("n0");
  std::vector<sio::operation_info> seen;
  auto first = start_read(disk, [&] { seen = main_thread().operations(); });
  auto second = start_read(disk);
  poll_until([&] { return completed == 2; });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].state, sio::operation_state::completed);
  EXPECT_EQ(seen[0].device, "n0");
  EXPECT_EQ(seen[0].length, 512u);
}

}  // namespace
}  // namespace spdk_io_test
