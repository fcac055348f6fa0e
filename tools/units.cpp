// SPDX-License-Identifier: BSD-3-Clause
// Reading and writing sizes and durations.
#include "units.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <limits>

namespace spdk_io_tool {
namespace {

constexpr std::string_view letters = "kmgt";

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// What the suffix multiplies by, as a power of two; nothing if it is none.
std::optional<unsigned> shift_of(std::string_view suffix) noexcept {
  if (suffix.empty()) return 0;
  auto at = letters.find(lower(suffix.front()));
  if (at == letters.npos) {
    return suffix == "B" || suffix == "b" ? std::optional(0u) : std::nullopt;
  }
  suffix.remove_prefix(1);
  if (!suffix.empty() && suffix != "B" && suffix != "b" && suffix != "iB" && suffix != "ib") {
    return std::nullopt;
  }
  return 10 * (static_cast<unsigned>(at) + 1);
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return std::nullopt;
  auto shift = shift_of(std::string_view(stopped, end));
  if (!shift || number > (std::numeric_limits<std::uint64_t>::max() >> *shift)) return std::nullopt;
  return number << *shift;
}

std::string format_size(std::uint64_t bytes) {
  static constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (unit + 1 < units.size() && bytes >= (std::uint64_t(1024) << (10 * unit))) ++unit;
  const std::uint64_t one = std::uint64_t(1) << (10 * unit);
  if (bytes % one == 0) return fmt::format("{} {}", bytes / one, units[unit]);
  return fmt::format("{:.1f} {}", static_cast<double>(bytes) / static_cast<double>(one),
                     units[unit]);
}

std::string format_duration(std::chrono::nanoseconds duration) {
  static constexpr std::array units = {"ns", "us", "ms", "s"};
  auto value = static_cast<double>(duration.count());
  if (value < 999.5) return fmt::format("{:.0f} ns", value);
  std::size_t unit = 0;
  while (unit + 1 < units.size() && value >= 999.5) {
    value /= 1000;
    ++unit;
  }
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, units[unit]);
}

}  // namespace spdk_io_tool
