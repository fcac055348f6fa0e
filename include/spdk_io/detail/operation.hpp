// SPDX-License-Identifier: BSD-3-Clause
// The bridge from SPDK's callbacks to C++: one object per asynchronous call, movable until it is
// started and pinned from then on. It is its own awaiter, so its state lives in the awaiting
// frame and nothing is allocated.
//
// An operation derives from operation_base and provides
//   bool begin() noexcept      submits; false if it is complete already (it failed)
//   T finish() noexcept        takes the result, once
// and links itself to its thread's ready list when it is complete. One that can end early also has
// request_stop() and refuse_stopped() (see stop_aware_promise.hpp), and its destructor, where it
// may be destroyed before it was resumed, calls leave_promise().
#pragma once

#include <spdk_io/detail/blocking_wait.hpp>
#include <spdk_io/detail/inbox.hpp>
#include <spdk_io/stop_aware_promise.hpp>

#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// No request to stop reaches it any more.
inline void leave_promise(ready_node& node) noexcept {
  if (!node.stop_registered) return;
  node.stop_registered = false;
  static_cast<stop_aware_promise*>(node.context)->unregister();
}

// Which adapter's async_start() takes a token: the first of these with a function for it.
struct any_token_last {};
struct any_token : any_token_last {};
struct own_token : any_token {};

// A node that only its own thread resumes, and that mostly finds at once what it would wait for: it
// need not be registered for a stop before it is known that it waits.
template <class Node>
concept waits_on_own_thread = requires { requires Node::waits_on_own_thread; };

template <class Derived, class T, class Node = ready_node>
class operation_base : public Node {
 public:
  using value_type = T;

  bool await_ready() const noexcept { return false; }

  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> waiting) noexcept {
    // Before the branch, so that nothing else need be stored there first.
    continue_with(resume_coroutine, waiting.address());
    if constexpr (stop_aware<Promise> && stoppable_operation<Derived>) {
      if (waiting.promise().get_stop_token().stop_possible()) {
        return begin_stoppable(waiting.promise());
      }
    }
    return self().begin();
  }

  T await_resume() { return self().finish(); }

  // For code that is no coroutine, on a thread that may block: starts it, polls the SPDK threads of
  // this OS thread until it is complete (which spins, and runs whatever else becomes ready there),
  // and gives the result. From a coroutine too, but co_await lets others go on. An exception of
  // another continuation leaves it, and the operation is destroyed in flight. Inside a raw SPDK
  // callback it ends the program with a message: nothing could ever complete.
  //   auto r = disk.read(block, 0).get();
  T get() && {
    polling_wait waiting;
    continue_with(polling_wait::done, &waiting);
    if (self().begin()) waiting.wait();
    return self().finish();
  }

  // With an adapter's header included: started with one of its completion tokens, for example
  // disk.read(block, 0).async(asio::use_awaitable).
  template <class Token>
  auto async(Token&& token) && {
    return async_start(std::move(self()), std::forward<Token>(token), own_token());
  }

  // With adapters/execution.hpp included: a sender of std::execution. Where that is not included,
  // neither of the two is there.
  template <class Receiver>
  auto connect(Receiver receiver) && noexcept(noexcept(connect_operation(std::declval<Derived>(),
                                                                         std::move(receiver))))
      -> decltype(connect_operation(std::declval<Derived>(), std::move(receiver))) {
    return connect_operation(std::move(self()), std::move(receiver));
  }
  template <class Self, class... Env>
  static consteval auto get_completion_signatures() noexcept
      -> decltype(operation_signatures(std::type_identity<std::remove_cvref_t<Self>>())) {
    return {};
  }

  // Where it goes on when it is complete: `run` is called from thread::poll() with this node.
  void continue_with(ready_node::run_function f, void* argument) noexcept {
    this->run = f;
    this->context = argument;
  }

 protected:
  operation_base() = default;
  // Where the node has something to be told: its arguments.
  template <class... Arguments>
  explicit operation_base(std::in_place_t, Arguments&&... arguments)
      : Node(std::forward<Arguments>(arguments)...) {}
  operation_base(operation_base&&) = default;
  operation_base& operator=(operation_base&&) = default;
  ~operation_base() = default;

  static void resume_coroutine(ready_node& node) {
    std::coroutine_handle<>::from_address(node.context).resume();
  }

 private:
  Derived& self() noexcept { return static_cast<Derived&>(*this); }

  // With the promise's token: registered from before the start until it is resumed or destroyed.
  template <class Promise>
  bool begin_stoppable(Promise& promise) noexcept {
    if (promise.get_stop_token().stop_requested()) {
      self().refuse_stopped();
      return false;
    }
    stop_aware_promise& registered_at = promise;
    continue_with(resume_registered<Promise>, &registered_at);
    if constexpr (waits_on_own_thread<Node>) {
      if (!self().begin()) return false;
      if (promise.get_stop_token().stop_requested()) [[unlikely]] {
        self().request_stop();  // by what it has started
      } else if (registered_at.register_operation(self())) {
        this->stop_registered = true;
      }
      return true;
    }
    if (registered_at.register_operation(self())) this->stop_registered = true;
    if (self().begin()) return true;
    leave_promise(*this);
    return false;
  }

  template <class Promise>
  static void resume_registered(ready_node& node) {
    auto& promise = static_cast<Promise&>(*static_cast<stop_aware_promise*>(node.context));
    leave_promise(node);
    std::coroutine_handle<Promise>::from_promise(promise).resume();
  }
};

template <class Op>
concept operation = requires(Op& op, ready_node::run_function f) {
  typename Op::value_type;
  { op.begin() } noexcept -> std::same_as<bool>;
  op.continue_with(f, nullptr);
  { op.finish() } -> std::same_as<typename Op::value_type>;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
