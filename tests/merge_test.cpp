// SPDX-License-Identifier: BSD-3-Clause
// Several streams as one: what comes first, all of it, each in its order.
#include "stream_model.hpp"

#include <spdk_io/channel.hpp>
#include <spdk_io/merge.hpp>
#include <spdk_io/read_stream.hpp>
#include <spdk_io/sleep_for.hpp>
#include <spdk_io/task_scope.hpp>
#include <spdk_io/transform.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace spdk_io_test {
namespace {

TEST(merge, what_comes_first) {
  sio::channel<int> a(4);
  sio::channel<int> b(4);
  auto both = sio::merge(a, b);
  static_assert(sio::stream<decltype(both)>);
  started waiting(both.next());
  poll_times(5);
  EXPECT_FALSE(waiting.done());
  must(b.try_send(1));
  poll_until([&] { return waiting.done(); });
  EXPECT_EQ(must(waiting.take()), 1);
  must(a.try_send(2));
  poll_times(5);
  must(b.try_send(3));
  poll_times(5);
  EXPECT_EQ(must(run(both.next())), 2);
  EXPECT_EQ(must(run(both.next())), 3);
  a.close();
  must(b.try_send(4));
  EXPECT_EQ(must(run(both.next())), 4);
  b.close();
  EXPECT_EQ(must(run(both.next())), std::nullopt);
  EXPECT_EQ(must(run(both.next())), std::nullopt);
}

// One element of each is asked for ahead, not more.
TEST(merge, leaves_the_rest_where_it_is) {
  sio::channel<int> a(2);
  sio::channel<int> b(2);
  auto both = sio::merge(a, b);
  for (int i : {1, 2}) must(a.try_send(i));
  EXPECT_EQ(must(run(both.next())), 1);
  must(a.try_send(3));
  poll_times(10);
  EXPECT_FALSE(a.try_send(4));  // 2 and 3 are in it still
}

TEST(merge, an_error_of_one_ends_all) {
  sio::channel<int> good(2);
  sio::read_stream broken{sio::bdev_desc()};
  auto both = sio::merge(good, sio::transform(broken, [](const auto&) { return 0; }));
  must(good.try_send(1));
  EXPECT_EQ(must(run(both.next())), 1);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(run(both.next()).error() == std::errc::bad_file_descriptor);
  }
}

TEST(merge, exceptions_leave_it) {
  sio::channel<int> a(2);
  sio::channel<int> b(2);
  auto both = sio::merge(a, sio::transform(b, [](int) -> int { throw std::runtime_error("no"); }));
  must(b.try_send(1));
  EXPECT_THROW(run(both.next()), std::runtime_error);
}

TEST(merge, a_stopped_wait_loses_nothing) {
  sio::channel<int> a(2);
  sio::channel<int> b(2);
  auto both = sio::merge(a, b);
  sio::local_stop_source stop;
  started waiting(sio::with_stop_token(stop.get_token(), both.next()));
  stop.request_stop();
  must(a.try_send(1));
  poll_until([&] { return waiting.done(); });
  EXPECT_TRUE(waiting.take().error() == std::errc::operation_canceled);
  EXPECT_EQ(must(run(both.next())), 1);
  {
    started given_up(both.next());
    EXPECT_FALSE(given_up.done());
  }
  must(b.try_send(2));
  EXPECT_EQ(must(run(both.next())), 2);
}

// The streams start within the wait: a stop that comes from there is not missed.
TEST(merge, stopped_by_what_it_starts) {
  sio::task_scope scope;
  struct stopping {
    sio::task_scope& scope;
    sio::task<sio::result<std::optional<int>>> next() {
      scope.request_stop();
      co_await sio::sleep_for(std::chrono::hours(1));
      co_return std::nullopt;
    }
  };
  std::string answer;
  sio::channel<int> silent(1);
  auto both = sio::merge(stopping{scope}, silent);
  scope.spawn([](auto& in, std::string& out) -> sio::task<void> {
    out = message_of(co_await in.next());
  }(both, answer));
  poll_times(5);
  EXPECT_EQ(answer, "next of a stream: stopped on request");
}

TEST(merge, destroyed_while_it_is_waited_for) {
  sio::channel<int> a(2);
  auto disk = open_delay();
  auto ones = [&] {
    return sio::merge(
        a, sio::transform(sio::read_stream(disk), [](const sio::read_chunk&) { return 1; }));
  };
  auto both = std::make_unique<decltype(ones())>(ones());
  started waiting(both->next());
  poll_times(5);
  both.reset();
  poll_until([&] { return waiting.done(); });
  EXPECT_TRUE(waiting.take().error() == std::errc::operation_canceled);
  EXPECT_TRUE(main_thread().operations().empty());
}

// Chunks of three ranges, each in its order, byte for byte.
TEST(merge, of_three_devices) {
  temp_folder folder;
  std::vector<sio::bdev_desc> disks;
  for (kind k : {kind::malloc, kind::uring, kind::aio}) {
    disks.push_back(open_device(k, folder, std::string(to_string(k)), 64 << 10));
  }
  const auto chunks = [&](std::size_t i) {
    return sio::transform(sio::read_stream(disks[i], {.chunk = 3072, .depth = 2}),
                          [i](sio::read_chunk c) { return std::pair(i, std::move(c)); });
  };
  std::vector<std::vector<std::byte>> models;
  for (auto& disk : disks) models.push_back(fill_device(disk, models.size()));
  auto all = sio::merge(chunks(0), chunks(1), chunks(2));
  std::vector<std::vector<std::byte>> got(3);
  while (auto each = must(run(all.next()))) {
    EXPECT_EQ(each->second.offset(), got[each->first].size());
    got[each->first].insert(got[each->first].end(), each->second.begin(), each->second.end());
  }
  EXPECT_EQ(got, models);
}

TEST(merge, destroyed_at_each_of_its_suspensions) {
  for (int turns = 0; turns < 40; ++turns) {
    sio::channel<int> a(1);
    sio::channel<int> b(1);
    const auto sends = [](sio::channel<int>& c) -> sio::task<sio::result<void>> {
      for (int i = 0; i < 5; ++i) {
        if (auto r = co_await c.send(i); !r) co_return r;
        co_await sio::yield();
      }
      c.close();
      co_return sio::result<void>();
    };
    const auto sum = [](auto& x, auto& y) -> sio::task<int> {
      auto both = sio::merge(x, y);
      int all = 0;
      while (auto each = must(co_await both.next())) all += *each;
      co_return all;
    };
    sio::task_scope scope;
    scope.spawn(sends(a));
    scope.spawn(sends(b));
    started summing(sum(a, b));
    poll_times(turns);
    if (turns == 39) {
      ASSERT_TRUE(summing.done());
      EXPECT_EQ(summing.take(), 20);
    }
  }
}

}  // namespace
}  // namespace spdk_io_test
