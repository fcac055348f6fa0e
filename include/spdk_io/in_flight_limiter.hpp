// SPDX-License-Identifier: BSD-3-Clause
// in_flight_limiter: at most so many I/Os, and so many bytes, in flight at once on one thread.
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

class acquire_operation;

struct in_flight_limits {
  static constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t ios = unlimited;
  std::uint64_t bytes = unlimited;
};

// Hands out permits, and has coroutines wait for one when there is none:
//   in_flight_limiter limiter(64);
//   …
//   auto permit = co_await limiter.acquire();
//   if (!permit) co_return std::unexpected(permit.error());
//   co_return co_await disk.read(buffer, 0);        // the permit goes back at the end of the scope
//
// First come, first served: who wants much is not overtaken by those behind it who want less. A
// permit that is given back is granted at once to who waits, who is resumed from thread::poll(),
// never from within release(). Nothing is allocated for a permit, and there are no atomics.
//
// Thread: the SPDK thread on which it was made: permits are acquired there, and given back and
// waited for on its OS thread. Acquiring one elsewhere is an error result, and in debug builds ends
// the program with a message; giving one back elsewhere ends the program in every build, unless the
// thread has ended. When the thread ends, those who wait are resumed with an error.
// Destroying the limiter resumes those who wait with errc::operation_canceled; permits may outlive
// it.
class in_flight_limiter {
 public:
  class permit;

  // Requires: a thread is attached here; without one no permit is granted. A limit of 0 grants none
  // either. Allocates its state.
  explicit in_flight_limiter(std::uint64_t ios) : in_flight_limiter(in_flight_limits{.ios = ios}) {}
  explicit in_flight_limiter(in_flight_limits limits)
      : queue_(new detail::waiter_queue("an in_flight_limiter",
                                        {.units = limits.ios, .bytes = limits.bytes})) {}
  in_flight_limiter(in_flight_limiter&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)) {}
  in_flight_limiter& operator=(in_flight_limiter&& other) noexcept {
    std::swap(queue_, other.queue_);
    return *this;
  }
  ~in_flight_limiter();

  // co_await gives a result<permit> for `ios` I/Os that have `bytes` in all (which count only where
  // there is a limit of bytes); at once, without suspending, where that much is left and nobody
  // waits.
  // Errors: invalid_argument (more than the limit, so that it would wait for ever),
  // operation_not_permitted (another thread, or none), operation_canceled (stopped; the limiter was
  // destroyed; the thread is ending), bad_file_descriptor (the limiter was moved from).
  // Cancellation: a stop request, or the end of with_timeout(), takes it from the queue at once. A
  // permit that was granted by then is the result. Destroying the awaiting coroutine on its thread
  // is always safe. Requires: the limiter lives until it is awaited.
  [[nodiscard]] acquire_operation acquire(std::uint64_t ios = 1, std::uint64_t bytes = 0) noexcept;

  // The same without waiting: nothing if that much is not left, or others wait for it.
  [[nodiscard]] std::optional<permit> try_acquire(std::uint64_t ios = 1,
                                                  std::uint64_t bytes = 0) noexcept;

  // What is left; granted permits count before who waited for them was resumed. 0 if moved from.
  std::uint64_t available() const noexcept { return queue_ ? queue_->left().units : 0; }
  std::uint64_t available_bytes() const noexcept { return queue_ ? queue_->left().bytes : 0; }
  std::size_t waiting() const noexcept { return queue_ ? queue_->waiting() : 0; }
  in_flight_limits limits() const noexcept;

 private:
  detail::waiter_queue* queue_;  // null: moved from
};

// Gives back what it stands for when it is destroyed.
class in_flight_limiter::permit {
 public:
  permit() = default;  // of nothing
  permit(permit&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)), amount_(other.amount_) {}
  permit& operator=(permit&& other) noexcept {
    if (this != &other) {
      release();
      queue_ = std::exchange(other.queue_, nullptr);
      amount_ = other.amount_;
    }
    return *this;
  }
  ~permit() { release(); }

  // Early. Afterwards it is empty.
  void release() noexcept {
    if (queue_) give_back();
  }

  bool empty() const noexcept { return queue_ == nullptr; }
  std::uint64_t ios() const noexcept { return queue_ ? amount_.units : 0; }
  std::uint64_t bytes() const noexcept { return queue_ ? amount_.bytes : 0; }

 private:
  friend class in_flight_limiter;
  friend class acquire_operation;
  permit(detail::waiter_queue& queue, detail::amount amount) noexcept
      : queue_(&queue), amount_(amount) {}
  void give_back() noexcept;

  detail::waiter_queue* queue_ = nullptr;
  detail::amount amount_;
};

// What acquire() returns.
class [[nodiscard]] acquire_operation
    : public detail::operation_base<acquire_operation, result<in_flight_limiter::permit>,
                                    detail::waiter> {
 public:
  acquire_operation(acquire_operation&&) = default;
  acquire_operation& operator=(acquire_operation&&) = delete;
  ~acquire_operation();

  result<in_flight_limiter::permit> finish() noexcept;

 private:
  friend class in_flight_limiter;
  acquire_operation(detail::waiter_queue* queue, detail::amount wanted) noexcept
      : operation_base(std::in_place, queue, wanted) {}
};

inline acquire_operation in_flight_limiter::acquire(std::uint64_t ios,
                                                    std::uint64_t bytes) noexcept {
  return acquire_operation(queue_, {.units = ios, .bytes = bytes});
}

}  // namespace spdk_io::inline SPDK_IO_ABI
