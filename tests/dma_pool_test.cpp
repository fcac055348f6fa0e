// SPDX-License-Identifier: BSD-3-Clause
// Buffers of a pool: apart from one another, aligned, in order, and never freed while one is out.
#include "devices.hpp"
#include "started.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace spdk_io_test {
namespace {

using sio::dma_pool;
using sio::pooled_buffer;
using taking = started<sio::take_buffer_operation>;

dma_pool make(std::size_t buffers, std::size_t size = 4096) {
  return must(dma_pool::create({.buffers = buffers, .size = size}));
}

TEST(dma_pool, buffers_are_aligned_apart_and_whole) {
  for (std::size_t alignment : {std::size_t{64}, std::size_t{512}, std::size_t{8192}}) {
    for (std::size_t size : {std::size_t{1}, std::size_t{512}, std::size_t{5000}}) {
      auto pool = must(dma_pool::create({.buffers = 7, .size = size, .alignment = alignment}));
      EXPECT_EQ(pool.buffers(), 7u);
      EXPECT_EQ(pool.buffer_size(), size);
      std::vector<pooled_buffer> all;
      for (std::uint64_t i = 0; i < 7; ++i) {
        EXPECT_EQ(pool.available(), 7 - i);
        auto buffer = pool.try_allocate();
        ASSERT_TRUE(buffer);
        EXPECT_EQ(buffer->size(), size);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % alignment, 0u);
        fill_pattern(*buffer, i);
        all.push_back(std::move(*buffer));
      }
      EXPECT_FALSE(pool.try_allocate());
      for (std::uint64_t i = 0; i < 7; ++i) EXPECT_TRUE(has_pattern(all[i].bytes(), i));
    }
  }
}

TEST(dma_pool, the_same_memory_comes_back) {
  auto pool = make(3);
  std::set<std::byte*> seen;
  for (int round = 0; round < 5; ++round) {
    std::vector<pooled_buffer> all;
    for (int i = 0; i < 3; ++i) all.push_back(must(run(pool.allocate())));
    for (auto& each : all) seen.insert(each.data());
  }
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_EQ(pool.available(), 3u);
}

TEST(dma_pool, a_buffer_goes_back_once_wherever_it_was_moved) {
  auto pool = make(2);
  pooled_buffer a = must(run(pool.allocate()));
  pooled_buffer b = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(a.data(), nullptr);
  EXPECT_FALSE(b.empty());
  EXPECT_EQ(pool.available(), 1u);
  pooled_buffer c = must(run(pool.allocate()));
  c = std::move(b);  // gives back what it had
  EXPECT_EQ(pool.available(), 1u);
  pooled_buffer& same = c;
  c = std::move(same);
  EXPECT_EQ(c.size(), 4096u);
  c.reset();
  EXPECT_TRUE(c.empty());
  c.reset();
  EXPECT_EQ(pool.available(), 2u);
}

// Wherever a dma_buffer is taken.
TEST(dma_pool, for_io) {
  auto disk = open_malloc("m0");
  auto pool = make(2);
  auto a = must(run(pool.allocate()));
  auto b = must(run(pool.allocate()));
  fill_pattern(a, 5);
  must(run(disk.write(a, 4096)));
  must(run(disk.read(b, 4096)));
  EXPECT_TRUE(has_pattern(b.bytes(), 5));
  const pooled_buffer& read_only = a;
  must(run(disk.write(read_only, 8192)));
  EXPECT_EQ(read_only.bytes().size(), 4096u);
  EXPECT_EQ(read_only.end() - read_only.begin(), 4096);
  must(run(disk.compare(b, 8192)));
  const std::array<sio::dma_span, 2> parts = {a.first(512), b.subspan(1024, 512)};
  must(run(disk.writev(parts, 0)));
  std::ranges::fill(b, std::byte{0});
  must(run(disk.read(b, 0)));
  EXPECT_TRUE(std::ranges::equal(b.bytes().first(512), a.bytes().first(512)));
}

