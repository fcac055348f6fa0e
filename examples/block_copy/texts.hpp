// SPDX-License-Identifier: BSD-3-Clause
// Numbers as people write and read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace block_copy {

std::string hexadecimal(std::uint32_t number);  // eight digits

// Bytes: "4096", "64k", "1M", "2G", "1T", powers of 1024. Nothing if it is none of these, or does
// not fit.
std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;

}  // namespace block_copy
