// SPDX-License-Identifier: BSD-3-Clause
// co_await in the places where programs write it, suspending each time or never. Built without
// and with optimisation, since what compilers get wrong about coroutines depends on it.
#include "started.hpp"

#include <spdk_io/error.hpp>
#include <spdk_io/task.hpp>

#include <gtest/gtest.h>

#include <array>
#include <coroutine>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace sio = spdk_io;
using namespace spdk_io_test;

namespace {

// Gives `value`, at once or after turn() was called.
class source {
 public:
  explicit source(bool suspends) : suspends_(suspends) {}

  struct awaiter {
    source& from;
    int value;
    bool await_ready() const noexcept { return !from.suspends_; }
    void await_suspend(std::coroutine_handle<> h) const noexcept { from.waiting_ = h; }
    int await_resume() const noexcept {
      ++from.awaits;
      return value;
    }
  };
  awaiter give(int value) noexcept { return {*this, value}; }
  sio::task<int> task(int value) { co_return co_await give(value); }
  sio::task<sio::result<int>> checked(int value) {
    int got = co_await give(value);
    if (got < 0)
      co_return std::unexpected(sio::error(std::errc::io_error, sio::operation_kind::none, "no"));
    co_return got;
  }
  sio::task<std::string> text(int n) {
    int got = co_await give(n);
    co_return std::string(static_cast<std::size_t>(got), 'x');
  }

  bool turn() {
    if (!waiting_) return false;
    std::exchange(waiting_, nullptr).resume();
    return true;
  }

  int awaits = 0;

