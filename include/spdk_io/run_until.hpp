// SPDX-License-Identifier: BSD-3-Clause
// run_until: the whole life of a program: run the application while polling, return its result.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/root.hpp>
#include <spdk_io/poller_task.hpp>
#include <spdk_io/run_loop.hpp>
#include <spdk_io/thread.hpp>

#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {

template <class T>
T fail_with(const error& e) {
  if constexpr (is_result<T>::value) {
    return std::unexpected(e);
  } else {
    throw std::bad_expected_access<error>(e);
  }
}

// Runs the loop as long as going_on() gives true. False if it was stopped before.
template <runnable_executor E, class F>
bool run_while(E& ex, F going_on) {
  if constexpr (requires { bool(ex.run_while(going_on)); }) {
    return ex.run_while(going_on);
  } else {
    while (going_on()) {
      if (!ex.run_one()) return !going_on();
    }
    return true;
  }
}

// What is still ready, messages included, runs before the loop is left.
void drain(thread& t);

error loop_stopped(const thread& t);

}  // namespace detail

// Starts a poller task for `t` on the loop behind `ex`, runs `app` there, and runs the loop
// until app has ended; then stops the poller task and drains. Returns what app gives, or
// rethrows what it throws. Call it on the OS thread of `t`.
// If the loop is stopped before app has ended (its stop() was called), app is destroyed and the
// result is errc::operation_canceled, as an error where app gives a result<T>, else thrown. The
// errors of poller_task() come back in the same way, and its failure where other OS threads run the
// loop as well. Without a policy it is one that sleeps where the executor has a timer, and that
// spins where it has none.
template <runnable_executor E, awaitable A, class Idle = default_idle<E>>
std::remove_cvref_t<await_result_t<A>> run_until(E ex, thread& t, A&& app, Idle policy = {}) {
  using value = std::remove_cvref_t<await_result_t<A>>;
  auto polling = poller_task(t, ex, policy);
  if (!polling) return detail::fail_with<value>(polling.error());
  polling->return_on_failure();
  detail::outcome<value> outcome;
  bool stopped = false;
  {
    // Owns app, which is destroyed here, before what it awaits could go on below.
    auto root = detail::run_into<A>(std::forward<A>(app), outcome);
    detail::start_as(t.state(), root);
    detail::run_while(ex, [&] { return !root.done() && !polling->failure(); });
    stopped = !root.done();
  }
  polling->stop();
  detail::drain(t);
  if (!stopped) return outcome.take();
  const error* failure = polling->failure();
  return detail::fail_with<value>(failure ? *failure : detail::loop_stopped(t));
}

// The same on a run_loop of its own.
template <awaitable A, class Idle = idle::backoff>
std::remove_cvref_t<await_result_t<A>> run_until(thread& t, A&& app, Idle policy = {}) {
  run_loop loop;
  return run_until(loop.get_executor(), t, std::forward<A>(app), policy);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
