// SPDX-License-Identifier: BSD-3-Clause
// A call to another thread: one object in the caller's frame travels there and back. A request to
// stop is a second one, which follows it; the caller goes on when both have come home.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/blocking_wait.hpp>
#include <spdk_io/detail/fatal.hpp>
#include <spdk_io/detail/operation.hpp>
#include <spdk_io/detail/root.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/local_stop_token.hpp>

#include <coroutine>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;

// Hands a message to a thread. Error: it has ended.
result<void> send(thread_state* to, message_node& message);  // null: an error
error no_thread_to_reach();
error thread_has_ended(const thread_state& to);

// What f() comes to: awaited if it is awaitable, and not yet wrapped in a result.
template <class F>
struct call_traits {
  using returned = std::invoke_result_t<F&>;
  static constexpr bool is_async = awaitable<returned>;
  static auto final_type() {
    if constexpr (is_async) {
      return std::type_identity<await_result_t<returned>>();
    } else {
      return std::type_identity<returned>();
    }
  }
  using value = std::remove_cvref_t<typename decltype(final_type())::type>;
  using wrapped = std::conditional_t<is_result<value>::value, std::type_identity<value>,
                                     std::type_identity<result<value>>>::type;
  // What f awaits may end in an exception at any time.
  static constexpr bool may_throw =
      is_async || !std::is_nothrow_invocable_v<F&> ||
      (!std::is_void_v<value> && !std::is_nothrow_constructible_v<wrapped, returned>);
};

// Where a call goes; nowhere, and why.
struct call_target {
  std::shared_ptr<thread_state> thread;
  error why_not;
};

// The part that does not depend on the function: where the call is, and its way home.
class call_base {
 public:
  explicit call_base(std::shared_ptr<thread_state> target) noexcept : target_(std::move(target)) {}
  explicit call_base(call_target target) noexcept
      : target_(std::move(target.thread)), error_(target.why_not) {}
  // Before it departs.
  call_base(call_base&& other) noexcept : target_(std::move(other.target_)), error_(other.error_) {}
  call_base& operator=(call_base&&) = delete;

 protected:
  enum class place : std::uint8_t { here, away, back };
  // While it is away: written by whoever has the message, read only where that is the caller's
  // own OS thread, or by the target.
  enum class stage : std::uint8_t { sent, running, homeward };

  // Sends `message` off; false, with error() set, if it cannot go.
  bool depart(message_node& message) noexcept;
  // On the target: sends it home.
  void come_home(message_node& message) noexcept;
  // Before it departs: where no thread is attached, this waits for it instead of a thread.
  void sleep_until_home(sleeping_caller& caller) noexcept { sleeper_ = &caller; }
  // At home, without user code: makes the caller ready.
  void arrived(message_node& message) noexcept;
  // At home, in any state.
  void ask_to_stop(message_node& message) noexcept;
  void refuse() noexcept;  // error(): it was stopped before it departed, or before it ran
  // On the target, where the call begins. False: it was asked to stop already.
  bool may_run() noexcept;
  local_stop_token token_there() noexcept { return stop_there_.emplace().get_token(); }
  // The caller's frame dies: waits for the call to come home. One to a thread of the same OS
  // thread could never come, since no user code runs meanwhile: that one is withdrawn, and
  // `running` destroyed if it has begun.
  void abandon(message_node& message, owned_coroutine& running) noexcept;

  ~call_base() = default;

  std::shared_ptr<thread_state> target_;
  thread_state* home_ = nullptr;
  sleeping_caller* sleeper_ = nullptr;
  error error_;
  place place_ = place::here;
  stage stage_ = stage::sent;

 private:
  struct stop_message : message_node {
    call_base* call = nullptr;
    message_node* of = nullptr;  // the call's own
    place where = place::here;
  };
  static void stop_arrives(ready_node& node);
  static void stop_comes_home(ready_node& node);
  void all_is_back(message_node& message) noexcept;
  void withdraw(message_node& message, owned_coroutine& running) noexcept;

  stop_message stop_;
  std::optional<local_stop_source> stop_there_;  // made, and used, on the target's OS thread
  bool stop_came_ = false;                       // there, before the call itself
};

