// SPDX-License-Identifier: BSD-3-Clause
// Which OS thread this is, as an address that no other one has meanwhile.
#pragma once

#include <spdk_io/abi.hpp>

namespace spdk_io::inline SPDK_IO_ABI::detail {

extern constinit thread_local const char os_thread_mark;

inline const void* this_os_thread() noexcept { return &os_thread_mark; }

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
