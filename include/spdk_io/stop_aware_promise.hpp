// SPDX-License-Identifier: BSD-3-Clause
// The stop token of a coroutine, kept in its promise: what it awaits is stopped by it.
#pragma once

#include <spdk_io/detail/node_ring.hpp>
#include <spdk_io/local_stop_token.hpp>

#include <concepts>
#include <coroutine>

namespace spdk_io::inline SPDK_IO_ABI {

namespace detail {

// An operation that can be asked to end early. It completes all the same, from its thread's
// poll(): as stopped, or with its real result.
template <class Op>
concept stoppable_operation = requires(Op& op) {
  { op.request_stop() } noexcept;    // in any state
  { op.refuse_stopped() } noexcept;  // not started: finish() says that it was stopped
};

}  // namespace detail

// A base class for promise types: the library's operations, awaited in such a coroutine, end early
// when its token says so. task<> has it; a coroutine type of your own may derive its promise from
// it and set the token, which costs nothing while there is none.
//
// A coroutine awaits one thing at a time, so that one registration is enough for all of its awaits
// and operations need no room for one.
//
// Thread: a token works on its source's OS thread. Where the coroutine has moved to another one
// (thread_ref::schedule()), what it awaits there is not stopped.
class stop_aware_promise {
 public:
  local_stop_token get_stop_token() const noexcept { return token_; }
  void set_stop_token(local_stop_token token) noexcept { token_ = token; }

  // For the library's awaiters: from now on a request asks `op`.
  template <detail::stoppable_operation Op>
  bool register_operation(Op& op) noexcept {
    registration_.on_stop = [](detail::stop_node& node) {
      static_cast<Op*>(static_cast<registration&>(node).operation)->request_stop();
    };
    if (!token_.wait(registration_)) return false;
    registration_.operation = &op;
    return true;
  }
  void unregister() noexcept {
    registration_.unlink();
    registration_.operation = nullptr;
  }

 protected:
  stop_aware_promise() = default;
  stop_aware_promise(const stop_aware_promise&) = delete;
  stop_aware_promise& operator=(const stop_aware_promise&) = delete;
  // An operation that lives elsewhere than in the coroutine may outlive it.
  ~stop_aware_promise() {
    registration_.unlink();
    if (registration_.operation) registration_.operation->stop_registered = false;
  }

 private:
  struct registration : detail::stop_node {
    detail::ready_node* operation = nullptr;
  };

  local_stop_token token_;
  registration registration_;
};

namespace detail {

template <class Promise>
concept stop_aware = std::derived_from<Promise, stop_aware_promise>;

// The token of the coroutine that awaits; none if it has no such thing.
template <class Promise>
local_stop_token stop_token_of(std::coroutine_handle<Promise> waiting) noexcept {
  if constexpr (stop_aware<Promise>) {
    return waiting.promise().get_stop_token();
  } else {
    return {};
  }
}

}  // namespace detail

// co_await current_stop_token() gives the token of the awaiting coroutine, at once: for loops that
// look at it, and to hand it on. Never stopped where the coroutine has none.
struct [[nodiscard]] current_stop_token {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> waiting) noexcept {
    token = detail::stop_token_of(waiting);
    return false;
  }
  local_stop_token await_resume() const noexcept { return token; }

  local_stop_token token;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
