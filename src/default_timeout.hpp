// SPDX-License-Identifier: BSD-3-Clause
// The default timeout of a descriptor, on one of its channels: what has been under way for too long
// is asked to stop. Ticks of an eighth of it are counted while there is I/O; an I/O notes at which
// tick it was started, so that none needs a timer of its own, or to look at the clock.
#pragma once

#include <spdk_io/detail/timer_queue.hpp>

#include <chrono>
#include <cstdint>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class io_core;
struct channel_state;

class default_timeout : private timer_node {
 public:
  // Zero: none.
  default_timeout(channel_state& channel, std::chrono::nanoseconds timeout) noexcept;
  default_timeout(const default_timeout&) = delete;
  default_timeout& operator=(const default_timeout&) = delete;

  bool enabled() const noexcept { return period_ != 0; }
  // For each that is started while it is enabled. Returns the tick to be noted.
  std::uint16_t start() noexcept;
  void stop() noexcept;

 private:
  static void on_tick(timer_node& node);
  bool is_late(const io_core& op) const noexcept;
  void stop_late() noexcept;
  void arm() noexcept;

  channel_state& channel_;
  std::uint64_t period_;  // of a tick, in spdk_get_ticks()
  std::uint16_t tick_ = 0;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
