// SPDX-License-Identifier: BSD-3-Clause
// Pools of threads: work spread over them, what comes back, and their end, under load too.
#include "devices.hpp"
#include "spdk_test.hpp"
#include "started.hpp"

#include <gtest/gtest.h>

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

sio::thread_pool pool_of(std::size_t threads) {
  return must(sio::thread_pool::start({.threads = threads}));
}

sio::error failure(const char* text) {
  return sio::error(std::errc::io_error, sio::operation_kind::none, text);
}

// The cores that the calling OS thread may run on.
std::vector<std::uint32_t> cores_here() {
  cpu_set_t set;
  EXPECT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  std::vector<std::uint32_t> out;
  for (std::uint32_t core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) out.push_back(core);
  }
  return out;
}

// --- what it is ----------------------------------------------------------------------------------

TEST(thread_pool, has_os_threads_of_its_own) {
  auto pool = pool_of(3);
  ASSERT_EQ(pool.size(), 3u);
  auto each = run(pool.spread([] {
    return std::pair(std::this_thread::get_id(), std::string(must(sio::thread::current()).name()));
  }));
  std::set<std::thread::id> ids{std::this_thread::get_id()};
  for (std::size_t i = 0; i < each.size(); ++i) {
    auto [id, name] = must(each[i]);
    EXPECT_TRUE(ids.insert(id).second);
    EXPECT_EQ(name, "pool-" + std::to_string(i));
    EXPECT_EQ(pool[i].name(), name);
  }
  std::size_t iterated = 0;
  for (const sio::thread_ref& ref : pool) EXPECT_EQ(ref, pool[iterated++]);
  EXPECT_EQ(iterated, 3u);
}

TEST(thread_pool, has_one_thread_for_each_core_unless_told_otherwise) {
  auto pool = must(sio::thread_pool::start());
  EXPECT_EQ(pool.size(), cores_here().size());
}

TEST(thread_pool, counts_the_cores_that_its_maker_may_run_on) {
  std::jthread([] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cores_here().back(), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(must(sio::thread_pool::start()).size(), 1u);
  }).join();
}

TEST(thread_pool, of_one_thread) {
  auto pool = pool_of(1);
  auto each = run(pool.spread([](std::size_t index) { return index + 5; }));
  ASSERT_EQ(each.size(), 1u);
  EXPECT_EQ(must(each[0]), 5u);
  must(run(pool.for_each_shard(10, [](sio::shard part) {
    EXPECT_EQ(part, (sio::shard{.index = 0, .first = 0, .count = 10}));
  })));
}

TEST(thread_pool, is_pinned_on_request) {
  const auto cores = cores_here();
  auto pool = must(sio::thread_pool::start({.pin = true}));
  auto each = run(pool.spread([] { return cores_here(); }));
  ASSERT_EQ(each.size(), cores.size());
  for (std::size_t i = 0; i < each.size(); ++i) {
    EXPECT_EQ(must(each[i]), std::vector<std::uint32_t>{cores[i]});
  }
  EXPECT_EQ(cores_here(), cores);  // here nothing has changed
}

TEST(thread_pool, runs_anywhere_where_it_is_not_pinned) {
  auto pool = pool_of(2);
  for (auto& each : run(pool.spread([] { return cores_here(); }))) {
    EXPECT_EQ(must(each), cores_here());
  }
}

TEST(thread_pool, is_pinned_to_chosen_cores) {
  const std::uint32_t last = cores_here().back();
  auto pool = must(sio::thread_pool::start({.threads = 1, .pin = true, .cores = {last}}));
  EXPECT_EQ(must(run(pool[0].call([] { return cores_here(); }))), std::vector<std::uint32_t>{last});
  auto loose = must(sio::thread_pool::start({.threads = 3, .cores = {last}}));
  EXPECT_EQ(loose.size(), 3u);
  EXPECT_EQ(must(run(loose[2].call([] { return cores_here(); }))),
            std::vector<std::uint32_t>{last});
}

