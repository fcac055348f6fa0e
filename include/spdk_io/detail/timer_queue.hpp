// SPDX-License-Identifier: BSD-3-Clause
// The timers of one thread: an intrusive pairing heap, so that a timer costs no allocation and
// one that is cancelled leaves at once.
#pragma once

#include <spdk_io/abi.hpp>

#include <cstdint>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// Embedded in the operation that waits. `due` in ticks of spdk_get_ticks().
struct timer_node {
  std::uint64_t due = 0;
  std::uint64_t order = 0;  // timers due at the same tick fire in the order they were armed
  timer_node* child = nullptr;
  timer_node* next = nullptr;
  timer_node* prev = nullptr;  // the left sibling, or the parent of a first child
  void (*expire)(timer_node&) = nullptr;
  bool armed = false;
  // It goes on counting while its thread ends, where others are told that it does (due is 0 then).
  bool outlasts_thread = false;
};

class timer_queue {
 public:
  bool empty() const noexcept { return root_ == nullptr; }
  std::uint64_t next_due() const noexcept { return root_->due; }  // Requires: !empty()
  timer_node& first() noexcept { return *root_; }                 // Requires: !empty()

  void arm(timer_node& node) noexcept;
  void cancel(timer_node& node) noexcept;  // Requires: node.armed

 private:
  timer_node* root_ = nullptr;
  std::uint64_t armed_ = 0;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
