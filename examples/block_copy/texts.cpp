// SPDX-License-Identifier: BSD-3-Clause
#include "texts.hpp"

#include <charconv>
#include <limits>
#include <system_error>

namespace block_copy {

std::string hexadecimal(std::uint32_t number) {
  std::string out(8, '0');
  for (auto at = out.rbegin(); at != out.rend(); ++at, number >>= 4) {
    *at = "0123456789abcdef"[number & 0xf];
  }
  return out;
}

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
  constexpr std::string_view units = "kMGT";
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, wrong] = std::from_chars(text.data(), end, number);
  if (wrong != std::errc()) return std::nullopt;
  const std::string_view unit(stopped, end);
  if (unit.empty()) return number;
  const auto which = units.find(unit);
  if (unit.size() != 1 || which == units.npos) return std::nullopt;
  const auto shift = 10 * (which + 1);
  if (number > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
  return number << shift;
}

}  // namespace block_copy
