// SPDX-License-Identifier: BSD-3-Clause
// Calls to other threads that are asked to stop, wherever they are at that time.
#include "devices.hpp"
#include "started.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

sio::task<sio::result<void>> sleep_long() { co_return co_await sio::sleep_for(1h); }

// A further SPDK thread on this OS thread, polled by the test.
class call : public testing::Test {
 protected:
  template <class F>
  auto stoppable(F f) {
    return sio::with_stop_token(stop.get_token(), ref.call(std::move(f)));
  }
  void poll_both() {
    target->poll();
    main_thread().poll();
  }

  std::optional<sio::thread> target = must(sio::thread::create("target"));
  sio::thread_ref ref = target->ref();
  sio::local_stop_source stop;
};

TEST_F(call, stops_what_it_awaits_there) {
  started run(stoppable(sleep_long));
  for (int i = 0; i < 10; ++i) poll_both();
  EXPECT_FALSE(run.done());
  stop.request_stop();
  EXPECT_FALSE(run.done());
  for (int i = 0; i < 10; ++i) main_thread().poll();
  EXPECT_FALSE(run.done());  // the request is on its way
  while (!run.done()) poll_both();
  EXPECT_EQ(message_of(run.take()), "sleep: stopped on request");
}

TEST_F(call, that_has_not_begun_does_not_begin) {
  bool ran = false;
  started plain(stoppable([&] { ran = true; }));
  started awaiting(stoppable([&] {
    ran = true;
    return sleep_long();
  }));
  stop.request_stop();
  EXPECT_FALSE(plain.done());
  while (!plain.done() || !awaiting.done()) poll_both();
  EXPECT_FALSE(ran);
  auto r = plain.take();
  EXPECT_EQ(message_of(r), "call to thread \"target\": stopped on request");
  EXPECT_EQ(r.error(), std::errc::operation_canceled);
  EXPECT_EQ(message_of(awaiting.take()), "call to thread \"target\": stopped on request");
}

TEST_F(call, with_a_token_that_says_stop_already_does_not_depart) {
  stop.request_stop();
  bool ran = false;
  started run([&]() -> sio::task<sio::result<void>> {
    co_return co_await sio::with_stop_token(stop.get_token(), ref.call([&] { ran = true; }));
  }());
  EXPECT_TRUE(run.done());
  EXPECT_EQ(message_of(run.take()), "call to thread \"target\": stopped on request");
  for (int i = 0; i < 10; ++i) poll_both();
  EXPECT_FALSE(ran);
}

TEST_F(call, that_has_ended_brings_its_result_and_waits_for_the_request) {
  started run(stoppable([] { return 7; }));
  target->poll();
  stop.request_stop();
  for (int i = 0; i < 10; ++i) main_thread().poll();
  EXPECT_FALSE(run.done());
  target->poll();
  EXPECT_FALSE(run.done());
  main_thread().poll();
  main_thread().poll();
  ASSERT_TRUE(run.done());
  EXPECT_EQ(must(run.take()), 7);
}

TEST_F(call, that_is_home_already_is_not_followed) {
  started run(stoppable([] { return 7; }));
  target->poll();
  main_thread().poll();
  stop.request_stop();
  main_thread().poll();
  ASSERT_TRUE(run.done());
  EXPECT_EQ(must(run.take()), 7);
  EXPECT_TRUE(target->idle());
}

TEST_F(call, ends_when_its_time_is_up) {
  started run(sio::with_timeout(ref.call(sleep_long), 1ms));
  while (!run.done()) poll_both();
  EXPECT_EQ(message_of(run.take()), "timed out: sleep: stopped on request");
}

TEST_F(call, aborts_the_io_there) {
  auto disk = open_delay();
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  auto read = [&]() -> sio::task<sio::result<void>> { co_return co_await disk.read(buffer, 0); };
  started run(stoppable(read));
  while (target->statistics().io_in_flight == 0) poll_both();
  for (int i = 0; i < 10; ++i) poll_both();
  EXPECT_FALSE(run.done());
  stop.request_stop();
  while (!run.done()) poll_both();
  EXPECT_EQ(message_of(run.take()), "read of 4096 bytes at 0 from d0: aborted (NVMe 0/07h)");
}

