// SPDX-License-Identifier: BSD-3-Clause
// UUIDs, random or from a name (with the SHA-1 that the latter is defined by).
#include "spdk/uuid.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <random>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t text_length = SPDK_UUID_STRING_LEN - 1;

bool is_dash_position(std::size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

/// Marks 16 raw bytes as a UUID of that version, RFC 9562 variant.
void set_version(spdk_uuid& uuid, unsigned version) {
  uuid.u.raw[6] = static_cast<std::uint8_t>((uuid.u.raw[6] & 0x0fu) | version << 4);
  uuid.u.raw[8] = static_cast<std::uint8_t>((uuid.u.raw[8] & 0x3fu) | 0x80u);
}

using sha1_state = std::array<std::uint32_t, 5>;

void sha1_block(sha1_state& state, const std::uint8_t* block) {
  std::array<std::uint32_t, 80> words{};
  for (std::size_t i = 0; i < 16; ++i) {
    for (std::size_t byte = 0; byte < 4; ++byte) {
      words[i] = words[i] << 8 | block[i * 4 + byte];
    }
  }
  for (std::size_t i = 16; i < words.size(); ++i) {
    words[i] = std::rotl(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
  }
  auto [a, b, c, d, e] = state;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::uint32_t mix = 0;
    std::uint32_t constant = 0;
    if (i < 20) {
      mix = (b & c) | (~b & d);
      constant = 0x5a827999;
    } else if (i < 40) {
      mix = b ^ c ^ d;
      constant = 0x6ed9eba1;
    } else if (i < 60) {
      mix = (b & c) | (b & d) | (c & d);
      constant = 0x8f1bbcdc;
    } else {
      mix = b ^ c ^ d;
      constant = 0xca62c1d6;
    }
    const std::uint32_t next = std::rotl(a, 5) + mix + e + constant + words[i];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  const sha1_state round{a, b, c, d, e};
  std::ranges::transform(state, round, state.begin(), std::plus<>{});
}

sha1_state sha1(std::vector<std::uint8_t> message) {
  const std::uint64_t bits = std::uint64_t{message.size()} * 8;
  message.push_back(0x80);
  while (message.size() % 64 != 56) {
    message.push_back(0);
  }
  for (int shift = 56; shift >= 0; shift -= 8) {
    message.push_back(static_cast<std::uint8_t>(bits >> shift));
  }
  sha1_state state{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  for (std::size_t offset = 0; offset < message.size(); offset += 64) {
    sha1_block(state, message.data() + offset);
  }
  return state;
}

}  // namespace

int spdk_uuid_parse(spdk_uuid* uuid, const char* uuid_str) {
  const std::string_view text{uuid_str};
  if (text.size() != text_length) {
    return -EINVAL;
  }
  spdk_uuid result{};
  std::size_t digits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_dash_position(i)) {
      if (text[i] != '-') {
        return -EINVAL;
      }
      continue;
    }
    unsigned digit = 0;
    if (std::from_chars(&text[i], &text[i] + 1, digit, 16).ec != std::errc{}) {
      return -EINVAL;
    }
    auto& byte = result.u.raw[digits++ / 2];
    byte = static_cast<std::uint8_t>(byte << 4 | digit);
  }
  *uuid = result;
  return 0;
}

int spdk_uuid_fmt_lower(char* uuid_str, size_t uuid_str_size, const spdk_uuid* uuid) {
  if (uuid_str_size < SPDK_UUID_STRING_LEN) {
    return -EINVAL;
  }
  std::size_t digits = 0;
  for (std::size_t i = 0; i < text_length; ++i) {
    if (is_dash_position(i)) {
      uuid_str[i] = '-';
      continue;
    }
    const unsigned byte = uuid->u.raw[digits / 2];
    uuid_str[i] = "0123456789abcdef"[digits++ % 2 == 0 ? byte >> 4 : byte & 0xfu];
  }
  uuid_str[text_length] = '\0';
  return 0;
}

int spdk_uuid_compare(const spdk_uuid* u1, const spdk_uuid* u2) {
  return std::memcmp(u1->u.raw, u2->u.raw, sizeof u1->u.raw);
}

void spdk_uuid_generate(spdk_uuid* uuid) {
  if (getrandom(uuid->u.raw, sizeof uuid->u.raw, 0) != static_cast<ssize_t>(sizeof uuid->u.raw)) {
    std::random_device source;
    std::ranges::generate(uuid->u.raw, [&] { return static_cast<std::uint8_t>(source()); });
  }
  set_version(*uuid, 4);
}

int spdk_uuid_generate_sha1(spdk_uuid* uuid, spdk_uuid* ns_uuid, const char* name, size_t len) {
  std::vector<std::uint8_t> message(std::begin(ns_uuid->u.raw), std::end(ns_uuid->u.raw));
  message.insert(message.end(), name, name + len);
  const sha1_state digest = sha1(std::move(message));
  for (std::size_t i = 0; i < sizeof uuid->u.raw; ++i) {
    uuid->u.raw[i] = static_cast<std::uint8_t>(digest[i / 4] >> (24 - i % 4 * 8));
  }
  set_version(*uuid, 5);
  return 0;
}

void spdk_uuid_copy(spdk_uuid* dst, const spdk_uuid* src) { *dst = *src; }

bool spdk_uuid_is_null(const spdk_uuid* uuid) {
  return std::ranges::all_of(uuid->u.raw, [](std::uint8_t byte) { return byte == 0; });
}

void spdk_uuid_set_null(spdk_uuid* uuid) { *uuid = {}; }
