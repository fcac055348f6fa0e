// SPDX-License-Identifier: BSD-3-Clause
// Asio's cancellation slots and I/O: a request asks the device to abort, and the handler is called
// when SPDK has let go.
#include "asio_library.hpp"
#include "devices.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <variant>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

std::size_t in_flight() { return main_thread().statistics().io_in_flight; }

class asio_cancellation : public testing::Test {
 protected:
  // A device that holds everything for an hour, on a malloc device.
  sio::bdev_desc open_delay() {
    must(run(sio::create_bdev(sio::malloc_bdev{.name = "base", .size = 1 << 20})));
    must(run(sio::create_bdev(
        sio::delay_bdev{.name = "d0", .base = "base", .average_read = 1h, .average_write = 1h})));
    return must(sio::bdev_desc::open("d0"));
  }
  void SetUp() override { buffer = must(sio::dma_buffer::zeroed(4096)); }
  void turn() {
    main_thread().poll();
    ctx.restart();
    ctx.poll();
  }
  void turns(int n) {
    for (int i = 0; i < n; ++i) turn();
  }
  template <class Done>
  void turn_until(Done done) {
    while (!done()) turn();
  }
  auto keep(std::optional<sio::result<void>>& got) {
    return [&got](sio::result<void> r) {
      EXPECT_FALSE(got);
      got = std::move(r);
    };
  }

  asio::io_context ctx;
#ifdef SPDK_IO_TEST_SLOTS
  asio::cancellation_signal signal;
#endif
  sio::dma_buffer buffer;
};

constexpr const char* aborted = "read of 4096 bytes at 0 from d0: aborted (NVMe 0/07h)";

#ifdef SPDK_IO_TEST_SLOTS

TEST_F(asio_cancellation, terminal_and_partial_requests_abort_and_total_ones_do_not) {
  auto disk = open_delay();
  for (auto type : {asio::cancellation_type::terminal, asio::cancellation_type::partial,
                    asio::cancellation_type::all}) {
    std::optional<sio::result<void>> got;
    disk.read(buffer, 0).async(asio::bind_cancellation_slot(signal.slot(), keep(got)));
    EXPECT_TRUE(signal.slot().has_handler());
    signal.emit(asio::cancellation_type::total);
    turns(100);
    EXPECT_FALSE(got);
    EXPECT_EQ(in_flight(), 1u);
    signal.emit(type);
    EXPECT_FALSE(got);  // no handler is called inside emit()
    signal.emit(type);  // once more changes nothing
    turn_until([&] { return got.has_value(); });
    EXPECT_EQ(message_of(*got), aborted);
    EXPECT_EQ(got->error(), std::errc::operation_canceled);
    EXPECT_EQ(in_flight(), 0u);
    EXPECT_FALSE(signal.slot().has_handler());
    signal.emit(type);
    turns(10);
  }
}

TEST_F(asio_cancellation, on_a_device_that_cannot_abort_gives_the_real_result) {
  auto disk = open_malloc("m0");
  fill_pattern(buffer, 3);
  must(run(disk.write(buffer, 0)));
  std::ranges::fill(buffer, std::byte{0});
  std::optional<sio::result<void>> got;
  disk.read(buffer, 0).async(asio::bind_cancellation_slot(signal.slot(), keep(got)));
  signal.emit(asio::cancellation_type::terminal);
  EXPECT_FALSE(got);
  turn_until([&] { return got.has_value(); });
  EXPECT_TRUE(*got) << message_of(*got);
  EXPECT_TRUE(has_pattern(buffer, 3));
  EXPECT_FALSE(signal.slot().has_handler());
}

