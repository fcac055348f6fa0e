// SPDX-License-Identifier: BSD-3-Clause
// Elements from any thread to one: all of them, in order, with room for so many; whoever goes
// first.
#include "stream_model.hpp"

#include <spdk_io/channel.hpp>
#include <spdk_io/stream.hpp>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace spdk_io_test {
namespace {

using sio::channel;
using next = started<sio::channel_next_operation<int>>;
using sending = started<sio::channel_send_operation<int>>;

static_assert(sio::stream<channel<int>>);
static_assert(sio::sink<channel<int>, int>);
static_assert(sio::sink<channel<int>::sender, int>);
static_assert(sio::stream<channel<std::unique_ptr<int>>>);
static_assert(sio::sink<channel<std::unique_ptr<int>>, std::unique_ptr<int>>);

template <class T>
std::optional<T> next_of(channel<T>& in) {
  return must(run(in.next()));
}

TEST(channel, first_in_first_out) {
  channel<int> c(4);
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 4; ++i) must(run(c.send(round * 10 + i)));
    for (int i = 0; i < 4; ++i) EXPECT_EQ(next_of(c), round * 10 + i);
  }
  EXPECT_EQ(c.capacity(), 4u);
}

// Also where that is no power of two.
TEST(channel, holds_as_many_as_it_was_made_for) {
  for (std::size_t capacity : {1u, 2u, 3u, 5u, 7u, 8u, 100u}) {
    SCOPED_TRACE(capacity);
    channel<int> c(capacity);
    for (int round = 0; round < 3; ++round) {
      for (std::size_t i = 0; i < capacity; ++i) must(c.try_send(static_cast<int>(i)));
      auto r = c.try_send(7);
      ASSERT_FALSE(r);
      EXPECT_TRUE(r.error() == std::errc::resource_unavailable_try_again) << r.error();
      for (std::size_t i = 0; i < capacity; ++i) EXPECT_EQ(next_of(c), static_cast<int>(i));
      must(c.try_send(1));
      EXPECT_EQ(next_of(c), 1);
    }
  }
}

TEST(channel, a_receiver_waits_for_an_element) {
  channel<int> c(2);
  next waiting(c.next());
  poll_times(10);
  EXPECT_FALSE(waiting.done());
  must(c.try_send(5));
  EXPECT_FALSE(waiting.done());  // from its thread's poll(), not from within the send
  main_thread().poll();
  ASSERT_TRUE(waiting.done());
  EXPECT_EQ(must(waiting.take()), 5);
}

TEST(channel, a_sender_waits_for_room) {
  channel<int> c(1);
  must(run(c.send(1)));
  sending second(c.send(2));
  sending third(c.send(3));
  poll_times(10);
  EXPECT_FALSE(second.done());
  EXPECT_TRUE(c.try_send(4).error() == std::errc::resource_unavailable_try_again);
  EXPECT_EQ(next_of(c), 1);
  EXPECT_FALSE(second.done());
  // It has the room already: who comes now does not overtake.
  EXPECT_TRUE(c.try_send(4).error() == std::errc::resource_unavailable_try_again);
  poll_times(2);
  ASSERT_TRUE(second.done());
  EXPECT_FALSE(third.done());
  must(second.take());
  EXPECT_EQ(next_of(c), 2);
  EXPECT_EQ(next_of(c), 3);
  poll_times(2);
  EXPECT_TRUE(third.done());
}

TEST(channel, closing_ends_it_after_what_was_sent) {
  channel<int> c(4);
  auto to = c.get_sender();
  must(run(to.send(1)));
  must(run(to.send(2)));
  EXPECT_FALSE(c.closed());
  must(run(to.close()));
  EXPECT_TRUE(c.closed());
  for (auto& r : {run(to.send(3)), to.try_send(3), run(c.send(3))}) {
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::broken_pipe);
    EXPECT_EQ(r.error().message(), "send into a channel: it is closed");
  }
  must(run(to.flush()));
  EXPECT_EQ(next_of(c), 1);
  EXPECT_EQ(next_of(c), 2);
  EXPECT_EQ(next_of(c), std::nullopt);
  EXPECT_EQ(next_of(c), std::nullopt);
}