TEST(thread_pool, that_spins) {
  auto pool = must(sio::thread_pool::start({.threads = 2, .idle = sio::idle::spin()}));
  for (auto& each : run(pool.spread([](std::size_t i) { return i; }))) must(each);
}

// --- where it cannot be ---

TEST(thread_pool, on_a_core_that_is_not_allowed_is_an_error) {
  std::jthread([] {
    const auto cores = cores_here();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cores.front(), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    const std::uint32_t other = cores.back() == cores.front() ? cores.front() + 1 : cores.back();
    auto pool = sio::thread_pool::start({.name = "p", .pin = true, .cores = {other}});
    EXPECT_EQ(message_of(pool), "thread_pool \"p\": core " + std::to_string(other) +
                                    " is not one that this OS thread may run on (" +
                                    std::to_string(cores.front()) + ")");
  }).join();
}

TEST(thread_pool, pinned_with_more_threads_than_cores_is_an_error) {
  const std::uint32_t core = cores_here().front();
  auto pool = sio::thread_pool::start({.threads = 2, .name = "p", .pin = true, .cores = {core}});
  EXPECT_EQ(message_of(pool),
            "thread_pool \"p\": cannot pin 2 threads to 1 cores (" + std::to_string(core) + ")");
  EXPECT_EQ(pool.error(), std::errc::invalid_argument);
}

// The name of the eleventh thread has a character too many for SPDK.
TEST(thread_pool, that_fails_half_way_joins_what_was_started) {
  const auto count = sio::thread::count();
  auto pool = sio::thread_pool::start({.threads = 12, .name = std::string(253, 'n')});
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error(), std::errc::invalid_argument);
  EXPECT_EQ(sio::thread::count(), count);
}

// --- what is spread ---

TEST(spread, brings_results_back_in_order) {
  auto pool = pool_of(4);
  std::vector<std::size_t> begun(4);
  // The later ones end first.
  auto each = run(pool.spread([&](std::size_t index) -> sio::task<std::string> {
    ++begun[index];
    for (std::size_t turn = 0; turn < 100 * (4 - index); ++turn) co_await sio::yield();
    co_return std::to_string(index);
  }));
  ASSERT_EQ(each.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(must(each[i]), std::to_string(i));
    EXPECT_EQ(begun[i], 1u);
  }
}

TEST(spread, begins_when_it_is_awaited) {
  auto pool = pool_of(2);
  std::atomic<int> ran{0};
  auto work = pool.spread([&] { ++ran; });
  run(pool.spread([] {}));
  EXPECT_EQ(ran, 0);
  for (auto& each : run(std::move(work))) must(each);
  EXPECT_EQ(ran, 2);
}

TEST(spread, takes_what_can_only_be_moved) {
  auto pool = pool_of(2);
  auto each = run(pool.spread([p = std::make_unique<std::size_t>(4)](std::size_t i) {
    return std::make_unique<std::size_t>(*p + i);
  }));
  EXPECT_EQ(*must(std::move(each[0])), 4u);
  EXPECT_EQ(*must(std::move(each[1])), 5u);
}

TEST(spread, runs_at_the_same_time) {
  auto pool = pool_of(3);
  std::atomic<int> here{0};
  auto each = run(pool.spread([&]() -> sio::task<void> {
    ++here;
    while (here < 3) co_await sio::yield();
  }));
  for (auto& r : each) must(r);
}

TEST(spread, keeps_each_error_and_stops_nobody) {
  auto pool = pool_of(3);
  std::atomic<bool> failed{false};
  auto each = run(pool.spread([&](std::size_t index) -> sio::task<sio::result<std::size_t>> {
    if (index == 1) {
      failed = true;
      co_return std::unexpected(failure("one"));
    }
    while (!failed) co_await sio::yield();
    for (int turn = 0; turn < 50; ++turn) co_await sio::yield();
    const auto token = co_await sio::current_stop_token();
    if (token.stop_requested()) {
      co_return std::unexpected(failure("stopped"));
    }
    co_return index;
  }));
  EXPECT_EQ(must(each[0]), 0u);
  EXPECT_EQ(message_of(each[1]), "one");
  EXPECT_EQ(must(each[2]), 2u);
}

