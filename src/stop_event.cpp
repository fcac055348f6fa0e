// SPDX-License-Identifier: BSD-3-Clause
// Waiting for a request to stop: the request travels to each waiter's thread as a message.
#include <spdk_io/detail/stop_event.hpp>

#include "thread_state.hpp"

namespace spdk_io::inline SPDK_IO_ABI::detail {

// Delivered with the mutex: a waiter that is being destroyed cannot go in between.
void stop_event::request() noexcept {
  std::lock_guard lock(mutex_);
  requested_.store(true, std::memory_order_release);
  while (stop_wait* waiter = first_) {
    waiter->unlink_waiter();
    waiter->place_ = stop_wait::place::requested;
    waiter->home_->deliver(*waiter);
  }
}

bool stop_wait::begin() noexcept {
  thread_state* here = acting_thread();
  if (!event_ || !here) {
    event_ = nullptr;
    return false;
  }
  std::lock_guard lock(event_->mutex_);
  if (event_->requested()) return false;
  home_ = here->shared_from_this();
  resume_ = run;
  run = on_request;
  internal = true;  // the thread takes it even while it ends
  place_ = place::waiting;
  next_waiter_ = event_->first_;
  if (next_waiter_) next_waiter_->prev_waiter_ = this;
  event_->first_ = this;
  return true;
}

void stop_wait::unlink_waiter() noexcept {
  (prev_waiter_ ? prev_waiter_->next_waiter_ : event_->first_) = next_waiter_;
  if (next_waiter_) next_waiter_->prev_waiter_ = prev_waiter_;
}

// On the waiter's thread, among the library's own continuations.
void stop_wait::on_request(ready_node& node) {
  auto& self = static_cast<stop_wait&>(node);
  self.run = self.resume_;
  self.home_->ready.push_back(self);
}

result<void> stop_wait::finish() noexcept {
  place_ = place::here;
  if (event_) return {};
  return std::unexpected(
      error(std::errc::operation_not_permitted, operation_kind::run,
            "waiting for a stop: nothing runs here that could be stopped (app::run() or a "
            "reactor_thread), or no SPDK thread is attached"));
}

stop_wait::~stop_wait() {
  if (!home_) return;
  {
    std::lock_guard lock(event_->mutex_);
    if (place_ == place::waiting) unlink_waiter();
    if (place_ != place::requested) return;
  }
  home_->deliver_messages();
  if (linked()) (run == on_request ? home_->internal : home_->ready).erase(*this);
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
