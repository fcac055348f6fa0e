// SPDX-License-Identifier: BSD-3-Clause
#include "format.hpp"

#include "crc32c.hpp"

#include <algorithm>
#include <concepts>
#include <limits>
#include <utility>

namespace kv {
namespace {

constexpr std::uint32_t superblock_magic = 0x7662'6b76;
constexpr std::uint32_t record_magic = 0x6c62'6b76;
constexpr std::uint32_t format_version = 1;
constexpr std::uint32_t erased = std::numeric_limits<std::uint32_t>::max();

// Numbers and bytes, one after the other.
class writer {
 public:
  explicit writer(std::span<std::byte> into) noexcept : into_(into) {}

  template <std::unsigned_integral T>
  writer& number(T value) noexcept {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      into_[at_++] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i));
    }
    return *this;
  }
  writer& bytes(bytes_view from) noexcept {
    std::ranges::copy(from, into_.subspan(at_).begin());
    at_ += from.size();
    return *this;
  }

 private:
  std::span<std::byte> into_;
  std::size_t at_ = 0;
};

class reader {
 public:
  explicit reader(bytes_view from) noexcept : from_(from) {}

  template <std::unsigned_integral T>
  void number(T& value) noexcept {
    std::uint64_t read = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      read |= std::to_integer<std::uint64_t>(from_[at_++]) << (8 * i);
    }
    value = static_cast<T>(read);
  }
  template <std::unsigned_integral T>
  T number() noexcept {
    T value = 0;
    number(value);
    return value;
  }

 private:
  bytes_view from_;
  std::size_t at_ = 0;
};

// The first four bytes are the checksum of the rest.
bool checksum_is_right(bytes_view of) noexcept {
  return reader(of).number<std::uint32_t>() == crc32c_of(of.subspan(4));
}
void fill_checksum_in(std::span<std::byte> of) noexcept {
  writer(of).number(crc32c_of(of.subspan(4)));
}

}  // namespace

void encode(const superblock& from, std::span<std::byte> into) noexcept {
  std::ranges::fill(into, std::byte(0));
  writer(into)
      .number(std::uint32_t(0))
      .number(superblock_magic)
      .number(format_version)
      .number(from.area)
      .number(from.store)
      .number(from.generation)
      .number(from.epoch)
      .number(from.area_size)
      .number(from.record_size)
      .number(from.block_size);
  fill_checksum_in(into.first(superblock_bytes));
}

superblock_state decode(bytes_view from, superblock& into) noexcept {
  reader in(from);
  in.number<std::uint32_t>();
  if (in.number<std::uint32_t>() != superblock_magic) return superblock_state::absent;
  if (!checksum_is_right(from.first(superblock_bytes))) return superblock_state::damaged;
  if (in.number<std::uint32_t>() != format_version) return superblock_state::unknown_version;
  in.number(into.area);
  in.number(into.store);
  in.number(into.generation);
  in.number(into.epoch);
  in.number(into.area_size);
  in.number(into.record_size);
  in.number(into.block_size);
  return superblock_state::valid;
}

std::size_t encoded_size(const operation& what) noexcept {
  return operation_header_bytes + what.key.size() + (what.value ? what.value->size() : 0);
}

std::optional<operation> decode_operation(bytes_view from) noexcept {
  if (from.size() < operation_header_bytes) return std::nullopt;
  reader in(from);
  in.number<std::uint32_t>();
  const auto value_size = in.number<std::uint32_t>();
  const auto key_size = in.number<std::uint16_t>();
  const bytes_view rest = from.subspan(operation_header_bytes);
  const std::size_t value_bytes = value_size == erased ? 0 : value_size;
  if (key_size == 0 || key_size + value_bytes > rest.size()) return std::nullopt;
  operation what;
  what.key = {reinterpret_cast<const char*>(rest.data()), key_size};
  if (value_size != erased) what.value = rest.subspan(key_size, value_bytes);
  return what;
}

std::optional<operation> verified_operation(bytes_view from) noexcept {
  auto what = decode_operation(from);
  if (what && !checksum_is_right(from.first(encoded_size(*what)))) return std::nullopt;
  return what;
}

std::optional<record_header> decode_header(bytes_view from) noexcept {
  reader in(from);
  in.number<std::uint32_t>();
  if (in.number<std::uint32_t>() != record_magic) return std::nullopt;
  record_header header;
  in.number(header.store);
  in.number(header.epoch);
  in.number(header.sequence);
  in.number(header.length);
  in.number(header.operations);
  return header;
}

bool record_is_whole(bytes_view record) noexcept { return checksum_is_right(record); }

std::size_t record_builder::add(const operation& what) noexcept {
  const std::size_t at = length_;
  const auto place = buffer_.subspan(at, encoded_size(what));
  const bytes_view key = std::as_bytes(std::span(what.key));
  writer out(place);
  out.number(std::uint32_t(0))
      .number(what.value ? static_cast<std::uint32_t>(what.value->size()) : erased)
      .number(static_cast<std::uint16_t>(key.size()))
      .number(std::uint16_t(0))
      .bytes(key);
  if (what.value) out.bytes(*what.value);
  fill_checksum_in(place);
  length_ += place.size();
  ++operations_;
  return at;
}

std::size_t record_builder::add_encoded(bytes_view what) noexcept {
  const std::size_t at = length_;
  std::ranges::copy(what, buffer_.subspan(at).begin());
  length_ += what.size();
  ++operations_;
  return at;
}

std::size_t record_builder::finish(record_header header, std::size_t block_size) noexcept {
  writer(buffer_)
      .number(std::uint32_t(0))
      .number(record_magic)
      .number(header.store)
      .number(header.epoch)
      .number(header.sequence)
      .number(static_cast<std::uint32_t>(length_))
      .number(operations_);
  fill_checksum_in(buffer_.first(length_));
  const std::size_t written = round_up(length_, block_size);
  std::ranges::fill(buffer_.subspan(length_, written - length_), std::byte(0));
  return written;
}

void record_builder::clear() noexcept {
  length_ = record_header_bytes;
  operations_ = 0;
}

std::optional<record_cursor::placed_operation> record_cursor::next() noexcept {
  const bytes_view rest = record_.subspan(at_);
  const auto what = decode_operation(rest);
  if (!what) return std::nullopt;
  const std::size_t size = encoded_size(*what);
  return placed_operation{*what, std::exchange(at_, at_ + size), rest.first(size)};
}

}  // namespace kv
