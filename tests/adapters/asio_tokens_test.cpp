// SPDX-License-Identifier: BSD-3-Clause
// Asio's completion tokens, each with an operation of the library.
#include "asio_library.hpp"
#include "spdk_test.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <optional>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <utility>

#ifdef SPDK_IO_TEST_BOOST_ASIO
#include <boost/asio/use_future.hpp>
#if __has_include(<boost/asio/deferred.hpp>)
#include <boost/asio/deferred.hpp>
#define SPDK_IO_TEST_DEFERRED boost::asio::deferred
#elif __has_include(<boost/asio/experimental/deferred.hpp>)
#include <boost/asio/experimental/deferred.hpp>
#define SPDK_IO_TEST_DEFERRED boost::asio::experimental::deferred
#endif
#else
#include <asio/use_future.hpp>
#if __has_include(<asio/deferred.hpp>)
#include <asio/deferred.hpp>
#define SPDK_IO_TEST_DEFERRED asio::deferred
#elif __has_include(<asio/experimental/deferred.hpp>)
#include <asio/experimental/deferred.hpp>
#define SPDK_IO_TEST_DEFERRED asio::experimental::deferred
#endif
#endif

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

class asio_tokens : public testing::Test {
 protected:
  template <class T>
  static bool ready(const std::future<T>& f) {
    return f.wait_for(0s) == std::future_status::ready;
  }

  asio::io_context ctx;
  sio::thread& thread = main_thread();
};

TEST_F(asio_tokens, use_future_gives_the_result) {
  auto disk = open_malloc("m0");
  auto block = must(sio::dma_buffer::zeroed(4096));
  std::future<sio::result<void>> read = disk.read(block, 0).async(asio::use_future);
  EXPECT_FALSE(ready(read));
  poll_until([&] { return ready(read); });
  EXPECT_TRUE(read.get());

  auto past = disk.read(block, 1 << 20).async(asio::use_future);
  poll_until([&] { return ready(past); });
  auto r = past.get();
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::invalid_argument) << r.error();
}

TEST_F(asio_tokens, use_future_lets_another_os_thread_wait) {
  auto polling = must(sio::poller_task(thread, ctx));
  const auto worker = thread.ref();
  auto future = worker.call([] { return 42; }).async(asio::use_future);
  std::optional<sio::result<int>> got;
  std::jthread waiting([&] {
    got = future.get();
    must(worker.send([&] { polling.stop(); }));
  });
  ctx.run();
  waiting.join();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->value(), 42);
}

TEST_F(asio_tokens, use_future_brings_an_exception_of_a_call) {
  auto future =
      thread.ref().call([]() -> int { throw std::runtime_error("there"); }).async(asio::use_future);
  EXPECT_FALSE(ready(future));
  // It leaves poll(): there is no result that the handler could be called with.
  EXPECT_THROW(poll_until([&] { return ready(future); }), std::runtime_error);
  EXPECT_THROW(future.get(), std::future_error);  // broken promise
}

TEST_F(asio_tokens, use_future_with_a_function_gives_what_that_makes_of_it) {
  std::future<int> slept =
      sio::sleep_for(0ns).async(asio::use_future([](sio::result<void> r) { return r ? 1 : 0; }));
  poll_until([&] { return ready(slept); });
  EXPECT_EQ(slept.get(), 1);
}

#ifdef SPDK_IO_TEST_DEFERRED
TEST_F(asio_tokens, deferred_starts_when_it_is_told_to) {
  bool ran = false;
  auto later = thread.ref().call([&] { return ran = true; }).async(SPDK_IO_TEST_DEFERRED);
  for (int i = 0; i < 10; ++i) thread.poll();
  EXPECT_FALSE(ran);
  std::optional<sio::result<bool>> got;
  std::move(later)([&](sio::result<bool> r) { got = r; });
  EXPECT_FALSE(got);
  poll_until([&] { return got.has_value(); });
  EXPECT_TRUE(got->value());
}

TEST_F(asio_tokens, deferred_is_awaited) {
  auto app = [&]() -> asio::awaitable<int> {
    auto later = thread.ref().call([] { return 7; }).async(SPDK_IO_TEST_DEFERRED);
    auto r = co_await std::move(later)(asio::use_awaitable);
    co_return r.value();
  };
  EXPECT_EQ(sio::run_until(ctx, thread, app()), 7);
}

TEST_F(asio_tokens, deferred_that_never_starts_is_dropped) {
  auto disk = open_malloc("m0");
  auto block = must(sio::dma_buffer::zeroed(4096));
  {
    auto never = disk.read(block, 0).async(SPDK_IO_TEST_DEFERRED);
  }
  EXPECT_TRUE(thread.operations().empty());
  thread.poll();
}
#else
TEST_F(asio_tokens, deferred) {
  GTEST_SKIP() << "this Asio has no deferred (Asio 1.19 and Boost 1.77 have it)";
}
#endif

}  // namespace
