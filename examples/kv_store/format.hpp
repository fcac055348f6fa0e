// SPDX-License-Identifier: BSD-3-Clause
// The bytes on the device: superblocks, records, operations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

// [layout]
//   superblock 0 | superblock 1 | area 0 | area 1
//
// A superblock has a block of its own. One of the areas holds the log, which is a sequence of
// records. Each of them begins with a block and is written by one write:
//   checksum 4 | magic 4 | store 8 | epoch 8 | sequence 8 | length 4 | operations 4 | operation ...
// and an operation is
//   checksum 4 | value size 4 (all ones: erased) | key size 2 | zero 2 | key | value
// Numbers are little-endian, sizes in bytes. Checksums are CRC-32C of what follows them, to the end
// of the superblock, record or operation.
// [/layout]

namespace kv {

using bytes_view = std::span<const std::byte>;

// Says which area holds the log. Copy (generation % 2) is written, so that the other one stays
// whole whatever becomes of the write.
struct superblock {
  std::uint64_t store = 0;        // a random number, so that no other store's remains are taken
  std::uint64_t generation = 0;   // of this superblock; the valid copy with the higher one counts
  std::uint64_t epoch = 0;        // of the log: records of another epoch are remains
  std::uint64_t area_size = 0;    // bytes, of each of the two
  std::uint32_t record_size = 0;  // bytes, of the longest record
  std::uint32_t block_size = 0;   // bytes; records begin at multiples of it
  std::uint32_t area = 0;         // 0 or 1

  std::uint64_t superblock_offset() const noexcept { return generation % 2 * block_size; }
  std::uint64_t area_begin(std::uint32_t which) const noexcept {
    return 2 * block_size + which * area_size;
  }
  std::uint64_t area_end(std::uint32_t which) const noexcept {
    return area_begin(which) + area_size;
  }

  friend bool operator==(const superblock&, const superblock&) = default;
};

enum class superblock_state { valid, absent, damaged, unknown_version };

inline constexpr std::size_t superblock_bytes = 512;  // at most one sector, so that none is torn

void encode(const superblock& from, std::span<std::byte> into) noexcept;
superblock_state decode(bytes_view from, superblock& into) noexcept;

struct operation {
  std::string_view key;
  std::optional<bytes_view> value;  // none: the key is erased
};

inline constexpr std::size_t operation_header_bytes = 12;
inline constexpr std::size_t max_key_size = 255;  // bytes

std::size_t encoded_size(const operation& what) noexcept;

// The operation at the beginning of `from`: nothing if it does not lie inside.
std::optional<operation> decode_operation(bytes_view from) noexcept;
// The same, and its checksum is right.
std::optional<operation> verified_operation(bytes_view from) noexcept;

struct record_header {
  std::uint64_t store = 0;
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;  // counted from 0 in each epoch
  std::uint32_t length = 0;    // bytes, with this header
  std::uint32_t operations = 0;
};

inline constexpr std::size_t record_header_bytes = 40;

// Nothing if there is no record. Whether its content is whole, record_is_whole() tells.
std::optional<record_header> decode_header(bytes_view from) noexcept;
bool record_is_whole(bytes_view record) noexcept;  // header.length bytes

// Puts a record together in a buffer.
class record_builder {
 public:
  explicit record_builder(std::span<std::byte> buffer) noexcept : buffer_(buffer) {}

  bool empty() const noexcept { return operations_ == 0; }
  bool fits(std::size_t size) const noexcept { return size <= buffer_.size() - length_; }
  // Gives where in the record it lies. Requires: fits(encoded_size(what)).
  std::size_t add(const operation& what) noexcept;
  // An operation as it lies in another record.
  std::size_t add_encoded(bytes_view what) noexcept;
  // Fills header and padding in; how many bytes are to be written.
  std::size_t finish(record_header header, std::size_t block_size) noexcept;
  bytes_view content() const noexcept { return buffer_.first(length_); }
  void clear() noexcept;

 private:
  std::span<std::byte> buffer_;
  std::size_t length_ = record_header_bytes;
  std::uint32_t operations_ = 0;
};

// Goes through the operations of a whole record.
class record_cursor {
 public:
  struct placed_operation {
    operation what;
    std::size_t offset = 0;  // in the record
    bytes_view encoded;
  };

  explicit record_cursor(bytes_view record) noexcept : record_(record) {}
  std::optional<placed_operation> next() noexcept;

 private:
  bytes_view record_;
  std::size_t at_ = record_header_bytes;
};

inline std::uint64_t round_up(std::uint64_t n, std::uint64_t to) noexcept {
  return (n + to - 1) / to * to;
}

}  // namespace kv
