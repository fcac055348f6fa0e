// SPDX-License-Identifier: BSD-3-Clause
// Running code on the reactor of a core.
#pragma once

#include <spdk_io/detail/call.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {
call_target target_of_core(std::uint32_t core);
}

// Runs f() on the library's thread on that core's reactor and brings what it returns or throws
// back to the calling thread, as thread_ref::call() does; f may be a coroutine function:
//   result<int> n = co_await run_on(1, [] { return 42; });
// Under app::run() every core of cores() has one; in a program that calls spdk_app_start()
// itself, those that have a reactor_thread.
// Errors: no such core, or none with such a thread; the application is ending; no thread is
// attached here. f did not run.
template <class F>
[[nodiscard]] auto run_on(std::uint32_t core, F&& f) {
  return detail::call_operation<std::decay_t<F>>(detail::target_of_core(core), std::forward<F>(f));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
