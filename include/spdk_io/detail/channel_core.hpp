// SPDX-License-Identifier: BSD-3-Clause
// What a channel is but for its elements: a ring of cells, who waits for an element, and who waits
// for room.
//
// Cells are taken by position. A cell's sequence number says whose turn it is: `position` itself, a
// sender may fill it for that position; one more, the receiver may empty it. A sender takes the
// next position with a compare-and-swap of tail_, fills the cell and publishes it: no lock, and
// nobody waits for anybody. The receiver, having emptied a cell, opens the one that is `capacity`
// further.
//
// Closing sets a bit in tail_: each position is taken before that, and comes to the receiver, or
// not at all.
//
// A receiver that finds nothing sets `armed`, looks once more, and is suspended. The first sender
// that then publishes takes that away, and sends it one message, whose node is here. It is not sent
// again before it arrived. Closing is one more reason for that message, and has a bit beside
// `armed`, so that a receiver that waits need not look at what senders write for each element. A
// sender that finds no room queues, says so, and looks once more; the receiver, having
// made room, looks whether somebody has said so. All four are sequentially consistent: of two that
// pass each other, one sees the other.
#pragma once

#include <spdk_io/detail/blocking_wait.hpp>
#include <spdk_io/detail/inbox.hpp>
#include <spdk_io/detail/wait_point.hpp>
#include <spdk_io/error.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class send_wait;
class thread_state;

class channel_core {
 public:
  using sequence = std::atomic<std::uint64_t>;
  using destroy_function = void (*)(channel_core&) noexcept;
  enum class put : std::uint8_t { done, full, closed };

  channel_core(const channel_core&) = delete;
  channel_core& operator=(const channel_core&) = delete;

  void reference() noexcept { word_.fetch_add(one_reference, std::memory_order_relaxed); }
  void unreference() noexcept {
    if (was_last(word_.fetch_sub(one_reference, std::memory_order_acq_rel))) destroy_(*this);
  }

  // Any thread. No position is taken any more; who waits for room, or for an element, is told.
  void close() noexcept;
  // The receiver goes. Where it is waited for: on its OS thread.
  void receiver_goes() noexcept;
  bool closed() const noexcept { return tail_.load(std::memory_order_acquire) & 1; }
  bool receiver_gone() const noexcept { return gone_.load(std::memory_order_acquire); }
  error refusal() const;  // of a send

  std::size_t capacity() const noexcept { return capacity_; }

  // Senders: take a position, fill its cell, publish it. Any thread.
  put take_position(std::uint64_t& position) noexcept {
    std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    for (;;) {
      if (tail & 1) return put::closed;
      position = tail >> 1;
      const std::uint64_t turn = turn_of(position).load(std::memory_order_acquire);
      if (turn == position) {
        if (tail_.compare_exchange_weak(tail, tail + 2, std::memory_order_relaxed))
          return put::done;
      } else if (turn < position) {
        return put::full;
      } else {
        tail = tail_.load(std::memory_order_relaxed);
      }
    }
  }
  // False: the receiver's thread has ended, and so the channel is closed; call serve(), without the
  // lock.
  [[nodiscard]] bool publish(std::uint64_t position) noexcept {
    turn_of(position).store(position + 1, std::memory_order_seq_cst);
    return (word_.load(std::memory_order_seq_cst) & armed) == 0 || send_wake();
  }
  bool somebody_waits() const noexcept { return senders_wait_.load(std::memory_order_seq_cst); }

  // Gives room to those who wait for it; tells them where the channel is closed.
  void serve() noexcept;

  // The receiver.
  wait_point& point() noexcept { return point_; }
  bool has_element() const noexcept {
    return turn_of(head_).load(std::memory_order_seq_cst) == head_ + 1;
  }
  bool ended() const noexcept { return tail_.load(std::memory_order_seq_cst) == (head_ << 1 | 1); }
  // True if there is nothing to hand out, and whoever changes that sends a message.
  bool must_wait() noexcept;
  std::uint64_t head() const noexcept { return head_; }
  // The first cell is empty now.
  void advance() noexcept {
    const std::uint64_t opened = head_++ + capacity_;
    turn_of(opened).store(opened, std::memory_order_seq_cst);
    if (senders_wait_.load(std::memory_order_seq_cst)) [[unlikely]]
      serve();
  }

