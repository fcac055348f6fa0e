// SPDX-License-Identifier: BSD-3-Clause
// SPDK as one task among others on a standalone Asio io_context, with coroutines and completion
// tokens: everything here is in spdk_io::adapters::asio, and is described in detail/asio_*.hpp, one
// file for each subject. boost_asio.hpp is the same for Boost.Asio; a program may include both, but
// not in one source file where Boost is 1.74: the two Asios' own names clash there.
//
// Asio 1.18 and later. Before 1.19 it has no cancellation slots: operation.async() is then stopped
// by with_stop_token() and with_timeout() only. has_cancellation_slots says which it is.
#pragma once

#include <spdk_io/adapters/detail/asio_common.hpp>

#if defined(BOOST_ASIO_VERSION) && BOOST_ASIO_VERSION <= 101800 && !defined(asio_query_fn)
#error \
    "Standalone Asio and Boost 1.74's Asio cannot be included in one source file: namespaces of \
theirs have the same names (asio_query_fn and others). Use them in different source files."
#endif

#include <asio/associated_allocator.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/basic_waitable_timer.hpp>
#include <asio/bind_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/dispatch.hpp>
#include <asio/execution/context.hpp>
#include <asio/execution/executor.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/query.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/system_executor.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/wait_traits.hpp>
#if __has_include(<asio/associated_cancellation_slot.hpp>)
#include <asio/associated_cancellation_slot.hpp>
#include <asio/cancellation_type.hpp>
#define SPDK_IO_ASIO_HAS_CANCELLATION_SLOTS 1
#else
#define SPDK_IO_ASIO_HAS_CANCELLATION_SLOTS 0
#endif
#if __has_include(<asio/recycling_allocator.hpp>)
#include <asio/recycling_allocator.hpp>
#else
#include <asio/detail/recycling_allocator.hpp>
#endif

#ifndef ASIO_HAS_CO_AWAIT
#error \
    "Asio does not recognise this compiler's coroutines. With Clang and Asio 1.22, define \
ASIO_HAS_CO_AWAIT and ASIO_HAS_STD_COROUTINE, as CMake's target spdk_io::asio does."
#endif

namespace spdk_io::inline SPDK_IO_ABI::adapters::asio {

namespace net = ::asio;

namespace detail {

using net_error_code = ::asio::error_code;
#if __has_include(<asio/recycling_allocator.hpp>)
using default_allocator = ::asio::recycling_allocator<void>;
#else
using default_allocator = ::asio::detail::recycling_allocator<void>;
#endif
using any_token = spdk_io::detail::any_token;
inline constexpr std::string_view executor_name = "an asio::io_context";

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI::adapters::asio

#define SPDK_IO_ASIO_ADAPTER asio
#include <spdk_io/adapters/detail/asio_adapter.hpp>
#undef SPDK_IO_ASIO_ADAPTER
#undef SPDK_IO_ASIO_HAS_CANCELLATION_SLOTS