TEST(spread, rethrows_the_first_exception_in_order_when_all_have_ended) {
  auto pool = pool_of(3);
  std::atomic<int> ended{0};
  auto work = [&](std::size_t index) -> sio::task<void> {
    for (std::size_t turn = 0; turn < 100 * (3 - index); ++turn) co_await sio::yield();
    ++ended;
    if (index > 0) throw std::runtime_error(std::to_string(index));
  };
  try {
    run(pool.spread(work));
    ADD_FAILURE() << "no exception";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "1");
  }
  EXPECT_EQ(ended, 3);
  EXPECT_THROW(run(pool.spread([](std::size_t index) {
                 if (index == 2) throw std::logic_error("plain");
               })),
               std::logic_error);
}

TEST(spread, hands_a_request_to_stop_on_to_all) {
  auto pool = pool_of(3);
  sio::local_stop_source stop;
  std::atomic<int> begun{0};
  started work(
      sio::with_stop_token(stop.get_token(), pool.spread([&]() -> sio::task<sio::result<void>> {
        ++begun;
        co_return co_await sio::sleep_for(1h);
      })));
  poll_until([&] { return begun == 3; });
  EXPECT_FALSE(work.done());
  stop.request_stop();
  poll_until([&] { return work.done(); });
  for (auto& each : work.take()) EXPECT_EQ(message_of(each), "sleep: stopped on request");
}

TEST(spread, destroyed_ends_what_it_has_begun) {
  auto pool = pool_of(2);
  auto alive = std::make_shared<int>();
  std::atomic<int> begun{0};
  started work(pool.spread([&, alive]() -> sio::task<sio::result<void>> {
    ++begun;
    co_return co_await sio::sleep_for(1h);
  }));
  poll_until([&] { return begun == 2; });
  work.destroy();  // not in an hour
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(spread, from_one_of_its_own_threads) {
  auto pool = pool_of(2);
  auto inner = run(pool[1].call([&] { return pool.spread([](std::size_t i) { return i; }); }));
  auto each = must(std::move(inner));
  EXPECT_EQ(must(each[0]), 0u);
  EXPECT_EQ(must(each[1]), 1u);
}

TEST(spread, within_what_is_spread) {
  auto pool = pool_of(3);
  auto outer = run(pool.spread([&](std::size_t index) -> sio::task<std::size_t> {
    std::size_t sum = 0;
    for (auto& each : co_await pool.spread([&](std::size_t i) { return i + index; })) {
      sum += must(each);
    }
    co_return sum;
  }));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(must(outer[i]), 3 + 3 * i);
}

TEST(spread, calls_between_the_threads) {
  auto pool = pool_of(3);
  auto each = run(pool.spread([&](std::size_t index) -> sio::task<std::string> {
    auto next = co_await pool[(index + 1) % 3].call(
        [] { return std::string(must(sio::thread::current()).name()); });
    co_return must(next);
  }));
  EXPECT_EQ(must(each[0]), "pool-1");
  EXPECT_EQ(must(each[2]), "pool-0");
}

TEST(spread, from_an_os_thread_without_an_spdk_thread) {
  auto pool = pool_of(2);
  std::jthread([&] {
    auto work = [&] { return pool.spread([](std::size_t i) { return i * 2; }); };
    auto each = must(pool[0].call(work).get());
    EXPECT_EQ(must(each[1]), 2u);
  }).join();
}

// --- devices ---

TEST(spread, over_a_device_gives_each_thread_its_own_channel) {
  auto disk = open_malloc("m0");
  auto pool = pool_of(3);
  auto each = run(pool.spread(
      disk, [](sio::io_channel& channel, std::size_t index) -> sio::task<sio::result<const void*>> {
        auto buffer = must(sio::dma_buffer::zeroed(512));
        std::ranges::fill(buffer, static_cast<std::byte>(index + 1));
        if (auto r = co_await channel.write(buffer, index * 512); !r) {
          co_return std::unexpected(r.error());
        }
        co_return channel.native_handle();
      }));
  std::set<const void*> channels{must(disk.channel()).native_handle()};
  for (auto& r : each) EXPECT_TRUE(channels.insert(must(r)).second);
  auto all = must(sio::dma_buffer::zeroed(3 * 512));
  must(run(disk.read(all, 0)));
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all.data()[i], static_cast<std::byte>(i / 512 + 1));
  }
}

