// SPDX-License-Identifier: BSD-3-Clause
// References to devices for calls about them.
#include "device_use.hpp"

#include "handle_access.hpp"
#include "thread_state.hpp"

#include <spdk/bdev.h>
#include <spdk/thread.h>

#include <cerrno>

namespace spdk_io::inline SPDK_IO_ABI::detail {

result<device_use> device_use::of(const bdev_desc& desc, operation_kind what) {
  desc_state* state = handle_access::state_of(desc);
  auto refuse = [&](std::errc code, fault why) {
    return std::unexpected(error(
        error::io{.code = code, .what = what, .why = why, .device = state ? state->name : 0}));
  };
  if (!state) return refuse(std::errc::bad_file_descriptor, fault::no_channel);
  auto channel = state->channel();
  if (!channel) return refuse(channel.error().code(), channel.error().why());
  const bool accepts = (*channel)->accepts.load(std::memory_order_relaxed) == acting_thread();
  if (!accepts) {
    if (state->closing()) return refuse(std::errc::no_such_device, fault::device_closed);
    return state->removed.load(std::memory_order_relaxed)
               ? refuse(std::errc::no_such_device, fault::device_removed)
               : refuse(std::errc::operation_canceled, fault::thread_exiting);
  }
  spdk_io_channel* own = spdk_bdev_get_io_channel(state->native);
  if (!own) return refuse(std::errc::not_enough_memory, fault::channel_refused);
  return device_use(state->bdev, own, state->name, what);
}

result<device_use> device_use::of(const io_channel& channel, operation_kind what) {
  channel_state* state = handle_access::state_of(channel);
  auto refuse = [&](std::errc code, fault why) {
    return std::unexpected(error(
        error::io{.code = code, .what = what, .why = why, .device = state ? state->name : 0}));
  };
  if (!state) return refuse(std::errc::bad_file_descriptor, fault::no_channel);
  thread_state* here = acting_thread();
  if (!here) return refuse(std::errc::operation_not_permitted, fault::no_thread);
  const thread_state* its = state->accepts.load(std::memory_order_relaxed);
  if (its != here) {
    if (!its && state->home == here && state->desc->removed.load(std::memory_order_relaxed)) {
      return refuse(std::errc::no_such_device, fault::device_removed);
    }
    return !its && state->desc->closing()
               ? refuse(std::errc::no_such_device, fault::device_closed)
               : refuse(std::errc::operation_not_permitted, fault::wrong_thread);
  }
  spdk_io_channel* own = spdk_bdev_get_io_channel(state->native_desc);
  if (!own) return refuse(std::errc::not_enough_memory, fault::channel_refused);
  return device_use(state->bdev, own, state->name, what);
}

device_use::~device_use() {
  if (channel_) spdk_put_io_channel(channel_);
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
