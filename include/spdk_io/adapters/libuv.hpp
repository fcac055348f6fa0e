// SPDX-License-Identifier: BSD-3-Clause
// SPDK as one task among others on a libuv loop. Only this header includes libuv.
#pragma once

#include <spdk_io/detail/os_thread.hpp>
#include <spdk_io/detail/posted_functions.hpp>
#include <spdk_io/run_until.hpp>

#include <uv.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace adapters::libuv {

// An exception that leaves a callable of an executor or of its timers would cross libuv's C frames.
// It is kept instead, and the loop is stopped as by uv_stop(); run(), run_one(), run_while() and
// run_until() rethrow it when uv_run() has returned. Whoever calls uv_run() himself calls this
// afterwards, on the same OS thread: it rethrows the oldest exception kept for that loop, or does
// nothing. Call it until it does nothing before the loop's memory goes.
inline void rethrow(uv_loop_t& loop) { spdk_io::detail::rethrow_kept_exception(&loop); }

namespace detail {

template <class F>
void call_from_c(uv_loop_t* loop, F&& f) noexcept {
  try {
    std::forward<F>(f)();
  } catch (...) {
    spdk_io::detail::keep_exception(loop);
    uv_stop(loop);
  }
}

// What the copies of an executor share. libuv closes handles only while the loop runs: the object
// lives from its making until all of them are closed.
class post_handles {
 public:
  explicit post_handles(uv_loop_t& loop) : loop_(&loop) {
    if (int rc = uv_async_init(&loop, &woken_, on_woken); rc != 0) {
      throw std::system_error(-rc, std::generic_category(), "uv_async_init");
    }
    uv_idle_init(&loop, &turn_);
    uv_prepare_init(&loop, &before_waiting_);
    woken_.data = this;
    turn_.data = this;
    // Only what is posted keeps the loop going, by turn_.
    uv_unref(as_handle(woken_));
    uv_unref(as_handle(before_waiting_));
  }
  post_handles(const post_handles&) = delete;
  post_handles& operator=(const post_handles&) = delete;

  uv_loop_t& loop() const noexcept { return *loop_; }

  template <class F>
  void post(F&& f) {
    const bool here = on_loop_thread();
    if (here) uv_idle_start(&turn_, on_turn);
    posted_.post(std::forward<F>(f), [&] {
      if (!here) uv_async_send(&woken_);
    });
  }

  // The last executor has gone, on whichever thread. What is posted still runs.
  void release() noexcept {
    const bool here = on_loop_thread();
    if (here) uv_idle_start(&turn_, on_turn);
    posted_.release([&] {
      if (!here) uv_async_send(&woken_);
    });
  }

  // Asks going_on() each time before the loop might sleep.
  template <class F>
  void run_while(F& going_on) {
    before_waiting_.data = &going_on;
    uv_prepare_start(&before_waiting_, [](uv_prepare_t* h) {
      if (!(*static_cast<F*>(h->data))()) uv_stop(h->loop);
    });
    uv_run(loop_, UV_RUN_DEFAULT);
    uv_prepare_stop(&before_waiting_);
  }

 private:
  using rest = spdk_io::detail::posted_functions::rest;

  template <class Handle>
  static uv_handle_t* as_handle(Handle& h) noexcept {
    return reinterpret_cast<uv_handle_t*>(&h);
  }
  bool on_loop_thread() const noexcept { return os_thread_ == spdk_io::detail::this_os_thread(); }

  static void on_woken(uv_async_t* h) {
    uv_idle_start(&static_cast<post_handles*>(h->data)->turn_, on_turn);
  }

  // An idle handle is called once in each turn of the loop, before it looks at its sockets, which
  // it does without waiting as long as such a handle is active. So batches alternate with all else.
  static void on_turn(uv_idle_t* h) {
    auto& self = *static_cast<post_handles*>(h->data);
    call_from_c(self.loop_, [&] { self.posted_.run_batch(); });
    const rest left = self.posted_.what_is_left([&] { uv_idle_stop(h); });
    if (left == rest::none_and_released) self.close();
  }