TEST_F(asio_cancellation, of_what_failed_at_the_start_changes_nothing) {
  auto disk = open_malloc("m0");
  std::optional<sio::result<void>> got;
  disk.read(buffer, 1).async(asio::bind_cancellation_slot(signal.slot(), keep(got)));
  signal.emit(asio::cancellation_type::terminal);
  EXPECT_FALSE(got);
  turn_until([&] { return got.has_value(); });
  EXPECT_EQ(got->error(), std::errc::invalid_argument);
  EXPECT_FALSE(signal.slot().has_handler());
}

TEST_F(asio_cancellation, of_a_sleep) {
  std::optional<sio::result<void>> got;
  sio::sleep_for(1h).async(asio::bind_cancellation_slot(signal.slot(), keep(got)));
  turns(10);
  EXPECT_FALSE(got);
  signal.emit(asio::cancellation_type::terminal);
  EXPECT_FALSE(got);
  turn_until([&] { return got.has_value(); });
  EXPECT_EQ(message_of(*got), "sleep: stopped on request");
}

TEST_F(asio_cancellation, of_a_call_follows_it_to_its_thread) {
  std::optional<sio::result<void>> got;
  main_thread()
      .ref()
      .call([] { return sio::sleep_for(1h); })
      .async(asio::bind_cancellation_slot(signal.slot(), [&](sio::result<void> r) { got = r; }));
  turns(10);
  EXPECT_FALSE(got);
  signal.emit(asio::cancellation_type::terminal);
  turn_until([&] { return got.has_value(); });
  EXPECT_EQ(message_of(*got), "sleep: stopped on request");
}

TEST_F(asio_cancellation, nothing_is_connected_to_what_cannot_be_stopped) {
  bool there = false;
  main_thread().ref().schedule().async(
      asio::bind_cancellation_slot(signal.slot(), [&](sio::result<void> r) { there = bool(r); }));
  EXPECT_FALSE(signal.slot().has_handler());
  signal.emit(asio::cancellation_type::terminal);
  turn_until([&] { return there; });
}

TEST_F(asio_cancellation, while_waiting_for_memory_leaves_the_queue) {
  must(init_with_pool(2, 1));
  auto disk = open_null("n0");
  int read = 0;
  for (int i = 0; i < 11; ++i) {
    disk.read(buffer, 0).async([&](sio::result<void> r) {
      EXPECT_TRUE(r);
      ++read;
    });
  }
  std::optional<sio::result<void>> got;
  disk.read(buffer, 0).async(asio::bind_cancellation_slot(signal.slot(), keep(got)));
  EXPECT_EQ(in_flight(), 12u);
  signal.emit(asio::cancellation_type::terminal);
  EXPECT_EQ(in_flight(), 11u);
  EXPECT_FALSE(got);
  turn_until([&] { return got.has_value(); });
  EXPECT_EQ(message_of(*got), "read of 4096 bytes at 0 from n0: stopped on request");
  turn_until([&] { return read == 11; });
}

// The signal of a coroutine that has gone is not touched, nor is the operation by a late one.
TEST_F(asio_cancellation, the_signal_may_go_first) {
  auto disk = open_delay();
  auto short_lived = std::make_unique<asio::cancellation_signal>();
  std::stop_source stop;
  std::optional<sio::result<void>> got;
  sio::with_stop_token(stop.get_token(), disk.read(buffer, 0))
      .async(asio::bind_cancellation_slot(short_lived->slot(), keep(got)));
  turns(10);
  short_lived.reset();
  turns(10);
  EXPECT_FALSE(got);
  stop.request_stop();
  turn_until([&] { return got.has_value(); });
  EXPECT_EQ(got->error(), std::errc::operation_canceled);
}

TEST_F(asio_cancellation, a_slot_that_another_takes_over_is_left_alone) {
  auto null = open_null("n0");
  std::optional<sio::result<void>> got;
  null.read(buffer, 0).async(asio::bind_cancellation_slot(signal.slot(), keep(got)));
  bool asked = false;
  signal.slot().assign([&](asio::cancellation_type) { asked = true; });
  turn_until([&] { return got.has_value(); });
  EXPECT_TRUE(*got);
  signal.emit(asio::cancellation_type::terminal);
  EXPECT_TRUE(asked);
}

