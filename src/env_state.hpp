// SPDX-License-Identifier: BSD-3-Clause
// What the rest of the library asks the environment, and tells it.
#pragma once

#include <spdk_io/abi.hpp>

namespace spdk_io::inline SPDK_IO_ABI::detail {

bool env_running() noexcept;

// The environment ends: forget the state of SPDK's subsystems.
void subsystems_stopped() noexcept;

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
