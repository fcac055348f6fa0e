// SPDX-License-Identifier: BSD-3-Clause
// when_all: side by side, all waited for, in order.
#include "counted.hpp"
#include "started.hpp"

#include <spdk_io/task.hpp>
#include <spdk_io/when_all.hpp>

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <list>
#include <memory>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace sio = spdk_io;
using namespace spdk_io_test;

namespace {

sio::task<int> after(gate& g, int value, std::string& log) {
  log += std::to_string(value) + "<";
  co_await g;
  log += std::to_string(value) + ">";
  co_return value;
}

sio::task<void> fail(gate& g, std::string text) {
  co_await g;
  throw std::runtime_error(text);
}

TEST(when_all, starts_all_in_order_and_waits_for_the_last) {
  gate a, b, c;
  std::string log;
  auto body = [&]() -> sio::task<int> {
    auto [x, y, z] = co_await sio::when_all(after(a, 1, log), after(b, 2, log), after(c, 3, log));
    co_return x * 100 + y * 10 + z;
  };
  started run(body());
  EXPECT_EQ(log, "1<2<3<");
  b.open();
  a.open();
  EXPECT_FALSE(run.done());
  c.open();
  ASSERT_TRUE(run.done());
  EXPECT_EQ(run.take(), 123);
  EXPECT_EQ(log, "1<2<3<2>1>3>");
}

TEST(when_all, does_not_suspend_when_all_end_at_once) {
  gate g;
  g.open();
  std::string log;
  started run(sio::when_all(after(g, 1, log), after(g, 2, log)));
  ASSERT_TRUE(run.done());
  EXPECT_EQ(run.take(), std::tuple(1, 2));
}

TEST(when_all, of_nothing_is_done) {
  started none(sio::when_all());
  EXPECT_TRUE(none.done());
  started empty(sio::when_all(std::vector<sio::task<int>>()));
  ASSERT_TRUE(empty.done());
  EXPECT_TRUE(empty.take().empty());
}

TEST(when_all, gives_monostate_for_void_and_takes_lvalue_awaitables) {
  gate g, h;
  started run(sio::when_all(g, h));
  EXPECT_FALSE(run.done());
  g.open();
  EXPECT_FALSE(run.done());
  h.open();
  ASSERT_TRUE(run.done());
  static_assert(std::is_same_v<decltype(run.take()), std::tuple<std::monostate, std::monostate>>);
}

TEST(when_all, of_a_vector_keeps_its_order) {
  std::deque<gate> gates(5);
  std::string log;
  std::vector<sio::task<int>> all;
  for (int i = 0; i < 5; ++i) all.push_back(after(gates[static_cast<std::size_t>(i)], i, log));
  started run(sio::when_all(std::move(all)));
  for (std::size_t i = 5; i-- > 0;) {
    EXPECT_FALSE(run.done());
    gates[i].open();
  }
  ASSERT_TRUE(run.done());
  EXPECT_EQ(run.take(), (std::vector{0, 1, 2, 3, 4}));
}

TEST(when_all, of_any_range) {
  std::deque<gate> gates(3);
  std::string log;
  // A view that makes them, once each.
  int made = 0;
  auto make = [&](gate& g) { return after(g, made++, log); };
  auto view = gates | std::views::transform(make);
  auto of_view = sio::when_all(view);
  EXPECT_EQ(made, 3);
  // Containers that are handed over: their elements are moved out.
  std::list<sio::task<int>> tasks;
  for (auto& g : gates) tasks.push_back(after(g, 10, log));
  auto of_list = sio::when_all(std::move(tasks));
  std::array<sio::task<int>, 2> pair = {after(gates[0], 20, log), after(gates[2], 30, log)};
  auto of_array = sio::when_all(std::move(pair));
  EXPECT_EQ(log, "");

  started a(std::move(of_view));
  started b(std::move(of_list));
  started c(std::move(of_array));
  // Elements that stay where they are.
  started d(sio::when_all(gates));
  started e(sio::when_all(gates | std::views::take(2)));
  gates[0].open();
  EXPECT_FALSE(e.done());
  gates[1].open();
  EXPECT_TRUE(e.done());
  EXPECT_FALSE(d.done());
  gates[2].open();
  ASSERT_TRUE(a.done() && b.done() && c.done() && d.done());
  EXPECT_EQ(a.take(), (std::vector{0, 1, 2}));
  EXPECT_EQ(b.take(), (std::vector{10, 10, 10}));
  EXPECT_EQ(c.take(), (std::vector{20, 30}));
  EXPECT_EQ(d.take().size(), 3u);
}

TEST(when_all, of_a_range_that_can_be_gone_through_only_once) {
  gate g;
  std::string log;
  std::istringstream numbers("4 5 6");
  auto make = [&](int n) { return after(g, n, log); };
  started all(sio::when_all(std::views::istream<int>(numbers) | std::views::transform(make)));
  EXPECT_EQ(log, "4<5<6<");
  g.open();
  ASSERT_TRUE(all.done());
  EXPECT_EQ(all.take(), (std::vector{4, 5, 6}));
}

TEST(when_all, waits_for_all_then_rethrows_the_first_in_order) {
  gate a, b, c;
  int alive = 0;
  auto body = [&]() -> sio::task<std::string> {
    try {
      (void)co_await sio::when_all(hold(a, alive), fail(b, "second"), fail(c, "third"));
    } catch (const std::runtime_error& e) {
      co_return e.what();
    }
    co_return "nothing";
  };
  started run(body());
  c.open();
  b.open();
  EXPECT_FALSE(run.done());
  a.open();
  ASSERT_TRUE(run.done());
  EXPECT_EQ(run.take(), "second");
}

TEST(when_all, gives_what_can_only_be_moved) {
  auto make = [](int n) -> sio::task<std::unique_ptr<int>> { co_return std::make_unique<int>(n); };
  auto body = [&]() -> sio::task<int> {
    auto [a, b] = co_await sio::when_all(make(3), make(4));
    co_return *a + *b;
  };
  started run(body());
  EXPECT_EQ(run.take(), 7);
}

TEST(when_all, destroyed_while_waiting_destroys_what_has_not_ended) {
  gate a, b;
  int alive = 0;
  auto body = [&]() -> sio::task<void> {
    (void)co_await sio::when_all(hold(a, alive), hold(b, alive));
  };
  started run(body());
  EXPECT_EQ(alive, 2);
  a.open();
  EXPECT_EQ(alive, 1);
  run.destroy();
  EXPECT_EQ(alive, 0);
}

TEST(when_all, may_be_moved_until_it_is_awaited) {
  gate a, b, c;
  std::string log;
  auto inner = sio::when_all(after(a, 1, log), after(b, 2, log));
  EXPECT_EQ(log, "");
  started run(sio::when_all(std::move(inner), after(c, 3, log)));
  EXPECT_EQ(log, "1<2<3<");
  c.open();
  b.open();
  EXPECT_FALSE(run.done());
  a.open();
  ASSERT_TRUE(run.done());
  EXPECT_EQ(run.take(), std::tuple(std::tuple(1, 2), 3));
}

TEST(when_all, nests) {
  gate a, b, c;
  std::string log;
  auto body = [&]() -> sio::task<int> {
    auto pair = [&]() -> sio::task<int> {
      auto [x, y] = co_await sio::when_all(after(a, 1, log), after(b, 2, log));
      co_return x + y;
    };
    auto [sum, z] = co_await sio::when_all(pair(), after(c, 4, log));
    co_return sum + z;
  };
  started run(body());
  c.open();
  b.open();
  EXPECT_FALSE(run.done());
  a.open();
  ASSERT_TRUE(run.done());
  EXPECT_EQ(run.take(), 7);
}

}  // namespace
