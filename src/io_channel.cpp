// SPDX-License-Identifier: BSD-3-Clause
// Handles to a thread's channel.
#include <spdk_io/io_channel.hpp>

#include "channel_state.hpp"
#include "concat.hpp"
#include "thread_state.hpp"

#include <spdk_io/bdev_desc.hpp>

#include <spdk/thread.h>

namespace spdk_io::inline SPDK_IO_ABI {

io_channel::io_channel(detail::channel_state* channel, detail::desc_state* desc) noexcept
    : channel_(channel), desc_(desc) {
  channel_->acquire();
  desc_->acquire();
}

result<io_channel> io_channel::from_native(const bdev_desc& desc, spdk_io_channel* native,
                                           ownership how) {
  auto refuse = [](std::errc code, std::string_view why) {
    return std::unexpected(error(code, operation_kind::get_channel,
                                 detail::concat("channel from SPDK's C API: ", why)));
  };
  if (!native) return refuse(std::errc::invalid_argument, "it is null");
  auto own = desc.channel();
  if (!own) return own;
  if (spdk_thread* its = spdk_io_channel_get_thread(native); its != own->channel_->home->native) {
    return refuse(
        std::errc::operation_not_permitted,
        detail::concat("it belongs to SPDK thread \"", spdk_thread_get_name(its), "\", not to \"",
                       own->channel_->home->name, "\", which is current here"));
  }
  if (native != own->native_handle()) {
    return refuse(std::errc::invalid_argument,
                  detail::concat("it is not a channel of ", desc.bdev().name()));
  }
  if (how == ownership::adopt) spdk_put_io_channel(native);  // `own` has a reference of its own
  return own;
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
