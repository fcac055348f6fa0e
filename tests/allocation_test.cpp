// SPDX-License-Identifier: BSD-3-Clause
// No heap allocation per I/O: the malloc family is replaced by one that counts, on the measuring
// OS thread and while it measures.
#include "counted_malloc.hpp"
#include "devices.hpp"

#include <spdk/bdev.h>

#include <sys/uio.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace spdk_io_test {
namespace {

using sio::bdev_desc;

constexpr std::uint64_t warm_up = 10'000;
constexpr std::uint64_t measured = 100'000;

// Switches the count on after the warm-up, and off when enough was measured.
class counter {
 public:
  explicit counter(std::uint64_t start = warm_up, std::uint64_t count = measured)
      : start_(start), end_(start + count) {}
  ~counter() { measuring = false; }
  bool one_more() {
    ++completed_;
    if (completed_ == start_) {
      allocations = frees = 0;
      measuring = true;
    }
    if (completed_ == end_) measuring = false;
    return completed_ < end_;
  }
  bool finished() const { return completed_ >= end_; }
  void expect_none() const {
    EXPECT_TRUE(finished());
    EXPECT_EQ(allocations, 0u);
    EXPECT_LT(frees, 10u);  // SPDK may still get rid of something from its start
  }

 private:
  std::uint64_t start_;
  std::uint64_t end_;
  std::uint64_t completed_ = 0;
};

class allocation : public testing::Test {
 protected:
  void SetUp() override {
#ifdef SPDK_IO_TEST_SANITIZED
    GTEST_SKIP() << "a sanitizer has replaced malloc already";
#endif
    disk = open_null("n0");
    buffer = must(sio::dma_buffer::zeroed(4096));
  }
  bdev_desc disk;
  sio::dma_buffer buffer;
};

sio::task<void> read_until(const auto& target, sio::dma_span into, counter& count) {
  bool more = true;
  while (more && !count.finished()) {
    auto r = co_await target.read(into, 0);
    EXPECT_TRUE(r.has_value());
    more = count.one_more();
  }
}

template <class Target>
void read_at_depth(const Target& target, sio::dma_span into, int depth) {
  counter count;
  sio::task_scope scope;
  for (int i = 0; i < depth; ++i) scope.spawn(read_until(target, into, count));
  must(sio::run_until(main_thread(), scope.join()));
  count.expect_none();
}

// Not inlined: Clang would find that the frame needs no heap.
[[gnu::noinline]] sio::task<void> read_once(const bdev_desc& disk, sio::dma_span into) {
  auto r = co_await disk.read(into, 0);
  EXPECT_TRUE(r.has_value());
}

// That the count would see what it should.
TEST_F(allocation, is_counted) {
  measuring = true;
  allocations = frees = 0;
  void* volatile by_new = ::operator new(10);
  ::operator delete(by_new);
  void* volatile by_malloc = std::malloc(10);
  std::free(by_malloc);
  measuring = false;
  EXPECT_EQ(allocations, 2u);
  EXPECT_EQ(frees, 2u);

  // And that it sees it in a coroutine on the loop: a task's frame is one.
  counter count;
  sio::task_scope scope;
  auto allocating = [&]() -> sio::task<void> {
    while (!count.finished()) {
      co_await read_once(disk, buffer);
      count.one_more();
    }
  };
  scope.spawn(allocating());
  must(sio::run_until(main_thread(), scope.join()));
  EXPECT_EQ(allocations, measured);
}

TEST_F(allocation, none_for_reads) {
  read_at_depth(disk, buffer, 1);
  read_at_depth(disk, buffer, 32);
}

TEST_F(allocation, none_through_a_channel_and_on_malloc) {
  auto channel = must(disk.channel());
  read_at_depth(channel, buffer, 32);
  auto ram = open_malloc("m0");
  read_at_depth(ram, buffer, 32);
}

TEST_F(allocation, none_for_vectors_and_writes) {
  const std::vector<sio::dma_span> parts = {buffer.first(512), buffer.subspan(512, 512)};
  counter count;
  auto body = [&]() -> sio::task<void> {
    while (!count.finished()) {
      auto r = co_await disk.writev(parts, 0);
      EXPECT_TRUE(r.has_value());
      r = co_await disk.readv_blocks(parts, 2);
      EXPECT_TRUE(r.has_value());
      count.one_more();
    }
  };
  sio::run_until(main_thread(), body());
  count.expect_none();
}

// Most of the 32 wait: for a permit, for a buffer, or stopped in between.
TEST_F(allocation, none_for_permits_and_pooled_buffers) {
  sio::in_flight_limiter limiter({.ios = 4, .bytes = 1 << 20});
  auto pool = must(sio::dma_pool::create({.buffers = 2, .size = 4096}));
  counter count;
  std::uint64_t waited = 0;
  auto body = [&]() -> sio::task<void> {
    while (!count.finished()) {
      auto permit = co_await limiter.acquire(1, 4096);
      EXPECT_TRUE(permit.has_value());
      auto early = co_await sio::with_timeout(pool.allocate(), std::chrono::hours(1));
      EXPECT_TRUE(early.has_value());
      waited += limiter.waiting() + pool.waiting();
      auto r = co_await disk.read(*early, 0);
      EXPECT_TRUE(r.has_value());
      count.one_more();
    }
  };
  sio::task_scope scope;
  for (int i = 0; i < 32; ++i) scope.spawn(body());
  must(sio::run_until(main_thread(), scope.join()));
  count.expect_none();
  EXPECT_GT(waited, measured);
}

TEST_F(allocation, none_for_permits_that_are_not_granted) {
  sio::in_flight_limiter limiter(1);
  auto held = limiter.try_acquire();
  counter count;
  auto body = [&]() -> sio::task<void> {
    while (!count.finished()) {
      sio::local_stop_source stop;
      stop.request_stop();
      auto r = co_await sio::with_stop_token(stop.get_token(), limiter.acquire());
      EXPECT_FALSE(r.has_value());
      EXPECT_FALSE(limiter.try_acquire().has_value());
      r = co_await sio::with_timeout(limiter.acquire(), std::chrono::nanoseconds(0));
      EXPECT_FALSE(r.has_value());
      count.one_more();
    }
  };
  sio::run_until(main_thread(), body());
  count.expect_none();
}

// Most of the 32 wait, for each of them.
TEST_F(allocation, none_for_locks_semaphores_and_events) {
  sio::async_mutex mutex;
  sio::async_semaphore semaphore(2);
  sio::async_event turn({.auto_reset = true});
  sio::async_event open;
  counter count;
  std::uint64_t waited = 0;
  auto body = [&]() -> sio::task<void> {
    while (!count.finished()) {
      waited += mutex.waiting() + semaphore.waiting() + turn.waiting() + open.waiting();
      {
        auto lock = co_await mutex.lock();
        EXPECT_TRUE(lock.has_value());
        co_await sio::yield();
      }
      auto permit = co_await sio::with_timeout(semaphore.acquire(), std::chrono::hours(1));
      EXPECT_TRUE(permit.has_value());
      turn.set();
      auto let_through = co_await turn.wait();
      EXPECT_TRUE(let_through.has_value());
      if (!open.is_set()) open.set();
      auto passed = co_await open.wait();
      EXPECT_TRUE(passed.has_value());
      open.reset();
      count.one_more();
    }
  };
  sio::task_scope scope;
  for (int i = 0; i < 32; ++i) scope.spawn(body());
  must(sio::run_until(main_thread(), scope.join()));
  count.expect_none();
  EXPECT_GT(waited, measured);
}

TEST_F(allocation, none_for_waits_that_are_stopped) {
  sio::async_mutex mutex;
  sio::async_semaphore semaphore(0);
  sio::async_event event;
  auto held = mutex.try_lock();
  counter count(500, 5000);
  auto body = [&]() -> sio::task<void> {
    while (!count.finished()) {
      const auto none = std::chrono::nanoseconds(0);
      auto a = co_await sio::with_timeout(mutex.lock(), none);
      auto b = co_await sio::with_timeout(semaphore.acquire(), none);
      auto c = co_await sio::with_timeout(event.wait(), none);
      EXPECT_FALSE(a || b || c);
      EXPECT_FALSE(mutex.try_lock().has_value() || semaphore.try_acquire().has_value());
      count.one_more();
    }
  };
  sio::run_until(main_thread(), body());
  count.expect_none();
}

// The frame that runs it; whoever waits for a place needs none.
TEST_F(allocation, one_for_a_spawn) {
  sio::task_scope scope({.limit = 4});
  counter count(500, 5000);
  auto body = [&]() -> sio::task<void> {
    while (!count.finished()) {
      auto r = co_await scope.spawn_when_free(disk.read(buffer, 0));
      EXPECT_TRUE(r.has_value());
      count.one_more();
    }
  };
  sio::run_until(main_thread(), body());
  EXPECT_EQ(allocations, 5000u);
  must(run(scope.join()));
  counter plain(500, 5000);
  while (!plain.finished()) {
    scope.spawn(disk.read(buffer, 0));
    must(sio::block_on(main_thread(), scope.join()));
    plain.one_more();
  }
  EXPECT_EQ(allocations, 2 * 5000u);  // and the frame of block_on()
}

TEST_F(allocation, one_for_each_part_of_when_any) {
  counter count(500, 5000);
  auto body = [&]() -> sio::task<void> {
    while (!count.finished()) {
      auto first = co_await sio::when_any(disk.read(buffer, 0), disk.read(buffer, 4096));
      EXPECT_TRUE(std::get<0>(first.value).has_value());
      count.one_more();
    }
  };
  sio::run_until(main_thread(), body());
  EXPECT_EQ(allocations, 2 * 5000u);
}

// One frame for a call, whatever the number of its attempts. (The frame that holds it is the
// body's.)
TEST_F(allocation, one_for_a_retry) {
  counter count(500, 5000);
  const sio::retry_policy policy = {
      .attempts = 3, .first_delay = std::chrono::nanoseconds(0), .max_delay = {}, .factor = 1};
  auto read = [&] { return disk.read(buffer, 1); };
  auto body = [&]() -> sio::task<void> {
    while (!count.finished()) {
      auto r = co_await sio::retry(read, policy, [](const sio::error&) { return true; });
      EXPECT_EQ(r.error().attempts(), 3u);
      count.one_more();
    }
  };
  sio::run_until(main_thread(), body());
  EXPECT_LE(allocations, 5000u);
}

// A failure is told in words only when somebody asks for them.
TEST_F(allocation, none_for_refused_io) {
  counter count;
  auto body = [&]() -> sio::task<void> {
    while (!count.finished()) {
      auto r = co_await disk.read(buffer, 1);
      EXPECT_FALSE(r.has_value());
      count.one_more();
    }
  };
  sio::run_until(main_thread(), body());
  count.expect_none();
}

// Callbacks, with the state kept by the caller and made anew for each I/O.
class callback_reader {
 public:
  callback_reader(const bdev_desc& disk, sio::dma_span into, counter& count)
      : disk_(&disk), into_(into), count_(&count) {}
  void next() {
    pending_.emplace(disk_->read(into_, 0), on_done{this});
    pending_->start();
  }