template <class F>
class [[nodiscard]] call_operation
    : public operation_base<call_operation<F>, typename call_traits<F>::wrapped, message_node>,
      private call_base {
  using traits = call_traits<F>;
  using wrapped = typename traits::wrapped;
  using base = operation_base<call_operation, wrapped, message_node>;

 public:
  template <class Target, class G>
  call_operation(Target target, G&& f)
      : call_base(std::move(target)), function_(std::forward<G>(f)) {}
  call_operation(call_operation&&) = default;
  ~call_operation() {
    leave_promise(*this);
    if (place_ != place::here) [[unlikely]]
      abandon(*this, running_);
  }

  bool begin() noexcept {
    resume_ = this->run;
    this->run = run_there;
    this->internal = false;
    if (depart(*this)) return true;
    this->run = resume_;
    return false;
  }

  // See operation_base. On an OS thread without an SPDK thread this sleeps until the call has come
  // back, so that any thread may call those that do the I/O:
  //   auto r = worker.call([&] { return disk.read(block, 0); }).get();
  wrapped get() && {
    if (attached_here()) return std::move(static_cast<base&>(*this)).get();
    sleeping_caller caller;
    sleep_until_home(caller);
    if (begin()) caller.wait();
    wrapped value = finish();
    caller.rethrow();
    return value;
  }

  void request_stop() noexcept { ask_to_stop(*this); }
  void refuse_stopped() noexcept { refuse(); }

  wrapped finish() noexcept(!traits::may_throw) {
    place_ = place::here;
    if constexpr (traits::may_throw) {
      if (exception_) std::rethrow_exception(std::move(exception_));
    }
    if (error_.code() != std::errc()) return std::unexpected(error_);
    return std::move(*result_);
  }

 private:
  static void run_there(ready_node& node) {
    auto& self = static_cast<call_operation&>(node);
    if (!self.may_run()) return self.go_home();
    if constexpr (traits::is_async) {
      self.running_ = run_async(self);
      self.running_.set_stop_token(self.token_there());
      self.running_.start(async_ended, &self);
    } else {
      try {
        if constexpr (std::is_void_v<typename traits::returned>) {
          std::invoke(self.function_);
          self.result_.emplace();
        } else {
          self.result_.emplace(std::invoke(self.function_));
        }
      } catch (...) {
        self.exception_ = std::current_exception();
      }
      self.go_home();
    }
  }

  static owned_coroutine run_async(call_operation& self) {
    try {
      if constexpr (std::is_void_v<typename traits::value>) {
        co_await std::invoke(self.function_);
        self.result_.emplace();
      } else {
        self.result_.emplace(co_await std::invoke(self.function_));
      }
    } catch (...) {
      self.exception_ = std::current_exception();
    }
  }

  static void async_ended(void* self) { static_cast<call_operation*>(self)->go_home(); }

  void go_home() noexcept {
    stage_ = stage::homeward;
    this->run = run_home;
    this->internal = true;
    come_home(*this);
  }

  static void run_home(ready_node& node) {
    auto& self = static_cast<call_operation&>(node);
    self.run = self.resume_;
    self.arrived(self);
  }

  F function_;
  std::optional<wrapped> result_;
  std::exception_ptr exception_;
  owned_coroutine running_;
  ready_node::run_function resume_ = nullptr;
};

class [[nodiscard]] schedule_operation
    : public operation_base<schedule_operation, result<void>, message_node> {
 public:
  explicit schedule_operation(std::shared_ptr<thread_state> target) noexcept
      : target_(std::move(target)) {}

  schedule_operation(schedule_operation&&) = default;
  void get() && = delete;  // nothing would move: co_await it, or call()
  ~schedule_operation() {
    if (under_way_) [[unlikely]] {
      fatal("a coroutine was destroyed while it was moving to another thread");
    }
  }

  // Once it is sent, the coroutine may run over there before send() returns.
  bool begin() noexcept {
    auto target = target_;
    under_way_ = true;
    auto sent = send(target.get(), *this);
    if (sent) return true;
    under_way_ = false;
    error_ = sent.error();
    return false;
  }
  result<void> finish() noexcept {
    under_way_ = false;
    if (error_.code() != std::errc()) return std::unexpected(error_);
    return {};
  }

 private:
  std::shared_ptr<thread_state> target_;
  error error_;
  bool under_way_ = false;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
