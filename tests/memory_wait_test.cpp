// SPDX-License-Identifier: BSD-3-Clause
// Operations for which there is no bdev_io: with as few of these as SPDK accepts, all complete,
// in the order in which they were started.
#include "devices.hpp"

#include <functional>
#include <numeric>
#include <optional>

namespace spdk_io_test {
namespace {

using sio::bdev_desc;
using sio::dma_buffer;
using sio::dma_span;

std::uint64_t waits() { return main_thread().statistics().memory_waits; }
std::size_t in_flight() { return main_thread().statistics().io_in_flight; }

std::vector<int> counted(int from, int to, int step = 1) {
  std::vector<int> out;
  for (int i = from; i < to; i += step) out.push_back(i);
  return out;
}

// An operation that notes its number when it completes, and can be destroyed before.
using noting = std::function<void(sio::result<void>)>;
using noting_operation = sio::pending<sio::io_operation, noting>;

std::unique_ptr<noting_operation> note(sio::io_operation op, std::vector<int>& order, int number) {
  return std::make_unique<noting_operation>(std::move(op), [&order, number](auto r) {
    EXPECT_TRUE(r) << message_of(r);
    order.push_back(number);
  });
}

// Whether SPDK's queue serves the waiters (a cache of 1), or polling does (no cache at all).
struct pool {
  unsigned size;
  unsigned cache;
};
void PrintTo(const pool& p, std::ostream* out) { *out << p.size << " bdev_ios, " << p.cache; }

class memory_wait : public testing::TestWithParam<pool> {
 protected:
  void SetUp() override {
    must(init_with_pool(GetParam().size, GetParam().cache));
    buffer = must(dma_buffer::zeroed(4096));
  }
  dma_buffer buffer;
};
INSTANTIATE_TEST_SUITE_P(, memory_wait, testing::Values(pool{2, 1}, pool{1, 0}),
                         [](const auto& each) {
                           return each.param.cache == 0 ? "without_cache" : "with_cache";
                         });

sio::task<void> read_and_note(const bdev_desc& disk, dma_span into, std::vector<int>& order,
                              int number) {
  auto r = co_await disk.read(into, 0);
  EXPECT_TRUE(r) << message_of(r);
  order.push_back(number);
}

// The null device completes in the order of submission, so that shows here.
TEST_P(memory_wait, ten_thousand_complete_in_the_order_they_started) {
  constexpr int count = 10'000;
  auto disk = open_null("n0");
  std::vector<int> order;
  sio::task_scope scope;
  for (int i = 0; i < count; ++i) scope.spawn(read_and_note(disk, buffer, order, i));
  EXPECT_TRUE(order.empty());
  EXPECT_EQ(in_flight(), std::size_t{count});
  EXPECT_EQ(waits(), std::uint64_t{count} - GetParam().size);
  main_thread().poll();
  EXPECT_LT(order.size(), std::size_t{count});
  must(run(scope.join()));
  EXPECT_EQ(order, counted(0, count));
  EXPECT_EQ(in_flight(), 0u);
  EXPECT_EQ(waits(), std::uint64_t{count} - GetParam().size);  // each waited once
}

// Those that come back for more queue behind those who wait: none gets ahead by two.
TEST_P(memory_wait, none_starves) {
  constexpr int readers = 50;
  constexpr int rounds = 100;
  auto disk = open_null("n0");
  std::vector<int> done(readers);
  auto reader = [&](int self) -> sio::task<void> {
    for (int i = 0; i < rounds; ++i) {
      auto r = co_await disk.read(buffer, 0);
      EXPECT_TRUE(r) << message_of(r);
      ++done[static_cast<std::size_t>(self)];
      const auto [least, most] = std::ranges::minmax(done);
      EXPECT_LE(most - least, 1) << "reader " << self;
    }
  };
  sio::task_scope scope;
  for (int i = 0; i < readers; ++i) scope.spawn(reader(i));
  must(run(scope.join()));
  EXPECT_EQ(done, std::vector<int>(readers, rounds));
  EXPECT_GT(waits(), std::uint64_t{readers} * (rounds - 2));
}

// Writes to one place: the last one started is the one that stays.
TEST_P(memory_wait, writes_reach_the_device_in_order) {
  auto disk = open_malloc("m0");
  constexpr std::uint64_t count = 500;
  auto blocks = must(dma_buffer::zeroed(count * 512));
  auto writer = [&](std::uint64_t i) -> sio::task<void> {
    const auto mine = blocks.subspan(i * 512, 512);
    fill_pattern(mine, i);
    auto r = co_await disk.write(mine, 0);
    EXPECT_TRUE(r) << message_of(r);
    r = co_await disk.write(mine, (1 + i) * 512);
    EXPECT_TRUE(r) << message_of(r);
  };
  sio::task_scope scope;
  for (std::uint64_t i = 0; i < count; ++i) scope.spawn(writer(i));
  must(run(scope.join()));
  must(run(disk.read(buffer.first(512), 0)));
  EXPECT_TRUE(has_pattern(buffer.first(512), count - 1));
  for (std::uint64_t i = 0; i < count; ++i) {
    must(run(disk.read(buffer.first(512), (1 + i) * 512)));
    ASSERT_TRUE(has_pattern(buffer.first(512), i)) << i;
  }
}

TEST_P(memory_wait, a_destroyed_waiter_leaves_the_others_in_order) {
  constexpr int count = 300;
  auto disk = open_null("n0");
  std::vector<int> order;
  std::vector<std::unique_ptr<noting_operation>> all;
  for (int i = 0; i < count; ++i) {
    all.push_back(note(disk.read(buffer, 0), order, i));
    all.back()->start();
  }
  std::vector<int> expected = counted(0, count);
  auto destroy = [&](int i) {
    all[static_cast<std::size_t>(i)].reset();
    std::erase(expected, i);
  };
  EXPECT_EQ(in_flight(), std::size_t{count});
  const int first_waiter = static_cast<int>(GetParam().size);
  destroy(first_waiter);
  destroy(first_waiter + 1);
  destroy(count - 1);
  for (int i = 10; i < count - 10; i += 7) destroy(i);
  EXPECT_EQ(in_flight(), expected.size());
  EXPECT_TRUE(order.empty());
  // And some more, while the others complete.
  while (order.size() < 100) main_thread().poll();
  for (int i : {280, 281, 150, 151, 152}) destroy(i);
  poll_until([&] { return in_flight() == 0; });
  main_thread().poll();
  EXPECT_EQ(order, expected);
}

TEST_P(memory_wait, all_waiters_may_be_destroyed) {
  auto disk = open_null("n0");
  std::vector<int> order;
  std::vector<std::unique_ptr<noting_operation>> all;
  for (int i = 0; i < 20; ++i) {
    all.push_back(note(disk.read(buffer, 0), order, i));
    all.back()->start();
  }
  all.resize(GetParam().size);
  EXPECT_EQ(in_flight(), std::size_t{GetParam().size});
  poll_until([&] { return order.size() == GetParam().size; });
  poll_times(50);
  EXPECT_EQ(order, counted(0, static_cast<int>(GetParam().size)));
  // The entry that stood in SPDK's queue is usable again.
  for (int i = 0; i < 20; ++i) {
    all.push_back(note(disk.read(buffer, 0), order, i));
    all.back()->start();
  }
  order.clear();
  poll_until([&] { return order.size() == 20; });
  EXPECT_EQ(order, counted(0, 20));
}

// The list is the thread's, not the device's or the channel's.
TEST_P(memory_wait, several_devices_share_one_line) {
  auto a = open_null("n0");
  auto b = open_null("n1");
  std::vector<int> order;
  std::vector<std::unique_ptr<noting_operation>> all;
  for (int i = 0; i < 200; ++i) {
    all.push_back(note((i % 2 ? a : b).read(buffer, 0), order, i));
    all.back()->start();
  }
  EXPECT_EQ(in_flight(), 200u);
  // One of them closes: it stays open for those who wait.
  a = bdev_desc();
  poll_until([&] { return order.size() == 200; });
  // Two devices complete independently; each in its order.
  for (int parity : {0, 1}) {
    auto others = order;
    std::erase_if(others, [parity](int i) { return i % 2 != parity; });
    EXPECT_EQ(others, counted(parity, 200, 2));
  }
  must(run(sio::delete_bdev("n0")));
}

// A refused operation is no waiter, even while others wait.
TEST_P(memory_wait, errors_keep_their_place_in_the_line) {
  auto disk = open_null("n0", 1 << 20);
  std::vector<std::string> order;
  std::vector<std::unique_ptr<noting_operation>> all;
  auto start = [&](std::uint64_t offset, std::string name) {
    all.push_back(std::make_unique<noting_operation>(
        disk.read(buffer, offset),
        [&order, name](auto r) { order.push_back(name + (r ? "" : " failed")); }));
    all.back()->start();
  };
  for (int i = 0; i < 10; ++i) start(0, "a");
  start(1 << 20, "past the end");  // SPDK looks at the range only when it is submitted
  start(0, "b");
  poll_until([&] { return order.size() == 12; });
  EXPECT_EQ(std::ranges::count(order, "a"), 10);
  EXPECT_EQ(std::ranges::count(order, "past the end failed"), 1);
  EXPECT_EQ(std::ranges::count(order, "b"), 1);
  // It waited for those before it: all but those still in flight when it was submitted.
  const auto at = std::ranges::find(order, "past the end failed") - order.begin();
  EXPECT_GE(at, 10 - static_cast<std::ptrdiff_t>(GetParam().size));
}

// Two SPDK threads, one bdev_io. The second has nothing in flight, so no completion of its own
// will ever serve it; and what it starts later must not overtake what it started before.
TEST(memory_wait_two_threads, one_with_nothing_in_flight_makes_progress) {
  auto second = must(sio::thread::create("second"));
  must(init_with_pool(1, 0));
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::zeroed(512));
  std::vector<int> here, there;
  std::vector<std::unique_ptr<noting_operation>> all;
  auto start_here = [&](int number) {
    all.push_back(note(disk.read(buffer, 0), here, number));
    all.back()->start();
  };
  auto start_there = [&](int number) {
    must(second.ref().send([&, number] {
      all.push_back(note(disk.read(buffer, 0), there, number));
      all.back()->start();
    }));
  };
  start_here(0);
  start_there(1);
  start_there(2);
  for (int i = 0; i < 100; ++i) second.poll();
  EXPECT_TRUE(there.empty());  // the only bdev_io is the first thread's
  EXPECT_EQ(second.statistics().memory_waits, 2u);
  EXPECT_EQ(waits(), 0u);
  poll_until([&] { return !here.empty(); });
  EXPECT_TRUE(there.empty());
  // Now it is free. Started before the second thread polls, this finds memory and waiters.
  bool started = false;
  must(main_thread().ref().send([&] {
    start_there(3);
    started = true;
  }));
  poll_until([&] { return started; });
  while (there.size() < 3) second.poll();
  EXPECT_EQ(there, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(here, std::vector<int>{0});
}

// The same moment, closer: a continuation that runs ahead of the retry finds the memory free and
// a waiter in the line. Only the line decides.
template <class Handle>
void a_newcomer_queues_behind_the_waiters(sio::thread& second, const Handle& mine,
                                          const Handle& theirs) {
  auto buffer = must(dma_buffer::zeroed(512));
  std::vector<int> here, there;
  auto first = note(mine.read(buffer, 0), here, 0);
  first->start();
  std::unique_ptr<noting_operation> waiter, newcomer;
  must(second.ref().send([&] {
    waiter = note(theirs.read(buffer, 0), there, 1);
    waiter->start();
    // Still in this turn of the second thread: the first completes and frees its bdev_io.
    EXPECT_EQ(second.statistics().memory_waits, 1u);
    while (here.empty()) main_thread().poll();
    newcomer = note(theirs.read(buffer, 0), there, 2);
    newcomer->start();
    EXPECT_EQ(second.statistics().memory_waits, 2u);
  }));
  while (there.size() < 2) second.poll();
  EXPECT_EQ(there, (std::vector<int>{1, 2}));
}

TEST(memory_wait_two_threads, a_newcomer_that_finds_memory_queues_behind_the_waiters) {
  auto second = must(sio::thread::create("second"));
  must(init_with_pool(1, 0));
  auto disk = open_null("n0");
  a_newcomer_queues_behind_the_waiters(second, disk, disk);
}

// A channel that is at hand, and a plain read: the short way.
TEST(memory_wait_two_threads, a_newcomer_on_a_channel_queues_behind_the_waiters) {
  auto second = must(sio::thread::create("second"));
  must(init_with_pool(1, 0));
  auto disk = open_null("n0");
  std::optional<sio::io_channel> theirs;
  must(second.ref().send([&] { theirs = must(disk.channel()); }));
  while (!theirs) second.poll();
  a_newcomer_queues_behind_the_waiters(second, must(disk.channel()), *theirs);
  must(second.ref().send([&] { theirs.reset(); }));
  while (theirs) second.poll();
}

// Both at once, each starting its next operation as the last one ends.
TEST(memory_wait_two_threads, share_a_tiny_pool_to_the_end) {
  auto second = must(sio::thread::create("second"));
  must(init_with_pool(3, 1));
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::zeroed(512));
  // A new channel takes its share at once, while there is one to take.
  std::optional<sio::io_channel> theirs_first;
  must(second.ref().send([&] { theirs_first = must(disk.channel()); }));
  while (!theirs_first) second.poll();
  constexpr int each = 2'000;
  int here = 0;
  int there = 0;
  auto reader = [&](int& done) -> sio::task<void> {
    for (int i = 0; i < each / 20; ++i) {
      auto r = co_await disk.read(buffer, 0);
      EXPECT_TRUE(r) << message_of(r);
      ++done;
    }
  };
  sio::task_scope mine, theirs;
  for (int i = 0; i < 20; ++i) mine.spawn(reader(here));
  must(second.ref().send([&] {
    for (int i = 0; i < 20; ++i) theirs.spawn(reader(there));
  }));
  EXPECT_EQ(here + there, 0);
  while (here < each || there < each) {
    main_thread().poll();
    second.poll();
  }
  EXPECT_EQ(mine.running() + theirs.running(), 0u);
  EXPECT_GT(waits(), 0u);
  EXPECT_GT(second.statistics().memory_waits, 0u);
}

// A channel is no operation, and does not wait.
TEST(memory_wait_two_threads, a_channel_that_finds_no_memory_says_so) {
  auto second = must(sio::thread::create("second"));
  must(init_with_pool(3, 1));
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::zeroed(512));
  std::vector<int> done;
  std::vector<std::unique_ptr<noting_operation>> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(note(disk.read(buffer, 0), done, i));
    all.back()->start();
  }
  std::optional<sio::result<void>> got;
  auto read_there = [&] {
    got.reset();
    must(second.ref().send([&] {
      all.push_back(
          std::make_unique<noting_operation>(disk.read(buffer, 0), [&](auto r) { got = r; }));
      all.back()->start();
    }));
    while (!got) second.poll();
  };
  read_there();
  EXPECT_TRUE(message_of(*got).starts_with(
      "read of 512 bytes at 0 from n0: SPDK could make no channel for this thread; "))
      << message_of(*got);
  EXPECT_EQ(got->error(), std::errc::not_enough_memory);
  EXPECT_EQ(got->error().why(), sio::fault::channel_refused);
  while (done.size() < 3) main_thread().poll();
  read_there();
  EXPECT_TRUE(*got) << message_of(*got);
}

// The counterpart of all these: where there is enough, nobody waits.
TEST(memory_wait_default, nobody_waits) {
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::zeroed(512));
  std::vector<int> order;
  sio::task_scope scope;
  for (int i = 0; i < 1000; ++i) scope.spawn(read_and_note(disk, buffer, order, i));
  EXPECT_EQ(waits(), 0u);
  must(run(scope.join()));
  EXPECT_EQ(order, counted(0, 1000));
}

}  // namespace
}  // namespace spdk_io_test
