// SPDX-License-Identifier: BSD-3-Clause
// Senders: an operation state holds everything that its operation needs.
#include "counted_malloc.hpp"
#include "senders.hpp"

#include <memory>
#include <optional>
#include <stop_token>

namespace spdk_io_test {
namespace {

constexpr int warm_up = 1'000;
constexpr int measured = 10'000;

class execution_allocation : public testing::Test {
 protected:
  void SetUp() override {
#ifdef SPDK_IO_TEST_SANITIZED
    GTEST_SKIP() << "a sanitizer has replaced malloc already";
#endif
    disk = open_null("n0");
    buffer = must(sio::dma_buffer::zeroed(4096));
  }

  // Connects, starts and completes one after the other, and counts from the warm-up on.
  template <class Run>
  void expect_none(Run run) {
    for (int i = 0; i < warm_up; ++i) run();
    allocations = 0;
    measuring = true;
    for (int i = 0; i < measured; ++i) run();
    measuring = false;
    EXPECT_EQ(allocations, 0u);
  }
  template <class Sender, class... Token>
  void complete(Sender sender, Token... token) {
    connected op(std::move(sender), std::move(token)...);
    op.start();
    poll_until([&] { return op.done(); });
    ASSERT_TRUE(op.how.value);
  }

  sio::bdev_desc disk;
  sio::dma_buffer buffer;
};

TEST_F(execution_allocation, is_counted) {
  measuring = true;
  allocations = 0;
  const auto one = std::make_unique<int>(1);
  measuring = false;
  EXPECT_EQ(allocations, 1u);
  EXPECT_EQ(*one, 1);
}

TEST_F(execution_allocation, none_for_io) {
  expect_none([&] { complete(disk.read(buffer, 0)); });
}

TEST_F(execution_allocation, none_for_io_that_can_be_stopped) {
  const std::stop_source stop;
  expect_none([&] { complete(disk.read(buffer, 0), stop.get_token()); });
}

TEST_F(execution_allocation, none_for_io_that_is_stopped) {
  const std::stop_source stop = [] {
    std::stop_source made;
    made.request_stop();
    return made;
  }();
  expect_none([&] {
    connected op(disk.read(buffer, 0), stop.get_token());
    op.start();
    poll_until([&] { return op.done(); });
    ASSERT_TRUE(op.how.stopped);
  });
}

TEST_F(execution_allocation, none_for_an_error) {
  expect_none([&] {
    connected op(disk.read(buffer, std::uint64_t{1} << 60));
    op.start();
    poll_until([&] { return op.done(); });
    ASSERT_TRUE(op.how.error);
  });
}

TEST_F(execution_allocation, none_for_calls_and_schedules) {
  auto target = must(sio::thread::create("target"));
  const sio::thread_ref there = target.ref();
  expect_none([&] {
    connected call(there.call([] { return 1; }));
    call.start();
    target.poll();
    poll_until([&] { return call.done(); });
    connected scheduled(sio::scheduler(there).schedule());
    scheduled.start();
    target.poll();
    ASSERT_TRUE(scheduled.done());
  });
}

}  // namespace
}  // namespace spdk_io_test
