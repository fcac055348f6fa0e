// SPDX-License-Identifier: BSD-3-Clause
// How a sleeping poller task is woken.
#pragma once

#include <spdk_io/abi.hpp>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// wake() may be called on any thread. False: this task cannot be woken from the calling thread;
// its sleep ends by itself.
struct waker {
  bool (*wake)(waker&) noexcept = nullptr;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