TEST(spread, over_a_device_calls_plain_functions_too) {
  auto disk = open_null("n0");
  auto pool = pool_of(2);
  for (auto& each :
       run(pool.spread(disk, [](sio::io_channel& channel) { return channel.block_size(); }))) {
    EXPECT_EQ(must(each), 512u);
  }
  must(run(pool.for_each_thread(disk, [](sio::io_channel&, std::size_t) {})));
}

TEST(spread, over_a_device_that_is_closed_gives_each_an_error) {
  auto opener = std::make_optional(must(sio::thread::create("opener")));
  must(run(sio::create_bdev(sio::null_bdev{.name = "n0", .size = 1 << 20})));
  std::optional<sio::bdev_desc> disk;
  must(opener->ref().send([&] { disk = must(sio::bdev_desc::open("n0")); }));
  while (!disk) opener->poll();
  opener.reset();
  auto pool = pool_of(2);
  for (auto& each : run(pool.spread(*disk, [](sio::io_channel&) { return 1; }))) {
    ASSERT_FALSE(each);
    EXPECT_EQ(each.error(), std::errc::no_such_device) << each.error();
  }
  auto r = run(pool.for_each_thread(*disk, [](sio::io_channel&) -> sio::task<void> { co_return; }));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::no_such_device) << r.error();
}

TEST(for_each_shard, covers_a_device_once) {
  auto disk = open_malloc("m0", 1 << 20, 512);
  auto pool = pool_of(3);
  const std::uint64_t blocks = disk.bdev().block_count();
  must(run(pool.for_each_shard(
      disk, blocks, [](sio::io_channel& channel, sio::shard part) -> sio::task<sio::result<void>> {
        auto buffer = must(sio::dma_buffer::zeroed(512));
        for (std::uint64_t block = part.first; block < part.end(); ++block) {
          if (auto r = co_await channel.read_blocks(buffer, block, 1); !r) co_return r;
          for (std::byte& each : buffer) each = static_cast<std::byte>(int(each) + 1);
          if (auto r = co_await channel.write_blocks(buffer, block, 1); !r) co_return r;
        }
        co_return sio::result<void>();
      })));
  auto all = must(sio::dma_buffer::zeroed(1 << 20));
  must(run(disk.read(all, 0)));
  EXPECT_TRUE(all_are(all, std::byte(1)));
}

TEST(for_each_shard, leaves_threads_alone_for_which_nothing_is_left) {
  auto pool = pool_of(4);
  std::atomic<int> called{0};
  std::atomic<std::uint64_t> sum{0};
  must(run(pool.for_each_shard(2, [&](sio::shard part) {
    ++called;
    sum += part.count;
  })));
  EXPECT_EQ(called, 2);
  EXPECT_EQ(sum, 2u);
  must(run(pool.for_each_shard(0, [&](sio::shard) { ++called; })));
  EXPECT_EQ(called, 2);
}

TEST(for_each_thread, stops_the_rest_by_the_first_failure) {
  auto pool = pool_of(3);
  std::atomic<int> stopped{0};
  std::atomic<int> begun{0};
  auto r = run(pool.for_each_thread([&](std::size_t index) -> sio::task<sio::result<void>> {
    ++begun;
    while (begun < 3) co_await sio::yield();
    if (index == 1) co_return std::unexpected(failure("enough"));
    auto slept = co_await sio::sleep_for(1h);
    if (!slept && slept.error() == std::errc::operation_canceled) ++stopped;
    co_return slept;
  }));
  EXPECT_EQ(message_of(r), "enough");
  EXPECT_EQ(stopped, 2);
}

