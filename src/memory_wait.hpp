// SPDX-License-Identifier: BSD-3-Clause
// Operations that wait for a bdev_io: SPDK answered their submission with -ENOMEM. One entry per
// SPDK thread stands in SPDK's own queue, for all of them, since SPDK cannot withdraw an entry;
// the operations wait in a list here, which they can leave at any time. Aborts need a bdev_io as
// well: they wait here too, and go first, since they free one.
#pragma once

#include "io_hurdles.hpp"

#include <spdk_io/detail/node_ring.hpp>
#include <spdk_io/error.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {
class io_core;
struct channel_state;
class thread_state;

class memory_wait {
 public:
  memory_wait(thread_state& owner, io_hurdles& hurdles);
  ~memory_wait();
  memory_wait(const memory_wait&) = delete;
  memory_wait& operator=(const memory_wait&) = delete;

  bool empty() const noexcept { return !hurdles_.any_waiter(); }
  const node_ring& waiters() const noexcept { return fifo_; }
  const node_ring& targets() const noexcept { return aborts_; }  // in flight, to be aborted
  void push(io_core& op) noexcept;                               // behind those that wait already
  void erase(io_core& op) noexcept;                              // from anywhere
  // Ends those of one channel with that errno; the others keep their order.
  void fail(channel_state& channel, int code, fault why) noexcept;

  // Stops those of which late(op) is true.
  template <class F>
  void stop_waiters(F late) noexcept {
    for (ready_node* node = &fifo_.front(); node != fifo_.end();) {
      io_core& op = operation_of(*node);
      node = node->next;
      if (late(op)) stop_late(op);
    }
  }

  // The abort of `op`, which is in flight, waits. It moves to a ring here, which it leaves as it
  // would its channel's: by its completion, which says so.
  void want_abort(io_core& op) noexcept;
  void unwant_abort(io_core& op) noexcept;

  // While memory is short there is one abort at SPDK at a time: each takes two bdev_ios, one after
  // the other, and many that hold the first would keep each other from the second.
  bool aborts_wait() const noexcept { return !aborts_.empty(); }
  void abort_submitted() noexcept { ++aborts_at_spdk_; }
  void abort_ended() noexcept {
    --aborts_at_spdk_;
    if (aborts_wait()) retry_ = true;
  }

  // Each poll: a last resort for waiters that no completion on this thread will serve.
  void poll() noexcept {
    if (retry_) [[unlikely]]
      resubmit(false);
  }

  // Only polls will serve those that wait; else something of SPDK's will call.
  bool needs_polls() const noexcept { return retry_; }

  std::uint64_t total() const noexcept { return total_; }  // operations that ever waited

 private:
  struct entry;
  static void on_memory(void* self);
  static io_core& operation_of(ready_node& node) noexcept;
  static void stop_late(io_core& op) noexcept;
  void resubmit(bool one_is_free) noexcept;
  bool submit_aborts() noexcept;
  void arm() noexcept;
  bool queue_entry() noexcept;

  thread_state& owner_;
  node_ring fifo_;
  node_ring aborts_;
  io_hurdles& hurdles_;  // counts those in these two
  std::size_t aborts_at_spdk_ = 0;
  std::unique_ptr<entry> entry_;  // lives while the SPDK thread does
  bool queued_ = false;           // the entry stands in SPDK's queue
  bool retry_ = false;            // nothing will call: try again at each poll
  std::uint64_t total_ = 0;
  std::uint64_t served_ = 0;  // by SPDK's queue
};

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI
