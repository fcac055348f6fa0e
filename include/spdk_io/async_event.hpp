// SPDX-License-Identifier: BSD-3-Clause
// async_event: coroutines of one thread wait until something is so.
#pragma once

#include <spdk_io/detail/operation.hpp>
#include <spdk_io/detail/waiter_queue.hpp>
#include <spdk_io/error.hpp>

#include <cstddef>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

class event_operation;

struct async_event_options {
  bool set = false;  // from the start
  // Each set() lets one through, who waits longest, and is used up by that. Set before anybody
  // waits, it lets the next one through; set again meanwhile, still only one.
  bool auto_reset = false;
};

// Set or not; who waits is let through once it is set:
//   async_event loaded;
//   …
//   if (auto r = co_await loaded.wait(); !r) co_return r;
// By itself it stays set until reset(), and lets everybody through.
//
// set() lets through at that moment those who wait, also if reset() comes before they are resumed,
// which is done from thread::poll(), in their order, never from within set(). There are no atomics,
// and nothing is allocated but its state, when it is made.
//
// Thread: the SPDK thread on which it was made: it is awaited there, and set on its OS thread.
// Awaiting it elsewhere is an error result, and in debug builds ends the program with a message.
// Setting or resetting it on another OS thread ends the program in every build, unless the thread
// has ended: it has no lock. From there, send a message:
//   ref.send([&] { loaded.set(); });
// When the thread ends, those who wait are resumed with an error.
// Destroying it resumes those who wait with errc::operation_canceled; those who were let through
// are.
class async_event {
 public:
  // Requires: a thread is attached here; without one nobody is let through.
  explicit async_event(async_event_options options = {});
  async_event(const async_event&) = delete;
  async_event& operator=(const async_event&) = delete;
  ~async_event();

  // co_await gives a result<void>; at once, without suspending, if it is set.
  // Errors: operation_not_permitted (another thread, or none), operation_canceled (stopped; the
  // event was destroyed; the thread is ending). Cancellation: a stop request, or the end of
  // with_timeout(), takes it from the queue at once; who was let through by then is. Destroying the
  // awaiting coroutine on its thread is always safe; with auto_reset, if it was let through
  // already, the next one is in its place. Requires: the event lives until it is awaited.
  [[nodiscard]] event_operation wait() noexcept;

  void set() noexcept;
  // Who comes from now on waits.
  void reset() noexcept;

  bool is_set() const noexcept { return queue_->left().units != 0; }
  std::size_t waiting() const noexcept { return queue_->waiting(); }

 private:
  detail::waiter_queue* queue_;
};

// What wait() returns.
class [[nodiscard]] event_operation
    : public detail::operation_base<event_operation, result<void>, detail::waiter> {
 public:
  event_operation(event_operation&&) = default;
  event_operation& operator=(event_operation&&) = delete;
  ~event_operation();

  result<void> finish();

 private:
  friend class async_event;
  explicit event_operation(detail::waiter_queue* queue) noexcept
      : operation_base(std::in_place, queue, detail::amount{.units = 1}) {}
};

inline event_operation async_event::wait() noexcept { return event_operation(queue_); }

}  // namespace spdk_io::inline SPDK_IO_ABI
