// SPDX-License-Identifier: BSD-3-Clause
// A thread as other threads see it: send it work, call it, move to it.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/call.hpp>
#include <spdk_io/detail/fatal.hpp>
#include <spdk_io/detail/inbox.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/operation_info.hpp>

#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI {

// A copyable handle to a thread; all of it may be used on any OS thread. It does not keep the
// thread running: once that has ended, every use is an error that says so, as it is for one that
// was moved from, or is that of a thread that was.
class thread_ref {
 public:
  explicit thread_ref(std::shared_ptr<detail::thread_state> state) noexcept
      : state_(std::move(state)) {}

  // Runs f() on the thread, from its poll(), in the order of sending. One allocation. An
  // exception that leaves f leaves that poll().
  // Error: the thread has ended; f was not taken.
  template <std::invocable F>
  result<void> send(F&& f) const;

  // Runs f() on the thread and brings what it returns (or throws) back to the calling thread:
  //   result<int> n = co_await ref.call([] { return 42; });
  // f may also return something awaitable, which is then awaited over there. The result is
  // result<T>, where T is what f returns or awaits (a result<T> is not wrapped again). Nothing
  // is allocated for a plain f. Requires: the calling OS thread has a thread attached.
  // Error: the thread has ended, or no thread is attached here; f did not run.
  //
  // Cancellation: a request to stop follows it. What f awaits there is asked to stop, as by the
  // stop token of a task, and its result comes back; an f that has not begun does not run
  // (operation_canceled); a plain one that has goes on. Destroying the caller asks as well, and
  // waits for the call to come home (on one OS thread, destroys what f awaits).
  template <class F>
  [[nodiscard]] auto call(F&& f) const {
    return detail::call_operation<std::decay_t<F>>(state_, std::forward<F>(f));
  }

  // Moves the awaiting coroutine to the thread: it goes on there.
  // Error: the thread has ended; it goes on where it was.
  [[nodiscard]] auto schedule() const noexcept { return detail::schedule_operation(state_); }

  // What is under way on the thread; see thread::operations(). Only its own OS thread may look;
  // from others: co_await ref.call([&] { return ref.operations(); }).
  // Errors: another OS thread; the thread has ended.
  result<std::vector<operation_info>> operations() const;

  std::string_view name() const noexcept;
  std::uint64_t id() const noexcept;

  friend bool operator==(const thread_ref&, const thread_ref&) = default;

  // For the library's own parts.
  const std::shared_ptr<detail::thread_state>& shared_state() const noexcept { return state_; }

 private:
  std::shared_ptr<detail::thread_state> state_;
};

namespace detail {

template <class F>
struct sent_function final : message_node {
  explicit sent_function(F&& f) : message_node(run_once), function(std::forward<F>(f)) {}
  static void run_once(ready_node& node) {
    std::unique_ptr<sent_function> self(&static_cast<sent_function&>(node));
    std::invoke(std::move(self->function));
  }
  std::decay_t<F> function;
};

}  // namespace detail

template <std::invocable F>
result<void> thread_ref::send(F&& f) const {
  auto message = std::make_unique<detail::sent_function<F>>(std::forward<F>(f));
  if (auto ok = detail::send(state_.get(), *message); !ok) return ok;
  message.release();
  return {};
}

}  // namespace spdk_io::inline SPDK_IO_ABI
