// SPDX-License-Identifier: BSD-3-Clause
// Lists of what waits: I/O in flight, and (the ready list) continuations that wait for their turn
// after spdk_thread_poll(). Doubly linked and popped one by one, so that whatever runs may destroy
// any entry still waiting.
#pragma once

#include <spdk_io/abi.hpp>

#include <cstdint>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// An entry, embedded in the operation that it continues. Moving one (only before it is linked)
// leaves both sides unlinked. Whoever owns a linked node erases it before it dies.
struct ready_node {
  using run_function = void (*)(ready_node&);

  // For those that are linked, and told where to go on, before anyone looks at these.
  struct unset {};

  ready_node() noexcept : prev(nullptr), next(nullptr), run(nullptr), context(nullptr) {}
  explicit ready_node(unset) noexcept {}
  explicit ready_node(run_function f) noexcept
      : prev(nullptr), next(nullptr), run(f), context(nullptr) {}
  ready_node(ready_node&& other) noexcept : ready_node(other.run) {}
  ready_node& operator=(ready_node&& other) noexcept {
    run = other.run;
    return *this;
  }
  ~ready_node() = default;

  bool linked() const noexcept { return next != nullptr; }

  ready_node* prev;
  ready_node* next;
  run_function run;
  void* context;  // for `run`
  // Where an I/O stands (io_core::stage), in every list that it may be in. Not 0 tells an I/O
  // from other nodes, for those who list what is under way. (What derives from this has its
  // first members in the bytes behind it, so this costs an I/O nothing.)
  std::uint8_t io_stage = 0;
  // `context` is the stop_aware_promise that has this operation registered.
  bool stop_registered = false;
};

// Nodes in a circle, not counted, which each can leave without knowing it.
class node_ring {
 public:
  node_ring() noexcept {
    head_.prev = &head_;
    head_.next = &head_;
  }
  node_ring(const node_ring&) = delete;
  node_ring& operator=(const node_ring&) = delete;

  bool empty() const noexcept { return head_.next == &head_; }
  bool has_one() const noexcept { return !empty() && head_.next == head_.prev; }
  ready_node& front() noexcept { return *head_.next; }  // end() if it is empty
  const ready_node* end() const noexcept { return &head_; }

  void push_back(ready_node& node) noexcept {
    node.prev = head_.prev;
    node.next = &head_;
    head_.prev->next = &node;
    head_.prev = &node;
  }

  void push_front(ready_node& node) noexcept {
    node.next = head_.next;
    node.prev = &head_;
    head_.next->prev = &node;
    head_.next = &node;
  }

  ready_node& pop_front() noexcept {
    ready_node& node = *head_.next;
    head_.next = node.next;
    node.next->prev = &head_;
    node.next = nullptr;
    return node;
  }

  static void erase(ready_node& node) noexcept {
    node.prev->next = node.next;
    node.next->prev = node.prev;
    node.next = nullptr;
  }

  template <class F>
  void for_each(F f) const {
    for (const ready_node* node = head_.next; node != &head_; node = node->next) f(*node);
  }

 private:
  ready_node head_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
