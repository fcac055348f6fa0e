// SPDX-License-Identifier: BSD-3-Clause
// For messages: a range may be so far out that its bytes have no number.
#pragma once

#include <spdk_io/abi.hpp>

#include <cstdint>
#include <limits>

namespace spdk_io::inline SPDK_IO_ABI::detail {

inline std::uint64_t saturating_product(std::uint64_t blocks, std::uint32_t block_size) noexcept {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  return blocks > most / block_size ? most : blocks * block_size;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