  void close() noexcept {
    before_waiting_.data = this;
    const uv_close_cb on_closed = [](uv_handle_t* h) {
      auto* self = static_cast<post_handles*>(h->data);
      if (--self->open_ == 0) delete self;
    };
    uv_close(as_handle(woken_), on_closed);
    uv_close(as_handle(turn_), on_closed);
    uv_close(as_handle(before_waiting_), on_closed);
  }

  uv_loop_t* loop_;
  const void* os_thread_ = spdk_io::detail::this_os_thread();
  spdk_io::detail::posted_functions posted_;
  uv_async_t woken_;             // from other threads
  uv_idle_t turn_;               // active while something is posted
  uv_prepare_t before_waiting_;  // active in run_while()
  int open_ = 3;
};

}  // namespace detail

// The executor that poller_task() takes, on a loop that is the user's and is run by one OS thread:
// the one on which the first executor is made, and to which the polled spdk_io::thread belongs.
//
// Copies share three libuv handles. What is posted runs in batches, one for each turn of the loop,
// so that its sockets and timers have theirs in between. Something posted on the loop's thread, or
// a timer that is started, keeps uv_run() from returning; an executor that is merely there does
// not. So a poller task keeps the loop alive, asleep or not, until it is stopped or its thread
// ends. What another thread posts wakes the loop where something keeps it alive, and waits
// elsewhere.
//
// The handles are closed once the last copy has gone and what is posted has run, in the turn after
// that, and the timers' in the turn after the timer has gone. So before the end of the loop:
// destroy poller tasks and executors, call uv_run(loop, UV_RUN_DEFAULT) once more, then
// uv_loop_close(), which says UV_EBUSY otherwise. A copy may go on any thread, the last one while
// the loop is run.
class executor {
 public:
  static constexpr bool post_is_thread_safe = true;
  class timer;
  class watch;

  // Throws std::system_error where libuv cannot have the handles.
  explicit executor(uv_loop_t& loop)
      : shared_(new detail::post_handles(loop), [](detail::post_handles* h) { h->release(); }) {}

  // Any thread.
  template <class F>
  void post(F f) {
    shared_->post(std::move(f));
  }
  timer new_timer();
  watch new_watch(int file);

  // One turn of the loop, as by uv_run(loop, UV_RUN_ONCE). False if nothing keeps the loop alive.
  // libuv forgets a uv_stop() when the turn ends: run_while() and run_until() tell it.
  bool run_one() { return run(UV_RUN_ONCE); }

  // uv_run(loop, UV_RUN_DEFAULT): until uv_stop(), or nothing keeps the loop alive (false).
  bool run() { return run(UV_RUN_DEFAULT); }

  // run(), which ends also when going_on() gives false: it is asked before the loop might sleep.
  // False if the loop was stopped, or has ended, before. going_on() must not throw.
  template <class F>
  bool run_while(F going_on) {
    rethrow();
    if (!going_on()) return true;
    shared_->run_while(going_on);
    rethrow();
    return !going_on();
  }

  // See adapters::libuv::rethrow().
  void rethrow() { libuv::rethrow(shared_->loop()); }

  std::string_view name() const noexcept { return "a libuv loop"; }

 private:
  bool run(uv_run_mode mode) {
    rethrow();
    const int alive = uv_run(&shared_->loop(), mode);
    rethrow();
    return alive != 0;
  }

  std::shared_ptr<detail::post_handles> shared_;
};

