// SPDX-License-Identifier: BSD-3-Clause
// An operation, or anything awaitable, that a trigger may end early: what with_timeout() and
// with_stop_token() return. A stop request to whoever awaits ends it as well.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/linked_stop_source.hpp>
#include <spdk_io/detail/operation.hpp>
#include <spdk_io/detail/root.hpp>
#include <spdk_io/detail/stop_trigger.hpp>
#include <spdk_io/error.hpp>

#include <coroutine>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

template <class T, class Trigger>
T explained(T value, const Trigger& trigger) {
  if constexpr (is_result<T>::value) {
    if (!value) [[unlikely]]
      return std::unexpected(trigger.explain(value.error()));
  }
  return value;
}

// Allocates nothing.
template <operation Op, class Trigger>
class [[nodiscard]] triggered_operation
    : public operation_base<triggered_operation<Op, Trigger>, typename Op::value_type> {
 public:
  triggered_operation(Op op, Trigger trigger)
      : trigger_(std::move(trigger)), inner_(std::move(op)) {
    if constexpr (requires { Trigger::is_deadline; }) note_own_deadline();
  }
  triggered_operation(triggered_operation&&) = default;
  triggered_operation& operator=(triggered_operation&&) = delete;
  ~triggered_operation() { leave_promise(*this); }

  bool begin() noexcept {
    if (!trigger_.arm(stop_inner, this)) {
      inner_.refuse_stopped();
      return false;
    }
    inner_.continue_with(inner_done, this);
    return inner_.begin() || !trigger_.disarm(*this);
  }
  typename Op::value_type finish() noexcept(noexcept(std::declval<Op&>().finish())) {
    return explained(inner_.finish(), trigger_);
  }
  bool stop_was_requested() const noexcept {
    if constexpr (requires { inner_.stop_was_requested(); }) {
      if (inner_.stop_was_requested()) return true;
    }
    return trigger_.stop_was_requested();
  }

  void request_stop() noexcept { inner_.request_stop(); }
  void refuse_stopped() noexcept { inner_.refuse_stopped(); }
  void note_own_deadline() noexcept {
    if constexpr (requires { inner_.note_own_deadline(); }) inner_.note_own_deadline();
  }

 private:
  static void stop_inner(void* self) {
    static_cast<triggered_operation*>(self)->inner_.request_stop();
  }
  static void inner_done(ready_node& node) {
    auto& self = *static_cast<triggered_operation*>(node.context);
    if (self.trigger_.disarm(self)) self.run(self);
  }

  Trigger trigger_;  // outlives the operation, which it may ask while that is being destroyed
  Op inner_;
};

// With a stop source of its own. Allocates one frame.
template <class A, class Trigger>
class [[nodiscard]] triggered_awaitable {
  using value = std::remove_cvref_t<await_result_t<A>>;

 public:
  triggered_awaitable(A&& what, Trigger trigger)
      : trigger_(std::move(trigger)), what_(std::forward<A>(what)) {}
  // Before it is awaited.
  triggered_awaitable(triggered_awaitable&& other) noexcept
      : trigger_(std::move(other.trigger_)), what_(std::forward<A>(other.what_)) {}
  triggered_awaitable& operator=(triggered_awaitable&&) = delete;
  ~triggered_awaitable() { source_.unlink(); }

  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> parent) {
    parent_ = parent;
    source_.follow(stop_token_of(parent));
    go_on_.run = [](ready_node& node) {
      static_cast<triggered_awaitable*>(node.context)->parent_.resume();
    };
    go_on_.context = this;
    if (!trigger_.arm(stop_all, this)) source_.request_stop();
    root_ = run_into<A>(std::forward<A>(what_), outcome_);
    root_.set_stop_token(source_.get_token());
    root_.start(ended, this);
    if (place_ == place::ended) return false;
    place_ = place::suspended;
    return true;
  }
  value await_resume() {
    if constexpr (std::is_void_v<value>) {
      outcome_.take();
    } else {
      return explained<value>(outcome_.take(), trigger_);
    }
  }

 private:
  enum class place { starting, suspended, ended };

  static void stop_all(void* self) {
    static_cast<triggered_awaitable*>(self)->source_.request_stop();
  }
  static void ended(void* argument) {
    auto& self = *static_cast<triggered_awaitable*>(argument);
    self.source_.unlink();
    if (!self.trigger_.disarm(self.go_on_)) return;
    if (self.place_ == place::suspended) return self.parent_.resume();
    self.place_ = place::ended;
  }

  Trigger trigger_;
  linked_stop_source source_;
  ready_node go_on_;
  std::coroutine_handle<> parent_;
  place place_ = place::starting;
  A what_;
  outcome<value> outcome_;
  owned_coroutine root_;
};

template <class Trigger, class A>
auto triggered(A&& what, Trigger trigger) {
  using op = std::remove_cvref_t<A>;
  if constexpr (operation<op> && stoppable_operation<op>) {
    static_assert(!std::is_lvalue_reference_v<A>, "an operation is taken over: std::move it");
    return triggered_operation<op, Trigger>(std::forward<A>(what), std::move(trigger));
  } else {
    return triggered_awaitable<A, Trigger>(std::forward<A>(what), std::move(trigger));
  }
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
