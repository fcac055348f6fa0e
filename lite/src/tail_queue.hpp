// SPDX-License-Identifier: BSD-3-Clause
// An intrusive doubly linked FIFO: no allocation, and any element leaves it in constant time.
#pragma once

#include <utility>

namespace spdk_lite {

template <class T>
struct tail_link {
  T* next;
  T* prev;
};

template <class T, tail_link<T> T::* Link>
class tail_queue {
 public:
  [[nodiscard]] bool empty() const { return head_ == nullptr; }
  [[nodiscard]] T* front() const { return head_; }
  [[nodiscard]] static T* next(const T* element) { return (element->*Link).next; }

  void push_back(T* element) {
    element->*Link = {nullptr, tail_};
    (tail_ != nullptr ? (tail_->*Link).next : head_) = element;
    tail_ = element;
  }

  void push_front(T* element) {
    element->*Link = {head_, nullptr};
    (head_ != nullptr ? (head_->*Link).prev : tail_) = element;
    head_ = element;
  }

  void remove(T* element) {
    tail_link<T>& link = element->*Link;
    (link.prev != nullptr ? (link.prev->*Link).next : head_) = link.next;
    (link.next != nullptr ? (link.next->*Link).prev : tail_) = link.prev;
  }

  T* pop_front() {
    T* element = head_;
    if (element != nullptr) {
      remove(element);
    }
    return element;
  }

  [[nodiscard]] bool contains(const T* element) const {
    for (const T* it = head_; it != nullptr; it = next(it)) {
      if (it == element) {
        return true;
      }
    }
    return false;
  }

  /// Takes all elements out, so that those added meanwhile are left for the next round.
  [[nodiscard]] tail_queue take() { return std::exchange(*this, tail_queue{}); }

 private:
  T* head_ = nullptr;
  T* tail_ = nullptr;
};

}  // namespace spdk_lite