TEST(channel, closing_wakes_those_who_wait) {
  channel<int> c(1);
  next waiting(c.next());
  c.close();
  poll_until([&] { return waiting.done(); });
  EXPECT_EQ(must(waiting.take()), std::nullopt);

  channel<int> full(1);
  must(full.try_send(1));
  sending blocked(full.send(2));
  full.close();
  poll_until([&] { return blocked.done(); });
  EXPECT_EQ(message_of(blocked.take()), "send into a channel: it is closed");
  EXPECT_EQ(next_of(full), 1);
  EXPECT_EQ(next_of(full), std::nullopt);
}

TEST(channel, a_receiver_that_goes) {
  std::weak_ptr<int> lost;
  channel<std::shared_ptr<int>>::sender to;
  std::optional<started<sio::channel_send_operation<std::shared_ptr<int>>>> blocked;
  {
    channel<std::shared_ptr<int>> c(1);
    to = c.get_sender();
    auto value = std::make_shared<int>(1);
    lost = value;
    must(to.try_send(std::move(value)));
    blocked.emplace(to.send(nullptr));
  }
  EXPECT_TRUE(lost.expired());
  poll_until([&] { return blocked->done(); });
  EXPECT_EQ(message_of(blocked->take()), "send into a channel: its receiver has gone");
  EXPECT_EQ(message_of(run(to.send(nullptr))), "send into a channel: its receiver has gone");
  EXPECT_EQ(message_of(run(to.flush())), "send into a channel: its receiver has gone");
  EXPECT_TRUE(to.closed());
}

TEST(channel, destroyed_while_it_is_waited_for) {
  auto c = std::make_unique<channel<int>>(1);
  next waiting(c->next());
  c.reset();
  poll_until([&] { return waiting.done(); });
  EXPECT_EQ(message_of(waiting.take()), "next of a stream: the channel was destroyed meanwhile");
}

TEST(channel, two_at_a_time_are_refused) {
  channel<int> c(1);
  next first(c.next());
  auto r = run(c.next());
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::device_or_resource_busy);
  must(c.try_send(1));
  poll_until([&] { return first.done(); });
  EXPECT_EQ(must(first.take()), 1);
}

TEST(channel, of_nothing) {
  channel<int> a(1);
  channel<int> b = std::move(a);
  // NOLINTBEGIN(bugprone-use-after-move)
  EXPECT_EQ(message_of(run(a.send(1))), "send into a channel: the channel is empty (moved from)");
  EXPECT_EQ(message_of(a.try_send(1)), "send into a channel: the channel is empty (moved from)");
  EXPECT_EQ(message_of(run(a.close())), "send into a channel: the channel is empty (moved from)");
  EXPECT_EQ(message_of(run(a.next())), "next of a stream: the channel is empty (moved from)");
  EXPECT_TRUE(a.closed());
  // NOLINTEND(bugprone-use-after-move)
  channel<int>::sender nobody;
  EXPECT_FALSE(run(nobody.send(1)));
  must(b.try_send(1));
  EXPECT_EQ(next_of(b), 1);
}

TEST(channel, a_stopped_receiver_loses_nothing) {
  channel<int> c(2);
  sio::local_stop_source stop;
  started waiting(sio::with_stop_token(stop.get_token(), c.next()));
  stop.request_stop();
  must(c.try_send(1));  // finds nobody
  poll_until([&] { return waiting.done(); });
  EXPECT_EQ(message_of(waiting.take()), "next of a stream: stopped on request");
  EXPECT_EQ(next_of(c), 1);
}

TEST(channel, a_destroyed_receiver_loses_nothing) {
  channel<int> c(2);
  for (int i = 0; i < 5; ++i) {
    {
      next waiting(c.next());
      if (i % 2 == 1) must(c.try_send(i));  // its message is on its way
    }
    if (i % 2 == 0) must(c.try_send(i));
    next again(c.next());
    if (i > 2) poll_times(3);
    poll_until([&] { return again.done(); });
    EXPECT_EQ(must(again.take()), i);
  }
}

