// SPDX-License-Identifier: BSD-3-Clause
// The coroutine at the bottom: runs one awaitable and keeps what comes out of it, for code that
// is no coroutine and asks "are you done?".
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/stop_aware_promise.hpp>

#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// Stands in for a value where there is none, as in the tuple of when_all.
template <class T>
using regular_t = std::conditional_t<std::is_void_v<T>, std::monostate, std::remove_cvref_t<T>>;

// What became of an awaitable: nothing yet, a value, or an exception.
template <class T>
class outcome {
 public:
  bool done() const noexcept { return value_.has_value() || exception_; }
  template <class... U>
  void set(U&&... value) {
    value_.emplace(std::forward<U>(value)...);
  }
  void set_exception(std::exception_ptr e) noexcept { exception_ = std::move(e); }
  const std::exception_ptr& exception() const noexcept { return exception_; }
  const std::optional<regular_t<T>>& value() const noexcept { return value_; }

  regular_t<T> take_regular() {
    if (exception_) std::rethrow_exception(exception_);
    return std::move(*value_);
  }
  T take() {
    if (exception_) std::rethrow_exception(exception_);
    if constexpr (!std::is_void_v<T>) return std::move(*value_);
  }

 private:
  std::optional<regular_t<T>> value_;
  std::exception_ptr exception_;
};

// A coroutine that starts when start() is called, calls a function at its end, and is destroyed
// by its owner, finished or not.
class owned_coroutine {
 public:
  struct promise_type : stop_aware_promise {
    owned_coroutine get_return_object() noexcept {
      return owned_coroutine(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    struct final_awaiter {
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> me) const noexcept {
        promise_type& self = me.promise();
        if (self.at_end) self.at_end(self.argument);  // may destroy this coroutine
      }
      void await_resume() const noexcept {}
    };
    final_awaiter final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }  // its body catches all

    void (*at_end)(void*) = nullptr;
    void* argument = nullptr;
  };

  owned_coroutine() = default;
  explicit owned_coroutine(std::coroutine_handle<promise_type> h) noexcept : handle_(h) {}
  owned_coroutine(owned_coroutine&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)) {}
  owned_coroutine& operator=(owned_coroutine&& other) noexcept {
    reset();
    handle_ = std::exchange(other.handle_, nullptr);
    return *this;
  }
  ~owned_coroutine() { reset(); }

  void start(void (*at_end)(void*) = nullptr, void* argument = nullptr) {
    handle_.promise().at_end = at_end;
    handle_.promise().argument = argument;
    handle_.resume();
  }
  // Before it is started: what it awaits is stopped by this token.
  void set_stop_token(local_stop_token token) noexcept { handle_.promise().set_stop_token(token); }
  bool empty() const noexcept { return !handle_; }
  bool done() const noexcept { return handle_.done(); }
  void reset() noexcept {
    if (handle_) std::exchange(handle_, nullptr).destroy();
  }

 private:
  std::coroutine_handle<promise_type> handle_;
};

class thread_state;

// Starts `root` with this OS thread acting for `t`, as it does inside t's poll(); so what it does
// before its first suspension belongs to `t` as well.
void start_as(thread_state& t, owned_coroutine& root);

// Destroys it in the same way.
void reset_as(thread_state& t, owned_coroutine& root) noexcept;

// Awaits `what` and puts what comes out into `into`, which outlives the coroutine.
template <class A, class T>
owned_coroutine run_into(A what, outcome<T>& into) {
  try {
    if constexpr (std::is_void_v<await_result_t<A>>) {
      co_await std::forward<A>(what);
      into.set();
    } else {
      into.set(co_await std::forward<A>(what));
    }
  } catch (...) {
    into.set_exception(std::current_exception());
  }
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