 private:
  bool suspends_;
  std::coroutine_handle<> waiting_;
};

class await_forms : public testing::TestWithParam<bool> {
 protected:
  // Runs a coroutine to its end; `awaits` is how often it must have awaited.
  template <class T>
  T finish(sio::task<T> body, int awaits) {
    started run(std::move(body));
    EXPECT_EQ(run.done(), !GetParam());
    while (!run.done() && from.turn()) {
    }
    EXPECT_TRUE(run.done()) << "it was not resumed";
    EXPECT_EQ(from.awaits, awaits);
    return run.take();
  }
  source from{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(at_once_and_suspended, await_forms, testing::Bool(),
                         [](const auto& p) { return p.param ? "suspended" : "at_once"; });

int add(int a, int b, int c) { return a * 100 + b * 10 + c; }

sio::task<int> in_arguments(source& s) {
  co_return add(co_await s.task(1), co_await s.give(2), co_await s.task(3));
}
TEST_P(await_forms, in_arguments) { EXPECT_EQ(finish(in_arguments(from), 3), 123); }

sio::task<int> in_an_argument_of_an_await(source& s) {
  co_return co_await s.task(co_await s.task(co_await s.give(4)) + 1);
}
TEST_P(await_forms, in_an_argument_of_an_await) {
  EXPECT_EQ(finish(in_an_argument_of_an_await(from), 3), 5);
}

sio::task<std::size_t> beside_temporaries(source& s) {
  std::string out = std::string("ab") + co_await s.text(3) + std::string("c");
  co_return out.size();
}
TEST_P(await_forms, beside_temporaries) { EXPECT_EQ(finish(beside_temporaries(from), 1), 6u); }

struct three {
  int a, b, c;
};
sio::task<int> in_initialisers(source& s) {
  three t = {co_await s.give(1), co_await s.task(2), co_await s.give(3)};
  std::array<int, 2> array = {co_await s.give(4), co_await s.give(5)};
  std::vector<int> list(static_cast<std::size_t>(co_await s.give(2)), 7);
  auto [first, second] = std::pair(co_await s.give(8), co_await s.give(9));
  co_return t.a + t.b + t.c + array[0] + array[1] + list[1] + first + second;
}
TEST_P(await_forms, in_initialisers) { EXPECT_EQ(finish(in_initialisers(from), 8), 39); }

sio::task<int> in_a_for_loop(source& s) {
  int total = 0;
  for (int i = co_await s.give(0); i < co_await s.give(3); i += co_await s.give(1))
    total += co_await s.task(i);
  co_return total;
}
TEST_P(await_forms, in_a_for_loop) { EXPECT_EQ(finish(in_a_for_loop(from), 1 + 4 + 3 + 3), 3); }

sio::task<int> over_a_range(source& s) {
  int total = 0;
  for (int each : std::vector<int>{1, 2, 3}) {
    if (int got = co_await s.give(each); got == 2) continue;
    total += each;
  }
  co_return total;
}
TEST_P(await_forms, over_a_range) { EXPECT_EQ(finish(over_a_range(from), 3), 4); }

sio::task<int> in_a_while_loop(source& s) {
  int left = 3;
  int turns = 0;
  while (int got = co_await s.give(left)) {
    left = got - 1;
    ++turns;
  }
  do {
    ++left;
  } while (co_await s.give(left) < 2);
  co_return turns * 10 + left;
}
TEST_P(await_forms, in_a_while_loop) { EXPECT_EQ(finish(in_a_while_loop(from), 4 + 2), 32); }

// The idiom, in a coroutine without another local variable: GCC 12 miscompiles the bare form.
sio::task<int> in_a_condition(source& s, int value) {
  if (auto r = co_await s.checked(value); !r) co_return -1;
  co_return 1;
}
TEST_P(await_forms, in_a_condition_that_holds) { EXPECT_EQ(finish(in_a_condition(from, 1), 1), 1); }
TEST_P(await_forms, in_a_condition_that_fails) {
  EXPECT_EQ(finish(in_a_condition(from, -1), 1), -1);
}

sio::task<sio::result<void>> in_conditions_in_a_row(source& s) {
  if (auto r = co_await s.checked(1); !r) co_return std::unexpected(r.error());
  if (auto r = co_await s.checked(2); !r)
    co_return std::unexpected(r.error());
  else if (auto second = co_await s.checked(3); !second)
    co_return std::unexpected(second.error());
  co_return sio::result<void>();
}
TEST_P(await_forms, in_conditions_in_a_row) {
  EXPECT_TRUE(finish(in_conditions_in_a_row(from), 3).has_value());
}

sio::task<int> in_a_switch(source& s) {
  switch (int n = co_await s.give(2); n) {
    case 1: co_return co_await s.give(10);
    case 2: co_return co_await s.give(20);
    default: co_return 0;
  }
}
TEST_P(await_forms, in_a_switch) { EXPECT_EQ(finish(in_a_switch(from), 2), 20); }

sio::task<int> in_a_choice(source& s) {
  bool left = co_await s.give(1) == 1;
  int a = left ? co_await s.give(3) : co_await s.give(4);
  int b = !left ? co_await s.give(3) : co_await s.give(4);
  co_return a * 10 + b;
}
TEST_P(await_forms, in_a_choice) { EXPECT_EQ(finish(in_a_choice(from), 3), 34); }

sio::task<int> behind_short_circuits(source& s) {
  int first = co_await s.give(0);
  int second = first != 0 ? co_await s.give(1) : 0;
  bool both = first != 0 && second != 0;
  int third = co_await s.give(1);
  int fourth = third == 0 ? co_await s.give(1) : 1;
  bool either = third != 0 || fourth != 0;
  co_return (both ? 10 : 0) + (either ? 1 : 0);
}
TEST_P(await_forms, behind_short_circuits) { EXPECT_EQ(finish(behind_short_circuits(from), 2), 1); }

sio::task<int> in_a_try_block(source& s) {
  int got = 0;
  try {
    got = co_await s.give(1);
    if (got == 1) throw std::runtime_error("x");
  } catch (const std::runtime_error&) {
    got = 2;  // a handler cannot await
  }
  co_return got + co_await s.give(3);
}
TEST_P(await_forms, in_a_try_block) { EXPECT_EQ(finish(in_a_try_block(from), 2), 5); }

sio::task<int> in_a_lambda(source& s) {
  auto twice = [&s](int n) -> sio::task<int> {
    int got = co_await s.give(n);
    co_return got * 2;
  };
  co_return co_await twice(3) + co_await twice(4);
}
TEST_P(await_forms, in_a_lambda) { EXPECT_EQ(finish(in_a_lambda(from), 2), 14); }

sio::task<int> of_a_stored_task(source& s) {
  auto first = s.task(1);
  auto second = s.task(2);
  int b = co_await std::move(second);
  int a = co_await std::move(first);
  co_return a * 10 + b;
}
TEST_P(await_forms, of_a_stored_task) { EXPECT_EQ(finish(of_a_stored_task(from), 2), 12); }

sio::task<void> as_a_statement(source& s) {
  co_await s.give(1);
  (void)co_await s.task(2);
}
TEST_P(await_forms, as_a_statement) { finish(as_a_statement(from), 2); }

}  // namespace
