// SPDX-License-Identifier: BSD-3-Clause
// Deferring to the thread's next turn.
#include <spdk_io/detail/deferred.hpp>

#include "thread_state.hpp"

namespace spdk_io::inline SPDK_IO_ABI::detail {

deferred::~deferred() {
  if (linked()) home_->ready.erase(*this);
}

bool deferred::defer(run_function f, void* argument) noexcept {
  home_ = acting_thread();
  if (!home_) return false;
  run = f;
  context = argument;
  home_->make_ready(*this);
  return true;
}

bool run_later(ready_node& node) noexcept {
  thread_state* here = acting_thread();
  if (here) here->make_ready(node);
  return here != nullptr;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
