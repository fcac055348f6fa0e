// SPDX-License-Identifier: BSD-3-Clause
// Which of the two Asios a test of the adapters is compiled for: `asio` is its namespace, `adapter`
// that of the library's adapter for it. What an older version lacks is left out by the tests, which
// say so.
#pragma once

#ifdef SPDK_IO_TEST_BOOST_ASIO
#include <spdk_io/adapters/boost_asio.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#if __has_include(<boost/asio/cancellation_signal.hpp>)
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#define SPDK_IO_TEST_SLOTS 1
#endif
namespace asio = boost::asio;
#else
#include <spdk_io/adapters/asio.hpp>

#include <asio/detached.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#if __has_include(<asio/cancellation_signal.hpp>)
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#define SPDK_IO_TEST_SLOTS 1
#endif
#endif

namespace spdk_io_test {

#ifdef SPDK_IO_TEST_BOOST_ASIO
namespace adapter = spdk_io::adapters::boost_asio;
using asio_error_code = boost::system::error_code;
inline constexpr const char* context_name = "a boost::asio::io_context";
#else
namespace adapter = spdk_io::adapters::asio;
using asio_error_code = asio::error_code;
inline constexpr const char* context_name = "an asio::io_context";
#endif

#ifdef SPDK_IO_TEST_SLOTS
static_assert(adapter::has_cancellation_slots);
#else
static_assert(!adapter::has_cancellation_slots);
// In the place of a test that needs cancellation slots.
#define SPDK_IO_TEST_NEEDS_SLOTS(fixture, name)                                                 \
  TEST_F(fixture, name) {                                                                       \
    GTEST_SKIP() << "this Asio has no cancellation slots (Asio 1.19 and Boost 1.77 have them)"; \
  }
#endif

}  // namespace spdk_io_test