TEST(channel, a_stopped_sender_leaves_at_once) {
  channel<int> c(1);
  must(c.try_send(1));
  sio::local_stop_source stop;
  started blocked(sio::with_stop_token(stop.get_token(), c.send(2)));
  sending behind(c.send(3));
  auto late = run(sio::with_timeout(c.send(4), std::chrono::milliseconds(1)));
  ASSERT_FALSE(late);
  EXPECT_TRUE(late.error() == std::errc::timed_out);
  stop.request_stop();
  main_thread().poll();
  ASSERT_TRUE(blocked.done());
  EXPECT_EQ(message_of(blocked.take()), "send into a sink: stopped on request");
  EXPECT_EQ(next_of(c), 1);
  EXPECT_EQ(next_of(c), 3);
  stop.request_stop();
}

TEST(channel, a_destroyed_sender_leaves) {
  channel<int> c(1);
  must(c.try_send(1));
  {
    sending a(c.send(2));
    sending b(c.send(3));
  }
  EXPECT_EQ(next_of(c), 1);
  must(c.try_send(4));
  {
    sending granted(c.send(5));
    EXPECT_EQ(next_of(c), 4);  // which gives it room: it is sent, and its message on its way
  }
  EXPECT_EQ(next_of(c), 5);
}

TEST(channel, elements_are_moved_and_destroyed_once) {
  auto counted = std::make_shared<int>(0);
  {
    channel<std::shared_ptr<int>> c(3);
    for (int i = 0; i < 10; ++i) {
      must(c.try_send(counted));  // a copy
      must(run(c.send(counted)));
      EXPECT_EQ(*must(run(c.next())), counted);
      EXPECT_EQ(*must(run(c.next())), counted);
      EXPECT_EQ(counted.use_count(), 1);
    }
    must(c.try_send(counted));
    EXPECT_EQ(counted.use_count(), 2);
  }
  EXPECT_EQ(counted.use_count(), 1);
  channel<std::unique_ptr<int>> full(1);
  must(full.try_send(std::make_unique<int>(1)));
  auto kept = std::make_unique<int>(2);
  EXPECT_FALSE(full.try_send(std::move(kept)));
  EXPECT_TRUE(kept);  // NOLINT(bugprone-use-after-move)
}

TEST(channel, without_a_coroutine) {
  channel<int> c(1);
  must(c.send(1).get());
  EXPECT_EQ(must(c.next().get()), 1);
  std::optional<int> got;
  sio::start(c.next(), [&](sio::result<std::optional<int>> r) { got = must(r); });
  must(c.try_send(2));
  EXPECT_FALSE(got);
  poll_until([&] { return got.has_value(); });
  EXPECT_EQ(got, 2);
}

sio::task<sio::result<std::vector<int>>> drain(channel<int>& c) {
  std::vector<int> out;
  for (;;) {
    auto each = co_await c.next();
    if (!each) co_return std::unexpected(each.error());
    if (!*each) co_return out;
    out.push_back(**each);
  }
}

// Each sender's elements in its order, and none missing: element = sender * 1000000 + number.
void expect_all_in_order(const std::vector<int>& got, std::map<int, int> sent) {
  std::map<int, int> seen;
  for (int each : got) EXPECT_EQ(each % 1'000'000, seen[each / 1'000'000]++);
  for (const auto& [who, count] : sent) EXPECT_EQ(seen[who], count) << "of " << who;
}

TEST(channel, from_plain_os_threads) {
  channel<int> c(3);
  std::atomic<int> left{3};
  std::vector<std::thread> threads;
  for (int who = 0; who < 3; ++who) {
    threads.emplace_back([&left, who, to = c.get_sender()]() mutable {
      for (int i = 0; i < 500; ++i) must(to.send(who * 1'000'000 + i).get());  // sleeps while full
      if (left.fetch_sub(1) == 1) to.close();
    });
  }
  const auto got = must(run(drain(c)));
  for (auto& t : threads) t.join();
  expect_all_in_order(got, {{0, 500}, {1, 500}, {2, 500}});
}