// Its destruction polls until the I/O has ended: this thread, where the time is up, then the other,
// where the request would arrive as the I/O ends.
TEST_F(call, whose_time_is_up_while_it_is_destroyed) {
  auto disk = open_null("n0");
  auto buffer = must(sio::dma_buffer::zeroed(512));
  auto read = [&] { return disk.read(buffer, 0); };
  started run(sio::with_timeout(ref.call(read), 0ns));
  target->poll();
  EXPECT_EQ(target->statistics().io_in_flight, 1u);
  EXPECT_FALSE(run.done());
  run.destroy();
  EXPECT_EQ(target->statistics().io_in_flight, 0u);
  poll_both();  // finds no request for what is gone
}

// Destroyed at each point of the way of call and request.
TEST_F(call, that_is_destroyed_takes_its_request_with_it) {
  for (int polls_before = 0; polls_before < 3; ++polls_before) {
    for (int polls_after = 0; polls_after < 4; ++polls_after) {
      sio::local_stop_source source;
      auto alive = std::make_shared<int>();
      auto there = [](std::shared_ptr<int>) -> sio::task<sio::result<void>> {
        co_return co_await sio::sleep_for(1h);
      };
      started run(sio::with_stop_token(source.get_token(), ref.call([&] { return there(alive); })));
      auto poll_by_turns = [&](int polls) {
        for (int i = 0; i < polls; ++i) (i % 2 ? main_thread() : *target).poll();
      };
      poll_by_turns(polls_before);
      source.request_stop();
      poll_by_turns(polls_after);
      run.destroy();
      EXPECT_EQ(alive.use_count(), 1);
      for (int i = 0; i < 3; ++i) poll_both();
      EXPECT_TRUE(target->idle());
    }
  }
}

TEST_F(call, is_stopped_while_the_target_ends) {
  auto disk = open_delay();
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  auto read = [&]() -> sio::task<sio::result<void>> { co_return co_await disk.read(buffer, 0); };
  started run(stoppable(read));
  while (target->statistics().io_in_flight == 0) poll_both();
  stop.request_stop();
  target.reset();  // which drains: not in an hour
  poll_until([&] { return run.done(); });
  EXPECT_EQ(message_of(run.take()), "read of 4096 bytes at 0 from d0: aborted (NVMe 0/07h)");
}

TEST_F(call, is_stopped_while_the_caller_ends) {
  sio::result<void> got;
  auto caller = must(sio::thread::create("caller"));
  must(caller.ref().send(
      [&] { sio::start(sio::with_timeout(ref.call(sleep_long), 1ms), [&](auto r) { got = r; }); }));
  caller.poll();
  target->poll();
  {
    auto ends = std::move(caller);
  }
  EXPECT_EQ(message_of(got), "timed out: sleep: stopped on request");
}

// Across OS threads.

TEST_F(call, to_another_os_thread_is_stopped) {
  auto other = must(sio::thread::spawn("other"));
  started run(sio::with_timeout(other.ref().call(sleep_long), 0ns));
  poll_until([&] { return run.done(); });
  auto r = run.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::timed_out);
}

TEST_F(call, to_another_os_thread_that_is_destroyed_ends_what_it_awaits) {
  auto other = must(sio::thread::spawn("other"));
  for (int i = 0; i < 50; ++i) {
    std::atomic<bool> begun{false};
    started run(other.ref().call([&] {
      begun = true;
      return sleep_long();
    }));
    while (i % 2 && !begun) std::this_thread::yield();
    run.destroy();  // not in an hour
  }
}

TEST_F(call, races_with_requests_from_a_third_os_thread) {
  auto other = must(sio::thread::spawn("other"));
  int stopped = 0;
  constexpr int rounds = 300;
  for (int i = 0; i < rounds; ++i) {
    std::stop_source source;
    started run(sio::with_stop_token(source.get_token(), other.ref().call([] {
      return []() -> sio::task<sio::result<void>> {
        for (int turn = 0; turn < 20; ++turn) co_await sio::yield();
        co_return co_await sio::sleep_for(1h);
      }();
    })));
    std::jthread third([&] {
      if (i % 3 == 0) std::this_thread::yield();
      source.request_stop();
    });
    if (i % 4 == 0) continue;  // destroyed, wherever it is
    poll_until([&] { return run.done(); });
    stopped += run.take() ? 0 : 1;
  }
  EXPECT_EQ(stopped, rounds - rounds / 4);
}

}  // namespace
