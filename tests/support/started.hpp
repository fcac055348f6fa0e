// SPDX-License-Identifier: BSD-3-Clause
// Coroutines under a test's control: started without any loop, held at gates, looked at.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/root.hpp>

#include <coroutine>
#include <utility>
#include <vector>

namespace spdk_io_test {

namespace sio = spdk_io;

// Holds whoever awaits it (as an lvalue) until open().
class gate {
 public:
  gate() = default;
  gate(const gate&) = delete;
  gate& operator=(const gate&) = delete;

  // Not its own awaiter: GCC 12 copies one that a lambda has captured.
  struct awaiter {
    gate& at;
    bool await_ready() const noexcept { return at.open_; }
    void await_suspend(std::coroutine_handle<> h) const { at.waiting_.push_back(h); }
    void await_resume() const noexcept {}
  };
  awaiter operator co_await() & noexcept { return {*this}; }

  void open() {
    open_ = true;
    for (auto h : std::exchange(waiting_, {})) h.resume();
  }

 private:
  bool open_ = false;
  std::vector<std::coroutine_handle<>> waiting_;
};

// An awaitable, started at once; destroyed with this object, finished or not.
template <sio::awaitable A>
class started {
 public:
  using value = std::remove_cvref_t<sio::await_result_t<A>>;

  explicit started(A what) : root_(sio::detail::run_into<A>(std::move(what), outcome_)) {
    root_.start();
  }
  bool done() const noexcept { return outcome_.done(); }
  value take() { return outcome_.take(); }
  void destroy() { root_.reset(); }

 private:
  sio::detail::outcome<value> outcome_;
  sio::detail::owned_coroutine root_;
};

}  // namespace spdk_io_test
