// SPDX-License-Identifier: BSD-3-Clause
// Sleeping on a thread's timers.
#include <spdk_io/sleep_for.hpp>

#include "thread_state.hpp"
#include "ticks.hpp"

#include <spdk_io/detail/fatal.hpp>

namespace spdk_io::inline SPDK_IO_ABI {

sleep_operation::~sleep_operation() {
  detail::leave_promise(*this);
  if ((armed || linked()) && !home_->on_own_os_thread()) {
    detail::fatal(
        "a coroutine that sleeps was destroyed on another OS thread than its own; destroy "
        "coroutines on the thread whose operations they await");
  }
  if (armed) home_->timers.cancel(*this);
  if (linked()) home_->ready.erase(*this);
}

bool sleep_operation::begin() noexcept {
  home_ = detail::acting_thread();
  if (!home_ || home_->phase != detail::thread_phase::running) return false;
  due = spdk_get_ticks() + detail::to_ticks(duration_);
  expire = on_expire;
  home_->timers.arm(*this);
  home_->wake_if_asleep();
  return true;
}

void sleep_operation::on_expire(detail::timer_node& node) {
  auto& self = static_cast<sleep_operation&>(node);
  self.home_->ready.push_back(self);
}

void sleep_operation::request_stop() noexcept {
  if (!armed) return;
  home_->timers.cancel(*this);
  stopped_ = true;
  home_->ready.push_back(*this);
}

result<void> sleep_operation::finish() const noexcept {
  if (stopped_) {
    return std::unexpected(
        error(std::errc::operation_canceled, operation_kind::sleep, "sleep: stopped on request"));
  }
  if (!home_) {
    return std::unexpected(error(std::errc::operation_not_permitted, operation_kind::sleep,
                                 "sleep: no SPDK thread is attached here (call "
                                 "spdk_io::thread::attach() first)"));
  }
  if (due == 0) {  // never armed, or cut short by the end of the thread
    return std::unexpected(
        error(std::errc::operation_canceled, operation_kind::sleep, "sleep: the thread is ending"));
  }
  return {};
}

}  // namespace spdk_io::inline SPDK_IO_ABI
