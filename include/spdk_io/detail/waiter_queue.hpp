// SPDX-License-Identifier: BSD-3-Clause
// A bounded amount of something that the coroutines of one thread take and give back, and the FIFO
// of those that wait for it: what is behind in_flight_limiter, dma_pool, async_mutex,
// async_semaphore, async_event and the limit of a task_scope.
//
// It is allocated by what owns it, and outlives that while some is taken: whoever is told so by
// close(), give_back() or settle() deletes it. A waiter's links are in its awaiter; it is resumed
// from its thread's ready list. What is given back is granted at that moment, so that nobody can
// take it before whoever waits is resumed.
#pragma once

#include <spdk_io/detail/node_ring.hpp>
#include <spdk_io/error.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;
class waiter;

// Both must be there at once.
struct amount {
  std::uint64_t units = 0;
  std::uint64_t bytes = 0;

  bool fits(const amount& into) const noexcept {
    return units <= into.units && bytes <= into.bytes;
  }
};

class waiter_queue {
 public:
  // How it is called in messages, with its article ("a dma_pool"); the most that can be there, what
  // is there, and whether it is there for all alike: shared, it is looked at and not taken.
  struct setup {
    const char* owner;
    amount limit;
    amount left;
    bool shared = false;
  };

  // Belongs to the SPDK thread that this OS thread acts for; without one nothing can be taken.
  explicit waiter_queue(const setup& s);
  // All is there.
  waiter_queue(const char* owner, amount all)
      : waiter_queue({.owner = owner, .limit = all, .left = all}) {}
  waiter_queue(const waiter_queue&) = delete;
  waiter_queue& operator=(const waiter_queue&) = delete;
  ~waiter_queue();

  const amount& limit() const noexcept { return limit_; }
  const amount& left() const noexcept { return left_; }
  std::size_t waiting() const noexcept { return waiting_; }

  // False if it is not there, or others wait for it.
  bool try_take(amount wanted) noexcept;

  // Ends the program if this is another OS thread than the thread's own, unless that has ended.
  void check_os_thread() const noexcept;

  // Grants it to who waits, after check_os_thread(). True: it was the last, and the owner has gone.
  [[nodiscard]] bool give_back(amount taken) noexcept;

  // Puts more there, whoever had it before, and grants that to who waits. False if that is above
  // the limit, which is there then. On another OS thread these two end the program.
  bool add(std::uint64_t units) noexcept;
  // Nothing is there any more; what was granted stays so.
  void withdraw() noexcept;

  // What was taken never comes back. True as for give_back().
  [[nodiscard]] bool forget() noexcept { return --taken_ == 0 && closed_; }

  // Those who wait are told that they were asked to stop.
  void stop_waits() noexcept;

  // The owner goes: who waits is told so. True if nothing is taken.
  [[nodiscard]] bool close() noexcept;
  bool closed() const noexcept { return closed_; }

  // The thread is ending: who waits is told so.
  void end_waits() noexcept;

 private:
  friend class waiter;
  struct link : ready_node {
    explicit link(waiter_queue& q) noexcept
        : ready_node([](ready_node& node) { static_cast<link&>(node).queue->end_waits(); }),
          queue(&q) {}
    waiter_queue* queue;
  };

  bool elsewhere() const noexcept;
  void check_changed_here() const noexcept;
  void take(amount wanted) noexcept;
  void join(waiter& one) noexcept;
  void leave(waiter& one) noexcept;
  void serve() noexcept;

  const std::shared_ptr<thread_state> home_;
  const char* const owner_;
  const amount limit_;
  amount left_;
  std::size_t taken_ = 0;  // how often, not how much
  const bool shared_;
  bool closed_ = false;
  node_ring fifo_;
  std::size_t waiting_ = 0;  // in it
  link link_{*this};
};

// What is awaited: the base of an operation. Movable until it is started.
class waiter : public ready_node {
 public:
  bool begin() noexcept;
  void request_stop() noexcept;
  void refuse_stopped() noexcept { place_ = place::stopped; }

 protected:
  // Null: of an owner that was moved from.
  waiter(waiter_queue* queue, amount wanted) noexcept : queue_(queue), wanted_(wanted) {}
  waiter(waiter&&) = default;
  waiter& operator=(waiter&&) = delete;
  ~waiter() = default;

  bool granted() const noexcept { return place_ == place::granted; }
  // Of a shared queue: it was there. There is nothing to take.
  bool passed() const noexcept { return place_ == place::passed; }
  const amount& wanted() const noexcept { return wanted_; }
  // What was granted is the caller's from now on.
  waiter_queue& take() noexcept {
    place_ = place::done;
    return *queue_;
  }
  waiter_queue& granted_by() const noexcept { return *queue_; }
  // What was granted is of no use any more, since it was asked to stop or the owner has gone. What
  // is returned is to be deleted, if it is not null.
  [[nodiscard]] waiter_queue* decline(bool owner_gone) noexcept {
    place_ = owner_gone ? place::owner_gone : place::stopped;
    return queue_->give_back(wanted_) ? queue_ : nullptr;
  }
  // Why it was not granted; `owner` for the message, such as "limiter".
  error failure(operation_kind what, const char* owner) const;

  // From the destructor: leaves the queue, or gives back what nobody has taken. What is returned is
  // to be deleted, if it is not null. `owner` as in waiter_queue::setup, which may be gone.
  [[nodiscard]] waiter_queue* settle(const char* owner) noexcept;

 private:
  friend class waiter_queue;
  enum class place : std::uint8_t {
    idle,
    waiting,
    granted,
    passed,
    done,
    stopped,
    owner_gone,
    thread_ending,
    no_thread,
    wrong_thread,
    too_many_units,
    too_many_bytes,
    no_owner,
  };
  bool refuse(place why) noexcept {
    place_ = why;
    return false;
  }
  void end(place why) noexcept;

  waiter_queue* queue_;
  thread_state* home_ = nullptr;
  amount wanted_;
  std::uint64_t limit_ = 0;  // for the message: the owner may be gone by then
  place place_ = place::idle;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