TEST(channel, from_spdk_threads_and_others_that_do_not_wait) {
  channel<int> c(2);
  std::atomic<int> left{3};
  const auto done = [&left](channel<int>::sender& to) {
    if (left.fetch_sub(1) == 1) to.close();
  };
  const auto sender = [&](channel<int>::sender to, int who) -> sio::task<void> {
    const auto* const here = sio::detail::this_os_thread();
    for (int i = 0; i < 300; ++i) {
      must(co_await to.send(who * 1'000'000 + i));
      EXPECT_EQ(sio::detail::this_os_thread(), here);
    }
    done(to);
  };
  std::vector<std::thread> threads;
  for (int who = 0; who < 2; ++who) {
    threads.emplace_back([&, who, to = c.get_sender()] {
      auto thread = must(sio::thread::attach("sender"));
      sio::block_on(thread, sender(to, who));
    });
  }
  threads.emplace_back([&, to = c.get_sender()]() mutable {
    for (int i = 0; i < 300;) {
      if (to.try_send(2'000'000 + i))
        ++i;
      else
        std::this_thread::yield();
    }
    done(to);
  });
  const auto got = must(run(drain(c)));
  for (auto& t : threads) t.join();
  expect_all_in_order(got, {{0, 300}, {1, 300}, {2, 300}});
}

// The receiver's loop sleeps, for an hour if nobody wakes it.
TEST(channel, wakes_a_loop_that_sleeps) {
  channel<int> there(1);
  channel<int> back(1);
  const auto echo = [&](channel<int>::sender to) -> sio::task<void> {
    for (;;) {
      auto each = co_await there.next();
      if (!each || !*each) break;
      if (auto r = co_await to.send(**each + 1); !r) break;
    }
    to.close();
  };
  std::thread worker([&] {
    auto thread = must(sio::thread::attach("worker"));
    sio::run_until(thread, echo(back.get_sender()),
                   sio::idle::backoff{.spin_for = std::chrono::seconds(0),
                                      .max_sleep = std::chrono::hours(1)});
  });
  for (int i = 0; i < 200; ++i) {
    must(there.get_sender().send(i).get());
    EXPECT_EQ(next_of(back), i + 1);
  }
  there.close();
  EXPECT_EQ(next_of(back), std::nullopt);
  worker.join();
}

// While senders are at it, someone closes: what was sent with success is received, nothing else.
TEST(channel, closed_while_others_send) {
  for (int round = 0; round < 30; ++round) {
    channel<int> c(1 + round % 5);
    std::map<int, int> sent;
    std::array<int, 3> counts{};
    std::vector<std::thread> threads;
    for (int who = 0; who < 3; ++who) {
      threads.emplace_back([&counts, who, to = c.get_sender()]() mutable {
        for (int i = 0;; ++i) {
          auto r = who == 0 ? to.try_send(i) : to.send(who * 1'000'000 + i).get();
          if (!r && r.error() == std::errc::resource_unavailable_try_again) {
            --i;
            continue;
          }
          if (!r) {
            EXPECT_TRUE(r.error() == std::errc::broken_pipe) << r.error();
            counts[static_cast<std::size_t>(who)] = i;
            return;
          }
        }
      });
    }
    std::vector<int> got;
    for (int i = 0; i < 20; ++i) got.push_back(*next_of(c));
    c.close();
    while (auto each = next_of(c)) got.push_back(*each);
    for (auto& t : threads) t.join();
    EXPECT_EQ(next_of(c), std::nullopt);
    for (int who = 0; who < 3; ++who) sent[who] = counts[static_cast<std::size_t>(who)];
    expect_all_in_order(got, sent);
  }
}