TEST(for_each_thread, rethrows_the_first_exception_and_stops_the_rest) {
  auto pool = pool_of(2);
  std::atomic<bool> stopped{false};
  std::atomic<bool> sleeps{false};
  auto work = [&](std::size_t index) -> sio::task<void> {
    if (index == 1) {
      while (!sleeps) co_await sio::yield();
      throw std::runtime_error("enough");
    }
    sleeps = true;
    auto slept = co_await sio::sleep_for(1h);
    stopped = !slept;
  };
  EXPECT_THROW((void)run(pool.for_each_thread(work)), std::runtime_error);
  EXPECT_TRUE(stopped);
}

TEST(for_each_thread, is_success_when_all_are) {
  auto pool = pool_of(3);
  std::atomic<int> called{0};
  must(run(pool.for_each_thread([&] { return ++called; })));
  EXPECT_EQ(called, 3);
}

// --- the end ---

TEST(thread_pool, asked_to_stop_stops_its_work_and_takes_no_more) {
  auto pool = pool_of(2);
  std::atomic<int> begun{0};
  started work(pool.spread([&]() -> sio::task<sio::result<void>> {
    ++begun;
    co_return co_await sio::sleep_for(1h);
  }));
  poll_until([&] { return begun == 2; });
  pool.request_stop();
  poll_until([&] { return work.done(); });
  for (auto& each : work.take()) EXPECT_EQ(message_of(each), "sleep: stopped on request");
  bool ran = false;
  for (auto& each : run(pool.spread([&] { ran = true; }))) {
    EXPECT_EQ(message_of(each), "thread_pool \"pool\": stopped on request");
    EXPECT_EQ(each.error(), std::errc::operation_canceled);
  }
  auto awaited = run(pool.for_each_thread([&]() -> sio::task<void> {
    ran = true;
    co_return;
  }));
  EXPECT_EQ(message_of(awaited), "thread_pool \"pool\": stopped on request");
  EXPECT_FALSE(ran);
  EXPECT_EQ(must(run(pool[0].call([] { return 7; }))), 7);  // its threads are there until join()
}

TEST(thread_pool, joined_takes_no_more) {
  auto pool = pool_of(2);
  auto later = pool.spread([] {});
  pool.join();
  pool.join();
  for (auto& each : run(std::move(later))) {
    EXPECT_FALSE(each);
    EXPECT_EQ(each.error(), std::errc::no_such_process);
  }
  EXPECT_EQ(pool.size(), 2u);
  EXPECT_FALSE(pool[0].send([] {}));
  must(run(pool.stop()));
}

TEST(thread_pool, joined_while_work_is_under_way_lets_it_do_its_last_io) {
  auto disk = open_malloc("m0");
  auto pool = pool_of(2);
  std::atomic<int> begun{0};
  auto session = [&](sio::io_channel& channel, std::size_t index) -> sio::task<sio::result<void>> {
    auto buffer = must(sio::dma_buffer::zeroed(512));
    std::ranges::fill(buffer, std::byte(9));
    ++begun;
    auto slept = co_await sio::sleep_for(1h);
    EXPECT_EQ(message_of(slept), "sleep: stopped on request");
    if (auto r = co_await sio::unstoppable(sio::sleep_for(1ms)); !r) co_return r;
    for (int i = 0; i < 20; ++i) {
      if (auto r = co_await sio::unstoppable(channel.write(buffer, index * 512)); !r) co_return r;
    }
    co_return sio::result<void>();
  };
  started work(pool.spread(disk, session));
  poll_until([&] { return begun == 2; });
  pool.join();
  EXPECT_FALSE(work.done());  // the results are on their way to this thread
  poll_until([&] { return work.done(); });
  for (auto& each : work.take()) must(each);
  auto all = must(sio::dma_buffer::zeroed(1024));
  must(run(disk.read(all, 0)));
  EXPECT_TRUE(all_are(all, std::byte(9)));
}

