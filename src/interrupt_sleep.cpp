// SPDX-License-Identifier: BSD-3-Clause
// From interrupt mode to polling and back.
#include "interrupt_sleep.hpp"

#include "thread_state.hpp"
#include "ticks.hpp"

#include <spdk/env.h>
#include <spdk/thread.h>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

using namespace std::chrono_literals;

// What passes for always: so many polls in a row, over so long a time, that were called for by a
// readable file and did nothing that the library knows of. Messages among SPDK's own devices look
// like that as well, but not for so long.
constexpr unsigned useless_polls = 256;
constexpr std::chrono::nanoseconds useless_time = 5ms;

// Nothing tells when a device begins to announce its completions: tried every so often.
constexpr std::chrono::nanoseconds pause_before_next_try = 10s;

}  // namespace

// A message that was sent while the thread was polled has not made its file readable, and one that
// is being sent now need not do so either, if its sender has seen the old mode. But it stands in the
// queue before a message of ours, which makes the file readable, and with which all are taken.
void set_interrupt_mode(thread_state& t, bool interrupts) noexcept {
  if (!spdk_interrupt_mode_is_enabled() || t.reactor_polls || t.phase != thread_phase::running) {
    return;
  }
  const native_turn now(t.native);
  spdk_thread_set_interrupt_mode(interrupts);
  if (interrupts) spdk_thread_send_msg(t.native, [](void*) {}, nullptr);
}

void interrupt_sleep::turn_on() noexcept {
  on_ = true;
  useless_ = 0;
  poll_first = true;
  set_interrupt_mode(thread_, true);
  files.include_threads(true);
}

bool interrupt_sleep::useful(std::size_t done) noexcept {
  if (done == 1) {
    note_useless();
    return false;
  }
  useless_ = 0;
  return done > 1;
}

void interrupt_sleep::note_useless() noexcept {
  if (useless_++ == 0) useless_since_ = spdk_get_ticks();
}

void interrupt_sleep::give_up_if_useless() {
  if (useless_ < useless_polls) return;
  const std::uint64_t now = spdk_get_ticks();
  if (now - useless_since_ < to_ticks(useless_time)) return;
  on_ = false;
  next_try_ = now + to_ticks(pause_before_next_try);
  suspects_.accuse();
  files.include_threads(false);
  set_interrupt_mode(thread_, false);
}

bool interrupt_sleep::may_sleep() {
  files.look_for_adopted();
  if (files.readable()) {
    note_useless();
    return false;
  }
  useless_ = 0;
  suspects_.sleeps();
  return true;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