TEST(channel, destroyed_while_others_send) {
  for (int round = 0; round < 30; ++round) {
    auto counted = std::make_shared<int>(0);
    auto c = std::make_unique<channel<std::shared_ptr<int>>>(1 + round % 4);
    std::vector<std::thread> threads;
    for (int who = 0; who < 2; ++who) {
      threads.emplace_back([counted, to = c->get_sender()]() mutable {
        while (to.send(counted).get()) {
        }
      });
    }
    threads.emplace_back([counted, to = c->get_sender()] {
      auto thread = must(sio::thread::attach("sender"));
      sio::block_on(thread, [](auto sender, auto value) -> sio::task<void> {
        for (;;) {
          auto r = co_await sender.send(value);
          if (!r) break;
        }
      }(to, counted));
    });
    for (int i = 0; i < round; ++i) EXPECT_TRUE(must(run(c->next())));
    c.reset();
    for (auto& t : threads) t.join();
    EXPECT_EQ(counted.use_count(), 1);
  }
}

// Senders' coroutines are destroyed while they wait for room, and while they are being told.
TEST(channel, senders_destroyed_while_another_thread_receives) {
  channel<int> c(2);
  int received = 0;
  std::thread receiver([&] {
    auto thread = must(sio::thread::attach("receiver"));
    while (auto each = must(sio::block_on(thread, c.next()))) {
      received += 1;
    }
  });
  int sent = 0;
  for (int i = 0; i < 2000; ++i) {
    sending a(c.send(1));
    sending b(c.send(2));
    sending d(c.send(3));
    if (i % 3 == 0) main_thread().poll();
    for (auto* each : {&a, &b, &d}) sent += each->done() ? 1 : 0;
  }
  c.close();
  receiver.join();
  EXPECT_GE(received, sent);
}

TEST(channel, receivers_destroyed_while_another_thread_sends) {
  channel<int> c(2);
  std::thread sender([to = c.get_sender()]() mutable {
    for (int i = 0; i < 3000; ++i) must(to.send(i).get());
    to.close();
  });
  std::vector<int> got;
  for (bool open = true; open;) {
    next given_up(c.next());
    if (!given_up.done()) given_up.destroy();
    next one(c.next());
    if (got.size() % 2 == 0) main_thread().poll();
    poll_until([&] { return one.done(); });
    for (next* each : {&given_up, &one}) {
      if (!each->done()) continue;
      auto element = must(each->take());
      open = element.has_value();
      if (open) got.push_back(*element);
    }
  }
  sender.join();
  expect_all_in_order(got, {});
  EXPECT_EQ(got.size(), 3000u);
}

TEST(channel, the_end_of_its_thread_ends_the_waits) {
  std::string received;
  std::string sent;
  channel<int> full(1);
  must(full.try_send(1));
  std::thread other([&] {
    auto thread = std::make_unique<sio::thread>(must(sio::thread::attach("other")));
    channel<int> c(1);
    std::optional<next> waiting;
    std::optional<sending> blocked;
    must(sio::block_on(*thread, [&]() -> sio::task<sio::result<void>> {
      waiting.emplace(c.next());
      blocked.emplace(full.send(2));
      co_return sio::result<void>();
    }()));
    thread.reset();
    EXPECT_TRUE(waiting->done());
    EXPECT_TRUE(blocked->done());
    received = message_of(waiting->take());
    sent = message_of(blocked->take());
    EXPECT_TRUE(c.try_send(1));
  });
  other.join();
  EXPECT_EQ(received, "next of a stream: the thread is exiting");
  EXPECT_EQ(sent, "send into a sink: the thread is exiting");
  EXPECT_EQ(next_of(full), 1);
}

TEST(channel, a_sender_without_a_thread_that_would_have_to_wait) {
  channel<int> c(1);
  std::thread([&] {
    started full(c.send(1));
    EXPECT_TRUE(full.done());
    sending one(c.send(2));
    ASSERT_TRUE(one.done());
    auto r = one.take();
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::operation_not_permitted);
  }).join();
  EXPECT_EQ(next_of(c), 1);
}

}  // namespace
}  // namespace spdk_io_test
