// SPDX-License-Identifier: BSD-3-Clause
// Ends the program with a message where going on would corrupt memory or lose an exception.
#pragma once

#include <spdk_io/abi.hpp>

#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI::detail {

[[noreturn]] void fatal(std::string_view text) noexcept;

// In debug builds fatal(text); in release builds nothing, and the caller returns an error.
void misuse(std::string_view text) noexcept;

// In a catch block: reports the exception in flight and ends the program.
[[noreturn]] void fatal_exception(std::string_view where) noexcept;

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
