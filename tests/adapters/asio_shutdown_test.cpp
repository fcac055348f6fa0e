// SPDX-License-Identifier: BSD-3-Clause
// Asio contexts and SPDK threads that end, in either order, with I/O under way: SPDK lets go of a
// buffer before the coroutine that owns it goes. (Run it under ASan, too: the buffers are ordinary
// memory.)
#include "devices.hpp"

#include <spdk_io/adapters/asio.hpp>

#include <gtest/gtest.h>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

constexpr std::size_t length = 4096;

std::size_t in_flight() { return main_thread().statistics().io_in_flight; }

// Ordinary memory of exactly that size; its owner goes when nothing is in flight any more.
class owned_buffer {
 public:
  explicit owned_buffer(int& gone) : bytes_(new std::byte[length]), gone_(&gone) {}
  owned_buffer(owned_buffer&&) = default;
  ~owned_buffer() {
    if (!bytes_) return;
    EXPECT_EQ(main_thread().operations().size(), 0u);
    ++*gone_;
  }
  sio::dma_span span() { return sio::dma_span::trusted({bytes_.get(), length}); }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  int* gone_;
};

class asio_shutdown : public testing::Test {
 protected:
  void SetUp() override { ctx.emplace(); }

  // A device that holds everything that long, on a malloc device.
  sio::bdev_desc open_delay(std::chrono::microseconds time = 1h) {
    must(run(sio::create_bdev(sio::malloc_bdev{.name = "base", .size = 1 << 20})));
    must(run(sio::create_bdev(sio::delay_bdev{
        .name = "d0", .base = "base", .average_read = time, .average_write = time})));
    return must(sio::bdev_desc::open("d0"));
  }

  // A coroutine that owns its buffer, suspended in a read.
  asio::awaitable<void> reader(const sio::bdev_desc& disk) {
    owned_buffer buffer(gone);
    auto r = co_await disk.read(buffer.span(), 0).async(asio::use_awaitable);
    ++resumed;
    EXPECT_TRUE(r) << message_of(r);
  }
  void spawn_reader(const sio::bdev_desc& disk) {
    asio::co_spawn(*ctx, reader(disk), asio::detached);
    ctx->restart();
    ctx->poll();
  }

  // What would come late comes now.
  void expect_dropped(int frames) {
    poll_times(200);
    EXPECT_EQ(gone, frames);
    EXPECT_EQ(resumed, 0);
    EXPECT_EQ(in_flight(), 0u);
    EXPECT_EQ(main_thread().operations().size(), 0u);
  }

  std::optional<asio::io_context> ctx;
  int gone = 0;
  int resumed = 0;
};

// ---- the context goes first -------------------------------------------------------------------

TEST_F(asio_shutdown, a_context_with_io_in_flight) {
  for_each_kind({kind::null, kind::malloc, kind::uring, kind::aio}, [&](kind k) {
    temp_folder folder;
    auto disk = open_device(k, folder, "d0");
    ctx.emplace();
    gone = 0;
    spawn_reader(disk);
    EXPECT_EQ(gone, 0);
    EXPECT_EQ(main_thread().operations().size(), 1u);
    ctx.reset();
    expect_dropped(1);
  });
}

TEST_F(asio_shutdown, a_context_with_io_that_takes_an_hour) {
  auto disk = open_delay();
  for (int i = 0; i < 3; ++i) spawn_reader(disk);
  poll_times(100);
  EXPECT_EQ(in_flight(), 3u);
  ctx.reset();
  expect_dropped(3);
}

}  // namespace
