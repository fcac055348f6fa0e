// SPDX-License-Identifier: BSD-3-Clause
// CRC-32C, of bytes that come in pieces: eight of them at a time, in plain C++.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace crc32c_detail {

// Table k: what a byte adds that k further bytes come after.
inline constexpr auto tables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> t{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) != 0 ? 0x82f6'3b78U : 0);
    t[0][i] = c;
  }
  for (std::size_t k = 1; k < t.size(); ++k) {
    for (std::size_t i = 0; i < 256; ++i) {
      const std::uint32_t c = t[k - 1][i];
      t[k][i] = (c >> 8) ^ t[0][c & 0xff];
    }
  }
  return t;
}();

}  // namespace crc32c_detail

class crc32c {
 public:
  void add(std::span<const std::byte> bytes) noexcept {
    const auto& t = crc32c_detail::tables;
    std::uint32_t c = state_;
    if constexpr (std::endian::native == std::endian::little) {
      for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
        std::uint64_t next = 0;
        std::memcpy(&next, bytes.data(), sizeof(next));
        next ^= c;
        c = t[7][next & 0xff] ^ t[6][next >> 8 & 0xff] ^ t[5][next >> 16 & 0xff] ^
            t[4][next >> 24 & 0xff] ^ t[3][next >> 32 & 0xff] ^ t[2][next >> 40 & 0xff] ^
            t[1][next >> 48 & 0xff] ^ t[0][next >> 56];
      }
    }
    for (std::byte b : bytes) c = (c >> 8) ^ t[0][(c ^ std::to_integer<std::uint32_t>(b)) & 0xff];
    state_ = c;
  }
  std::uint32_t value() const noexcept { return ~state_; }  // of all that was added

 private:
  std::uint32_t state_ = ~0U;
};

inline std::uint32_t crc32c_of(std::span<const std::byte> bytes) noexcept {
  crc32c sum;
  sum.add(bytes);
  return sum.value();
}
