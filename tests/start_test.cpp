// SPDX-License-Identifier: BSD-3-Clause
// Operations started with a callback.
#include "spdk_test.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

TEST(start, calls_back_from_poll) {
  std::optional<sio::result<void>> got;
  sio::start(sio::sleep_for(0ns), [&](sio::result<void> r) { got = r; });
  EXPECT_FALSE(got);
  main_thread().poll();
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->has_value());
}

TEST(start, brings_values_and_takes_callbacks_that_can_only_be_moved) {
  auto target = must(sio::thread::create("target"));
  std::string got;
  sio::start(target.ref().call([] { return std::string("from there"); }),
             [p = std::make_unique<int>(1), &got](sio::result<std::string> r) { got = r.value(); });
  target.poll();
  EXPECT_EQ(got, "");
  main_thread().poll();
  EXPECT_EQ(got, "from there");
}

TEST(start, an_operation_that_fails_at_once_calls_back_later_too) {
  auto gone = must(sio::thread::create("gone")).ref();
  std::optional<sio::result<int>> got;
  sio::start(gone.call([] { return 1; }), [&](sio::result<int> r) { got = r; });
  EXPECT_FALSE(got);
  main_thread().poll();
  ASSERT_TRUE(got);
  ASSERT_FALSE(*got);
  EXPECT_TRUE(got->error() == std::errc::no_such_process) << got->error();
}

TEST(start, without_a_thread_the_error_comes_at_once) {
  std::jthread([] {
    std::optional<sio::result<void>> got;
    sio::start(sio::sleep_for(1h), [&](sio::result<void> r) { got = r; });
    ASSERT_TRUE(got);
    ASSERT_FALSE(*got);
    EXPECT_TRUE(got->error() == std::errc::operation_not_permitted);
  });
}

TEST(start, an_exception_of_the_callback_leaves_poll) {
  sio::start(sio::sleep_for(0ns), [](sio::result<void>) { throw std::runtime_error("callback"); });
  EXPECT_THROW(main_thread().poll(), std::runtime_error);
}

// The result is an exception: the callback cannot take it, so it leaves poll(), and the state
// and the callback are freed.
TEST(start, an_exception_in_place_of_a_result_leaves_poll) {
  auto target = must(sio::thread::create("target"));
  auto kept = std::make_shared<int>();
  std::weak_ptr<int> watch = kept;
  bool called = false;
  sio::start(target.ref().call([]() -> int { throw std::logic_error("no value"); }),
             [&called, kept = std::move(kept)](sio::result<int>) { called = true; });
  target.poll();
  EXPECT_THROW(main_thread().poll(), std::logic_error);
  EXPECT_FALSE(called);
  EXPECT_TRUE(watch.expired());
}

TEST(start, the_callback_may_start_the_next) {
  int left = 3;
  struct again {
    int* left;
    void operator()(sio::result<void>) const {
      if (--*left > 0) sio::start(sio::sleep_for(0ns), *this);
    }
  };
  sio::start(sio::sleep_for(0ns), again{&left});
  EXPECT_EQ(left, 3);
  poll_until([&] { return left == 0; });
}

auto count(int& n) {
  return [&n](sio::result<void>) { ++n; };
}

TEST(pending, keeps_its_state_in_place) {
  int called = 0;
  sio::pending p(sio::sleep_for(0ns), count(called));
  main_thread().poll();
  EXPECT_EQ(called, 0);
  p.start();
  EXPECT_EQ(called, 0);
  main_thread().poll();
  EXPECT_EQ(called, 1);
}

TEST(pending, destroyed_before_its_end_calls_nobody) {
  int called = 0;
  {
    auto gone = must(sio::thread::create("gone")).ref();
    sio::pending waits(sio::sleep_for(0ns), count(called));
    waits.start();
    auto on_failure = [&](sio::result<void>) { ++called; };
    sio::pending failed(gone.call([] {}), on_failure);
    failed.start();
  }
  for (int i = 0; i < 3; ++i) main_thread().poll();
  EXPECT_EQ(called, 0);
}

TEST(pending, is_asked_to_stop) {
  std::optional<sio::result<void>> got;
  auto keep = [&](sio::result<void> r) { got = std::move(r); };
  sio::pending p(sio::sleep_for(1h), keep);
  p.request_stop();  // not started: no effect
  p.start();
  for (int i = 0; i < 3; ++i) main_thread().poll();
  EXPECT_FALSE(got);
  p.request_stop();
  EXPECT_FALSE(got);
  main_thread().poll();
  ASSERT_TRUE(got);
  ASSERT_FALSE(*got);
  EXPECT_EQ(got->error(), std::errc::operation_canceled);
  p.request_stop();  // complete: no effect
  main_thread().poll();
}

// Only where the operation can be stopped.
template <class P>
concept can_be_asked = requires(P& p) { p.request_stop(); };
struct ignore {
  void operator()(const sio::result<void>&) const {}
};
static_assert(can_be_asked<sio::pending<sio::sleep_operation, ignore>>);
static_assert(
    !can_be_asked<sio::pending<decltype(std::declval<sio::thread_ref>().schedule()), ignore>>);

TEST(pending, is_asked_to_stop_its_io) {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "base", .size = 1 << 20})));
  must(run(sio::create_bdev(
      sio::delay_bdev{.name = "d0", .base = "base", .average_read = 1h, .average_write = 1h})));
  auto disk = must(sio::bdev_desc::open("d0"));
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  std::optional<sio::result<void>> got;
  auto keep = [&](sio::result<void> r) { got = std::move(r); };
  sio::pending p(disk.read(buffer, 0), keep);
  p.start();
  for (int i = 0; i < 100; ++i) main_thread().poll();
  EXPECT_FALSE(got);
  p.request_stop();
  EXPECT_FALSE(got);
  poll_until([&] { return got.has_value(); });
  ASSERT_FALSE(*got);
  EXPECT_EQ(got->error().message(), "read of 4096 bytes at 0 from d0: aborted (NVMe 0/07h)");
}

TEST(pending, may_be_destroyed_by_its_callback) {
  struct holder {
    struct callback {
      holder* self;
      void operator()(sio::result<void>) const {
        self->p.reset();
        ++self->called;
      }
    };
    std::optional<sio::pending<sio::sleep_operation, callback>> p;
    int called = 0;
  };
  holder h;
  h.p.emplace(sio::sleep_for(0ns), holder::callback{&h});
  h.p->start();
  EXPECT_EQ(h.called, 0);
  main_thread().poll();
  EXPECT_EQ(h.called, 1);
  EXPECT_FALSE(h.p);
}

}  // namespace
