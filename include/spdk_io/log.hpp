// SPDX-License-Identifier: BSD-3-Clause
// Where the log of SPDK and DPDK goes: to a callback, or nowhere (the default).
#pragma once

#include <spdk_io/abi.hpp>

#include <functional>
#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI {

enum class log_level { error, warning, notice, info, debug };

// Called with one line, without its newline, on whichever thread logs: it must be thread-safe,
// and must neither throw nor call SPDK.
using log_callback = std::function<void(log_level, std::string_view line)>;

// Replaces the callback for lines up to `most` (an empty one makes the log quiet again). Any
// thread; another thread may still be inside the previous callback when this returns.
void set_log(log_callback callback, log_level most = log_level::notice);

std::string_view to_string(log_level level) noexcept;

}  // namespace spdk_io::inline SPDK_IO_ABI
