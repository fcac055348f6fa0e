// SPDX-License-Identifier: BSD-3-Clause
// Operations that wait for a bdev_io: SPDK answered their submission with -ENOMEM. One entry per
// SPDK thread stands in SPDK's own queue, for all of them, since SPDK cannot withdraw an entry;
// the operations wait in a list here, which they can leave at any time.
#pragma once

#include <spdk_io/detail/ready_list.hpp>
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
  explicit memory_wait(thread_state& owner);
  ~memory_wait();
  memory_wait(const memory_wait&) = delete;
  memory_wait& operator=(const memory_wait&) = delete;

  bool empty() const noexcept { return fifo_.empty(); }
  const ready_list& waiters() const noexcept { return fifo_; }
  void push(io_core& op) noexcept;   // behind those that wait already
  void erase(io_core& op) noexcept;  // from anywhere
  // Ends those of one channel with that errno; the others keep their order.
  void fail(channel_state& channel, int code, fault why) noexcept;

  // Each poll: a last resort for waiters that no completion on this thread will serve.
  void poll() noexcept {
    if (retry_) [[unlikely]]
      resubmit();
  }

  std::uint64_t total() const noexcept { return total_; }  // operations that ever waited

 private:
  struct entry;
  static void on_memory(void* self);
  void resubmit() noexcept;
  void arm() noexcept;

  thread_state& owner_;
  ready_list fifo_;
  std::unique_ptr<entry> entry_;  // lives while the SPDK thread does
  bool queued_ = false;           // the entry stands in SPDK's queue
  bool retry_ = false;            // nothing of ours is in flight: try again at each poll
  std::uint64_t total_ = 0;
};

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI
