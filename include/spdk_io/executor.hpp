// SPDX-License-Identifier: BSD-3-Clause
// What the library asks of a single-threaded executor.
#pragma once

#include <spdk_io/abi.hpp>

#include <chrono>
#include <concepts>
#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI {

namespace detail {
struct probe_callable {
  void operator()() const {}
};
}  // namespace detail

// The least: a callable can be posted. It runs later on the executor's one thread, never inside
// post(). Executors are small handles that are copied; the loop behind outlives what is posted,
// or drops it.
template <class E>
concept executor =
    std::copy_constructible<E> && requires(E& e) { e.post(detail::probe_callable()); };

// post() may be called on any thread: a message from another thread can wake a sleeping loop.
template <class E>
concept waking_executor = executor<E> && requires { requires E::post_is_thread_safe; };

// It has a timer: the object that new_timer() makes calls f once, after `duration`, unless
// cancel() comes first (f may then be called early instead). Destroying it cancels.
template <class E>
concept timed_executor = executor<E> && requires(E& e) {
  e.new_timer().start(std::chrono::nanoseconds(1), detail::probe_callable());
  e.new_timer().cancel();
};

// It can watch files: the object that new_watch(file) makes calls f once, on the loop's thread, when
// the file is readable, or soon where it is already, unless cancel() comes first (f may be on its way
// by then). It may be started again, from f too. Destroying it cancels, and may happen in f. The file
// is the caller's: it stays open as long as the object lives, and is not closed here.
template <class E>
concept watching_executor = executor<E> && requires(E& e) {
  e.new_watch(0).start(detail::probe_callable());
  e.new_watch(0).cancel();
};

// It can be run from outside, one callable (or a batch) at a time, waiting if there is none;
// false once it was stopped. Where that cannot be told after each of them, it may also have
// run_while(f), which runs the loop as long as f() gives true: false if it was stopped before.
template <class E>
concept runnable_executor = executor<E> && requires(E& e) {
  { e.run_one() } -> std::convertible_to<bool>;
};

// For messages: what a person would call it.
template <class E>
std::string_view executor_name(const E& e) {
  if constexpr (requires { std::string_view(e.name()); }) {
    return e.name();
  } else {
    return "an executor";
  }
}

}  // namespace spdk_io::inline SPDK_IO_ABI