TEST(dma_pool, first_come_first_served) {
  auto pool = make(1);
  std::string log;
  std::byte* const memory = must(run(pool.allocate())).data();
  auto user = [&](char name) -> sio::task<void> {
    auto buffer = co_await pool.allocate();
    log += buffer && buffer->data() == memory ? name : '!';
    co_await sio::yield();
  };
  auto held = must(run(pool.allocate()));
  std::vector<std::unique_ptr<started<sio::task<void>>>> all;
  for (char c : {'a', 'b', 'c'}) all.push_back(std::make_unique<started<sio::task<void>>>(user(c)));
  EXPECT_EQ(pool.waiting(), 3u);
  poll_times(5);
  EXPECT_EQ(log, "");
  held.reset();
  EXPECT_EQ(log, "");                 // nobody is resumed in there
  EXPECT_FALSE(pool.try_allocate());  // it is granted already
  poll_until([&] { return all.back()->done(); });
  EXPECT_EQ(log, "abc");
  EXPECT_EQ(pool.available(), 1u);
}

TEST(dma_pool, a_stopped_waiter_leaves_at_once) {
  auto pool = make(1);
  sio::local_stop_source stop;
  auto held = must(run(pool.allocate()));
  taking first(pool.allocate());
  started second(sio::with_stop_token(stop.get_token(), pool.allocate()));
  taking third(pool.allocate());
  stop.request_stop();
  EXPECT_EQ(pool.waiting(), 2u);
  EXPECT_FALSE(second.done());
  main_thread().poll();
  ASSERT_TRUE(second.done());
  auto r = second.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::operation_canceled);
  EXPECT_EQ(r.error().message(), "taking a buffer of a pool: stopped on request");
  held.reset();
  poll_times(2);
  ASSERT_TRUE(first.done());
  EXPECT_FALSE(third.done());
  must(first.take()).reset();
  poll_times(2);
  EXPECT_TRUE(third.done());
}

TEST(dma_pool, with_a_timeout) {
  auto pool = make(1);
  auto held = must(run(pool.allocate()));
  started waiting(sio::with_timeout(pool.allocate(), std::chrono::nanoseconds(0)));
  EXPECT_FALSE(waiting.done());
  poll_until([&] { return waiting.done(); });
  EXPECT_EQ(waiting.take().error(), std::errc::timed_out);
  EXPECT_EQ(pool.waiting(), 0u);
}

TEST(dma_pool, a_destroyed_waiter_leaves_and_gives_back_its_grant) {
  auto pool = make(1);
  auto held = must(run(pool.allocate()));
  std::optional<taking> a, b, c;
  a.emplace(pool.allocate());
  b.emplace(pool.allocate());
  c.emplace(pool.allocate());
  a.reset();
  held.reset();  // b has it, and is about to be resumed
  EXPECT_EQ(pool.waiting(), 1u);
  b.reset();
  EXPECT_EQ(pool.waiting(), 0u);
  poll_times(2);
  ASSERT_TRUE(c->done());
  EXPECT_TRUE(c->take());
  c.reset();
  EXPECT_EQ(pool.available(), 1u);
}

// With AddressSanitizer, lite's memory is watched: touching what was freed would be seen.
TEST(dma_pool, buffers_that_are_out_keep_the_memory) {
  auto disk = open_malloc("m0");
  std::optional<dma_pool> pool(make(4));
  auto a = must(run(pool->allocate()));
  auto b = must(run(pool->allocate()));
  fill_pattern(a, 1);
  started writing(disk.write(a, 0));
  EXPECT_FALSE(writing.done());
  pool.reset();
  poll_until([&] { return writing.done(); });
  EXPECT_TRUE(writing.take());
  a.reset();
  fill_pattern(b, 2);
  must(run(disk.read(b, 0)));
  EXPECT_TRUE(has_pattern(b.bytes(), 1));
}

TEST(dma_pool, destroyed_while_some_wait) {
  std::optional<dma_pool> pool(make(1));
  auto held = must(run(pool->allocate()));
  taking waiting(pool->allocate());
  pool.reset();
  EXPECT_FALSE(waiting.done());
  main_thread().poll();
  ASSERT_TRUE(waiting.done());
  auto r = waiting.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::operation_canceled);
  EXPECT_EQ(r.error().message(), "taking a buffer of a pool: the pool was destroyed meanwhile");
  std::ranges::fill(held, std::byte{1});

  // Granted, but not resumed, when it goes: a buffer all the same, or, if destroyed, the last one.
  for (bool destroy : {false, true}) {
    pool.emplace(make(1));
    held = must(run(pool->allocate()));
    std::optional<taking> granted;
    granted.emplace(pool->allocate());
    held.reset();
    pool.reset();
    if (destroy) {
      granted.reset();
      continue;
    }
    main_thread().poll();
    ASSERT_TRUE(granted->done());
    auto buffer = must(granted->take());
    std::ranges::fill(buffer, std::byte{2});
  }
}

