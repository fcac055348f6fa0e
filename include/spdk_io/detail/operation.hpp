// SPDX-License-Identifier: BSD-3-Clause
// The bridge from SPDK's callbacks to C++: one object per asynchronous call, movable until it is
// started and pinned from then on. It is its own awaiter, so its state lives in the awaiting
// frame and nothing is allocated.
//
// An operation derives from operation_base and provides
//   bool begin() noexcept      submits; false if it is complete already (it failed)
//   T finish() noexcept        takes the result, once
// and links itself to its thread's ready list when it is complete.
#pragma once

#include <spdk_io/detail/inbox.hpp>

#include <concepts>
#include <coroutine>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

template <class Derived, class T, class Node = ready_node>
class operation_base : public Node {
 public:
  using value_type = T;

  bool await_ready() const noexcept { return false; }

  bool await_suspend(std::coroutine_handle<> waiting) noexcept {
    continue_with(resume_coroutine, waiting.address());
    return self().begin();
  }

  T await_resume() { return self().finish(); }

  // With an adapter's header included: started with one of its completion tokens, for example
  // disk.read(block, 0).async(asio::use_awaitable).
  template <class Token>
  auto async(Token&& token) && {
    return async_start(std::move(self()), std::forward<Token>(token));
  }

  // Where it goes on when it is complete: `run` is called from thread::poll() with this node.
  void continue_with(ready_node::run_function f, void* context) noexcept {
    this->run = f;
    context_ = context;
  }
  void* context() const noexcept { return context_; }

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
    std::coroutine_handle<>::from_address(static_cast<operation_base&>(node).context_).resume();
  }

 private:
  Derived& self() noexcept { return static_cast<Derived&>(*this); }

  void* context_ = nullptr;
};

template <class Op>
concept operation = requires(Op& op, ready_node::run_function f) {
  typename Op::value_type;
  { op.begin() } noexcept -> std::same_as<bool>;
  op.continue_with(f, nullptr);
  { op.finish() } -> std::same_as<typename Op::value_type>;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
