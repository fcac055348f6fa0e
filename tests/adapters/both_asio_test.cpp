// SPDX-License-Identifier: BSD-3-Clause
// Both Asios in one program: each token finds the adapter that it belongs to.
#include "spdk_test.hpp"

#include <spdk_io/adapters/asio.hpp>

#include <gtest/gtest.h>

#include <asio/detached.hpp>
#include <asio/strand.hpp>
#include <asio/use_future.hpp>

// Some namespaces of Boost 1.74's Asio have the names of standalone Asio's, which is why the two
// cannot be in one translation unit, whatever else is. Here they get others.
#define asio_execution_bulk_execute_fn boost_asio_execution_bulk_execute_fn
#define asio_execution_connect_fn boost_asio_execution_connect_fn
#define asio_execution_execute_fn boost_asio_execution_execute_fn
#define asio_execution_schedule_fn boost_asio_execution_schedule_fn
#define asio_execution_set_done_fn boost_asio_execution_set_done_fn
#define asio_execution_set_error_fn boost_asio_execution_set_error_fn
#define asio_execution_set_value_fn boost_asio_execution_set_value_fn
#define asio_execution_start_fn boost_asio_execution_start_fn
#define asio_execution_submit_fn boost_asio_execution_submit_fn
#define asio_prefer_fn boost_asio_prefer_fn
#define asio_query_fn boost_asio_query_fn
#define asio_require_concept_fn boost_asio_require_concept_fn
#define asio_require_fn boost_asio_require_fn
#include <spdk_io/adapters/boost_asio.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>

#include <chrono>
#include <exception>
#include <future>
#include <type_traits>
#include <utility>

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

namespace standalone = sio::adapters::asio;
namespace boosted = sio::adapters::boost_asio;

template <class Token>
constexpr bool only_standalone =
    standalone::detail::own_token<Token> && !boosted::detail::own_token<Token>;
template <class Token>
constexpr bool only_boosted =
    !standalone::detail::own_token<Token> && boosted::detail::own_token<Token>;
template <class Token>
constexpr bool of_neither =
    !standalone::detail::own_token<Token> && !boosted::detail::own_token<Token>;

struct callable {
  void operator()(sio::result<void>) {}
};
template <class Executor>
struct bound : callable {
  using executor_type = Executor;
};

static_assert(only_standalone<const asio::use_awaitable_t<>&>);
static_assert(only_standalone<asio::detached_t>);
static_assert(only_standalone<asio::use_future_t<>>);
static_assert(only_standalone<asio::executor_binder<callable, asio::any_io_executor>>);
static_assert(only_standalone<bound<asio::io_context::executor_type>>);
static_assert(only_boosted<const boost::asio::use_awaitable_t<>&>);
static_assert(only_boosted<boost::asio::detached_t>);
static_assert(only_boosted<boost::asio::use_future_t<>>);
static_assert(only_boosted<boost::asio::executor_binder<callable, boost::asio::any_io_executor>>);
static_assert(only_boosted<bound<boost::asio::io_context::executor_type>>);
static_assert(of_neither<callable>);
static_assert(of_neither<void (*)(sio::result<void>)>);

class both_asio : public testing::Test {
 protected:
  sio::thread& thread = main_thread();
  asio::io_context ctx;
  boost::asio::io_context boost_ctx;
};

TEST_F(both_asio, coroutines_of_both) {
  auto one = []() -> asio::awaitable<int> {
    auto r = co_await sio::sleep_for(0ns).async(asio::use_awaitable);
    co_return r ? 1 : -1;
  };
  auto other = []() -> boost::asio::awaitable<int> {
    auto r = co_await sio::sleep_for(0ns).async(boost::asio::use_awaitable);
    co_return r ? 2 : -1;
  };
  EXPECT_EQ(sio::run_until(ctx, thread, one()), 1);
  EXPECT_EQ(sio::run_until(boost_ctx, thread, other()), 2);
}

TEST_F(both_asio, handlers_run_on_the_executors_bound_to_them) {
  auto strand = asio::make_strand(ctx);
  auto boost_strand = boost::asio::make_strand(boost_ctx);
  bool inside = false;
  bool boost_inside = false;
  sio::sleep_for(0ns).async(asio::bind_executor(
      strand, [&](sio::result<void>) { inside = strand.running_in_this_thread(); }));
  sio::sleep_for(0ns).async(boost::asio::bind_executor(boost_strand, [&](sio::result<void>) {
    boost_inside = boost_strand.running_in_this_thread();
  }));
  poll_until([&] { return thread.idle(); });
  EXPECT_FALSE(inside);
  EXPECT_FALSE(boost_inside);
  ctx.run();
  EXPECT_TRUE(inside);
  EXPECT_FALSE(boost_inside);
  boost_ctx.run();
  EXPECT_TRUE(boost_inside);
}

TEST_F(both_asio, futures_of_both) {
  auto future = sio::sleep_for(0ns).async(asio::use_future);
  auto boost_future = sio::sleep_for(0ns).async(boost::asio::use_future);
  poll_until([&] {
    return future.wait_for(0s) == std::future_status::ready &&
           boost_future.wait_for(0s) == std::future_status::ready;
  });
  EXPECT_TRUE(future.get());
  EXPECT_TRUE(boost_future.get());
}

TEST_F(both_asio, a_callable_is_called_whosever_it_is) {
  int called = 0;
  auto count = [&](sio::result<void> r) {
    EXPECT_TRUE(r);
    ++called;
  };
  sio::sleep_for(0ns).async(count);
  standalone::async(sio::sleep_for(0ns), count);
  boosted::async(sio::sleep_for(0ns), count);
  poll_until([&] { return called == 3; });
}

TEST_F(both_asio, poller_tasks_of_both_take_turns) {
  bool done = false;
  auto polling = must(sio::poller_task(thread, ctx));
  auto second = sio::poller_task(thread, boost_ctx);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message(),
            "poller task: thread \"main\" already has one (started on an asio::io_context)");
  polling.stop();
  auto boost_polling = must(sio::poller_task(thread, boost_ctx));
  sio::sleep_for(0ns).async([&](sio::result<void>) {
    done = true;
    boost_polling.stop();
  });
  boost_ctx.run();
  EXPECT_TRUE(done);
}

}  // namespace
