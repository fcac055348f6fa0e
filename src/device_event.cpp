// SPDX-License-Identifier: BSD-3-Clause
// Events of open devices: recorded where SPDK or the program tells them, handed out on the thread
// that opened the device.
#include <spdk_io/device_event.hpp>

#include "channel_state.hpp"
#include "thread_state.hpp"

#include <spdk_io/detail/fatal.hpp>

#include <spdk/bdev.h>

namespace spdk_io::inline SPDK_IO_ABI {

namespace detail {

// Every channel is told by message: from then on it takes no I/O. The message reaches the opening
// thread's own channel before a coroutine that waits here goes on.
void desc_state::tell(device_event::kind what) noexcept {
  std::lock_guard lock(mutex_);
  const bool removal = what == device_event::kind::removed;
  const bool known = removed.load(std::memory_order_relaxed);
  if (removal) removed.store(true, std::memory_order_relaxed);
  if (closing_ || known) return;
  if (removal) {
    for (channel_state* channel : channels_) {
      if (!channel->retire_requested) channel->home->deliver(channel->remove);
    }
  }
  const std::uint64_t blocks = spdk_bdev_get_num_blocks(bdev);
  (removal ? removal_ : resize_) = {
      .pending = true, .event = {.what = what, .size = blocks * block_size, .blocks = blocks}};
  post_events_locked();
}

// The owner is alive: it does not end before this is closed, and that needs the mutex.
void desc_state::post_events_locked() noexcept {
  if (std::exchange(events_posted_, true)) return;
  references_.fetch_add(1, std::memory_order_relaxed);
  owner->deliver(events_);
}

void desc_state::on_events(ready_node& node) {
  desc_state& self = owned_message<desc_state>::owner_of(node);
  bool closing = false;
  {
    std::lock_guard lock(self.mutex_);
    self.events_posted_ = false;
    closing = self.closing_;
  }
  if (closing) {
    self.end_event_wait(std::errc::operation_canceled, fault::handles_dropped);
  } else if (self.event_waiter) {
    self.event_waiter->told();
  }
  self.unreference();
}

std::optional<device_event> desc_state::take_event() noexcept {
  std::lock_guard lock(mutex_);
  for (kept_event* each : {&resize_, &removal_}) {
    if (std::exchange(each->pending, false)) return each->event;
  }
  return std::nullopt;
}

void desc_state::end_event_wait(std::errc code, fault why) noexcept {
  if (event_waiter) event_waiter->leave(code, why);
}

}  // namespace detail

device_event_operation::device_event_operation(detail::desc_state* desc) noexcept : desc_(desc) {
  if (desc_) desc_->reference();
}

device_event_operation::~device_event_operation() {
  detail::leave_promise(*this);
  if (!desc_) return;
  if (stage_ == stage::waiting || linked()) {
    if (!desc_->owner->on_own_os_thread()) {
      detail::fatal(
          "a coroutine that waits for events of a device was destroyed on another OS thread than "
          "its own");
    }
    if (stage_ == stage::waiting) desc_->event_waiter = nullptr;
    if (linked()) desc_->owner->ready.erase(*this);
  }
  desc_->unreference();
}

bool device_event_operation::begin() noexcept {
  if (!desc_) return refuse(std::errc::bad_file_descriptor, fault::no_channel);
  detail::thread_state* here = detail::acting_thread();
  if (!here) return refuse(std::errc::operation_not_permitted, fault::no_thread);
  if (desc_->closed()) return refuse(std::errc::no_such_device, fault::device_closed);
  if (here != desc_->owner.get()) {
    return refuse(std::errc::operation_not_permitted, fault::events_elsewhere);
  }
  if (here->phase != detail::thread_phase::running) {
    return refuse(std::errc::operation_canceled, fault::thread_exiting);
  }
  if (desc_->closing()) return refuse(std::errc::no_such_device, fault::handles_dropped);
  if (desc_->event_waiter) {
    return refuse(std::errc::device_or_resource_busy, fault::events_awaited);
  }
  if (take()) return false;
  if (desc_->removed.load(std::memory_order_relaxed)) {
    return refuse(std::errc::no_such_device, fault::device_removed);
  }
  stage_ = stage::waiting;
  desc_->event_waiter = this;
  return true;
}

bool device_event_operation::take() noexcept {
  auto event = desc_->take_event();
  if (!event) return false;
  event_ = *event;
  stage_ = stage::done;
  return true;
}

bool device_event_operation::refuse(std::errc code, fault why) noexcept {
  code_ = static_cast<int>(code);
  why_ = why;
  stage_ = stage::done;
  return false;
}

void device_event_operation::told() noexcept {
  if (!take()) return;
  desc_->event_waiter = nullptr;
  desc_->owner->ready.push_back(*this);
}

void device_event_operation::request_stop() noexcept {
  if (stage_ == stage::waiting) leave(std::errc::operation_canceled, fault::stopped);
}

void device_event_operation::leave(std::errc code, fault why) noexcept {
  refuse(code, why);
  desc_->event_waiter = nullptr;
  desc_->owner->ready.push_back(*this);
}

result<device_event> device_event_operation::finish() noexcept {
  if (code_ == 0) return event_;
  return std::unexpected(error(error::io{.code = std::errc{code_},
                                         .what = operation_kind::next_event,
                                         .why = why_,
                                         .device = desc_ ? desc_->name : 0}));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
