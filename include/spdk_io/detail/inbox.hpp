// SPDX-License-Identifier: BSD-3-Clause
// Messages to a thread from any thread: a lock-free stack that the owner takes whole, turned
// round to first-in-first-out. Its nodes live with whoever sends (a call's in the caller's
// frame), so that sending allocates nothing and no ring can be full.
#pragma once

#include <spdk_io/detail/node_ring.hpp>

#include <atomic>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// After delivery the node is linked to the ready list, or, if `internal`, to the list of the
// library's own continuations, which runs while a destructor waits too.
struct message_node : ready_node {
  using ready_node::ready_node;

  message_node* next_message = nullptr;
  bool internal = false;
};

// A message that calls a member of its owner.
template <class Owner>
struct owned_message : message_node {
  owned_message(Owner& o, run_function f) noexcept : message_node(f), owner(o) {}
  static Owner& owner_of(ready_node& node) noexcept {
    return static_cast<owned_message&>(node).owner;
  }

  Owner& owner;
};

class inbox {
 public:
  // False if the inbox was closed: the node was not taken. Any thread.
  bool push(message_node& node) noexcept {
    message_node* head = head_.load(std::memory_order_relaxed);
    do {
      if (head == closed()) return false;
      node.next_message = head;
      // Sequentially consistent: ordered before the sender's look at "asleep", which the owner
      // sets before its last look at the inbox. One of the two sees the other.
    } while (!head_.compare_exchange_weak(head, &node, std::memory_order_seq_cst,
                                          std::memory_order_relaxed));
    return true;
  }

  bool empty() const noexcept { return holds_nothing(head_.load(std::memory_order_relaxed)); }
  bool empty_seq_cst() const noexcept {
    return holds_nothing(head_.load(std::memory_order_seq_cst));
  }

  // Takes what has arrived, oldest first, linked through next_message. The owner only. One that
  // was closed stays so.
  message_node* take() noexcept {
    if (empty()) return nullptr;
    return reverse(head_.exchange(nullptr));
  }

  // The same, and every later push() fails.
  message_node* close() noexcept { return reverse(head_.exchange(closed())); }

 private:
  static message_node* closed() noexcept;
  static bool holds_nothing(const message_node* head) noexcept {
    return head == nullptr || head == closed();
  }
  static message_node* reverse(message_node* newest) noexcept;

  std::atomic<message_node*> head_{nullptr};
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
