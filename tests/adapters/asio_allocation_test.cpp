// SPDX-License-Identifier: BSD-3-Clause
// No heap allocation per I/O of an Asio coroutine: what is needed comes from Asio's own caches.
#include "asio_library.hpp"
#include "counted_malloc.hpp"
#include "devices.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <utility>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

class asio_allocation : public testing::Test {
 protected:
  void SetUp() override {
#ifdef SPDK_IO_TEST_SANITIZED
    GTEST_SKIP() << "a sanitizer has replaced malloc already";
#endif
    disk = open_null("n0");
    buffer = must(sio::dma_buffer::zeroed(4096));
  }
  template <class Once>
  asio::awaitable<void> repeat(Once once) {
    for (int i = 0; i < 10'000; ++i) {
      auto r = co_await once();
      if (!r) co_return;
    }
    allocations = 0;
    measuring = true;
    for (int i = 0; i < 100'000; ++i) {
      auto r = co_await once();
      if (!r) break;
      ++completed;
    }
    measuring = false;
  }
  template <class Once>
  void expect_none(Once once) {
    bool ended = false;
    completed = 0;
    auto polling = must(sio::poller_task(main_thread(), ctx, sio::idle::spin()));
    asio::co_spawn(ctx, repeat(once), cancellable([&](std::exception_ptr e) {
                     ended = !e;
                     ctx.stop();
                   }));
    ctx.run();
    ctx.restart();
    EXPECT_TRUE(ended);
    EXPECT_EQ(completed, 100'000);
    EXPECT_EQ(allocations, 0u);
  }

  // Where this Asio can.
  template <class Handler>
  auto cancellable(Handler handler) {
#ifdef SPDK_IO_TEST_SLOTS
    return asio::bind_cancellation_slot(signal.slot(), std::move(handler));
#else
    return handler;
#endif
  }

  asio::io_context ctx;
#ifdef SPDK_IO_TEST_SLOTS
  asio::cancellation_signal signal;
#endif
  sio::bdev_desc disk;
  sio::dma_buffer buffer;
  int completed = 0;
};

TEST_F(asio_allocation, none_for_a_read_in_a_coroutine_that_can_be_cancelled) {
  expect_none([&] { return disk.read(buffer, 0).async(asio::use_awaitable); });
}

TEST_F(asio_allocation, none_for_a_read_with_a_timeout) {
  expect_none(
      [&] { return sio::with_timeout(disk.read(buffer, 0), 1h).async(asio::use_awaitable); });
}

TEST_F(asio_allocation, none_for_a_sleep) {
  expect_none([&] { return sio::sleep_for(0ns).async(asio::use_awaitable); });
}

}  // namespace
