// SPDX-License-Identifier: BSD-3-Clause
// with_stop_token(): what is awaited ends early when a token says so; unstoppable(): it does not.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/triggered.hpp>
#include <spdk_io/local_stop_token.hpp>

#include <coroutine>
#include <stop_token>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

// For an operation (nothing is allocated; it can be started with a callback or a completion token
// as well) or anything awaitable that follows the stop token of its coroutine, as a task does (one
// frame is allocated):
//   std::stop_source stop;                       // request_stop() on any thread
//   auto r = co_await with_stop_token(stop.get_token(), disk.read(buffer, 0));
//
// A request asks the device to abort, and the result is awaited: SPDK has let go of the buffer
// when this resumes. The error is errc::operation_canceled; where the device cannot abort, or had
// done it, it is the real result. I/O that waits for memory leaves the queue at once, and what was
// not started yet when the stop was requested is not started. A request to the coroutine that
// awaits has the same effect.
// The request travels to the awaiting thread as a message; nothing is allocated for it.
template <class A>
  requires(awaitable<A> || detail::operation<std::remove_cvref_t<A>>)
[[nodiscard]] auto with_stop_token(std::stop_token token, A&& what) {
  return detail::triggered(std::forward<A>(what),
                           detail::thread_trigger<std::stop_token>(std::move(token)));
}

// The same for a token of this thread: without locks and atomics. Requires: its source outlives
// this.
template <class A>
  requires(awaitable<A> || detail::operation<std::remove_cvref_t<A>>)
[[nodiscard]] auto with_stop_token(local_stop_token token, A&& what) {
  return detail::triggered(std::forward<A>(what), detail::token_trigger(token));
}

namespace detail {

template <class Awaiter>
struct unstoppable_awaiter {
  Awaiter awaiter;
  bool await_ready() { return awaiter.await_ready(); }
  // Without its promise, the coroutine has no token.
  auto await_suspend(std::coroutine_handle<> waiting) { return awaiter.await_suspend(waiting); }
  decltype(auto) await_resume() { return awaiter.await_resume(); }
};

template <class A>
class [[nodiscard]] unstoppable_awaitable {
 public:
  explicit unstoppable_awaitable(A&& what) : what_(std::forward<A>(what)) {}
  auto operator co_await() && {
    return unstoppable_awaiter<decltype(get_awaiter(std::forward<A>(what_)))>{
        get_awaiter(std::forward<A>(what_))};
  }

 private:
  A what_;
};

}  // namespace detail

// Without the stop token of the coroutine that awaits: for what must be done also when it is asked
// to stop, such as a last write.
//   auto r = co_await unstoppable(log.flush());
template <awaitable A>
[[nodiscard]] auto unstoppable(A&& what) {
  return detail::unstoppable_awaitable<A>(std::forward<A>(what));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
