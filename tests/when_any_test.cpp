// SPDX-License-Identifier: BSD-3-Clause
// when_any: the first wins, the others are stopped and awaited, and what they say is not lost.
#include "counted.hpp"
#include "devices.hpp"
#include "started.hpp"

#include <array>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace spdk_io_test {
namespace {

using std::chrono::hours;

sio::error failure(std::errc code) { return {code, sio::operation_kind::none, "failed"}; }

sio::task<int> after(gate& g, int value) {
  co_await g;
  co_return value;
}

sio::task<sio::result<int>> give(gate& g, sio::result<int> r) {
  co_await g;
  co_return r;
}

sio::task<int> fail(gate& g, std::string text) {
  co_await g;
  throw std::runtime_error(text);
}

// As those write who prefer exceptions.
sio::task<int> or_throw(gate& g, sio::result<int> r) {
  co_await g;
  co_return r.value();
}

// Ends when it is asked to, and says so.
sio::task<int> until_stopped(bool& stopped) {
  auto r = co_await sio::sleep_for(hours(1));
  stopped = !r && r.error() == std::errc::operation_canceled;
  co_return -1;
}

TEST(when_any, the_first_that_ends_wins_and_the_others_are_awaited) {
  gate a, b, c;
  started first(sio::when_any(after(a, 1), after(b, 2), give(c, 3)));
  EXPECT_FALSE(first.done());
  b.open();
  EXPECT_FALSE(first.done());  // the others have not ended
  c.open();
  EXPECT_FALSE(first.done());
  a.open();
  ASSERT_TRUE(first.done());
  auto r = first.take();
  EXPECT_EQ(r.index, 1u);
  EXPECT_EQ(r.value.index(), 1u);
  EXPECT_EQ(std::get<1>(r.value), 2);
  EXPECT_FALSE(r.other_failure);
  static_assert(std::is_same_v<decltype(r.value), std::variant<int, int, sio::result<int>>>);
}

TEST(when_any, asks_the_others_to_stop) {
  gate g;
  bool one = false, two = false;
  started first(sio::when_any(until_stopped(one), after(g, 7), until_stopped(two)));
  poll_times(5);
  EXPECT_FALSE(first.done());
  g.open();
  EXPECT_FALSE(first.done());  // they are resumed by their thread
  poll_times(2);
  ASSERT_TRUE(first.done());
  EXPECT_EQ(std::get<1>(first.take().value), 7);
  EXPECT_TRUE(one);
  EXPECT_TRUE(two);
}

// SPDK has let go of the buffer that the loser had, and the device has been asked to abort.
TEST(when_any, of_io_that_takes_an_hour_and_a_sleep) {
  auto slow = open_delay();
  std::optional buffer(must(sio::dma_buffer::zeroed(4096)));
  auto r = run(sio::when_any(slow.read(*buffer, 0), sio::sleep_for(std::chrono::microseconds(1))));
  EXPECT_EQ(r.index, 1u);
  EXPECT_TRUE(std::get<1>(r.value));
  EXPECT_FALSE(r.other_failure);  // cancelled is no news
  EXPECT_EQ(main_thread().statistics().io_in_flight, 0u);
  buffer.reset();
}

TEST(when_any, does_not_start_those_behind_one_that_ends_at_once) {
  gate open, closed;
  open.open();
  int alive = 0;
  bool begun = false;
  auto begin = [&]() -> sio::task<void> {
    begun = true;
    co_return;
  };
  started first(sio::when_any(hold(closed, alive), after(open, 4), begin()));
  EXPECT_EQ(alive, 1);
  EXPECT_FALSE(first.done());
  closed.open();
  ASSERT_TRUE(first.done());
  EXPECT_EQ(first.take().index, 1u);
  EXPECT_FALSE(begun);
}

TEST(when_any, does_not_suspend_when_all_that_runs_ends_at_once) {
  gate open;
  open.open();
  started first(sio::when_any(open, after(open, 1)));
  ASSERT_TRUE(first.done());
  auto r = first.take();
  EXPECT_EQ(r.index, 0u);
  static_assert(std::is_same_v<decltype(r.value), std::variant<std::monostate, int>>);
}

TEST(when_any, a_failed_result_wins_like_any_other) {
  gate a, b;
  started first(sio::when_any(give(a, 1), give(b, std::unexpected(failure(std::errc::io_error)))));
  b.open();
  a.open();
  ASSERT_TRUE(first.done());
  auto r = first.take();
  EXPECT_EQ(r.index, 1u);
  EXPECT_EQ(std::get<1>(r.value).error(), std::errc::io_error);
}

TEST(when_any, tells_the_first_failure_of_the_others_in_their_order) {
  gate a, b, c, d;
  started first(sio::when_any(after(a, 1),
                              give(b, std::unexpected(failure(std::errc::operation_canceled))),
                              give(c, std::unexpected(failure(std::errc::io_error))),
                              or_throw(d, std::unexpected(failure(std::errc::no_such_device)))));
  a.open();
  d.open();
  c.open();
  b.open();
  ASSERT_TRUE(first.done());
  auto r = first.take();
  EXPECT_EQ(r.index, 0u);
  ASSERT_TRUE(r.other_failure);
  EXPECT_EQ(*r.other_failure, std::errc::io_error);
}

TEST(when_any, an_exception_is_never_lost) {
  for (const bool wins : {true, false}) {
    gate a, b;
    started first(sio::when_any(after(a, 1), fail(b, "broken")));
    (wins ? b : a).open();
    EXPECT_FALSE(first.done());
    (wins ? a : b).open();
    ASSERT_TRUE(first.done());
    try {
      (void)first.take();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "broken");
    }
  }
}

