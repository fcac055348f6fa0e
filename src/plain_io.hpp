// SPDX-License-Identifier: BSD-3-Clause
// The short way to SPDK: a read or write of bytes in one buffer, on a channel, while there is
// nothing to look at but that.
#pragma once

#include "channel_state.hpp"
#include "thread_state.hpp"

#include <spdk_io/detail/io_core.hpp>

namespace spdk_io::inline SPDK_IO_ABI::detail {

inline void io_core::put_in_flight(channel_state& channel) noexcept {
  channel.in_flight.push_back(*this);
  io_stage = stage_in_flight;
}

template <auto Submit, auto Complete>
inline bool io_core::begin_plain(io_core& self, void* target, void* buffer, std::uint64_t offset,
                                 std::uint64_t length) noexcept {
  if (!target || !buffer) [[unlikely]]
    return self.begin_with_checks();
  auto& ch = *static_cast<channel_state*>(target);
  thread_state* here = current_thread;
  if (ch.plainly_accepts.load(std::memory_order_relaxed) != here || !here->hurdles.none_to_submit())
      [[unlikely]]
    return self.begin_with_checks();
  self.put_in_flight(ch);
  const int rc = Submit(ch.native_desc, ch.native, buffer, offset, length, Complete, &self);
  return rc == 0 || self.not_submitted(rc);
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
