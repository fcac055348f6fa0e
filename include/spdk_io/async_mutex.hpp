// SPDX-License-Identifier: BSD-3-Clause
// async_mutex: one coroutine at a time, across suspensions.
#pragma once

#include <spdk_io/detail/operation.hpp>
#include <spdk_io/detail/waiter_queue.hpp>
#include <spdk_io/error.hpp>

#include <cstddef>
#include <optional>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

class lock_operation;

// Coroutines of one thread need no mutex between two awaits. This one is for what must not be
// interrupted by others *across* awaits, such as a read, a change and a write of one block:
//   async_mutex mutex;
//   …
//   auto lock = co_await mutex.lock();
//   if (!lock) co_return std::unexpected(lock.error());
//   …                                              // unlocked at the end of the scope
//
// First come, first served. unlock() hands the mutex at that moment to who waits longest, who is
// resumed from thread::poll(), never from within unlock(); so nobody overtakes. There are no
// atomics, and nothing is allocated but its state, when it is made.
//
// Thread: the SPDK thread on which it was made: it is locked there, and unlocked on its OS thread.
// Locking it elsewhere is an error result, and in debug builds ends the program with a message;
// unlocking it on another OS thread ends the program in every build, unless the thread has ended.
// When the thread ends, those who wait are resumed with an error.
// Destroying it resumes those who wait with errc::operation_canceled; a lock may outlive it, and
// then protects nothing.
//
// It is not recursive: who locks it again waits for itself, until it is stopped or its time is up.
class async_mutex {
 public:
  class scoped_lock;

  // Requires: a thread is attached here; without one it is never locked.
  async_mutex() : queue_(new detail::waiter_queue("an async_mutex", {.units = 1})) {}
  async_mutex(const async_mutex&) = delete;
  async_mutex& operator=(const async_mutex&) = delete;
  ~async_mutex();

  // co_await gives a result<scoped_lock>; at once, without suspending, if it is not locked.
  // Errors: operation_not_permitted (another thread, or none), operation_canceled (stopped; the
  // mutex was destroyed; the thread is ending). Cancellation: a stop request, or the end of
  // with_timeout(), takes it from the queue at once. A lock that was handed over by then is the
  // result. Destroying the awaiting coroutine on its thread is always safe. Requires: the mutex
  // lives until it is awaited.
  [[nodiscard]] lock_operation lock() noexcept;

  // The same without waiting: nothing if it is locked.
  [[nodiscard]] std::optional<scoped_lock> try_lock() noexcept;

  bool locked() const noexcept { return queue_->left().units == 0; }
  std::size_t waiting() const noexcept { return queue_->waiting(); }

 private:
  detail::waiter_queue* queue_;
};

// Unlocks when it is destroyed.
class [[nodiscard]] async_mutex::scoped_lock {
 public:
  scoped_lock() = default;  // of nothing
  scoped_lock(scoped_lock&& other) noexcept : queue_(std::exchange(other.queue_, nullptr)) {}
  scoped_lock& operator=(scoped_lock&& other) noexcept {
    if (this != &other) {
      unlock();
      queue_ = std::exchange(other.queue_, nullptr);
    }
    return *this;
  }
  ~scoped_lock() { unlock(); }

  // Early. Without effect if it owns no lock.
  void unlock() noexcept {
    if (queue_) give_back();
  }
  bool owns_lock() const noexcept { return queue_ != nullptr; }

 private:
  friend class async_mutex;
  friend class lock_operation;
  explicit scoped_lock(detail::waiter_queue& queue) noexcept : queue_(&queue) {}
  void give_back() noexcept;

  detail::waiter_queue* queue_ = nullptr;
};

// What lock() returns.
class [[nodiscard]] lock_operation
    : public detail::operation_base<lock_operation, result<async_mutex::scoped_lock>,
                                    detail::waiter> {
 public:
  lock_operation(lock_operation&&) = default;
  lock_operation& operator=(lock_operation&&) = delete;
  ~lock_operation();

  result<async_mutex::scoped_lock> finish();

 private:
  friend class async_mutex;
  explicit lock_operation(detail::waiter_queue* queue) noexcept
      : operation_base(std::in_place, queue, detail::amount{.units = 1}) {}
};

inline lock_operation async_mutex::lock() noexcept { return lock_operation(queue_); }

}  // namespace spdk_io::inline SPDK_IO_ABI