TEST(thread_pool, stopped_and_awaited_lets_work_call_who_waits) {
  auto pool = pool_of(2);
  std::atomic<int> begun{0};
  int told = 0;
  auto here = main_thread().ref();
  started work(pool.spread([&]() -> sio::task<sio::result<void>> {
    ++begun;
    (void)co_await sio::sleep_for(1h);
    co_return co_await sio::unstoppable(here.call([&] { ++told; }));
  }));
  poll_until([&] { return begun == 2; });
  must(run(pool.stop()));
  EXPECT_EQ(told, 2);
  pool.join();
  poll_until([&] { return work.done(); });
  for (auto& each : work.take()) must(each);
}

TEST(thread_pool, awaiting_its_stop_needs_an_spdk_thread) {
  auto pool = pool_of(1);
  std::jthread([&] {
    started stopping(pool.stop());
    ASSERT_TRUE(stopping.done());
    auto r = stopping.take();
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error(), std::errc::operation_not_permitted);
  }).join();
}

TEST(thread_pool, runs_the_messages_that_it_accepted_before_it_ends) {
  for (int round = 0; round < 10; ++round) {
    std::atomic<int> ran{0};
    {
      auto pool = pool_of(2);
      for (int i = 0; i < 20; ++i) must(pool[std::size_t(i) % 2].send([&] { ++ran; }));
    }
    ASSERT_EQ(ran, 20);
  }
}

TEST(thread_pool, moves_and_joins_what_it_is_assigned_over) {
  auto a = pool_of(1);
  auto b = pool_of(2);
  auto first = a[0];
  a = std::move(b);
  EXPECT_FALSE(first.send([] {}));
  EXPECT_EQ(a.size(), 2u);
  auto c = std::move(a);
  EXPECT_EQ(a.size(), 0u);  // NOLINT(bugprone-use-after-move): it is nothing
  EXPECT_TRUE(run(a.spread([] {})).empty());
  must(run(a.for_each_shard(5, [](sio::shard) { ADD_FAILURE(); })));
  must(run(a.stop()));
  a.request_stop();
  a.join();
  EXPECT_EQ(run(c.spread([] {})).size(), 2u);
}

TEST(thread_pool, moved_while_it_works) {
  auto pool = pool_of(2);
  std::atomic<int> begun{0};
  std::atomic<bool> go_on{false};
  started work(pool.spread([&](std::size_t index) -> sio::task<std::size_t> {
    ++begun;
    while (!go_on) co_await sio::yield();
    co_return index;
  }));
  poll_until([&] { return begun == 2; });
  auto elsewhere = std::move(pool);
  go_on = true;
  poll_until([&] { return work.done(); });
  EXPECT_EQ(must(work.take()[1]), 1u);
}

TEST(thread_pool, in_a_thread_of_another_pool) {
  auto outer = pool_of(2);
  auto each = run(outer.spread([](std::size_t index) -> sio::task<std::size_t> {
    auto inner = must(sio::thread_pool::start({.threads = 2, .name = "inner"}));
    std::size_t sum = index;
    for (auto& r : co_await inner.spread([](std::size_t i) { return i + 1; })) sum += must(r);
    co_return sum;
  }));
  EXPECT_EQ(must(each[0]), 3u);
  EXPECT_EQ(must(each[1]), 4u);
}

// --- orders of destruction ---

TEST(thread_pool, goes_before_or_after_the_handle_of_a_device) {
  must(run(sio::create_bdev(sio::null_bdev{.name = "n0", .size = 1 << 20})));
  for (bool pool_first : {true, false}) {
    std::optional<sio::bdev_desc> disk = must(sio::bdev_desc::open("n0"));
    std::optional<sio::thread_pool> pool = pool_of(2);
    must(run(
        pool->for_each_thread(*disk, [](sio::io_channel& channel) -> sio::task<sio::result<void>> {
          auto buffer = must(sio::dma_buffer::zeroed(512));
          co_return co_await channel.read(buffer, 0);
        })));
    pool_first ? pool.reset() : disk.reset();
    pool_first ? disk.reset() : pool.reset();
  }
  must(run(sio::delete_bdev("n0")));  // nobody has it open
}

