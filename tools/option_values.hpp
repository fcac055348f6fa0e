// SPDX-License-Identifier: BSD-3-Clause
// Values of options that several subcommands take.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace spdk_io_tool {

// Each throws a CLI::ValidationError that names the option.
void set_size(const std::string& text, const char* option, std::uint64_t& out);  // "16M"
void set_seed(const std::string& text, std::optional<std::uint64_t>& out);       // decimal or 0x…

std::uint64_t random_seed();

}  // namespace spdk_io_tool