TEST(when_any, an_exception_that_carries_a_failed_result_counts_as_that) {
  for (const auto code : {std::errc::operation_canceled, std::errc::io_error}) {
    gate a, b;
    started first(sio::when_any(after(a, 1), or_throw(b, std::unexpected(failure(code)))));
    a.open();
    b.open();
    ASSERT_TRUE(first.done());
    auto r = first.take();
    EXPECT_EQ(r.index, 0u);
    EXPECT_EQ(r.other_failure.has_value(), code == std::errc::io_error);
  }
  // Of other libraries: only the one that says that it was stopped.
  auto raise = [](gate& g, std::errc code) -> sio::task<void> {
    co_await g;
    throw std::system_error(std::make_error_code(code));
  };
  for (const auto code : {std::errc::operation_canceled, std::errc::io_error}) {
    gate a, b;
    started first(sio::when_any(after(a, 1), raise(b, code)));
    a.open();
    b.open();
    ASSERT_TRUE(first.done());
    if (code == std::errc::operation_canceled) {
      EXPECT_EQ(first.take().index, 0u);
    } else {
      EXPECT_THROW((void)first.take(), std::system_error);
    }
  }
}

TEST(when_any, a_value_that_came_too_late_is_dropped_with_what_it_owns) {
  sio::async_mutex left, right;
  auto held = std::array{must(run(left.lock())), must(run(right.lock()))};
  started first(sio::when_any(left.lock(), right.lock()));
  held[1].unlock();  // both, before anybody is resumed
  held[0].unlock();
  poll_times(3);
  ASSERT_TRUE(first.done());
  auto r = first.take();
  EXPECT_EQ(r.index, 1u);
  EXPECT_TRUE(right.locked());
  EXPECT_FALSE(left.locked());
}

TEST(when_any, a_request_goes_to_all_parts) {
  bool one = false, two = false;
  sio::local_stop_source stop;
  started first(sio::with_stop_token(stop.get_token(),
                                     sio::when_any(until_stopped(one), until_stopped(two))));
  poll_times(5);
  EXPECT_FALSE(first.done());
  stop.request_stop();
  EXPECT_FALSE(first.done());
  poll_times(3);
  ASSERT_TRUE(first.done());
  EXPECT_EQ(first.take().index, 0u);
  EXPECT_TRUE(one);
  EXPECT_TRUE(two);
  // Requested before: the first is refused, and wins by that.
  auto r = run(sio::with_stop_token(
      stop.get_token(), sio::when_any(sio::sleep_for(hours(1)), sio::sleep_for(hours(2)))));
  EXPECT_EQ(r.index, 0u);
  EXPECT_EQ(std::get<0>(r.value).error(), std::errc::operation_canceled);
}

TEST(when_any, destroyed_while_waiting_destroys_what_has_not_ended) {
  gate a, b, c;
  int alive = 0;
  started first(sio::when_any(hold(a, alive), hold(b, alive), hold(c, alive)));
  EXPECT_EQ(alive, 3);
  b.open();  // won, and waits for the others
  EXPECT_EQ(alive, 2);
  first.destroy();
  EXPECT_EQ(alive, 0);
}

TEST(when_any, destroyed_with_io_in_flight) {
  auto slow = open_delay();
  auto buffer = must(sio::dma_buffer::zeroed(8192));
  {
    gate g;
    started first(sio::when_any(slow.read(buffer.first(4096), 0),
                                slow.read(buffer.subspan(4096, 4096), 0), g));
    poll_times(5);
    EXPECT_EQ(main_thread().statistics().io_in_flight, 2u);
    g.open();  // both are being aborted
  }
  EXPECT_EQ(main_thread().statistics().io_in_flight, 0u);
}

