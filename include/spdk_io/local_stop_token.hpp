// SPDX-License-Identifier: BSD-3-Clause
// Requests to stop within one OS thread: the standard's stop tokens without locks, atomics or
// allocation. What crosses threads is std::stop_token; see with_stop_token.hpp.
#pragma once

#include <spdk_io/abi.hpp>
#include <spdk_io/detail/os_thread.hpp>

#include <atomic>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

class local_stop_source;
class local_stop_token;

namespace detail {

// Linked to a source while it waits for a request; embedded in whatever waits. Whoever owns a
// linked node unlinks it before it dies.
struct stop_node {
  bool linked() const noexcept { return next != nullptr; }
  void unlink() noexcept {
    if (!next) return;
    prev->next = next;
    next->prev = prev;
    next = nullptr;
  }

  stop_node* prev = nullptr;
  stop_node* next = nullptr;
  void (*on_stop)(stop_node&) = nullptr;  // it is unlinked then
};

}  // namespace detail

// Where a request to stop is made. Thread: the OS thread that made it, only.
// Not movable; it outlives its tokens, and the coroutines and callbacks that use them.
class local_stop_source {
 public:
  local_stop_source() noexcept : os_thread_(detail::this_os_thread()) {
    head_.prev = &head_;
    head_.next = &head_;
  }
  local_stop_source(const local_stop_source&) = delete;
  local_stop_source& operator=(const local_stop_source&) = delete;
  // What still waits here is not stopped, and can be no more.
  ~local_stop_source() {
    while (head_.next != &head_) head_.next->unlink();
  }

  local_stop_token get_token() noexcept;
  static constexpr bool stop_possible() noexcept { return true; }
  bool stop_requested() const noexcept { return requested_.load(std::memory_order_relaxed); }

  // Asks everything that waits, in the order in which it began to wait: operations start their
  // abort, callbacks are called. No coroutine is resumed in here. True if this was the first
  // request. Requires: the source outlives the call.
  bool request_stop() noexcept {
    if (stop_requested()) return false;
    requested_.store(true, std::memory_order_relaxed);
    while (head_.next != &head_) {
      detail::stop_node& first = *head_.next;
      first.unlink();
      first.on_stop(first);
    }
    return true;
  }

 private:
  friend class local_stop_token;

  detail::stop_node head_;
  const void* const os_thread_;
  // Atomic, and relaxed, only so that a task that has moved to another thread may look.
  std::atomic<bool> requested_{false};
};

// Whether a stop was requested, and a place to wait for it. A pointer: copied freely, valid while
// its source lives. A model of the standard's stoppable_token.
class local_stop_token {
 public:
  template <class F>
  class callback;
  template <class F>
  using callback_type = callback<F>;

  local_stop_token() = default;  // of no source: never stopped

  bool stop_possible() const noexcept { return source_ != nullptr; }
  bool stop_requested() const noexcept { return source_ && source_->stop_requested(); }

  friend bool operator==(const local_stop_token&, const local_stop_token&) = default;

  // For the library's own parts. Links `node`; false, if this is not the source's OS thread.
  // Requires: stop_possible(), not stop_requested().
  bool wait(detail::stop_node& node) const noexcept {
    if (source_->os_thread_ != detail::this_os_thread()) return false;
    detail::stop_node& head = source_->head_;
    node.prev = head.prev;
    node.next = &head;
    head.prev->next = &node;
    head.prev = &node;
    return true;
  }

 private:
  friend class local_stop_source;
  explicit local_stop_token(local_stop_source& source) noexcept : source_(&source) {}

  local_stop_source* source_ = nullptr;
};

inline local_stop_token local_stop_source::get_token() noexcept { return local_stop_token(*this); }

// Calls f() from within request_stop(), or at once if the stop was requested already; not after
// this object has been destroyed. F may destroy it. Thread: the source's. F does not throw.
template <class F>
class local_stop_token::callback : private detail::stop_node {
 public:
  template <class G>
  callback(local_stop_token token, G&& f) : function_(std::forward<G>(f)) {
    on_stop = [](stop_node& self) { static_cast<callback&>(self).function_(); };
    if (token.stop_requested()) {
      function_();
    } else if (token.stop_possible()) {
      token.wait(*this);
    }
  }
  callback(const callback&) = delete;
  callback& operator=(const callback&) = delete;
  ~callback() { unlink(); }

 private:
  F function_;
};

template <class F>
class local_stop_callback : public local_stop_token::callback<F> {
 public:
  using local_stop_token::callback<F>::callback;
};
template <class F>
local_stop_callback(local_stop_token, F) -> local_stop_callback<F>;

}  // namespace spdk_io::inline SPDK_IO_ABI
