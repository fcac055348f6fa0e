// SPDX-License-Identifier: BSD-3-Clause
// SPDK's subsystems, as the rest of the library sees them.
#pragma once

#include <spdk_io/abi.hpp>

#include <string>
#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;

inline constexpr std::string_view not_initialised =
    "SPDK's subsystems are not initialised (co_await spdk_io::init_subsystems() or create_bdev() "
    "first)";

bool subsystems_running() noexcept;

// The thread ends: stops the subsystems if it is the one that started them.
void stop_subsystems(thread_state& ending) noexcept;

// The names of the devices, for messages. Requires: subsystems_running(), an attached thread.
std::string known_bdevs();

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
