// SPDX-License-Identifier: BSD-3-Clause
// The pairing heap behind a thread's timers.
#include <spdk_io/detail/timer_queue.hpp>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

bool before(const timer_node& a, const timer_node& b) noexcept {
  return a.due != b.due ? a.due < b.due : a.order < b.order;
}

// Makes the later of two roots the first child of the earlier one.
timer_node* meld(timer_node* a, timer_node* b) noexcept {
  if (!a) return b;
  if (!b) return a;
  if (before(*b, *a)) {
    timer_node* swap = a;
    a = b;
    b = swap;
  }
  b->prev = a;
  b->next = a->child;
  if (a->child) a->child->prev = b;
  a->child = b;
  return a;
}

// Melds a list of siblings into one heap: in pairs from the left, then from the right. Without
// recursion, since a heap of n timers armed in order has n siblings.
timer_node* meld_siblings(timer_node* first) noexcept {
  timer_node* pairs = nullptr;  // chained through next, last pair first
  while (first) {
    timer_node* a = first;
    timer_node* b = a->next;
    first = b ? b->next : nullptr;
    a->next = a->prev = nullptr;
    if (b) b->next = b->prev = nullptr;
    timer_node* pair = meld(a, b);
    pair->next = pairs;
    pairs = pair;
  }
  timer_node* root = nullptr;
  while (pairs) {
    timer_node* pair = pairs;
    pairs = pair->next;
    pair->next = nullptr;
    root = meld(root, pair);
  }
  return root;
}

}  // namespace

void timer_queue::arm(timer_node& node) noexcept {
  node.child = node.next = node.prev = nullptr;
  node.order = armed_++;
  node.armed = true;
  root_ = meld(root_, &node);
}

void timer_queue::cancel(timer_node& node) noexcept {
  if (&node != root_) {
    if (node.prev->child == &node) {
      node.prev->child = node.next;
    } else {
      node.prev->next = node.next;
    }
    if (node.next) node.next->prev = node.prev;
    root_ = meld(root_, meld_siblings(node.child));
  } else {
    root_ = meld_siblings(node.child);
  }
  node.child = node.next = node.prev = nullptr;
  node.armed = false;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
