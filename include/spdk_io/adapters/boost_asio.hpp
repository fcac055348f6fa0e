// SPDX-License-Identifier: BSD-3-Clause
// SPDK as one task among others on a boost::asio::io_context, with coroutines and completion
// tokens: everything here is in spdk_io::adapters::boost_asio, and is described in
// detail/asio_*.hpp, one file for each subject. asio.hpp is the same for standalone Asio; a program
// may include both, but not in one source file where Boost is 1.74: the two Asios' own names clash
// there.
//
// Boost 1.74 (Asio 1.18) and later. Before Boost 1.77 (Asio 1.19) it has no cancellation slots:
// operation.async() is then stopped by with_stop_token() and with_timeout() only.
// has_cancellation_slots says which it is.
#pragma once

#include <spdk_io/adapters/detail/asio_common.hpp>

#include <boost/asio/version.hpp>
#if defined(ASIO_VERSION) && BOOST_ASIO_VERSION <= 101800 && !defined(asio_query_fn)
#error \
    "Standalone Asio and Boost 1.74's Asio cannot be included in one source file: namespaces of \
theirs have the same names (asio_query_fn and others). Use them in different source files."
#endif

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/wait_traits.hpp>
#include <boost/system/error_code.hpp>
#if __has_include(<boost/asio/associated_cancellation_slot.hpp>)
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/cancellation_type.hpp>
#define SPDK_IO_ASIO_HAS_CANCELLATION_SLOTS 1
#else
#define SPDK_IO_ASIO_HAS_CANCELLATION_SLOTS 0
#endif
#if __has_include(<boost/asio/recycling_allocator.hpp>)
#include <boost/asio/recycling_allocator.hpp>
#else
#include <boost/asio/detail/recycling_allocator.hpp>
#endif

#ifndef BOOST_ASIO_HAS_CO_AWAIT
#error \
    "Boost.Asio does not recognise this compiler's coroutines. With Clang and an older Boost, \
define BOOST_ASIO_HAS_CO_AWAIT and BOOST_ASIO_HAS_STD_COROUTINE, as CMake's target \
spdk_io::boost_asio does."
#endif

namespace spdk_io::inline SPDK_IO_ABI::adapters::boost_asio {

namespace net = ::boost::asio;

namespace detail {

using net_error_code = ::boost::system::error_code;
#if __has_include(<boost/asio/recycling_allocator.hpp>)
using default_allocator = ::boost::asio::recycling_allocator<void>;
#else
using default_allocator = ::boost::asio::detail::recycling_allocator<void>;
#endif
using any_token = spdk_io::detail::any_token_last;
inline constexpr std::string_view executor_name = "a boost::asio::io_context";

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI::adapters::boost_asio

#define SPDK_IO_ASIO_ADAPTER boost_asio
#include <spdk_io/adapters/detail/asio_adapter.hpp>
#undef SPDK_IO_ASIO_ADAPTER
#undef SPDK_IO_ASIO_HAS_CANCELLATION_SLOTS
