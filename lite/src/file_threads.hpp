// SPDX-License-Identifier: BSD-3-Clause
// A few OS threads, shared by the whole process, that carry out file operations with
// blocking system calls: what is left where io_uring is forbidden.
#pragma once

#include "file_op.hpp"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace spdk_lite {

/// Where the threads leave the operations of one engine; lock-free for the one who takes.
class file_done_list {
 public:
  explicit file_done_list(std::function<void()> wake) : wake_(std::move(wake)) {}

  /// The owner has its last operation, but the thread that left it may still be in push().
  ~file_done_list() {
    while (pushing_.load(std::memory_order_acquire) != 0) {
      std::this_thread::yield();
    }
  }
  file_done_list(const file_done_list&) = delete;
  file_done_list& operator=(const file_done_list&) = delete;

  void push(file_op* op) {
    pushing_.fetch_add(1, std::memory_order_relaxed);
    op->next = head_.load(std::memory_order_relaxed);
    while (!head_.compare_exchange_weak(op->next, op, std::memory_order_release,
                                        std::memory_order_relaxed)) {
    }
    wake_();
    pushing_.fetch_sub(1, std::memory_order_release);
  }

  /// All of them, in the order in which they came.
  file_op* take() {
    if (head_.load(std::memory_order_relaxed) == nullptr) {
      return nullptr;
    }
    file_op* reversed = head_.exchange(nullptr, std::memory_order_acquire);
    file_op* ordered = nullptr;
    while (reversed != nullptr) {
      file_op* next = reversed->next;
      reversed->next = ordered;
      ordered = reversed;
      reversed = next;
    }
    return ordered;
  }

 private:
  std::atomic<file_op*> head_ = nullptr;
  std::atomic<unsigned> pushing_ = 0;
  std::function<void()> wake_;
};

class file_threads {
 public:
  static constexpr unsigned count = 4;

  /// Started with the first user, joined with the last.
  static std::shared_ptr<file_threads> get();

  file_threads();
  ~file_threads();
  file_threads(const file_threads&) = delete;
  file_threads& operator=(const file_threads&) = delete;

  /// The operation ends up in the list done, which must live until then.
  void push(file_op* op, file_done_list* done);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable work_;
  file_op_list jobs_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace spdk_lite
