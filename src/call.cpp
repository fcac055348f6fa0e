// SPDX-License-Identifier: BSD-3-Clause
// The way of a call to another thread and home, and of a request to stop that follows it.
#include <spdk_io/detail/call.hpp>

#include "concat.hpp"
#include "thread_state.hpp"

#include <spdk_io/detail/fatal.hpp>

namespace spdk_io::inline SPDK_IO_ABI::detail {

bool call_base::depart(message_node& message) noexcept {
  if (!target_) {  // error_ says why, unless it was moved from
    if (error_.code() == std::errc()) error_ = no_thread_to_reach();
    return false;
  }
  if (sleeper_) {
    place_ = place::away;
    if (target_->deliver(message)) return true;
    place_ = place::here;
    error_ = thread_has_ended(*target_);
    return false;
  }
  home_ = acting_thread();
  if (!home_ || home_->phase == thread_phase::exited) {
    error_ = error(std::errc::operation_not_permitted, operation_kind::call,
                   concat("call to thread \"", target_->name,
                          "\": no SPDK thread is attached here to come back to (call "
                          "spdk_io::thread::attach() first, wait with get(), or use send())"));
    return false;
  }
  place_ = place::away;
  ++home_->calls_out;
  if (target_->deliver(message)) return true;
  --home_->calls_out;
  place_ = place::here;
  error_ = thread_has_ended(*target_);
  return false;
}

// The caller's thread cannot have ended: it drains until its calls are back. It may end as soon
// as this one has arrived, though, while deliver() still looks whether it sleeps: so it is kept.
void call_base::come_home(message_node& message) noexcept {
  if (sleeper_) return sleeper_->wake();
  auto home = home_->shared_from_this();
  home->deliver(message);
}

void call_base::arrived(message_node& message) noexcept {
  place_ = place::back;
  if (stop_.where != place::away) all_is_back(message);
}

void call_base::all_is_back(message_node& message) noexcept {
  --home_->calls_out;
  home_->ready.push_back(message);
}

void call_base::refuse() noexcept {
  error_ = error(std::errc::operation_canceled, operation_kind::call,
                 concat("call to thread \"", target_ ? target_->name : std::string(),
                        "\": stopped on request"));
}

bool call_base::may_run() noexcept {
  stage_ = stage::running;
  if (stop_came_) refuse();
  return !stop_came_;
}

// It goes the library's own way, which no user code holds up. The target takes it even while it
// ends; where it has ended, so has the call, which is on its way home.
void call_base::ask_to_stop(message_node& message) noexcept {
  if (place_ != place::away || stop_.where != place::here) return;
  stop_.call = this;
  stop_.of = &message;
  stop_.run = stop_arrives;
  stop_.internal = true;
  stop_.where = place::away;
  if (!target_->deliver(stop_)) stop_.where = place::back;
}

// On the target. The call cannot be gone: it waits at home for this message.
void call_base::stop_arrives(ready_node& node) {
  auto& stop = static_cast<stop_message&>(node);
  call_base& self = *stop.call;
  switch (self.stage_) {
    case stage::sent: self.stop_came_ = true; break;
    case stage::running:
      if (self.stop_there_) self.stop_there_->request_stop();
      break;
    case stage::homeward: break;
  }
  stop.run = stop_comes_home;
  self.come_home(stop);
}

void call_base::stop_comes_home(ready_node& node) {
  auto& stop = static_cast<stop_message&>(node);
  stop.where = place::back;
  if (stop.call->place_ == place::back) stop.call->all_is_back(*stop.of);
}

void call_base::abandon(message_node& message, owned_coroutine& running) noexcept {
  if (!home_->on_own_os_thread()) {
    fatal(concat("a call to thread \"", target_->name,
                 "\" was destroyed on another OS thread than the caller's while under way"));
  }
  if (place_ == place::away && target_->on_own_os_thread()) return withdraw(message, running);
  ask_to_stop(message);
  pump_until(
      *home_,
      [](const void* argument) {
        const auto& self = *static_cast<const call_base*>(argument);
        return self.place_ == place::back && self.stop_.where != place::away;
      },
      this, concat("a call to thread \"", target_->name, "\""));
  if (message.linked()) home_->ready.erase(message);
}

// On one OS thread: wherever the messages are, they are linked in a list that can be reached.
void call_base::withdraw(message_node& message, owned_coroutine& running) noexcept {
  target_->deliver_messages();
  home_->deliver_messages();
  if (stop_.linked()) {
    (stop_.run == stop_arrives ? target_ : home_->shared_from_this())->internal.erase(stop_);
  }
  if (message.linked()) {
    (stage_ == stage::sent ? target_->ready : home_->internal).erase(message);
  } else if (running.empty()) {
    fatal(concat("a call to thread \"", target_->name, "\" destroyed its own caller"));
  }
  place_ = place::here;  // nobody asks it to stop any more, while the following waits for I/O
  running.reset();
  --home_->calls_out;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
