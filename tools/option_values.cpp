// SPDX-License-Identifier: BSD-3-Clause
// Reading of option values.
#include "option_values.hpp"

#include "units.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <charconv>
#include <random>

namespace spdk_io_tool {

void set_size(const std::string& text, const char* option, std::uint64_t& out) {
  auto size = parse_size(text);
  if (!size) throw CLI::ValidationError(option, fmt::format("\"{}\" is not a size", text));
  out = *size;
}

void set_seed(const std::string& text, std::optional<std::uint64_t>& out) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  auto [stopped, error] = std::from_chars(text.data() + (hex ? 2 : 0), end, value, hex ? 16 : 10);
  if (error != std::errc() || stopped != end) {
    throw CLI::ValidationError("--seed", fmt::format("\"{}\" is not a 64-bit number", text));
  }
  out = value;
}

std::uint64_t random_seed() {
  std::random_device random;
  return std::uint64_t(random()) << 32 | random();
}

}  // namespace spdk_io_tool