 protected:
  // `cells` begin with their sequence number; there are a power of two of them, at least
  // `capacity`.
  channel_core(void* cells, std::size_t stride, std::size_t count, std::size_t capacity,
               destroy_function destroy) noexcept;
  ~channel_core() = default;

  static std::size_t cells_for(std::size_t capacity) noexcept;  // ends the program for 0

 private:
  friend class send_wait;
  // word_: at most one of the first two.
  static constexpr std::uint64_t armed = 1;   // a message is to be sent
  static constexpr std::uint64_t coming = 2;  // it is on its way, and has a reference
  static constexpr std::uint64_t closing = 4;
  static constexpr std::uint64_t one_reference = 8;
  static bool was_last(std::uint64_t before) noexcept { return before / one_reference == 1; }

  sequence& turn_of(std::uint64_t position) const noexcept {
    return *reinterpret_cast<sequence*>(cells_ + (position & mask_) * stride_);
  }
  [[nodiscard]] bool send_wake() noexcept;
  static void woken(ready_node& node);
  void serve_locked(const send_wait* here) noexcept;
  void join(send_wait& one) noexcept;
  void leave(send_wait& one) noexcept;

  static constexpr std::size_t line = 64;

  // Read by all.
  std::byte* const cells_;
  const std::size_t stride_;
  const std::uint64_t mask_;
  const std::size_t capacity_;
  const destroy_function destroy_;
  thread_state* receiver_ = nullptr;  // set before it is armed for the first time
  std::atomic<bool> gone_{false};
  // Written by senders.
  alignas(line) std::atomic<std::uint64_t> tail_{0};  // twice the next position, and 1 if closed
  // Written by the receiver.
  alignas(line) std::uint64_t head_ = 0;
  wait_point point_;
  // Written by both, when one of them waits.
  alignas(line) std::atomic<std::uint64_t> word_{one_reference};
  message_node message_{woken};
  alignas(line) std::atomic<bool> senders_wait_{false};
  std::mutex mutex_;  // for what follows
  send_wait* first_ = nullptr;
  send_wait* last_ = nullptr;
};

// A send that may have to wait for room: the base of an operation, which has the value.
class send_wait : public message_node {
 public:
  void request_stop() noexcept;
  void refuse_stopped() noexcept { place_ = place::stopped; }

 protected:
  // Tries to put the value of the one that it is given.
  using put_function = channel_core::put (*)(send_wait&) noexcept;

  explicit send_wait(channel_core* core, put_function f) noexcept : core_(core), put_(f) {}
  send_wait(send_wait&& other) noexcept
      : message_node(std::move(other)),  // which takes the base's part only
        core_(other.core_),              // NOLINT(bugprone-use-after-move)
        put_(other.put_) {}              // NOLINT(bugprone-use-after-move)
  send_wait& operator=(send_wait&&) = delete;
  ~send_wait() = default;

  // False: it is complete.
  bool start() noexcept;
  void sleep_until_done(sleeping_caller& caller) noexcept { sleeper_ = &caller; }
  result<void> outcome();
  // From the destructor of the class that has the value.
  void settle() noexcept {
    if (waited_) [[unlikely]]
      leave_channel();
  }
  channel_core& core() const noexcept { return *core_; }

 private:
  friend class channel_core;
  enum class place : std::uint8_t {
    idle,
    waiting,
    done,
    closed,
    stopped,
    thread_ending,
    no_thread,
    no_owner,
  };
  struct end_link : ready_node {
    explicit end_link(send_wait& w) noexcept : ready_node(thread_ends), wait(&w) {}
    static void thread_ends(ready_node& node);
    send_wait* wait;
  };

  channel_core::put put_at_once() noexcept;
  bool complete(place how) noexcept {
    place_ = how;
    return false;
  }
  void tell(place how, const send_wait* here) noexcept;  // with the lock
  void leave(place how) noexcept;
  void leave_channel() noexcept;
  static void told(ready_node& node);

  channel_core* core_;  // null: moved from
  put_function put_;
  thread_state* home_ = nullptr;
  sleeping_caller* sleeper_ = nullptr;
  send_wait* next_ = nullptr;  // with the lock, as prev_ and place_ while it waits
  send_wait* prev_ = nullptr;
  run_function resume_ = nullptr;
  end_link end_link_{*this};  // in the thread's `waits`
  place place_ = place::idle;
  bool waited_ = false;  // and so has a reference
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
