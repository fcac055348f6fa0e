// SPDX-License-Identifier: BSD-3-Clause
// Between std::chrono and the ticks of SPDK's clock.
#pragma once

#include <spdk_io/abi.hpp>

#include <spdk/env.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

namespace spdk_io::inline SPDK_IO_ABI::detail {

__extension__ typedef unsigned __int128 uint128;

// Rounded up. At most half of the range, so that it can be added to the time of now.
inline std::uint64_t to_ticks(std::chrono::nanoseconds duration) noexcept {
  if (duration.count() <= 0) return 0;
  const auto whole = static_cast<uint128>(duration.count()) * spdk_get_ticks_hz();
  const uint128 most = std::numeric_limits<std::uint64_t>::max() / 2;
  return static_cast<std::uint64_t>(std::min((whole + 999'999'999) / 1'000'000'000, most));
}

inline std::chrono::nanoseconds from_ticks(std::uint64_t ticks) noexcept {
  const auto whole = static_cast<uint128>(ticks) * 1'000'000'000 / spdk_get_ticks_hz();
  constexpr auto most = static_cast<uint128>(std::chrono::nanoseconds::max().count());
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(whole, most)));
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