TEST(dma_pool, outlives_its_thread) {
  auto second = std::optional(must(sio::thread::create("second")));
  std::optional<dma_pool> pool;
  std::optional<taking> waiting;
  pooled_buffer held;
  must(second->ref().send([&] {
    pool.emplace(make(1));
    held = *pool->try_allocate();
    waiting.emplace(pool->allocate());
  }));
  while (!waiting) second->poll();
  EXPECT_FALSE(waiting->done());
  second.reset();
  ASSERT_TRUE(waiting->done());
  EXPECT_EQ(message_of(waiting->take()), "taking a buffer of a pool: the thread is exiting");
  std::jthread([&] {
    pool.reset();
    std::ranges::fill(held, std::byte{3});
    held.reset();
  });
}

TEST(dma_pool, views_go_to_other_threads) {
  auto disk = open_malloc("m0");
  auto pool = make(1);
  auto worker = must(sio::thread::spawn("worker"));
  auto buffer = must(run(pool.allocate()));
  fill_pattern(buffer, 7);
  auto there = [&, view = sio::dma_span(buffer)]() -> sio::task<sio::result<void>> {
    co_return co_await disk.write(view, 0);
  };
  must(run(worker.ref().call(there)));
  std::ranges::fill(buffer, std::byte{0});
  must(run(disk.read(buffer, 0)));
  EXPECT_TRUE(has_pattern(buffer.bytes(), 7));
}

TEST(dma_pool, what_cannot_be_is_refused) {
  auto fails = [](const sio::result<dma_pool>& r, std::errc code, std::string_view message) {
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == code) << r.error();
    EXPECT_EQ(r.error().what(), sio::operation_kind::allocate);
    EXPECT_EQ(r.error().message(), message);
  };
  constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();
  fails(dma_pool::create({.buffers = 0, .size = 512}), std::errc::invalid_argument,
        "allocation of a pool of 0 DMA buffers of 512 bytes: there are no buffers");
  fails(dma_pool::create({.buffers = 4, .size = 0}), std::errc::invalid_argument,
        "allocation of a pool of 4 DMA buffers of 0 bytes: the size is zero");
  fails(dma_pool::create({.buffers = 4, .size = 512, .alignment = 3}), std::errc::invalid_argument,
        "allocation of a pool of 4 DMA buffers of 512 bytes: alignment 3 is not a power of two");
  fails(dma_pool::create({.buffers = 4, .size = 512, .alignment = 0}), std::errc::invalid_argument,
        "allocation of a pool of 4 DMA buffers of 512 bytes: alignment 0 is not a power of two");
  const std::string no_such = ": there is no such amount of memory";
  fails(dma_pool::create({.buffers = 4, .size = huge / 4}), std::errc::not_enough_memory,
        "allocation of a pool of 4 DMA buffers of 4611686018427387903 bytes" + no_such);
  fails(dma_pool::create({.buffers = huge / 4096 + 2, .size = 1}), std::errc::not_enough_memory,
        "allocation of a pool of 4503599627370497 DMA buffers of 1 bytes" + no_such);
  fails(dma_pool::create({.buffers = 2, .size = huge}), std::errc::not_enough_memory,
        "allocation of a pool of 2 DMA buffers of 18446744073709551615 bytes" + no_such);
  fails(dma_pool::create({.buffers = 2, .size = 1, .alignment = huge / 2 + 1}),
        std::errc::not_enough_memory, "allocation of a pool of 2 DMA buffers of 1 bytes" + no_such);
  EXPECT_EQ(dma_pool::create({.buffers = 1024, .size = std::size_t{1} << 40}).error(),
            std::errc::not_enough_memory);
  std::jthread([&] {
    fails(dma_pool::create({.buffers = 4, .size = 512}), std::errc::operation_not_permitted,
          "allocation of a pool of 4 DMA buffers of 512 bytes: no SPDK thread is attached here "
          "(call spdk_io::thread::attach() first)");
  });
  auto pool = make(1);
  auto moved = std::move(pool);
  EXPECT_EQ(message_of(run(pool.allocate())),  // NOLINT(bugprone-use-after-move)
            "taking a buffer of a pool: the pool is empty (moved from)");
  EXPECT_FALSE(pool.try_allocate());
  EXPECT_EQ(pool.available() + pool.waiting() + pool.buffers() + pool.buffer_size(), 0u);
  EXPECT_EQ(moved.available(), 1u);
}

}  // namespace
}  // namespace spdk_io_test
