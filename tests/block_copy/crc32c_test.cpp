// SPDX-License-Identifier: BSD-3-Clause
// The checksum: what others compute, of whatever pieces.
#include "crc32c.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string_view>
#include <vector>

namespace {

std::span<const std::byte> of(std::string_view text) { return std::as_bytes(std::span(text)); }

// Bit by bit, as it is defined.
std::uint32_t plain(std::span<const std::byte> bytes) {
  std::uint32_t c = ~0U;
  for (std::byte b : bytes) {
    c ^= std::to_integer<std::uint32_t>(b);
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) != 0 ? 0x82f6'3b78U : 0);
  }
  return ~c;
}

TEST(crc32c, known_values) {
  EXPECT_EQ(crc32c_of(of("123456789")), 0xe306'9283U);
  EXPECT_EQ(crc32c_of({}), 0U);
  // RFC 3720, B.4.
  EXPECT_EQ(crc32c_of(std::vector<std::byte>(32)), 0x8a91'36aaU);
  EXPECT_EQ(crc32c_of(std::vector<std::byte>(32, std::byte(0xff))), 0x62a8'ab43U);
}

TEST(crc32c, of_pieces_of_any_size) {
  std::mt19937 random(1);
  std::vector<std::byte> data(4000);
  for (auto& each : data) each = static_cast<std::byte>(random());
  for (int round = 0; round < 100; ++round) {
    const std::span<const std::byte> all = std::span(data).subspan(random() % 3000);
    crc32c sum;
    for (auto rest = all; !rest.empty();) {
      const std::size_t n = std::min<std::size_t>(rest.size(), random() % 40);
      sum.add(rest.first(n));
      rest = rest.subspan(n);
    }
    ASSERT_EQ(sum.value(), plain(all)) << "round " << round;
  }
}

}  // namespace
