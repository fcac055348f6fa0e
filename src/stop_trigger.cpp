// SPDX-License-Identifier: BSD-3-Clause
// Requests to stop that come from other threads, and from timers.
#include <spdk_io/detail/stop_trigger.hpp>

#include "thread_state.hpp"
#include "ticks.hpp"

#include <spdk_io/detail/fatal.hpp>

namespace spdk_io::inline SPDK_IO_ABI::detail {

bool thread_trigger_base::prepare(stop_function f, void* argument) noexcept {
  thread_state* here = acting_thread();
  if (!here) return false;
  home_ = here->shared_from_this();
  stop_ = f;
  argument_ = argument;
  run = on_delivered;
  internal = true;  // the thread takes it even while it ends
  return true;
}

// On whichever thread makes the request. The trigger lives until this has returned: its callback
// is destroyed before anything else of it.
void thread_trigger_base::sender::operator()() const noexcept {
  self->sent_.store(true, std::memory_order_release);
  // The thread has ended, what it awaits goes on elsewhere: nobody can be asked any more.
  if (!self->home_->deliver(*self)) self->sent_.store(false, std::memory_order_release);
}

// On the home thread, among the library's own continuations.
void thread_trigger_base::on_delivered(ready_node& node) {
  auto& self = static_cast<thread_trigger_base&>(node);
  self.delivered_ = true;
  if (self.go_on_) {
    self.home_->ready.push_back(*self.go_on_);
  } else if (self.stop_) {
    self.stop_(self.argument_);
  }
}

bool thread_trigger_base::may_go_on(ready_node& go_on) noexcept {
  go_on_ = under_way() ? &go_on : nullptr;
  return !go_on_;
}

void thread_trigger_base::settle() noexcept {
  if (!home_) return;
  stop_ = nullptr;
  if (under_way()) {
    if (!home_->on_own_os_thread()) {
      fatal(
          "an operation with a stop token was destroyed on another OS thread than its own; "
          "destroy coroutines on the thread whose operations they await");
    }
    pump_until(
        *home_,
        [](const void* self) {
          return !static_cast<const thread_trigger_base*>(self)->under_way();
        },
        this, "a request to stop that is on its way");
  }
  if (go_on_ && go_on_->linked()) home_->ready.erase(*go_on_);
}

bool timer_trigger::arm(stop_function f, void* argument) noexcept {
  home_ = acting_thread();
  if (!home_ || home_->phase != thread_phase::running) return true;  // nothing starts there
  if (deadline_) duration_ = *deadline_ - std::chrono::steady_clock::now();
  stop_ = f;
  argument_ = argument;
  due = spdk_get_ticks() + to_ticks(duration_);
  expire = on_expire;
  outlasts_thread = true;
  home_->timers.arm(*this);
  home_->wake_if_asleep();
  return true;
}

void timer_trigger::on_expire(timer_node& node) {
  auto& self = static_cast<timer_trigger&>(node);
  self.fired_ = true;
  self.stop_(self.argument_);
}

void timer_trigger::stop_timer() noexcept {
  if (armed) home_->timers.cancel(*this);
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
