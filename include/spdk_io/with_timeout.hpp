// SPDX-License-Identifier: BSD-3-Clause
// with_timeout(), with_deadline(): what is awaited ends early when its time is up.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/triggered.hpp>

#include <chrono>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

// For an operation (nothing is allocated; it can be started with a callback or a completion token
// as well) or anything awaitable that follows the stop token of its coroutine, as a task does (one
// frame is allocated):
//   auto r = co_await with_timeout(disk.read(buffer, 0), 5ms);
// Once `duration` has passed since it was started, it is asked to stop, and is awaited: SPDK has
// let go of the buffer when this resumes. So on a device that cannot abort (files, malloc) the
// result comes late, and is the real one. Otherwise the error is errc::timed_out, fault::timed_out.
// The time that an I/O waits for memory counts. Zero or less: at the next poll.
//
// How it is known: a failure with errc::operation_canceled after the time was up is told as
// errc::timed_out. Where the time is up later than the end, nothing happens.
// Thread: the one that awaits; on its SPDK thread's timers, so that the precision is that of its
// polling. While that thread ends, the time goes on. The default timeout of the descriptor does not
// apply.
template <class A, class Rep, class Period>
  requires(awaitable<A> || detail::operation<std::remove_cvref_t<A>>)
[[nodiscard]] auto with_timeout(A&& what, std::chrono::duration<Rep, Period> duration) {
  return detail::triggered(
      std::forward<A>(what),
      detail::timer_trigger(std::chrono::ceil<std::chrono::nanoseconds>(duration)));
}

// The same, with the time at which it is up.
template <class A>
  requires(awaitable<A> || detail::operation<std::remove_cvref_t<A>>)
[[nodiscard]] auto with_deadline(A&& what, std::chrono::steady_clock::time_point deadline) {
  return detail::triggered(std::forward<A>(what), detail::timer_trigger(deadline));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
