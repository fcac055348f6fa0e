// SPDX-License-Identifier: BSD-3-Clause
// The steps of a wait that each element of a stream or a sink takes, for those who know what a
// thread is: without a call.
#pragma once

#include "thread_state.hpp"

#include <spdk_io/detail/wait_point.hpp>

namespace spdk_io::inline SPDK_IO_ABI::detail {

inline bool wait_point::at_home() const noexcept { return home_.get() == current_thread; }

inline void wait_point::check_os_thread(std::string_view what) const noexcept {
  if (!at_home()) [[unlikely]]
    check_os_thread_by_home(what);
}

inline bool point_wait::claim_here(wait_point* point) noexcept {
  point_ = point;
  thread_state* const here = current_thread;
  if (end_ == end::none && point && here && point->home_.get() == here &&
      here->phase == thread_phase::running && !point->user_) [[likely]] {
    home_ = here;
    point->user_ = this;
    claimed_ = true;
    return true;
  }
  return claim_with_checks();
}

inline void point_wait::suspend_here() noexcept { home_->waits.push_back(point_->link_); }

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
