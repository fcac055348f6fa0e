// SPDX-License-Identifier: BSD-3-Clause
// Coroutines inside a program that SPDK's application framework drives: a main of the program's
// own that calls spdk_app_start().
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/fatal.hpp>
#include <spdk_io/detail/root.hpp>
#include <spdk_io/detail/stop_event.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/task.hpp>
#include <spdk_io/task_scope.hpp>
#include <spdk_io/thread.hpp>
#include <spdk_io/thread_ref.hpp>

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {
class reactor_host;

// An awaitable, or a function that returns one: it is kept, with what it has captured, until the
// coroutine that it returned has ended.
template <class F>
concept startable =
    !std::is_lvalue_reference_v<F> &&
    (awaitable<F> || requires(std::remove_cvref_t<F>& f) { requires awaitable<decltype(f())>; });

template <class F>
auto call_and_await(F f) -> task<await_result_t<std::invoke_result_t<F&>>> {
  co_return co_await f();
}

template <startable F>
auto to_awaitable(F&& f) {
  if constexpr (awaitable<F>) {
    return std::remove_cvref_t<F>(std::forward<F>(f));
  } else {
    return call_and_await<std::remove_cvref_t<F>>(std::forward<F>(f));
  }
}

template <class F>
using started_value_t =
    std::remove_cvref_t<await_result_t<decltype(to_awaitable(std::declval<F>()))>>;

template <class F, class T>
inline constexpr bool takes = std::invocable<F&, T>;
template <class F>
inline constexpr bool takes<F, void> = std::invocable<F&>;

}  // namespace detail

// Lets coroutines run on an SPDK thread that one of SPDK's reactors polls. The thread stays the
// program's: its callbacks, pollers and messages go on; coroutines run in between, in events of
// the same reactor, so that all descriptors and channels of the thread may be used in both.
//
//   static void start(void*) {                      // as given to spdk_app_start()
//     static auto coroutines = spdk_io::reactor_thread::start().value();
//     coroutines.spawn(my_task());
//   }
//   …  coroutines.stop([](spdk_io::result<void>) { spdk_app_stop(0); });
//
// A coroutine must not hold its core for long: while it blocks (block_on does), the reactor's
// other threads wait.
//
// Thread: used on its own, in SPDK's callbacks or in coroutines; ref() and request_stop() on any.
// The destructor needs stop() to have been called before, else it ends the program with a
// message: it may run inside a callback, where it cannot wait for what is in flight.
class reactor_thread {
 public:
  // Called in a callback of the SPDK thread that is to be used (the function that was given to
  // spdk_app_start(), a message, a poller). Until the end of stop() the thread stays on its core.
  // Errors: no current SPDK thread; no reactor runs here; the library has the thread already.
  static result<reactor_thread> start();

  reactor_thread(reactor_thread&&) = default;
  reactor_thread& operator=(reactor_thread&&) = delete;
  ~reactor_thread();

  // Starts a task or other awaitable, or the coroutine that a function returns (which is kept
  // until that has ended: a lambda may capture). It begins after the calling callback, outside
  // the poll of the thread. stop() reports the first that failed; an exception ends the program.
  // Error: stop() has been called; `what` is destroyed.
  template <detail::startable F>
  result<void> spawn(F&& what) {
    return ref().send([host = host_.get(), what = std::forward<F>(what)]() mutable {
      tasks_of(*host).spawn(detail::to_awaitable(std::move(what)));
    });
  }

  // The same with a callback for what it gives, called from the reactor, outside any poll.
  template <detail::startable F, class Done>
    requires detail::takes<Done, detail::started_value_t<F>>
  result<void> spawn(F&& what, Done done) {
    return spawn(with_callback(detail::to_awaitable(std::forward<F>(what)), std::move(done)));
  }

  // For what takes a thread: block_on, statistics. Requires: stop() has not called back.
  spdk_io::thread& thread() const noexcept;
  thread_ref ref() const noexcept;

  bool stop_requested() const noexcept;
  // Tells the coroutines that they are to stop. Any thread.
  void request_stop() noexcept;
  // co_await: until that. Error: no SPDK thread is attached here.
  [[nodiscard]] detail::stop_wait wait_for_stop() noexcept;

  // Requests the stop, waits, without blocking, until all that was spawned has ended, gives back
  // what the library opened on the thread, and calls `then` in a message of the thread. From then
  // on the thread is the program's alone, and spdk_app_stop() may be called. Once only.
  void stop(std::move_only_function<void(result<void>)> then);

 private:
  explicit reactor_thread(std::shared_ptr<detail::reactor_host> host) noexcept
      : host_(std::move(host)) {}
  static task_scope& tasks_of(detail::reactor_host& host) noexcept;

  template <class A, class Done>
  static task<void> with_callback(A what, Done done) {
    if constexpr (std::is_void_v<await_result_t<A>>) {
      co_await std::move(what);
      std::invoke(done);
    } else {
      std::invoke(done, co_await std::move(what));
    }
  }

  std::shared_ptr<detail::reactor_host> host_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