TEST_F(asio_cancellation, of_a_coroutine) {
  auto disk = open_delay();
  std::optional<sio::result<void>> got;
  auto reader = [&]() -> asio::awaitable<void> {
    got = co_await disk.read(buffer, 0).async(asio::use_awaitable);
  };
  bool ended = false;
  asio::co_spawn(
      ctx, reader(),
      asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { ended = !e; }));
  turns(100);
  EXPECT_FALSE(got);
  EXPECT_EQ(in_flight(), 1u);
  signal.emit(asio::cancellation_type::terminal);
  EXPECT_FALSE(got);
  turn_until([&] { return ended; });
  EXPECT_EQ(message_of(*got), aborted);
}

asio::awaitable<void> turns_of_the_loop(int n) {
  auto ex = co_await asio::this_coro::executor;
  for (int i = 0; i < n; ++i) co_await asio::post(ex, asio::use_awaitable);
}

// Whichever branch is first ends the other, and waits for it.
TEST_F(asio_cancellation, by_the_awaitable_operators) {
  using namespace asio::experimental::awaitable_operators;
  auto disk = open_delay();
  bool ended = false;
  auto body = [&]() -> asio::awaitable<void> {
    auto mine = must(sio::dma_buffer::zeroed(4096));
    auto read_or_turns = disk.read(mine, 0).async(asio::use_awaitable) || turns_of_the_loop(100);
    auto first = co_await std::move(read_or_turns);
    EXPECT_EQ(first.index(), 1u);
    EXPECT_EQ(in_flight(), 0u);  // SPDK has let go of the buffer

    auto null = open_null("n0");
    asio::steady_timer timer(ctx, 1h);
    auto hour_or_read =
        timer.async_wait(asio::use_awaitable) || null.read(mine, 0).async(asio::use_awaitable);
    auto second = co_await std::move(hour_or_read);
    EXPECT_EQ(second.index(), 1u);
    EXPECT_TRUE(second.index() == 1 && std::get<1>(second));
    ended = true;
  };
  asio::co_spawn(ctx, body(), asio::detached);
  while (!ended) {
    main_thread().poll();
    ctx.poll_one();
  }
}

#else

SPDK_IO_TEST_NEEDS_SLOTS(asio_cancellation,
                         terminal_and_partial_requests_abort_and_total_ones_do_not)
SPDK_IO_TEST_NEEDS_SLOTS(asio_cancellation, on_a_device_that_cannot_abort_gives_the_real_result)
SPDK_IO_TEST_NEEDS_SLOTS(asio_cancellation, of_what_failed_at_the_start_changes_nothing)
SPDK_IO_TEST_NEEDS_SLOTS(asio_cancellation, of_a_sleep)
SPDK_IO_TEST_NEEDS_SLOTS(asio_cancellation, of_a_call_follows_it_to_its_thread)
SPDK_IO_TEST_NEEDS_SLOTS(asio_cancellation, nothing_is_connected_to_what_cannot_be_stopped)
SPDK_IO_TEST_NEEDS_SLOTS(asio_cancellation, while_waiting_for_memory_leaves_the_queue)
SPDK_IO_TEST_NEEDS_SLOTS(asio_cancellation, the_signal_may_go_first)
SPDK_IO_TEST_NEEDS_SLOTS(asio_cancellation, a_slot_that_another_takes_over_is_left_alone)
SPDK_IO_TEST_NEEDS_SLOTS(asio_cancellation, of_a_coroutine)
SPDK_IO_TEST_NEEDS_SLOTS(asio_cancellation, by_the_awaitable_operators)

#endif

