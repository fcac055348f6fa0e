// SPDX-License-Identifier: BSD-3-Clause
// The queue behind spdk_thread_send_msg(): bounded, from any OS thread to the one that polls,
// without locks and without memory per message.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "spdk/thread.h"

namespace spdk_lite {

struct message {
  spdk_msg_fn fn;
  void* ctx;
};

/// A ring of cells, each with a turn counter that says whose move it is. In lap `n` a cell is
/// free at turn 2n and holds a message at turn 2n + 1. A producer claims a position first and
/// publishes the cell afterwards, so the consumer may see a gap; it stops there.
class message_queue {
 public:
  static constexpr std::size_t capacity = 65'536;

  /// False if there was no memory.
  [[nodiscard]] bool create() {
    // All zero is an empty ring; untouched pages cost nothing.
    cells_.reset(static_cast<cell*>(std::calloc(capacity, sizeof(cell))));
    return cells_ != nullptr;
  }

  /// From any OS thread. False if the queue is full. With `wakes_sleepers` the message is
  /// published in the total order of sequentially consistent operations: whoever announces in
  /// that order that it will sleep, and looks afterwards, cannot miss it.
  [[nodiscard]] bool push(message m, bool wakes_sleepers) {
    std::uint64_t position = tail_.load(std::memory_order_relaxed);
    for (;;) {
      cell& c = cells_[position % capacity];
      const std::uint64_t turn = turn_of(c).load(std::memory_order_acquire);
      const std::uint64_t free_turn = position / capacity * 2;
      if (turn < free_turn) {
        return false;
      }
      if (turn > free_turn) {
        position = tail_.load(std::memory_order_relaxed);
      } else if (tail_.compare_exchange_weak(position, position + 1, std::memory_order_relaxed)) {
        c.content = m;
        turn_of(c).store(free_turn + 1,
                         wakes_sleepers ? std::memory_order_seq_cst : std::memory_order_release);
        return true;
      }
    }
  }

  /// On the polling OS thread. Fills the front of `out`; returns how many messages it took.
  std::size_t take(std::span<message> out) {
    std::uint64_t position = head_.load(std::memory_order_relaxed);
    std::size_t count = 0;
    for (message& m : out) {
      cell& c = cells_[position % capacity];
      const std::uint64_t full_turn = position / capacity * 2 + 1;
      if (turn_of(c).load(std::memory_order_seq_cst) != full_turn) {
        break;
      }
      m = c.content;
      turn_of(c).store(full_turn + 1, std::memory_order_release);
      ++position;
      ++count;
    }
    head_.store(position, std::memory_order_relaxed);
    return count;
  }

  /// How many messages wait, those being written included.
  [[nodiscard]] std::size_t size() const {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    return tail_.load(std::memory_order_relaxed) - head;
  }

 private:
  struct cell {
    std::uint64_t turn;
    message content;
  };

  struct free_cells {
    void operator()(cell* cells) const { std::free(cells); }
  };

  static std::atomic_ref<std::uint64_t> turn_of(cell& c) {
    return std::atomic_ref<std::uint64_t>{c.turn};
  }

  std::unique_ptr<cell[], free_cells> cells_;
  alignas(SPDK_CACHE_LINE_SIZE) std::atomic<std::uint64_t> head_{0};
  alignas(SPDK_CACHE_LINE_SIZE) std::atomic<std::uint64_t> tail_{0};
};

}  // namespace spdk_lite
