// SPDX-License-Identifier: BSD-3-Clause
// task<T>: a lazy coroutine that is awaited once.
#pragma once

#include <spdk_io/abi.hpp>
#include <spdk_io/stop_aware_promise.hpp>

#include <atomic>
#include <cassert>
#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>
#include <variant>

namespace spdk_io::inline SPDK_IO_ABI {

template <class T = void>
class task;

namespace detail {

// Clang turns symmetric transfer into a tail call always. GCC 12 does so only when it optimises,
// and not under sanitizers: a long chain of awaits that complete at once would overflow the
// stack. There the parent resumes the child itself and learns from a flag that it has finished
// (atomic, since what the child awaits may resume it on another OS thread at that moment).
#if defined(__clang__)
inline constexpr bool transfers_symmetrically = true;
#else
inline constexpr bool transfers_symmetrically = false;
#endif

class task_promise_base : public stop_aware_promise {
 public:
  std::suspend_always initial_suspend() const noexcept { return {}; }

  struct final_awaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> me) const noexcept {
      return me.promise().next();
    }
    void await_resume() const noexcept {}
  };
  final_awaiter final_suspend() const noexcept { return {}; }

  // Starts the child from the parent's await_suspend; what to resume next.
  auto start(std::coroutine_handle<> me, std::coroutine_handle<> parent) noexcept {
    continuation_ = parent;
    if constexpr (transfers_symmetrically) {
      return me;
    } else {
      me.resume();
      return !meeting_.second();  // suspend, unless it has finished
    }
  }

 private:
  std::coroutine_handle<> next() noexcept {
    if constexpr (!transfers_symmetrically) {
      // First of the two: the parent is still inside start(), and goes on by itself.
      if (!meeting_.second()) return std::noop_coroutine();
    }
    return continuation_;
  }

  // Parent and child: true for the one that comes second.
  struct meeting {
    bool second() noexcept { return met.exchange(true, std::memory_order_acq_rel); }
    std::atomic<bool> met{false};
  };
  struct no_meeting {
    bool second() noexcept { return true; }
  };

  std::coroutine_handle<> continuation_;
  [[no_unique_address]] std::conditional_t<transfers_symmetrically, no_meeting, meeting> meeting_;
};

template <class T>
class task_promise final : public task_promise_base {
 public:
  task<T> get_return_object() noexcept;
  void unhandled_exception() noexcept { value_.template emplace<2>(std::current_exception()); }
  template <class U>
    requires std::is_convertible_v<U&&, T>
  void return_value(U&& value) noexcept(std::is_nothrow_constructible_v<T, U&&>) {
    value_.template emplace<1>(std::forward<U>(value));
  }
  T take() {
    if (value_.index() == 2) std::rethrow_exception(std::get<2>(value_));
    return std::move(std::get<1>(value_));
  }

 private:
  std::variant<std::monostate, T, std::exception_ptr> value_;
};

template <class T>
class task_promise<T&> final : public task_promise_base {
 public:
  task<T&> get_return_object() noexcept;
  void unhandled_exception() noexcept { exception_ = std::current_exception(); }
  void return_value(T& value) noexcept { value_ = &value; }
  T& take() {
    if (exception_) std::rethrow_exception(exception_);
    return *value_;
  }

 private:
  T* value_ = nullptr;
  std::exception_ptr exception_;
};

template <>
class task_promise<void> final : public task_promise_base {
 public:
  task<void> get_return_object() noexcept;
  void unhandled_exception() noexcept { exception_ = std::current_exception(); }
  void return_void() const noexcept {}
  void take() {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  std::exception_ptr exception_;
};

}  // namespace detail

// A coroutine that starts when it is awaited and resumes whoever awaits with its value or its
// exception. It may co_await anything that accepts generic awaiters, and can be awaited from any
// such coroutine. Awaited once; one frame is allocated for each.
//
// Destroying it destroys the frame, wherever it is suspended: what it awaits must permit that
// (the library's operations do; see io_operation). Thread: like any object, one at a time.
//
// Cancellation: it has the stop token of the coroutine that awaits it, and so has what it awaits;
// co_await current_stop_token() gives it. with_stop_token() and with_timeout() give it another one.
//
// With GCC 12 write `if (auto r = co_await f(); !r)`, never `if (!co_await f())`: in a coroutine
// without local variables that compiler miscompiles the second form.
template <class T>
class [[nodiscard]] task {
 public:
  using promise_type = detail::task_promise<T>;
  using value_type = T;

  task(task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~task() {
    if (handle_) handle_.destroy();
  }

  auto operator co_await() && noexcept {
    assert(handle_ && "a task is awaited once, and not after it was moved from");
    return awaiter{handle_};
  }

  // With adapters/execution.hpp included: a sender of std::execution, as operations are; see there.
  template <class Receiver>
  auto connect(Receiver receiver) && -> decltype(connect_task(std::type_identity<promise_type>(),
                                                              std::declval<task>(),
                                                              std::move(receiver))) {
    return connect_task(std::type_identity<promise_type>(), std::move(*this), std::move(receiver));
  }
  template <class Self, class... Env>
  static consteval auto get_completion_signatures() noexcept -> decltype(task_signatures(
      std::type_identity<typename std::remove_cvref_t<Self>::promise_type>())) {
    return {};
  }

 private:
  friend promise_type;

  struct awaiter {
    std::coroutine_handle<promise_type> handle;
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> parent) const noexcept {
      handle.promise().set_stop_token(detail::stop_token_of(parent));
      return handle.promise().start(handle, parent);
    }
    T await_resume() const { return handle.promise().take(); }
  };

  explicit task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}

  std::coroutine_handle<promise_type> handle_;
};

template <class T>
task<T> detail::task_promise<T>::get_return_object() noexcept {
  return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}
template <class T>
task<T&> detail::task_promise<T&>::get_return_object() noexcept {
  return task<T&>(std::coroutine_handle<task_promise>::from_promise(*this));
}
inline task<void> detail::task_promise<void>::get_return_object() noexcept {
  return task<void>(std::coroutine_handle<task_promise>::from_promise(*this));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
