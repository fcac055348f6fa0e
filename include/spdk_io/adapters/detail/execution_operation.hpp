// SPDX-License-Identifier: BSD-3-Clause
// An operation as a sender. See execution.hpp.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/deferred.hpp>
#include <spdk_io/detail/operation.hpp>
#include <spdk_io/detail/stop_trigger.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/local_stop_token.hpp>

#include <exception>
#include <new>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace adapters::execution::inline SPDK_IO_EXECUTION_VOCABULARY::detail {

using spdk_io::detail::operation;
using spdk_io::detail::ready_node;

template <class... Signatures>
struct signature_list {
  template <bool Condition, class Signature>
  using add_if =
      std::conditional_t<Condition, signature_list<Signatures..., Signature>, signature_list>;
  using type = vocabulary::completion_signatures<Signatures...>;
};

template <class T>
struct value_signature {
  using type = vocabulary::set_value_t(T);
};
template <>
struct value_signature<void> {
  using type = vocabulary::set_value_t();
};
template <class T>
struct value_signature<result<T>> : value_signature<T> {};

template <class T, bool MayThrow, bool Stoppable>
using signatures_of = typename signature_list<typename value_signature<T>::type>::template add_if<
    spdk_io::detail::is_result<T>::value, vocabulary::set_error_t(error)>::
    template add_if<MayThrow, vocabulary::set_error_t(std::exception_ptr)>::template add_if<
        Stoppable, vocabulary::set_stopped_t()>::type;

template <class Receiver>
using token_of =
    decltype(vocabulary::get_stop_token(vocabulary::get_env(std::declval<const Receiver&>())));

// From the receiver's token to the operation.
template <class Token>
struct trigger_for {
  using type = spdk_io::detail::thread_trigger<Token>;
};
template <>
struct trigger_for<local_stop_token> {
  using type = spdk_io::detail::token_trigger;
};

// Where a stop is impossible, it takes no room and no time.
struct no_trigger {
  template <class Token>
  explicit no_trigger(const Token&) noexcept {}
  bool arm(spdk_io::detail::stop_function, void*) const noexcept { return true; }
  bool disarm(const ready_node&) const noexcept { return true; }
  bool stop_was_requested() const noexcept { return false; }
};
template <class Op, class Token>
using trigger_of = std::conditional_t<!spdk_io::detail::stoppable_operation<Op> ||
                                          spdk_io::detail::never_stops<Token>,
                                      std::type_identity<no_trigger>, trigger_for<Token>>::type;

template <operation Op, class Receiver>
class operation_state {
  using token = std::remove_cvref_t<token_of<Receiver>>;
  using value = typename Op::value_type;
  static constexpr bool stoppable = spdk_io::detail::stoppable_operation<Op>;
  static constexpr bool may_throw = !noexcept(std::declval<Op&>().finish());

 public:
  using operation_state_concept = vocabulary::operation_state_tag;

  operation_state(Op&& op, Receiver&& receiver)
      : receiver_(std::move(receiver)),
        trigger_(vocabulary::get_stop_token(vocabulary::get_env(receiver_))),
        op_(std::move(op)) {}
  operation_state(const operation_state&) = delete;
  operation_state& operator=(const operation_state&) = delete;

  void start() & noexcept {
    op_.continue_with(done, this);
    if (!trigger_.arm(ask_to_stop, this)) {
      if constexpr (stoppable) op_.refuse_stopped();
    } else if (op_.begin()) {
      return;  // it may be complete already, on another thread, and this destroyed
    }
    if (!spdk_io::detail::run_later(op_)) go_on();
  }

 private:
  static void ask_to_stop(void* self) {
    if constexpr (stoppable) static_cast<operation_state*>(self)->op_.request_stop();
  }
  static void done(ready_node& node) { static_cast<operation_state*>(node.context)->go_on(); }

  void go_on() noexcept {
    if (!trigger_.disarm(op_)) return;  // until the request that is on its way has come
    if constexpr (!may_throw) {
      take();
    } else {
      try {
        take();
      } catch (...) {
        vocabulary::set_error(std::move(receiver_), std::current_exception());
      }
    }
  }

  void take() noexcept(!may_throw) {
    if constexpr (std::is_void_v<value>) {
      op_.finish();
      vocabulary::set_value(std::move(receiver_));
    } else {
      deliver(op_.finish());
    }
  }

  // Completing may destroy this: nothing of it is touched afterwards.
  template <class Value>
  void deliver(Value&& got) noexcept {
    if constexpr (!spdk_io::detail::is_result<value>::value) {
      vocabulary::set_value(std::move(receiver_), std::forward<Value>(got));
    } else if (!got) [[unlikely]] {
      fail(got.error());
    } else if constexpr (std::is_void_v<typename value::value_type>) {
      vocabulary::set_value(std::move(receiver_));
    } else {
      vocabulary::set_value(std::move(receiver_), std::move(*got));
    }
  }

  [[gnu::noinline]] void fail(error failed) noexcept {
    if constexpr (stoppable) {
      if (failed == std::errc::operation_canceled && was_stopped(failed)) {
        return vocabulary::set_stopped(std::move(receiver_));
      }
    }
    vocabulary::set_error(std::move(receiver_), std::move(failed));
  }

  bool was_stopped(const error& failed) const noexcept {
    if (failed.why() == fault::stopped || trigger_.stop_was_requested()) return true;
    if constexpr (requires { op_.stop_was_requested(); }) return op_.stop_was_requested();
    return false;
  }

  [[no_unique_address]] Receiver receiver_;
  // Outlives the operation, which it may ask while that is being destroyed.
  [[no_unique_address]] trigger_of<Op, token> trigger_;
  Op op_;
};

}  // namespace adapters::execution::inline SPDK_IO_EXECUTION_VOCABULARY::detail

namespace detail {

// Both are found by the operation, whose base class is in this namespace.
template <operation Op, class Receiver>
adapters::execution::detail::operation_state<Op, Receiver> connect_operation(
    Op&& op, Receiver&& receiver) noexcept(std::is_nothrow_move_constructible_v<Op> &&
                                           std::is_nothrow_move_constructible_v<Receiver>) {
  return {std::forward<Op>(op), std::forward<Receiver>(receiver)};
}
template <operation Op>
auto operation_signatures(std::type_identity<Op>) -> adapters::execution::detail::signatures_of<
    typename Op::value_type, !noexcept(std::declval<Op&>().finish()), stoppable_operation<Op>>;

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI
