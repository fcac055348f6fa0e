// SPDX-License-Identifier: BSD-3-Clause
// Aborts to be asked for again. A device finds an I/O only while it holds it itself: one that is on
// its way through a device below, or between two steps, is missed by an abort, which fails. It is
// asked again after a pause, and the pauses grow, for a device that never finds it.
#pragma once

#include <spdk_io/detail/node_ring.hpp>
#include <spdk_io/detail/timer_queue.hpp>

#include <cstdint>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class io_core;
class thread_state;

class abort_retries : private timer_node {
 public:
  explicit abort_retries(thread_state& owner) noexcept;
  abort_retries(const abort_retries&) = delete;
  abort_retries& operator=(const abort_retries&) = delete;

  // `op`, which is in flight, was not found. It moves to a ring here, which it leaves as it would
  // its channel's: by its completion, which says so.
  void add(io_core& op) noexcept;
  void forget(io_core& op) noexcept;

  const node_ring& targets() const noexcept { return targets_; }  // in flight

 private:
  static void on_due(timer_node& node);
  void ask_again() noexcept;
  void arm() noexcept;

  thread_state& owner_;
  node_ring targets_;
  ready_node mark_;          // in targets_ during a round: whoever stands behind it comes next time
  std::uint64_t pause_ = 0;  // the last one, in spdk_get_ticks()
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
