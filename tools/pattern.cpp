// SPDX-License-Identifier: BSD-3-Clause
// Generating the pattern word by word, for writing and for comparing.
#include "pattern.hpp"

#include "splitmix.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>

namespace spdk_io_tool {
namespace {

constexpr std::size_t word_size = sizeof(std::uint64_t);
constexpr std::size_t header_words = 4;
constexpr std::uint64_t mark = 0x21'6f'69'2d'6b'64'70'73;  // "spdk-io!" on a little-endian disk

std::uint64_t load(const std::byte* from) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, from, word_size);
  return word;
}

std::byte byte_of(std::uint64_t word, std::size_t index) noexcept {
  return std::bit_cast<std::array<std::byte, word_size>>(word)[index];
}

// Compares one word; the first difference of the block is kept in full, the rest counted.
void note_difference(std::uint64_t expected, std::uint64_t found, std::size_t offset,
                     mismatch& out) noexcept {
  for (std::size_t i = 0; i < word_size; ++i) {
    if (byte_of(expected, i) == byte_of(found, i)) continue;
    if (out.wrong_bytes++ != 0) continue;
    out.first = offset + i;
    out.expected = byte_of(expected, i);
    out.found = byte_of(found, i);
  }
}

}  // namespace

class pattern::words {
 public:
  words(const pattern& p, std::uint64_t block) noexcept
      : header{mark, p.seed_, block, p.generation_},
        payload(mix(mix(mix(p.seed_) ^ block) ^ p.generation_)) {}

  std::array<std::uint64_t, header_words> header;
  splitmix payload;
};

void pattern::fill(std::uint64_t block, std::span<std::byte> bytes) const noexcept {
  assert(bytes.size() % word_size == 0 && bytes.size() > header_words * word_size);
  words expected(*this, block);
  std::byte* at = bytes.data();
  std::byte* const end = at + bytes.size();
  for (std::uint64_t word : expected.header) {
    std::memcpy(at, &word, word_size);
    at += word_size;
  }
  for (; at != end; at += word_size) {
    const std::uint64_t word = expected.payload();
    std::memcpy(at, &word, word_size);
  }
}

std::optional<mismatch> pattern::check(std::uint64_t block,
                                       std::span<const std::byte> bytes) const noexcept {
  assert(bytes.size() % word_size == 0 && bytes.size() > header_words * word_size);
  words expected(*this, block);
  mismatch out;
  const std::byte* const begin = bytes.data();
  auto compare = [&](std::uint64_t word, std::size_t offset) {
    const std::uint64_t found = load(begin + offset);
    if (word != found) [[unlikely]]
      note_difference(word, found, offset, out);
  };
  std::size_t offset = 0;
  for (std::uint64_t word : expected.header) {
    compare(word, offset);
    offset += word_size;
  }
  for (; offset != bytes.size(); offset += word_size) compare(expected.payload(), offset);
  if (out.wrong_bytes == 0) [[likely]]
    return std::nullopt;

  out.block = block;
  out.has_header = load(begin) == mark;
  out.found_seed = load(begin + word_size);
  out.found_block = load(begin + 2 * word_size);
  out.found_generation = load(begin + 3 * word_size);
  return out;
}

std::string pattern::explain(const mismatch& wrong) const {
  std::string text = fmt::format("byte {} of the block is 0x{:02x} instead of 0x{:02x}",
                                 wrong.first, std::to_integer<unsigned>(wrong.found),
                                 std::to_integer<unsigned>(wrong.expected));
  if (wrong.wrong_bytes > 1) text += fmt::format(", {} bytes are wrong", wrong.wrong_bytes);
  if (!wrong.has_header) {
    if (wrong.first < header_words * word_size && wrong.wrong_bytes > header_words * word_size) {
      text += ": not a block of this test";
    }
  } else if (wrong.found_seed != seed_) {
    text += fmt::format(": the header is of seed {:#x}", wrong.found_seed);
  } else if (wrong.found_block != wrong.block) {
    text += fmt::format(": the header is of block {}", wrong.found_block);
  } else if (wrong.found_generation != generation_) {
    text += fmt::format(": the header is of generation {}", wrong.found_generation);
  }
  return text;
}

}  // namespace spdk_io_tool