TEST(when_any, may_be_moved_until_it_is_awaited_and_nests) {
  gate a, b, c;
  auto inner = sio::when_any(after(a, 1), after(b, 2));
  started first(sio::when_any(std::move(inner), after(c, 3)));
  b.open();
  a.open();
  EXPECT_FALSE(first.done());
  c.open();
  ASSERT_TRUE(first.done());
  auto r = first.take();
  EXPECT_EQ(r.index, 0u);
  EXPECT_EQ(std::get<0>(r.value).index, 1u);
}

TEST(when_any, gives_what_can_only_be_moved) {
  auto make = [](int n) -> sio::task<std::unique_ptr<int>> { co_return std::make_unique<int>(n); };
  started first(sio::when_any(make(3), make(4)));
  ASSERT_TRUE(first.done());
  EXPECT_EQ(*std::get<0>(first.take().value), 3);
}

TEST(when_any, of_a_range_gives_index_and_value) {
  std::deque<gate> gates(4);
  std::vector<sio::task<int>> all;
  for (int i = 0; i < 4; ++i) all.push_back(after(gates[static_cast<std::size_t>(i)], i * 10));
  started first(sio::when_any(std::move(all)));
  gates[2].open();
  EXPECT_FALSE(first.done());
  for (auto& g : gates) g.open();
  ASSERT_TRUE(first.done());
  auto r = first.take();
  EXPECT_EQ(r.index, 2u);
  EXPECT_EQ(r.value, 20);
  static_assert(std::is_same_v<decltype(r.value), int>);
}

TEST(when_any, of_a_view_and_of_awaitables_that_stay_where_they_are) {
  std::deque<gate> gates(3);
  auto make = [](gate& g) { return after(g, 5); };
  started made(sio::when_any(gates | std::views::transform(make)));
  started kept(sio::when_any(gates));
  gates[1].open();
  EXPECT_FALSE(made.done());
  for (auto& g : gates) g.open();
  ASSERT_TRUE(made.done());
  ASSERT_TRUE(kept.done());
  EXPECT_EQ(made.take().index, 1u);
  EXPECT_EQ(kept.take().index, 1u);
}

TEST(when_any, of_nothing_says_so) {
  started first(sio::when_any(std::vector<sio::task<int>>()));
  ASSERT_TRUE(first.done());
  EXPECT_THROW((void)first.take(), std::invalid_argument);
}

TEST(when_any_success, a_failure_does_not_win_while_another_may_succeed) {
  gate a, b, c;
  bool stopped = false;
  started first(sio::when_any_success(give(a, std::unexpected(failure(std::errc::io_error))),
                                      give(b, 2), until_stopped(stopped),
                                      or_throw(c, std::unexpected(failure(std::errc::timed_out)))));
  a.open();
  c.open();
  poll_times(3);
  EXPECT_FALSE(first.done());
  EXPECT_FALSE(stopped);  // a failure stops nobody
  b.open();
  poll_times(3);
  ASSERT_TRUE(first.done());
  EXPECT_TRUE(stopped);
  auto r = first.take();
  EXPECT_EQ(r.index, 1u);
  EXPECT_EQ(std::get<1>(r.value), 2);
  ASSERT_TRUE(r.other_failure);
  EXPECT_EQ(*r.other_failure, std::errc::io_error);
}

TEST(when_any_success, if_all_fail_gives_the_one_that_failed_first) {
  std::deque<gate> gates(3);
  std::vector<sio::task<sio::result<int>>> all;
  for (auto& g : gates) all.push_back(give(g, std::unexpected(failure(std::errc::io_error))));
  started first(sio::when_any_success(std::move(all)));
  gates[1].open();
  gates[2].open();
  EXPECT_FALSE(first.done());
  gates[0].open();
  ASSERT_TRUE(first.done());
  auto r = first.take();
  EXPECT_EQ(r.index, 1u);
  EXPECT_FALSE(r.value);
  EXPECT_TRUE(r.other_failure);

  gate a, b;
  started thrown(sio::when_any_success(fail(a, "one"),
                                       give(b, std::unexpected(failure(std::errc::io_error)))));
  a.open();
  b.open();
  ASSERT_TRUE(thrown.done());
  EXPECT_THROW((void)thrown.take(), std::runtime_error);
}

// What it is for: a mirror, one leg of which fails.
TEST(when_any_success, reads_from_the_leg_that_works) {
  auto good = open_malloc("good");
  auto buffer = must(sio::dma_buffer::zeroed(8192));
  auto r = run(sio::when_any_success(good.read(buffer.first(4096), 1 << 30),  // past the end
                                     good.read(buffer.subspan(4096, 4096), 0)));
  EXPECT_EQ(r.index, 1u);
  EXPECT_TRUE(std::get<1>(r.value));
  ASSERT_TRUE(r.other_failure);
  EXPECT_EQ(r.other_failure->why(), sio::fault::past_end);
}

}  // namespace
}  // namespace spdk_io_test
