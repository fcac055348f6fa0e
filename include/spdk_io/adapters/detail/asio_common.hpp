// SPDX-License-Identifier: BSD-3-Clause
// What the adapters for standalone Asio and for Boost.Asio have in common: the headers that both
// need, and the list of what is in flight, which knows nothing of either.
#pragma once

#include <spdk_io/detail/operation.hpp>
#include <spdk_io/detail/os_thread.hpp>
#include <spdk_io/poller_coroutine.hpp>
#include <spdk_io/run_until.hpp>
#include <spdk_io/start.hpp>

#include <atomic>
#include <chrono>
#include <concepts>
#include <exception>
#include <forward_list>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stop_token>
#include <string_view>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::adapters::detail {

// An operation in flight whose handler belongs to a context.
struct handler_node {
  handler_node* prev = nullptr;
  handler_node* next = nullptr;
  // Waits until SPDK has let go; runs no user code.
  void (*settle)(handler_node&) noexcept = nullptr;
  // Frees it, then what its handler owns.
  void (*drop)(handler_node&) noexcept = nullptr;
};

// Those of one OS thread, which alone links and unlinks them. (Should the context go on another
// one, the first I/O to be settled ends the program.)
class handler_list {
 public:
  explicit handler_list(const void* os_thread) noexcept : owner(os_thread) {
    head_.prev = &head_;
    head_.next = &head_;
  }
  handler_list(const handler_list&) = delete;
  handler_list& operator=(const handler_list&) = delete;

  void push_back(handler_node& n) noexcept {
    n.prev = head_.prev;
    n.next = &head_;
    head_.prev->next = &n;
    head_.prev = &n;
  }
  static void erase(handler_node& n) noexcept {
    if (!n.next) return;
    n.prev->next = n.next;
    n.next->prev = n.prev;
    n.next = nullptr;
  }
  handler_node* pop_front() noexcept {
    if (head_.next == &head_) return nullptr;
    handler_node* first = head_.next;
    erase(*first);
    return first;
  }

  const void* const owner;

 private:
  handler_node head_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::adapters::detail
