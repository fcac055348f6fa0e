// SPDX-License-Identifier: BSD-3-Clause
// What streams and sinks ask of their device.
#include "stream_device.hpp"

#include "handle_access.hpp"
#include "thread_state.hpp"

#include <spdk_io/bdev.hpp>

#include <algorithm>
#include <limits>

namespace spdk_io::inline SPDK_IO_ABI::detail {

result<void> stream_device::open(operation_kind what) {
  if (state_) return {};
  const desc_state* desc = handle_access::state_of(desc_);
  if (desc) {
    auto channel = desc_.channel();
    if (!channel) return std::unexpected(channel.error());
    channel_ = std::move(*channel);
  }
  channel_state* const state = handle_access::state_of(channel_);
  const auto refuse = [&](std::errc code, fault why) {
    return std::unexpected(error(
        error::io{.code = code, .what = what, .why = why, .device = state ? state->name : 0}));
  };
  if (!state) return refuse(std::errc::bad_file_descriptor, fault::no_channel);
  // Unless it takes I/O of this thread, its device may be gone.
  if (state->accepts.load(std::memory_order_relaxed) != acting_thread()) {
    if (state->desc->removed.load(std::memory_order_relaxed)) {
      return refuse(std::errc::no_such_device, fault::device_removed);
    }
    return state->desc->closing() ? refuse(std::errc::no_such_device, fault::device_closed)
                                  : refuse(std::errc::operation_not_permitted, fault::wrong_thread);
  }
  state_ = state;
  name_ = state->name;
  block_size_ = state->block_size;
  const bdev device = bdev::from_native(state->bdev);
  size_ = device.size();
  alignment_ = std::max<std::size_t>(device.alignment(), 1);
  can_flush_ = device.supports(io_kind::flush);
  return {};
}

result<dma_buffer> stream_device::allocate(std::size_t count, std::size_t bytes, int numa,
                                           std::size_t& stride, std::size_t further) const {
  const std::size_t align = alignment_;
  constexpr std::size_t most = std::numeric_limits<std::ptrdiff_t>::max();
  if (bytes > most - align || (bytes + align - 1) / align * align > most / count) {
    return std::unexpected(error(std::errc::not_enough_memory, operation_kind::allocate,
                                 "allocation of the chunks of a stream: there is no such amount of "
                                 "memory"));
  }
  stride = (bytes + align - 1) / align * align;
  return dma_buffer::allocate(count * stride + further,
                              std::max(align, dma_buffer::default_alignment), numa);
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
