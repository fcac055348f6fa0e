// SPDX-License-Identifier: BSD-3-Clause
// The events of a descriptor that may be closed by the time they are asked for.
#include <spdk_io/device_event_stream.hpp>

#include "channel_state.hpp"

namespace spdk_io::inline SPDK_IO_ABI {

device_event_stream::device_event_stream(detail::desc_state* desc) noexcept : desc_(desc) {
  if (desc_) desc_->reference();
}

device_event_stream::~device_event_stream() {
  if (desc_) desc_->unreference();
}

}  // namespace spdk_io::inline SPDK_IO_ABI