// Calls a function once. Used and destroyed on the loop's thread, before the loop is closed.
//
// libuv's timers count whole milliseconds, of a clock that it reads once in a turn. A duration is
// rounded up: what is to happen within less than a millisecond does not keep the loop busy, and
// happens up to about a millisecond late. So a sleeping poller task wakes up as late for
// sleep_for() and for SPDK's timed pollers, and the shorter sleeps of an idle::backoff (the default
// begins with 63 microseconds) take one millisecond each. Messages and submissions wake it at once,
// and by default it does not sleep at all with I/O in flight; for timers finer than that take
// idle::spin.
class executor::timer {
 public:
  explicit timer(uv_loop_t& loop) : state_(new state) {
    uv_timer_init(&loop, &state_->handle);
    state_->handle.data = state_;
  }
  timer(timer&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  timer& operator=(timer&&) = delete;
  ~timer() {
    if (!state_) return;
    cancel();
    uv_close(reinterpret_cast<uv_handle_t*>(&state_->handle),
             [](uv_handle_t* h) { delete static_cast<state*>(h->data); });
  }

  template <class F>
  void start(std::chrono::nanoseconds duration, F f) {
    const auto previous = std::exchange(state_->function, std::move(f));
    const auto whole = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
    uv_timer_start(&state_->handle, on_time, whole > 0 ? static_cast<std::uint64_t>(whole) : 0, 0);
  }
  void cancel() noexcept {
    uv_timer_stop(&state_->handle);
    const auto dropped = std::exchange(state_->function, nullptr);
  }

 private:
  struct state {  // until the handle is closed
    uv_timer_t handle;
    std::move_only_function<void()> function;
  };

  static void on_time(uv_timer_t* h) {
    auto function = std::exchange(static_cast<state*>(h->data)->function, nullptr);
    detail::call_from_c(h->loop, [f = std::move(function)]() mutable { f(); });
  }

  state* state_;
};

inline executor::timer executor::new_timer() { return timer(shared_->loop()); }

// Calls a function once, when a file is readable. Used and destroyed on the loop's thread, before the
// loop is closed; the file may be closed as soon as this has gone. libuv has at most one handle for
// each file.
class executor::watch {
 public:
  // Throws std::system_error where libuv cannot watch the file.
  watch(uv_loop_t& loop, int file) : state_(new state) {
    if (int rc = uv_poll_init(&loop, &state_->handle, file); rc != 0) {
      delete state_;
      throw std::system_error(-rc, std::generic_category(), "uv_poll_init");
    }
    state_->handle.data = state_;
  }
  watch(watch&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  watch& operator=(watch&&) = delete;
  ~watch() {
    if (!state_) return;
    cancel();
    uv_close(reinterpret_cast<uv_handle_t*>(&state_->handle),
             [](uv_handle_t* h) { delete static_cast<state*>(h->data); });
  }

  template <class F>
  void start(F f) {
    const auto previous = std::exchange(state_->function, std::move(f));
    uv_poll_start(&state_->handle, UV_READABLE, on_readable);
  }
  void cancel() noexcept {
    uv_poll_stop(&state_->handle);
    const auto dropped = std::exchange(state_->function, nullptr);
  }

 private:
  struct state {  // until the handle is closed
    uv_poll_t handle;
    std::move_only_function<void()> function;
  };

  static void on_readable(uv_poll_t* h, int, int) {
    uv_poll_stop(h);
    auto function = std::exchange(static_cast<state*>(h->data)->function, nullptr);
    detail::call_from_c(h->loop, [f = std::move(function)]() mutable { f(); });
  }

  state* state_;
};

inline executor::watch executor::new_watch(int file) { return watch(shared_->loop(), file); }

}  // namespace adapters::libuv

// poller_task() on a libuv loop, for a task that is kept in a handle, which goes before the loop:
//   auto polling = sio::poller_task(thread, *uv_default_loop(), sio::idle::backoff());
//   uv_run(uv_default_loop(), UV_RUN_DEFAULT);
//   sio::adapters::libuv::rethrow(*uv_default_loop());
template <class Idle = idle::backoff>
result<running_poller_task<adapters::libuv::executor>> poller_task(thread& t, uv_loop_t& loop,
                                                                   Idle policy = {},
                                                                   poll_budget budget = {}) {
  return poller_task(t, adapters::libuv::executor(loop), policy, budget);
}

// run_until() on a libuv loop, which may have other work and is left as it is when app has ended;
// what is left of the poller task goes in its next turn, see executor. uv_stop() before app has
// ended cancels app.
template <awaitable A, class Idle = idle::backoff>
std::remove_cvref_t<await_result_t<A>> run_until(uv_loop_t& loop, thread& t, A&& app,
                                                 Idle policy = {}) {
  return run_until(adapters::libuv::executor(loop), t, std::forward<A>(app), policy);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
