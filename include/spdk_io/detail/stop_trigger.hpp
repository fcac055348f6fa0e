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
//   bool stop_was_requested()                   whether somebody asked, so that it means "stopped"
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
  bool stop_was_requested() const noexcept { return token_.stop_requested(); }

 private:
  local_stop_token token_;
  stop_function stop_ = nullptr;
  void* argument_ = nullptr;
};

// A stop token that says at compile time that it never stops.
template <class Token>
concept never_stops = requires { requires !Token::stop_possible(); };

template <class Token, class F>
struct stop_callback_of {
  using type = typename Token::template callback_type<F>;
};
template <class F>
struct stop_callback_of<std::stop_token, F> {
  using type = std::stop_callback<F>;
};

// For tokens of any thread: the request travels to the home thread as a message, which is kept
// here. Which token it is, only the class below knows.
class thread_trigger_base : private message_node {
 public:
  error explain(const error& e) const noexcept { return e; }

 protected:
  thread_trigger_base() = default;
  thread_trigger_base(thread_trigger_base&&) noexcept {}  // before it is armed
  thread_trigger_base& operator=(thread_trigger_base&&) = delete;
  ~thread_trigger_base() = default;

  struct sender {
    thread_trigger_base* self;
    void operator()() const noexcept;
  };

  // False if there is no thread here: nothing starts, so nothing is to be stopped.
  bool prepare(stop_function f, void* argument) noexcept;
  // Both after the token's callback has been destroyed.
  bool may_go_on(ready_node& go_on) noexcept;
  void settle() noexcept;  // the destructor's part

 private:
  static void on_delivered(ready_node& node);
  bool under_way() const noexcept { return sent_.load(std::memory_order_acquire) && !delivered_; }

  std::shared_ptr<thread_state> home_;
  stop_function stop_ = nullptr;
  void* argument_ = nullptr;
  ready_node* go_on_ = nullptr;
  std::atomic<bool> sent_{false};
  bool delivered_ = false;
};

template <class Token>
class thread_trigger : public thread_trigger_base {
 public:
  explicit thread_trigger(Token token) noexcept : token_(std::move(token)) {}
  thread_trigger(thread_trigger&& other) noexcept
      : thread_trigger_base(std::move(other)),  // which takes nothing
        token_(std::move(other.token_)) {}      // NOLINT(bugprone-use-after-move)
  thread_trigger& operator=(thread_trigger&&) = delete;
  ~thread_trigger() {
    callback_.reset();
    settle();
  }

  bool arm(stop_function f, void* argument) noexcept {
    if (token_.stop_requested()) return false;
    if (!token_.stop_possible() || !prepare(f, argument)) return true;
    callback_.emplace(token_, sender{this});  // which calls it, if the request came just now
    return true;
  }
  bool disarm(detail::ready_node& go_on) noexcept {
    callback_.reset();  // waits for one that is being called on another thread
    return may_go_on(go_on);
  }
  bool stop_was_requested() const noexcept { return token_.stop_requested(); }

 private:
  Token token_;
  std::optional<typename stop_callback_of<Token, sender>::type> callback_;
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
  bool stop_was_requested() const noexcept { return false; }

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