TEST_F(asio_cancellation, timeouts_and_stop_tokens_are_operations_too) {
  auto disk = open_delay();
  std::stop_source stop;
  int reads = 0;
  bool ended = false;
  auto body = [&]() -> asio::awaitable<void> {
    auto timed = co_await sio::with_timeout(disk.read(buffer, 0), 50ms).async(asio::use_awaitable);
    EXPECT_EQ(message_of(timed), "read of 4096 bytes at 0 from d0: timed out");
    EXPECT_EQ(in_flight(), 0u);
    ++reads;
    auto stopped = co_await sio::with_stop_token(stop.get_token(), disk.read(buffer, 0))
                       .async(asio::use_awaitable);
    EXPECT_EQ(message_of(stopped), aborted);
    ++reads;
    auto refused = co_await sio::with_stop_token(stop.get_token(), disk.read(buffer, 0))
                       .async(asio::use_awaitable);
    EXPECT_EQ(message_of(refused), "read of 4096 bytes at 0 from d0: stopped on request");
#ifdef SPDK_IO_TEST_SLOTS
    // By its slot as well.
    auto slow = sio::with_timeout(disk.read(buffer, 0), 1h);
    auto by_slot = co_await std::move(slow).async(
        asio::bind_cancellation_slot(signal.slot(), asio::use_awaitable));
    EXPECT_EQ(message_of(by_slot), aborted);
#endif
    ended = true;
  };
  asio::co_spawn(ctx, body(), asio::detached);
  turn();
  EXPECT_EQ(in_flight(), 1u);
  EXPECT_EQ(reads, 0);
  turn_until([&] { return reads == 1; });
  turns(100);
  EXPECT_EQ(in_flight(), 1u);
  EXPECT_EQ(reads, 1);
  std::thread([&] { stop.request_stop(); }).join();
  turn_until([&] { return reads == 2; });
#ifdef SPDK_IO_TEST_SLOTS
  turns(100);
  EXPECT_EQ(in_flight(), 1u);
  EXPECT_FALSE(ended);
  signal.emit(asio::cancellation_type::terminal);
#endif
  turn_until([&] { return ended; });
}

struct counts {
  int taken = 0;
  int given = 0;
};
template <class T>
struct counting_allocator {
  using value_type = T;
  explicit counting_allocator(counts& c) : n(&c) {}
  template <class U>
  counting_allocator(const counting_allocator<U>& other) : n(other.n) {}
  T* allocate(std::size_t count) {
    ++n->taken;
    return std::allocator<T>().allocate(count);
  }
  void deallocate(T* p, std::size_t count) {
    ++n->given;
    std::allocator<T>().deallocate(p, count);
  }
  friend bool operator==(const counting_allocator&, const counting_allocator&) = default;
  counts* n;
};

// A handler that brings its allocator.
template <class F>
struct counted_handler {
  using allocator_type = counting_allocator<char>;
  allocator_type get_allocator() const noexcept { return allocator_type(*n); }
  void operator()(sio::result<void> r) { f(std::move(r)); }
  counts* n;
  F f;
};

// With its slot connected or not.
TEST_F(asio_cancellation, an_operation_is_one_allocation_given_back_before_its_handler_is_called) {
  auto disk = open_null("n0");
  counts n;
  std::optional<sio::result<void>> got;
  auto handler = [&](sio::result<void> r) {
    EXPECT_EQ(n.taken, 1);
    EXPECT_EQ(n.given, 1);
    got = std::move(r);
  };
  counted_handler<decltype(handler)> counted{.n = &n, .f = handler};
  disk.read(buffer, 0).async(counted);
  EXPECT_EQ(n.taken, 1);
  EXPECT_EQ(n.given, 0);
  turn_until([&] { return got.has_value(); });
#ifdef SPDK_IO_TEST_SLOTS
  n = {};
  got.reset();
  disk.read(buffer, 0).async(asio::bind_cancellation_slot(signal.slot(), counted));
  turn_until([&] { return got.has_value(); });
#endif
}

}  // namespace
