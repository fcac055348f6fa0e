// SPDX-License-Identifier: BSD-3-Clause
// Channels and descriptors: made, retired, closed.
#include "channel_state.hpp"

#include "abort_support.hpp"
#include "concat.hpp"
#include "thread_state.hpp"

#include <spdk/bdev.h>
#include <spdk/thread.h>

#include <cerrno>
#include <string_view>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

channel_state::channel_state(thread_state& on, desc_state& of, spdk_io_channel* channel)
    : plainly_accepts(of.timeout.count() > 0 ? static_cast<const void*>(this) : &on),
      accepts(&on),
      home(&on),
      native(channel),
      native_desc(of.native),
      bdev(of.bdev),
      desc(&of),
      name(of.name),
      block_size(spdk_bdev_get_block_size(of.bdev)),
      can_abort(detail::can_abort(of.bdev)),
      timeout(*this, of.timeout),
      retire(*this, on_retire),
      remove(*this, on_remove) {
  retire.internal = true;
  remove.internal = true;
}

void channel_state::release() noexcept {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

void channel_state::add_attention() noexcept {
  ++attention;
  home->hurdles.add_attention();
}

void channel_state::remove_attention() noexcept {
  --attention;
  home->hurdles.remove_attention();
}

void channel_state::retire_later() noexcept { home->internal.push_back(retire); }

void channel_state::on_retire(ready_node& node) {
  channel_state& channel = owned_message<channel_state>::owner_of(node);
  if (!std::exchange(channel.retiring, true)) channel.add_attention();
  channel.stop_accepting();
  if (channel.unused()) channel.put();
}

// What is at SPDK goes on; what waits for memory would come too late.
void channel_state::on_remove(ready_node& node) {
  channel_state& channel = owned_message<channel_state>::owner_of(node);
  channel.stop_accepting();
  channel.home->waiting.fail(channel, ENODEV, fault::device_removed);
}

void channel_state::put() noexcept {
  desc_state& of = *desc;
  remove_attention();  // it was retiring
  timeout.stop();
  home->give_back_held();
  home->channels.erase(&of);
  spdk_put_io_channel(native);
  native = nullptr;
  of.channel_gone(*this);
  release();
}

desc_state::desc_state(std::shared_ptr<thread_state> opener, std::string_view device)

    : owner(std::move(opener)),
      name(intern_device_name(device)),
      close_(*this, on_close),
      events_(*this, on_events) {
  close_.internal = true;
  events_.internal = true;
}

void desc_state::release() noexcept {
  if (handles_.fetch_sub(1, std::memory_order_acq_rel) == 1) close();
  unreference();
}

void desc_state::unreference() noexcept {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

result<channel_state*> desc_state::channel() {
  thread_state* here = acting_thread();
  auto refuse = [&](std::errc code, fault why) {
    return std::unexpected(error(
        error::io{.code = code, .what = operation_kind::get_channel, .why = why, .device = name}));
  };
  if (!here) return refuse(std::errc::operation_not_permitted, fault::no_thread);
  if (auto found = here->channels.find(this); found != here->channels.end()) return found->second;
  if (here->phase != thread_phase::running) {
    return refuse(std::errc::operation_canceled, fault::thread_exiting);
  }
  std::lock_guard lock(mutex_);
  if (closing_) return refuse(std::errc::no_such_device, fault::device_closed);
  if (removed.load(std::memory_order_relaxed)) {
    return refuse(std::errc::no_such_device, fault::device_removed);
  }
  spdk_io_channel* made = spdk_bdev_get_io_channel(native);
  if (!made) return refuse(std::errc::not_enough_memory, fault::channel_refused);
  auto* channel = new channel_state(*here, *this, made);
  here->channels.emplace(this, channel);
  channels_.push_back(channel);
  return channel;
}

void desc_state::close() noexcept {
  std::lock_guard lock(mutex_);
  if (closing_) return;
  closing_ = true;
  post_events_locked();  // whoever waits for one hears of the end
  for (channel_state* channel : channels_) retire_locked(*channel);
  if (channels_.empty()) owner->deliver(close_);
}

bool desc_state::closing() noexcept {
  std::lock_guard lock(mutex_);
  return closing_;
}

bool desc_state::owned() noexcept {
  std::lock_guard lock(mutex_);
  return owned_;
}

bool desc_state::disown() noexcept {
  std::lock_guard lock(mutex_);
  if (closing_) return false;
  owned_ = false;
  return true;
}

void desc_state::retire(channel_state& channel) noexcept {
  std::lock_guard lock(mutex_);
  retire_locked(channel);
}

// The channel's thread is alive: it does not end before its channels are gone, and they need
// the mutex for that.
void desc_state::retire_locked(channel_state& channel) noexcept {
  if (std::exchange(channel.retire_requested, true)) return;
  channel.home->deliver(channel.retire);
}

void desc_state::channel_gone(channel_state& channel) noexcept {
  // Kept meanwhile: once the owner has the message, it may close and free this on its OS thread.
  references_.fetch_add(1, std::memory_order_relaxed);
  {
    std::lock_guard lock(mutex_);
    std::erase(channels_, &channel);
    if (closing_ && channels_.empty()) owner->deliver(close_);
  }
  unreference();
}

void desc_state::on_close(ready_node& node) {
  desc_state& self = owned_message<desc_state>::owner_of(node);
  std::erase(self.owner->opened, &self);
  spdk_bdev_desc* native = std::exchange(self.native, nullptr);
  if (self.owned_) spdk_bdev_close(native);
  self.closed_.store(true, std::memory_order_release);
  self.unreference();
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
