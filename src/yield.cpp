// SPDX-License-Identifier: BSD-3-Clause
// Yielding to the thread's next turn.
#include <spdk_io/yield.hpp>

#include "thread_state.hpp"

#include <spdk_io/detail/fatal.hpp>

namespace spdk_io::inline SPDK_IO_ABI {

yield_operation::~yield_operation() {
  if (linked() && !home_->on_own_os_thread()) {
    detail::fatal(
        "a coroutine that yields was destroyed on another OS thread than its own; destroy "
        "coroutines on the thread whose operations they await");
  }
  if (linked()) home_->ready.erase(*this);
}

bool yield_operation::begin() noexcept {
  home_ = detail::acting_thread();
  if (!home_) return false;
  home_->make_ready(*this);
  return true;
}

}  // namespace spdk_io::inline SPDK_IO_ABI