 private:
  struct on_done {
    callback_reader* self;
    void operator()(sio::result<void> r) const {
      EXPECT_TRUE(r.has_value());
      callback_reader& reader = *self;
      if (!reader.count_->finished() && reader.count_->one_more()) reader.next();
    }
  };
  const bdev_desc* disk_;
  sio::dma_span into_;
  counter* count_;
  std::optional<sio::pending<sio::io_operation, on_done>> pending_;
};

void call_back_at_depth(const bdev_desc& disk, sio::dma_span into, std::size_t depth) {
  counter count;
  std::vector<std::unique_ptr<callback_reader>> readers;
  for (std::size_t i = 0; i < depth; ++i) {
    readers.push_back(std::make_unique<callback_reader>(disk, into, count));
    readers.back()->next();
  }
  auto done = [&]() -> sio::task<void> {
    while (!count.finished()) co_await sio::yield();
  };
  sio::run_until(main_thread(), done());
  count.expect_none();
}

TEST_F(allocation, none_for_callbacks) {
  call_back_at_depth(disk, buffer, 1);
  call_back_at_depth(disk, buffer, 32);
}

// ---- every operation --------------------------------------------------------------------------

// The same operation over and over, awaited; allocations of the measured ones.
template <class Make>
std::uint64_t allocations_of(Make make) {
  counter count(500, 5000);
  auto body = [&]() -> sio::task<void> {
    while (!count.finished()) {
      auto r = co_await make();
      EXPECT_TRUE(r.has_value()) << message_of(r);
      count.one_more();
    }
  };
  sio::run_until(main_thread(), body());
  EXPECT_TRUE(count.finished());
  return allocations;
}

// The same in C.
template <class Submit>
std::uint64_t allocations_in_c(Submit submit) {
  counter count(500, 5000);
  while (!count.finished()) {
    bool done = false;
    auto on_done = [](spdk_bdev_io* io, bool success, void* argument) {
      EXPECT_TRUE(success);
      *static_cast<bool*>(argument) = true;
      spdk_bdev_free_io(io);
    };
    EXPECT_EQ(submit(on_done, &done), 0);
    while (!done) main_thread().poll();
    count.one_more();
  }
  return allocations;
}

// With a callback, in an object that is made anew each time and kept by the caller.
template <class Make>
class caller_of {
 public:
  explicit caller_of(Make make) : make_(std::move(make)) { next(); }
  std::uint64_t allocations_at_end() {
    while (!count_.finished()) main_thread().poll();
    return allocations;
  }

