// SPDX-License-Identifier: BSD-3-Clause
// Counting ticks, and looking for I/O that is late.
#include "default_timeout.hpp"

#include "channel_state.hpp"
#include "thread_state.hpp"
#include "ticks.hpp"

#include <spdk_io/detail/io_core.hpp>

#include <algorithm>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// One that was started within a tick is late nine ticks on: it has had eight whole ones then.
constexpr std::uint16_t ticks_allowed = 8;

default_timeout::default_timeout(channel_state& channel, std::chrono::nanoseconds timeout) noexcept
    : channel_(channel),
      period_(timeout.count() <= 0
                  ? 0
                  : std::max<std::uint64_t>((to_ticks(timeout) + ticks_allowed - 1) / ticks_allowed,
                                            1)) {
  expire = on_tick;
  outlasts_thread = true;
}

void default_timeout::arm() noexcept {
  due = spdk_get_ticks() + period_;
  channel_.home->timers.arm(*this);
}

std::uint16_t default_timeout::start() noexcept {
  if (!armed) arm();
  return tick_;
}

void default_timeout::stop() noexcept {
  if (armed) channel_.home->timers.cancel(*this);
}

void default_timeout::on_tick(timer_node& node) {
  auto& self = static_cast<default_timeout&>(node);
  ++self.tick_;
  self.stop_late();
  if (!self.channel_.in_flight.empty() || self.channel_.waiting > 0) self.arm();
}

bool default_timeout::is_late(const io_core& op) const noexcept {
  return static_cast<std::uint16_t>(tick_ - op.started_) > ticks_allowed;
}

// Both lists are in the order in which their I/O was started.
void default_timeout::stop_late() noexcept {
  channel_.home->waiting.stop_waiters([this](io_core& op) {
    return &op.channel() == &channel_ && !(op.stop_flags_ & io_core::own_deadline) && is_late(op);
  });
  ready_node* node = &channel_.in_flight.front();
  while (node != channel_.in_flight.end()) {
    auto& op = static_cast<io_core&>(*node);
    node = node->next;
    if (op.stop_flags_ & (io_core::own_deadline | io_core::for_timeout)) continue;
    if (!is_late(op)) return;
    op.stop(true);
    // It may have left the ring, and others with it.
    if (!op.linked() || op.io_stage != io_core::stage_in_flight ||
        (op.stop_flags_ & io_core::abort_wanted)) {
      node = &channel_.in_flight.front();
    }
  }
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
