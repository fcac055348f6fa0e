// SPDX-License-Identifier: BSD-3-Clause
// The words of std::execution where no implementation of it is there: as much as senders, receivers
// and schedulers need to meet, by the same member functions and under the same names. No
// algorithms.
#pragma once

#include <spdk_io/abi.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

#define SPDK_IO_EXECUTION_VOCABULARY own

namespace spdk_io::inline SPDK_IO_ABI::adapters::execution::inline own::vocabulary {

struct sender_tag {};
struct receiver_tag {};
struct operation_state_tag {};
struct scheduler_tag {};

struct set_value_t {
  template <class Receiver, class... Values>
  void operator()(Receiver&& receiver, Values&&... values) const noexcept {
    std::forward<Receiver>(receiver).set_value(std::forward<Values>(values)...);
  }
};
struct set_error_t {
  template <class Receiver, class Error>
  void operator()(Receiver&& receiver, Error&& error) const noexcept {
    std::forward<Receiver>(receiver).set_error(std::forward<Error>(error));
  }
};
struct set_stopped_t {
  template <class Receiver>
  void operator()(Receiver&& receiver) const noexcept {
    std::forward<Receiver>(receiver).set_stopped();
  }
};
inline constexpr set_value_t set_value;
inline constexpr set_error_t set_error;
inline constexpr set_stopped_t set_stopped;

template <class... Signatures>
struct completion_signatures {};

template <class... Queries>
struct env {};

struct get_env_t {
  template <class T>
  constexpr decltype(auto) operator()(const T& of) const noexcept {
    if constexpr (requires { of.get_env(); }) {
      return of.get_env();
    } else {
      return env<>();
    }
  }
};
inline constexpr get_env_t get_env;

template <class T>
using env_of_t = decltype(get_env(std::declval<T>()));

// Never stopped, and that is known at compile time.
struct never_stop_token {
  struct callback {
    template <class F>
    callback(never_stop_token, F&&) noexcept {}
  };
  template <class>
  using callback_type = callback;

  static constexpr bool stop_possible() noexcept { return false; }
  static constexpr bool stop_requested() noexcept { return false; }
  friend bool operator==(never_stop_token, never_stop_token) = default;
};

struct get_stop_token_t {
  template <class Env>
  constexpr auto operator()(const Env& of) const noexcept {
    if constexpr (requires { of.query(*this); }) {
      return of.query(*this);
    } else {
      return never_stop_token();
    }
  }
};
inline constexpr get_stop_token_t get_stop_token;

template <class Tag>
struct get_completion_scheduler_t {
  template <class Attributes>
  constexpr auto operator()(const Attributes& of) const noexcept -> decltype(of.query(*this)) {
    return of.query(*this);
  }
};
template <class Tag>
inline constexpr get_completion_scheduler_t<Tag> get_completion_scheduler;

enum class forward_progress_guarantee { concurrent, parallel, weakly_parallel };
struct get_forward_progress_guarantee_t {
  template <class Scheduler>
  constexpr forward_progress_guarantee operator()(const Scheduler& of) const noexcept {
    return of.query(*this);
  }
};

struct connect_t {
  template <class Sender, class Receiver>
  constexpr auto operator()(Sender&& sender, Receiver&& receiver) const
      -> decltype(std::forward<Sender>(sender).connect(std::forward<Receiver>(receiver))) {
    return std::forward<Sender>(sender).connect(std::forward<Receiver>(receiver));
  }
};
struct start_t {
  template <class State>
  constexpr void operator()(State& state) const noexcept {
    state.start();
  }
};
struct schedule_t {
  template <class Scheduler>
  constexpr auto operator()(Scheduler&& scheduler) const
      -> decltype(std::forward<Scheduler>(scheduler).schedule()) {
    return std::forward<Scheduler>(scheduler).schedule();
  }
};
inline constexpr connect_t connect;
inline constexpr start_t start;
inline constexpr schedule_t schedule;

template <class Sender, class... Env>
using completion_signatures_of_t =
    decltype(std::remove_cvref_t<Sender>::template get_completion_signatures<Sender, Env...>());
template <class Sender, class Receiver>
using connect_result_t = decltype(connect(std::declval<Sender>(), std::declval<Receiver>()));

}  // namespace spdk_io::inline SPDK_IO_ABI::adapters::execution::inline own::vocabulary