 private:
  using operation = std::invoke_result_t<Make&>;
  struct on_done {
    caller_of* self;
    void operator()(typename operation::value_type r) const {
      EXPECT_TRUE(r.has_value());
      caller_of& caller = *self;
      if (caller.count_.one_more()) caller.next();
    }
  };
  void next() {
    pending_.emplace(make_(), on_done{this});
    pending_->start();
  }

  Make make_;
  counter count_{500, 5000};
  std::optional<sio::pending<operation, on_done>> pending_;
};

class allocation_by : public testing::Test {
 protected:
  void SetUp() override {
#ifdef SPDK_IO_TEST_SANITIZED
    GTEST_SKIP() << "a sanitizer has replaced malloc already";
#endif
    must(run(sio::init_subsystems(
        R"({"subsystems":[{"subsystem":"bdev","config":[{"method":"bdev_malloc_create","params":)"
        R"({"name":"m0","num_blocks":2048,"block_size":512,"md_size":8,"md_interleave":false}}]}]})")));
    disk = must(bdev_desc::open("m0"));
    buffer = must(sio::dma_buffer::zeroed(4096));
    metadata = must(sio::dma_buffer::zeroed(64));
    parts = {buffer.first(512), buffer.subspan(512, 512)};
  }
  bdev_desc disk;
  sio::dma_buffer buffer;
  sio::dma_buffer metadata;
  std::vector<sio::dma_span> parts;
};

TEST_F(allocation_by, no_operation) {
  EXPECT_EQ(allocations_of([&] { return disk.flush(0, 512); }), 0u);
  EXPECT_EQ(allocations_of([&] { return disk.write_zeroes(0, 512); }), 0u);
  EXPECT_EQ(allocations_of([&] { return disk.unmap_blocks(0, 8); }), 0u);
  EXPECT_EQ(allocations_of([&] { return disk.compare(buffer, 0); }), 0u);
  EXPECT_EQ(allocations_of([&] { return disk.comparev_blocks(parts, 0); }), 0u);
  EXPECT_EQ(allocations_of([&] { return disk.copy({.from = 0, .to = 4096, .length = 4096}); }), 0u);
  EXPECT_EQ(allocations_of([&] { return disk.write_with_metadata(buffer, metadata, 0); }), 0u);
  EXPECT_EQ(allocations_of([&] { return disk.readv_blocks_with_metadata(parts, metadata, 0); }),
            0u);
  EXPECT_EQ(allocations_of([&] { return disk.read(buffer, 0, {.metadata = metadata}); }), 0u);
  EXPECT_EQ(allocations_of([&] { return disk.writev(parts, 0, {}); }), 0u);
}

TEST_F(allocation_by, no_zcopy) {
  EXPECT_EQ(allocations_of([&] { return disk.zcopy_read(0, 4096); }), 0u);  // each one is dropped
  auto both = [&]() -> std::uint64_t {
    counter count(500, 5000);
    auto body = [&]() -> sio::task<void> {
      while (!count.finished()) {
        auto z = co_await disk.zcopy_write(0, 4096);
        EXPECT_TRUE(z.has_value());
        auto r = co_await z->commit();
        EXPECT_TRUE(r.has_value());
        count.one_more();
      }
    };
    sio::run_until(main_thread(), body());
    return allocations;
  };
  EXPECT_EQ(both(), 0u);
}

TEST_F(allocation_by, no_callback) {
  auto expect_none = [](auto make) { EXPECT_EQ(caller_of(make).allocations_at_end(), 0u); };
  expect_none([&] { return disk.compare_blocks(buffer, 0, 1); });
  expect_none([&] { return disk.copy_blocks({.from = 0, .to = 8, .length = 8}); });
  expect_none([&] { return disk.read_with_metadata(buffer, metadata, 0); });
  expect_none([&] { return disk.zcopy_read_blocks(0, 8); });
}

// SPDK itself allocates for these. The library adds nothing.
TEST_F(allocation_by, nothing_besides_spdks_own) {
  auto channel = must(disk.channel());
  iovec one = {buffer.data(), 512};
  const auto compare_and_write =
      allocations_in_c([&](spdk_bdev_io_completion_cb done, void* argument) {
        return spdk_bdev_comparev_and_writev_blocks(disk.native_handle(), channel.native_handle(),
                                                    &one, 1, &one, 1, 0, 1, done, argument);
      });
  EXPECT_EQ(allocations_of(
                [&] { return channel.compare_and_write(buffer.first(512), buffer.first(512), 0); }),
            compare_and_write);
  const auto reset = allocations_in_c([&](spdk_bdev_io_completion_cb done, void* argument) {
    return spdk_bdev_reset(disk.native_handle(), channel.native_handle(), done, argument);
  });
  EXPECT_EQ(allocations_of([&] { return channel.reset(); }), reset);
}

// With waiting for memory on the way, too.
TEST(allocation_without_memory, none_for_waiters) {
#ifdef SPDK_IO_TEST_SANITIZED
  GTEST_SKIP() << "a sanitizer has replaced malloc already";
#endif
  must(init_with_pool(2, 1));
  auto disk = open_null("n0");
  auto buffer = must(sio::dma_buffer::zeroed(512));
  read_at_depth(disk, buffer, 32);
  EXPECT_GT(main_thread().statistics().memory_waits, measured / 2);
}

// The mark of a program's own callback, the message about it, and who waits.
TEST_F(allocation, none_for_events) {
  counter count(100, 1000);
  auto watch = [&]() -> sio::task<void> {
    bool more = true;
    while (more) {
      auto event = co_await disk.next_event();
      EXPECT_TRUE(event.has_value());
      more = count.one_more();
    }
  };
  sio::task_scope scope;
  scope.spawn(watch());
  while (!count.finished()) {
    disk.mark_resized();
    main_thread().poll();
  }
  count.expect_none();
  must(run(scope.join()));
}

}  // namespace
}  // namespace spdk_io_test
