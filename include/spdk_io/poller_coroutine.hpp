// SPDX-License-Identifier: BSD-3-Clause
// The poller task as an awaitable, for a coroutine runtime of the user's own.
#pragma once

#include <spdk_io/detail/fatal.hpp>
#include <spdk_io/detail/poll_driver.hpp>
#include <spdk_io/idle.hpp>
#include <spdk_io/thread.hpp>

#include <chrono>
#include <concepts>
#include <memory>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

// A coroutine runtime with more than a yield. sleep_for() ends early when wake() is called;
// wake() may come from any thread and takes effect on the loop's (it posts there).
template <class R>
concept sleeping_runtime = requires(R& r) {
  r.yield();
  r.sleep_for(std::chrono::nanoseconds(1));
  { r.wake() } noexcept;
};

// A coroutine runtime that can wait until a file is readable, for ever if need be. The file is the
// library's, and is never closed by the runtime.
template <class R>
concept watching_runtime = requires(R& r) {
  r.yield();
  r.wait_readable(0);
};

namespace detail {

// The file of the sleep is readable when the task is woken, from whichever thread.
struct file_waker : waker {
  explicit file_waker(poll_driver& d) noexcept : driver(d) {
    waker::wake = [](waker& self) noexcept { return static_cast<file_waker&>(self).driver.poke(); };
  }
  poll_driver& driver;
};

template <class Runtime>
struct runtime_waker : waker {
  explicit runtime_waker(Runtime& r) noexcept : runtime(r) { waker::wake = on_wake; }
  static bool on_wake(waker& self) noexcept {
    static_cast<runtime_waker&>(self).runtime.wake();
    return true;
  }
  Runtime& runtime;
};

// A coroutine cannot go on after an exception has left it, and a poller task must: so here an
// exception that nobody awaits ends the program, with its message.
template <class F>
auto or_die(F f) noexcept {
  try {
    return f();
  } catch (...) {
    fatal_exception("a continuation run by a poller task");
  }
}

template <class Task, class Runtime>
Task poll_with_backoff(std::shared_ptr<thread_state> state, Runtime runtime, idle::backoff policy,
                       std::stop_token stop, poll_budget budget) {
  runtime_waker<Runtime> wake(runtime);
  poll_driver driver(std::move(state), policy, budget);
  driver.attach("a coroutine", &wake).value();
  while (!stop.stop_requested() && driver.thread_alive()) {
    const auto duration = driver.may_sleep();
    if (duration.count() == 0) {
      or_die([&] { driver.poll(); });
      co_await runtime.yield();
      driver.stay_or_leave("a coroutine").value();
      continue;
    }
    driver.announce_sleep();
    const bool sleeps = or_die([&] { return driver.last_look(); });
    if (sleeps) {
      co_await runtime.sleep_for(duration);
      driver.stay_or_leave("a coroutine").value();
      driver.awake();
    } else {
      driver.awake();
      co_await runtime.yield();
      driver.stay_or_leave("a coroutine").value();
    }
  }
}

template <class Task, class Runtime>
Task poll_with_interrupts(std::shared_ptr<thread_state> state, Runtime given,
                          idle::interrupt policy, std::stop_token stop, poll_budget budget) {
  poll_driver driver(std::move(state), policy, budget);
  Runtime runtime(std::move(given));  // goes before the file that it watches
  file_waker wake(driver);
  driver.attach("a coroutine", &wake).value();
  const std::stop_callback stopped(stop, [&driver] { driver.poke(); });
  while (!stop.stop_requested() && driver.thread_alive()) {
    if (driver.may_sleep().count() == 0) {
      or_die([&] { driver.poll(); });
      co_await runtime.yield();
      driver.stay_or_leave("a coroutine").value();
      continue;
    }
    driver.announce_sleep();
    if (or_die([&] { return driver.last_look(); })) {
      co_await runtime.wait_readable(driver.sleep_file());
    } else {
      co_await runtime.yield();
    }
    driver.stay_or_leave("a coroutine").value();
    driver.awake();
  }
}

template <class Task, class Yield>
Task poll_spinning(std::shared_ptr<thread_state> state, Yield yield, std::stop_token stop,
                   poll_budget budget) {
  poll_driver driver(std::move(state), idle::spin(), budget);
  driver.attach("a coroutine", nullptr).value();
  while (!stop.stop_requested() && driver.thread_alive()) {
    or_die([&] { driver.poll(); });
    co_await yield();
    driver.stay_or_leave("a coroutine").value();
  }
}

}  // namespace detail

// A coroutine of the runtime's own type `Task` that polls `t` until `stop` is requested or the
// thread ends; spawn it like any other task:
//   my::spawn(spdk_io::poller_coroutine<my::task<void>>(t, [] { return my::yield(); }));
// `yield` returns what this runtime awaits to let its other tasks run. The coroutine runs on the
// OS thread of `t`. If the thread has a poller task already, it throws std::system_error; so it
// does where the runtime resumes it on another OS thread, and then says so on stderr as well.
template <class Task, std::invocable Yield>
Task poller_coroutine(thread& t, Yield yield, std::stop_token stop = {}, poll_budget budget = {}) {
  return detail::poll_spinning<Task>(t.shared_state(), std::move(yield), std::move(stop), budget);
}

// The same on a runtime that can sleep.
template <class Task, sleeping_runtime Runtime>
Task poller_coroutine(thread& t, Runtime runtime, idle::backoff policy, std::stop_token stop = {},
                      poll_budget budget = {}) {
  return detail::poll_with_backoff<Task>(t.shared_state(), std::move(runtime), policy,
                                         std::move(stop), budget);
}

// The same on a runtime that can watch files: the sleep ends by its file alone. Without
// env_options.interrupt it throws as with a second poller task.
template <class Task, watching_runtime Runtime>
Task poller_coroutine(thread& t, Runtime runtime, idle::interrupt policy, std::stop_token stop = {},
                      poll_budget budget = {}) {
  return detail::poll_with_interrupts<Task>(t.shared_state(), std::move(runtime), policy,
                                            std::move(stop), budget);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
