// SPDX-License-Identifier: BSD-3-Clause
// What can end an awaited operation early from outside of it: a token of the same thread, a
// std::stop_token of any thread, a timer. See triggered.hpp for what they end.
//
// A trigger is movable until it is armed:
//   bool arm(stop_function f, void* argument)   f(argument) asks to stop, on the thread that arms,
//                                               and runs no user code. False: it is too late to
//                                               start, the stop was requested already.
//   bool disarm(ready_node& go_on)              Nothing is asked any more. False: a request is on
//                                               its way; `go_on` becomes ready when it has come.
//   error explain(error e)                      the failure that it led to, told as its own
// Its destructor waits for a request that is on its way.
#pragma once

#include <spdk_io/detail/inbox.hpp>
#include <spdk_io/detail/node_ring.hpp>
#include <spdk_io/detail/timer_queue.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/local_stop_token.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;

using stop_function = void (*)(void*);

class token_trigger : private stop_node {
 public:
  explicit token_trigger(local_stop_token token) noexcept : token_(token) {}
  token_trigger(token_trigger&& other) noexcept : token_(other.token_) {}
  token_trigger& operator=(token_trigger&&) = delete;
  ~token_trigger() { unlink(); }

  bool arm(stop_function f, void* argument) noexcept {
    if (token_.stop_requested()) return false;
    stop_ = f;
    argument_ = argument;
    on_stop = [](stop_node& node) {
      auto& self = static_cast<token_trigger&>(node);
      self.stop_(self.argument_);
    };
    if (token_.stop_possible()) token_.wait(*this);
    return true;
  }
  bool disarm(ready_node&) noexcept {
    unlink();
    return true;
  }
  error explain(const error& e) const noexcept { return e; }

 private:
  local_stop_token token_;
  stop_function stop_ = nullptr;
  void* argument_ = nullptr;
};

// The request travels to the thread as a message, which is kept here.
class thread_trigger : private message_node {
 public:
  explicit thread_trigger(std::stop_token token) noexcept : token_(std::move(token)) {}
  thread_trigger(thread_trigger&& other) noexcept : token_(std::move(other.token_)) {}
  thread_trigger& operator=(thread_trigger&&) = delete;
  ~thread_trigger();

  bool arm(stop_function f, void* argument);
  bool disarm(ready_node& go_on) noexcept;
  error explain(const error& e) const noexcept { return e; }

 private:
  struct sender {
    thread_trigger* self;
    void operator()() const noexcept;
  };
  static void on_delivered(ready_node& node);
  bool under_way() const noexcept { return sent_.load(std::memory_order_acquire) && !delivered_; }

  std::stop_token token_;
  std::shared_ptr<thread_state> home_;
  std::optional<std::stop_callback<sender>> callback_;
  stop_function stop_ = nullptr;
  void* argument_ = nullptr;
  ready_node* go_on_ = nullptr;
  std::atomic<bool> sent_{false};
  bool delivered_ = false;
};

class timer_trigger : private timer_node {
 public:
  static constexpr bool is_deadline = true;

  explicit timer_trigger(std::chrono::nanoseconds duration) noexcept : duration_(duration) {}
  explicit timer_trigger(std::chrono::steady_clock::time_point deadline) noexcept
      : deadline_(deadline) {}
  timer_trigger(timer_trigger&& other) noexcept
      : duration_(other.duration_), deadline_(other.deadline_) {}
  timer_trigger& operator=(timer_trigger&&) = delete;
  ~timer_trigger() { stop_timer(); }

  bool arm(stop_function f, void* argument) noexcept;
  bool disarm(ready_node&) noexcept {
    stop_timer();
    return true;
  }
  error explain(const error& e) const noexcept {
    return fired_ && e == std::errc::operation_canceled ? e.as_timed_out() : e;
  }

 private:
  static void on_expire(timer_node& node);
  void stop_timer() noexcept;

  std::chrono::nanoseconds duration_{0};
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  thread_state* home_ = nullptr;
  stop_function stop_ = nullptr;
  void* argument_ = nullptr;
  bool fired_ = false;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
