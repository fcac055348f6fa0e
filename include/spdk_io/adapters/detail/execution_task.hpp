// SPDX-License-Identifier: BSD-3-Clause
// A task as a sender. See execution.hpp.
#pragma once

#include <spdk_io/detail/root.hpp>
#include <spdk_io/local_stop_token.hpp>
#include <spdk_io/task.hpp>

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace adapters::execution::inline SPDK_IO_EXECUTION_VOCABULARY::detail {

// The coroutine that awaits the task is made in connect(); nothing else is allocated.
template <class T, class Receiver>
class task_state {
  using token = std::remove_cvref_t<token_of<Receiver>>;
  static constexpr bool gives_result = spdk_io::detail::is_result<T>::value;
  static constexpr bool stoppable = !spdk_io::detail::never_stops<token>;
  using trigger =
      std::conditional_t<stoppable, trigger_for<token>, std::type_identity<no_trigger>>::type;

 public:
  using operation_state_concept = vocabulary::operation_state_tag;

  task_state(task<T>&& what, Receiver&& receiver)
      : receiver_(std::move(receiver)),
        trigger_(vocabulary::get_stop_token(vocabulary::get_env(receiver_))),
        root_(spdk_io::detail::run_into<task<T>>(std::move(what), outcome_)) {}
  task_state(const task_state&) = delete;
  task_state& operator=(const task_state&) = delete;

  // The source belongs to the OS thread that starts.
  void start() & noexcept {
    if constexpr (stoppable) {
      root_.set_stop_token(source_.emplace().get_token());
      go_on_.run = [](ready_node& node) { static_cast<task_state*>(node.context)->complete(); };
      go_on_.context = this;
      if (!trigger_.arm(ask_to_stop, this)) source_->request_stop();
    }
    root_.start(ended, this);
  }

 private:
  struct nothing {};

  static void ask_to_stop(void* self) {
    if constexpr (stoppable) static_cast<task_state*>(self)->source_->request_stop();
  }

  // At the end of the coroutine, which may be destroyed from here on.
  static void ended(void* argument) {
    auto& self = *static_cast<task_state*>(argument);
    if constexpr (stoppable) {
      if (!self.trigger_.disarm(self.go_on_)) return;  // until the request has come
    }
    self.complete();
  }

  void complete() noexcept {
    if (const std::exception_ptr failed = outcome_.exception()) {
      return vocabulary::set_error(std::move(receiver_), std::exception_ptr(failed));
    }
    if constexpr (std::is_void_v<T>) {
      vocabulary::set_value(std::move(receiver_));
    } else {
      deliver(outcome_.take());
    }
  }

  template <class Value>
  void deliver(Value&& got) noexcept {
    if constexpr (!gives_result) {
      vocabulary::set_value(std::move(receiver_), std::forward<Value>(got));
    } else if (!got) {
      fail(got.error());
    } else if constexpr (std::is_void_v<typename T::value_type>) {
      vocabulary::set_value(std::move(receiver_));
    } else {
      vocabulary::set_value(std::move(receiver_), std::move(*got));
    }
  }

  void fail(error failed) noexcept {
    if (failed == std::errc::operation_canceled &&
        (failed.why() == fault::stopped || trigger_.stop_was_requested())) {
      return vocabulary::set_stopped(std::move(receiver_));
    }
    vocabulary::set_error(std::move(receiver_), std::move(failed));
  }

  [[no_unique_address]] Receiver receiver_;
  [[no_unique_address]] trigger trigger_;
  [[no_unique_address]] std::conditional_t<stoppable, std::optional<local_stop_source>, nothing>
      source_;
  ready_node go_on_;
  spdk_io::detail::outcome<T> outcome_;
  spdk_io::detail::owned_coroutine root_;
};

}  // namespace adapters::execution::inline SPDK_IO_EXECUTION_VOCABULARY::detail

namespace detail {

// Both are found by the task, whose promise is in this namespace.
template <class T, class Receiver>
  requires(!std::is_reference_v<T>)
adapters::execution::detail::task_state<T, Receiver> connect_task(
    std::type_identity<task_promise<T>>, task<T>&& what, Receiver&& receiver) {
  return {std::move(what), std::forward<Receiver>(receiver)};
}
template <class T>
  requires(!std::is_reference_v<T>)
auto task_signatures(std::type_identity<task_promise<T>>)
    -> adapters::execution::detail::signatures_of<T, true, is_result<T>::value>;

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI
