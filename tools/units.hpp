// SPDX-License-Identifier: BSD-3-Clause
// Sizes and durations as people write and read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spdk_io_tool {

// Bytes from "4096", "4k", "256M", "256MiB", "1g", "2T"; suffixes are powers of 1024. Nothing if
// it is not a size, or does not fit.
std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;

// "512 B", "4 KiB", "256 MiB", "1.5 GiB": exact where a whole number of a unit, else one decimal.
std::string format_size(std::uint64_t bytes);

// Three digits and a unit: "85 ns", "98.3 us", "1.24 ms", "2.31 s".
std::string format_duration(std::chrono::nanoseconds duration);

}  // namespace spdk_io_tool
