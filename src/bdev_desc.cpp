// SPDX-License-Identifier: BSD-3-Clause
// Opening devices.
#include <spdk_io/bdev_desc.hpp>

#include "channel_state.hpp"
#include "concat.hpp"
#include "subsystem_state.hpp"
#include "thread_state.hpp"

#include <spdk/bdev.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

// By message on the opening thread, and none after the descriptor is closed.
void on_event(spdk_bdev_event_type type, spdk_bdev*, void* argument) {
  auto* state = static_cast<detail::desc_state*>(argument);
  if (type == SPDK_BDEV_EVENT_REMOVE) state->tell(device_event::kind::removed);
  if (type == SPDK_BDEV_EVENT_RESIZE) state->tell(device_event::kind::resized);
}

std::string why_not(int rc) {
  switch (rc) {
    case -ENODEV: return detail::concat("no such device (known: ", detail::known_bdevs(), ")");
    case -EPERM: return "claimed by a module of SPDK (open it with access::read_only)";
    default: return std::strerror(-rc);
  }
}

// The descriptor is there: what follows from it, and who closes it.
void keep_open(detail::desc_state& state, access mode) {
  state.bdev = spdk_bdev_desc_get_bdev(state.native);
  state.block_size = spdk_bdev_get_block_size(state.bdev);
  state.writable = mode == access::read_write;
  state.opened();
  state.owner->opened.push_back(&state);
}

}  // namespace

result<bdev_desc> bdev_desc::open(std::string_view name, const open_options& options) {
  auto refuse = [&](std::errc code, std::string_view why) {
    return std::unexpected(error(code, operation_kind::open_bdev,
                                 detail::concat("open of \"", name.substr(0, 256), "\": ", why)));
  };
  detail::thread_state* here = detail::acting_thread();
  if (!here) {
    return refuse(std::errc::operation_not_permitted,
                  "no SPDK thread is attached here (call spdk_io::thread::attach() first)");
  }
  if (here->phase != detail::thread_phase::running) {
    return refuse(std::errc::operation_canceled, "the thread is ending");
  }
  if (!detail::subsystems_running()) {
    return refuse(std::errc::operation_not_permitted, detail::not_initialised);
  }
  // A name is kept for as long as the process lives, so only one that some device has.
  const std::string text(name);
  if (name.find('\0') != name.npos || !spdk_bdev_get_by_name(text.c_str())) {
    return refuse(std::errc::no_such_device, why_not(-ENODEV));
  }

  auto* state = new detail::desc_state(here->shared_from_this(), name);
  state->timeout = options.timeout;
  const bool write = options.mode == access::read_write;
  int rc = spdk_bdev_open_ext(text.c_str(), write, on_event, state, &state->native);
  if (rc != 0) {
    state->unreference();
    return refuse(std::errc{-rc}, why_not(rc));
  }
  keep_open(*state, options.mode);
  return bdev_desc(state);
}

result<bdev_desc> bdev_desc::from_native(spdk_bdev_desc* native, ownership how, access mode) {
  auto refuse = [](std::errc code, std::string_view why) {
    return std::unexpected(error(code, operation_kind::open_bdev,
                                 detail::concat("descriptor from SPDK's C API: ", why)));
  };
  detail::thread_state* here = detail::acting_thread();
  if (!native) return refuse(std::errc::invalid_argument, "it is null");
  if (!here) {
    return refuse(std::errc::operation_not_permitted,
                  "no SPDK thread is attached here (call spdk_io::thread::attach() first)");
  }
  if (here->phase != detail::thread_phase::running) {
    return refuse(std::errc::operation_canceled, "the thread is ending");
  }
  const bool adopted_before = std::ranges::any_of(here->opened, [&](detail::desc_state* each) {
    return each->native == native && each->owned();
  });
  if (how == ownership::adopt && adopted_before) {
    return refuse(std::errc::invalid_argument,
                  "it is the library's already (copy that bdev_desc, or borrow it)");
  }
  const char* name = spdk_bdev_get_name(spdk_bdev_desc_get_bdev(native));
  auto* state = new detail::desc_state(here->shared_from_this(), name);
  state->native = native;
  state->from_native = true;
  if (how == ownership::borrow) state->disown();
  keep_open(*state, mode);
  return bdev_desc(state);
}

bdev_desc::bdev_desc(const bdev_desc& other) noexcept : state_(other.state_) {
  if (state_) state_->acquire();
}

bdev_desc::~bdev_desc() {
  if (state_) state_->release();
}

result<io_channel> bdev_desc::channel() const {
  if (!state_) {
    return std::unexpected(error(error::io{.code = std::errc::bad_file_descriptor,
                                           .what = operation_kind::get_channel,
                                           .why = fault::no_channel}));
  }
  auto found = state_->channel();
  if (!found) return std::unexpected(found.error());
  return io_channel(*found, state_);
}

spdk_io::bdev bdev_desc::bdev() const noexcept { return spdk_io::bdev::from_native(state_->bdev); }
access bdev_desc::mode() const noexcept {
  return state_ && state_->writable ? access::read_write : access::read_only;
}
bool bdev_desc::closed() const noexcept { return !state_ || state_->closed(); }
bool bdev_desc::removed() const noexcept {
  return state_ && state_->removed.load(std::memory_order_relaxed);
}
spdk_bdev_desc* bdev_desc::native_handle() const noexcept {
  return closed() ? nullptr : state_->native;
}

result<spdk_bdev_desc*> bdev_desc::release() noexcept {
  auto refuse = [&](std::errc code, fault why) {
    return std::unexpected(error(error::io{.code = code,
                                           .what = operation_kind::release_bdev,
                                           .why = why,
                                           .device = state_ ? state_->name : 0}));
  };
  if (!state_) return refuse(std::errc::bad_file_descriptor, fault::no_channel);
  if (!state_->from_native) {
    return refuse(std::errc::operation_not_permitted, fault::opened_by_library);
  }
  spdk_bdev_desc* native = state_->native;
  if (!state_->disown()) return refuse(std::errc::no_such_device, fault::device_closed);
  return native;
}

device_event_stream bdev_desc::events() const noexcept { return device_event_stream(state_); }

device_event_operation bdev_desc::next_event() const noexcept {
  return device_event_operation(state_);
}

void bdev_desc::mark_removed() const noexcept { state_->tell(device_event::kind::removed); }
void bdev_desc::mark_resized() const noexcept { state_->tell(device_event::kind::resized); }

}  // namespace spdk_io::inline SPDK_IO_ABI
