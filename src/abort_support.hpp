// SPDX-License-Identifier: BSD-3-Clause
// Which devices can be asked to abort I/O.
#pragma once

#include <spdk_io/abi.hpp>

struct spdk_bdev;

namespace spdk_io::inline SPDK_IO_ABI::detail {

// It can abort, and SPDK's way there works. Thread: an attached one.
bool can_abort(spdk_bdev* bdev) noexcept;

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
