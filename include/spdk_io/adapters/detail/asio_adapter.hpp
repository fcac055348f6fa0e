// SPDX-License-Identifier: BSD-3-Clause
// The adapter for one of the two Asios: included once by asio.hpp and once by boost_asio.hpp, and
// so without a guard. Whoever includes it has included Asio, and has defined
//   SPDK_IO_ASIO_ADAPTER                 the adapter's namespace in spdk_io::adapters
//   SPDK_IO_ASIO_HAS_CANCELLATION_SLOTS  0 or 1
// and in that namespace
//   net                        the namespace of that Asio
//   detail::net_error_code     its error code
//   detail::default_allocator  of what has no allocator of its own: Asio's own caches
//   detail::any_token          see asio_async.hpp
//   detail::executor_name      for messages

// In the order in which they need each other.
// clang-format off
#include <spdk_io/adapters/detail/asio_executor.hpp>
#include <spdk_io/adapters/detail/asio_poller_coroutine.hpp>
#include <spdk_io/adapters/detail/asio_run_until.hpp>
#include <spdk_io/adapters/detail/asio_operations.hpp>
#include <spdk_io/adapters/detail/asio_cancellation.hpp>
#include <spdk_io/adapters/detail/asio_async_state.hpp>
#include <spdk_io/adapters/detail/asio_async.hpp>
// clang-format on
