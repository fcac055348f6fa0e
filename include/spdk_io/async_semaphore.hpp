// SPDX-License-Identifier: BSD-3-Clause
// async_semaphore: a count that coroutines of one thread take from, and wait for.
#pragma once

#include <spdk_io/detail/operation.hpp>
#include <spdk_io/detail/waiter_queue.hpp>
#include <spdk_io/error.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

class semaphore_operation;

// Like std::counting_semaphore, awaited. What was acquired is a permit, which goes back by itself;
// or, detach()ed, does not, where another one release()s:
//   async_semaphore items(0);
//   …
//   items.release();                                // a producer
//   …
//   auto one = co_await items.acquire();            // a consumer
//   if (!one) co_return std::unexpected(one.error());
//   one->detach();
// To limit I/O in flight, also by bytes, there is in_flight_limiter.
//
// First come, first served: who wants much is not overtaken by those behind it who want less. What
// is released is granted at once to who waits, who is resumed from thread::poll(), never from
// within release(). There are no atomics, and nothing is allocated but its state, when it is made.
//
// Thread: the SPDK thread on which it was made: it is acquired there, and released on its OS
// thread. Acquiring it elsewhere is an error result, and in debug builds ends the program with a
// message; releasing it, or giving a permit back, on another OS thread ends the program in every
// build, unless the thread has ended. When the thread ends, those who wait are resumed with an
// error. Destroying it resumes those who wait with errc::operation_canceled; permits may outlive
// it.
class async_semaphore {
 public:
  class permit;

  static constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

  // `count` is there at first, and never more than `max`, which is at least that. Requires: a
  // thread is attached here; without one nothing is granted.
  explicit async_semaphore(std::uint64_t count, std::uint64_t max = unlimited);
  async_semaphore(const async_semaphore&) = delete;
  async_semaphore& operator=(const async_semaphore&) = delete;
  ~async_semaphore();

  // co_await gives a result<permit> for n; at once, without suspending, where that much is there
  // and nobody waits. Errors: invalid_argument (more than max, so that it would wait for ever),
  // operation_not_permitted (another thread, or none), operation_canceled (stopped; the semaphore
  // was destroyed; the thread is ending). Cancellation: a stop request, or the end of
  // with_timeout(), takes it from the queue at once. A permit that was granted by then is the
  // result. Destroying the awaiting coroutine on its thread is always safe. Requires: the semaphore
  // lives until it is awaited.
  [[nodiscard]] semaphore_operation acquire(std::uint64_t n = 1) noexcept;

  // The same without waiting: nothing if that much is not there, or others wait for it.
  [[nodiscard]] std::optional<permit> try_acquire(std::uint64_t n = 1) noexcept;

  // Adds n, whoever had it before. More than max is misuse: in debug builds it ends the program
  // with a message, in others max is there.
  void release(std::uint64_t n = 1) noexcept;

  // What is there; granted permits count before who waited for them was resumed.
  std::uint64_t available() const noexcept { return queue_->left().units; }
  std::uint64_t max() const noexcept { return queue_->limit().units; }
  std::size_t waiting() const noexcept { return queue_->waiting(); }

 private:
  detail::waiter_queue* queue_;
};

// Gives back what it stands for when it is destroyed.
class [[nodiscard]] async_semaphore::permit {
 public:
  permit() = default;  // of nothing
  permit(permit&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)), count_(other.count_) {}
  permit& operator=(permit&& other) noexcept {
    if (this != &other) {
      release();
      queue_ = std::exchange(other.queue_, nullptr);
      count_ = other.count_;
    }
    return *this;
  }
  ~permit() { release(); }

  // Early. Afterwards it is empty.
  void release() noexcept {
    if (queue_) give_back();
  }
  // It is not given back: whoever takes what it stood for further calls async_semaphore::release(),
  // or nobody does. Afterwards it is empty.
  void detach() noexcept;

  bool empty() const noexcept { return queue_ == nullptr; }
  std::uint64_t count() const noexcept { return queue_ ? count_ : 0; }

 private:
  friend class async_semaphore;
  friend class semaphore_operation;
  permit(detail::waiter_queue& queue, std::uint64_t count) noexcept
      : queue_(&queue), count_(count) {}
  void give_back() noexcept;

  detail::waiter_queue* queue_ = nullptr;
  std::uint64_t count_ = 0;
};

// What acquire() returns.
class [[nodiscard]] semaphore_operation
    : public detail::operation_base<semaphore_operation, result<async_semaphore::permit>,
                                    detail::waiter> {
 public:
  semaphore_operation(semaphore_operation&&) = default;
  semaphore_operation& operator=(semaphore_operation&&) = delete;
  ~semaphore_operation();

  result<async_semaphore::permit> finish();

 private:
  friend class async_semaphore;
  semaphore_operation(detail::waiter_queue* queue, std::uint64_t n) noexcept
      : operation_base(std::in_place, queue, detail::amount{.units = n}) {}
};

inline semaphore_operation async_semaphore::acquire(std::uint64_t n) noexcept {
  return semaphore_operation(queue_, n);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
