// SPDX-License-Identifier: BSD-3-Clause
// Handles to a thread's channel.
#include <spdk_io/io_channel.hpp>

#include "channel_state.hpp"

namespace spdk_io::inline SPDK_IO_ABI {

io_channel::io_channel(detail::channel_state* channel, detail::desc_state* desc) noexcept
    : channel_(channel), desc_(desc) {
  channel_->acquire();
  desc_->acquire();
}

io_channel::io_channel(const io_channel& other) noexcept
    : channel_(other.channel_), desc_(other.desc_) {
  if (!channel_) return;
  channel_->acquire();
  desc_->acquire();
}

io_channel::~io_channel() {
  if (!channel_) return;
  channel_->release();
  desc_->release();
}

std::uint32_t io_channel::block_size() const noexcept {
  return channel_ ? channel_->block_size : 0;
}

spdk_io_channel* io_channel::native_handle() const noexcept {
  return channel_ ? channel_->native : nullptr;
}

}  // namespace spdk_io::inline SPDK_IO_ABI
