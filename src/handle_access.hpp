// SPDX-License-Identifier: BSD-3-Clause
// What the handles hold, for the library's own parts.
#pragma once

#include "channel_state.hpp"

#include <spdk_io/bdev_desc.hpp>
#include <spdk_io/io_channel.hpp>

namespace spdk_io::inline SPDK_IO_ABI::detail {

struct handle_access {
  static channel_state* state_of(const io_channel& channel) noexcept { return channel.channel_; }
  static desc_state* state_of(const bdev_desc& desc) noexcept { return desc.state_; }
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