TEST(thread_pool, that_opened_a_device_leaves_handles_dead) {
  must(run(sio::create_bdev(sio::null_bdev{.name = "n0", .size = 1 << 20})));
  std::optional<sio::thread_pool> pool = pool_of(2);
  auto disk = must(run(pool->operator[](1).call([] { return sio::bdev_desc::open("n0"); })));
  auto own = must(disk.channel());
  pool.reset();
  EXPECT_TRUE(disk.closed());
  must(run(sio::delete_bdev("n0")));
}

TEST(thread_pool, goes_while_its_work_is_destroyed_afterwards) {
  std::optional<sio::thread_pool> pool = pool_of(2);
  std::atomic<int> begun{0};
  auto alive = std::make_shared<int>();
  started work(pool->spread([&, alive]() -> sio::task<sio::result<void>> {
    ++begun;
    co_return co_await sio::sleep_for(1h);
  }));
  poll_until([&] { return begun == 2; });
  pool.reset();
  work.destroy();
  EXPECT_EQ(alive.use_count(), 1);
}

// --- under load ---

struct load {
  std::atomic<std::uint64_t> done{0};
  std::atomic<int> in_flight{0};
  std::atomic<int> last_writes{0};
};

// I/O until it is stopped, and then one write more, in 32 blocks of its own: what two threads do to
// one block at a time is theirs to put in order.
sio::task<sio::result<void>> keep_busy(sio::io_channel& disk, load& all, std::uint64_t lane,
                                       std::uint64_t seed) {
  auto buffer = must(sio::dma_buffer::zeroed(512));
  std::mt19937_64 random(seed);
  const auto token = co_await sio::current_stop_token();
  while (!token.stop_requested()) {
    const std::uint64_t offset = (lane * 32 + random() % 32) * 512;
    ++all.in_flight;
    sio::io_operation io = random() % 2 ? disk.write(buffer, offset) : disk.read(buffer, offset);
    auto r = co_await std::move(io);
    --all.in_flight;
    if (!r && r.error() != std::errc::operation_canceled) co_return r;
    ++all.done;
    if (random() % 16 == 0) co_await sio::yield();
  }
  auto last = co_await sio::unstoppable(disk.write(buffer, lane * 32 * 512));
  if (last) ++all.last_writes;
  co_return last;
}

class pool_under_load : public testing::TestWithParam<int> {};

TEST_P(pool_under_load, ends_when_its_work_has) {
  const auto seed = static_cast<std::uint64_t>(GetParam());
  std::mt19937_64 random(seed);
  const std::size_t threads = 1 + random() % 4;
  const int depth = 1 + static_cast<int>(random() % 8);
  const bool can_abort = random() % 2 == 0;
  auto disk = can_abort ? open_null("d") : open_malloc("d");
  std::optional<sio::thread_pool> pool = pool_of(threads);
  load all;
  auto busy = [&](sio::io_channel& channel, std::size_t index) -> sio::task<sio::result<void>> {
    sio::task_scope scope;
    for (int i = 0; i < depth; ++i) {
      const std::uint64_t lane = index * 8 + static_cast<std::uint64_t>(i);
      scope.spawn(keep_busy(channel, all, lane, seed * 1000 + lane));
    }
    co_return co_await scope.join();
  };
  started work(pool->spread(disk, busy));
  const std::uint64_t enough = random() % 2000;
  poll_until([&] { return all.done >= enough; });
  switch (random() % 4) {
    case 0: pool.reset(); break;
    case 1: std::jthread([&] { pool->request_stop(); }).join(); break;
    case 2: std::jthread([&] { pool.reset(); }).join(); break;
    case 3: must(run(pool->stop())); break;
  }
  if (!pool) {
    EXPECT_EQ(all.in_flight, 0);
  }
  poll_until([&] { return work.done(); });
  EXPECT_EQ(all.in_flight, 0);
  int begun = 0;
  for (auto& each : work.take()) {
    // One that has not begun before the end does not.
    if (!each && message_of(each) == "thread_pool \"pool\": stopped on request") continue;
    must(each);
    ++begun;
  }
  EXPECT_EQ(all.last_writes, begun * depth);
  if (pool) pool.reset();
}

INSTANTIATE_TEST_SUITE_P(seeds, pool_under_load, testing::Range(0, 40));

}  // namespace
