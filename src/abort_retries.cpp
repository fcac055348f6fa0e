// SPDX-License-Identifier: BSD-3-Clause
// The ring of I/O whose abort failed, and the timer that goes through it.
#include "abort_retries.hpp"

#include "channel_state.hpp"
#include "thread_state.hpp"
#include "ticks.hpp"

#include <spdk_io/detail/io_core.hpp>

#include <algorithm>
#include <chrono>

namespace spdk_io::inline SPDK_IO_ABI::detail {

using namespace std::chrono_literals;

// The first is about what a device below takes; the longest bounds what an NVMe controller, which
// has few places for abort commands, is asked in vain.
constexpr std::chrono::nanoseconds first_pause = 20us;
constexpr std::chrono::nanoseconds longest_pause = 100ms;

abort_retries::abort_retries(thread_state& owner) noexcept : owner_(owner) {
  expire = on_due;
  outlasts_thread = true;
}

void abort_retries::arm() noexcept {
  pause_ = std::min(std::max(2 * pause_, to_ticks(first_pause)), to_ticks(longest_pause));
  due = spdk_get_ticks() + pause_;
  owner_.timers.arm(*this);
  owner_.wake_if_asleep();
}

void abort_retries::add(io_core& op) noexcept {
  channel_state& channel = op.channel();
  node_ring::erase(op);
  targets_.push_back(op);
  op.stop_flags_ |= io_core::abort_later;
  ++channel.aborting;
  channel.add_attention();
  if (!armed) arm();
}

void abort_retries::forget(io_core& op) noexcept {
  channel_state& channel = op.channel();
  op.stop_flags_ &= static_cast<std::uint8_t>(~io_core::abort_later);
  --channel.aborting;
  channel.remove_attention();
}

void abort_retries::on_due(timer_node& node) { static_cast<abort_retries&>(node).ask_again(); }

// Whoever is missed once more comes back during the loop or later: so each round has its mark.
void abort_retries::ask_again() noexcept {
  if (targets_.empty()) {
    pause_ = 0;  // those that were here have completed
    return;
  }
  for (targets_.push_back(mark_); &targets_.front() != &mark_;) {
    auto& op = static_cast<io_core&>(targets_.front());
    node_ring::erase(op);
    op.channel().in_flight.push_back(op);
    forget(op);
    op.ask_for_abort();
  }
  node_ring::erase(mark_);
  if (!armed) arm();
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
