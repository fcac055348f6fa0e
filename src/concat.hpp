// SPDX-License-Identifier: BSD-3-Clause
// Joins strings and numbers to one string: GCC 12's library has no std::format yet.
#pragma once

#include <spdk_io/abi.hpp>

#include <concepts>
#include <string>
#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI::detail {

inline void append_part(std::string& out, std::string_view part) { out += part; }
inline void append_part(std::string& out, char part) { out += part; }
template <std::integral T>
void append_part(std::string& out, T part) {
  out += std::to_string(part);
}

template <class... Parts>
std::string concat(const Parts&... parts) {
  std::string out;
  (append_part(out, parts), ...);
  return out;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
