// SPDX-License-Identifier: BSD-3-Clause
// The NBD protocol, as far as the server speaks it: the numbers of its specification
// (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md), and what they look like as
// bytes. All of them are big-endian on the wire.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace nbd {

inline constexpr std::uint64_t server_magic = 0x4e42444d41474943;  // "NBDMAGIC"
inline constexpr std::uint64_t option_magic = 0x49484156454f5054;  // "IHAVEOPT"
inline constexpr std::uint64_t option_reply_magic = 0x3e889045565a9;
inline constexpr std::uint32_t request_magic = 0x25609513;
inline constexpr std::uint32_t simple_reply_magic = 0x67446698;

// Of the server's greeting, and of the client's answer to it.
inline constexpr std::uint16_t fixed_newstyle = 1 << 0;
inline constexpr std::uint16_t no_zeroes = 1 << 1;

enum class option : std::uint32_t {
  export_name = 1,
  abort = 2,
  list = 3,
  info = 6,
  go = 7,
};

enum class option_reply : std::uint32_t {
  ack = 1,
  server = 2,
  info = 3,
  unsupported = (1U << 31) + 1,
  invalid = (1U << 31) + 3,
  unknown = (1U << 31) + 6,
};

enum class info : std::uint16_t { exported = 0, block_size = 3 };

// What an export can do.
enum transmission_flags : std::uint16_t {
  has_flags = 1 << 0,
  read_only = 1 << 1,
  send_flush = 1 << 2,
  send_fua = 1 << 3,
  send_trim = 1 << 5,
  send_write_zeroes = 1 << 6,
  can_multi_conn = 1 << 8,
};

enum class command : std::uint16_t {
  read = 0,
  write = 1,
  disconnect = 2,
  flush = 3,
  trim = 4,
  write_zeroes = 6,
};

enum command_flags : std::uint16_t {
  fua = 1 << 0,
  no_hole = 1 << 1,
};

enum class status : std::uint32_t {
  ok = 0,
  not_permitted = 1,
  io_error = 5,
  invalid = 22,
  no_space = 28,
  shutting_down = 108,
};

// What a client asks for in the transmission phase. A write is followed by `length` bytes.
struct request {
  static constexpr std::size_t wire_size = 28;

  std::uint16_t flags = 0;
  command what = command::read;  // or a number that is none of them
  std::uint64_t cookie = 0;      // whatever the client chose; the reply carries it back
  std::uint64_t offset = 0;      // bytes
  std::uint32_t length = 0;      // bytes
};

// Takes numbers off the front of some bytes. Requires, for each call: they are there.
class reader {
 public:
  explicit reader(std::span<const std::byte> bytes) noexcept : left_(bytes) {}

  template <std::unsigned_integral T>
  T take() noexcept {
    T big_endian;
    std::memcpy(&big_endian, take(sizeof(T)).data(), sizeof(T));
    return from_wire(big_endian);
  }
  std::span<const std::byte> take(std::size_t bytes) noexcept {
    const auto taken = left_.first(bytes);
    left_ = left_.subspan(bytes);
    return taken;
  }
  std::size_t left() const noexcept { return left_.size(); }  // bytes

  template <std::unsigned_integral T>
  static constexpr T from_wire(T value) noexcept {
    return std::endian::native == std::endian::big ? value : std::byteswap(value);
  }

 private:
  std::span<const std::byte> left_;
};

// Collects numbers and texts.
class writer {
 public:
  template <std::unsigned_integral T>
  writer& put(T value) {
    const T big_endian = reader::from_wire(value);
    return put(std::as_bytes(std::span(&big_endian, 1)));
  }
  template <class Enum>
    requires std::is_enum_v<Enum>
  writer& put(Enum value) {
    return put(static_cast<std::underlying_type_t<Enum>>(value));
  }
  writer& put(std::string_view text) { return put(std::as_bytes(std::span(text))); }
  writer& put(std::span<const std::byte> bytes);
  const std::vector<std::byte>& bytes() const noexcept { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// Nothing where the magic number is wrong.
std::optional<request> parse_request(std::span<const std::byte, request::wire_size> bytes) noexcept;

using reply_header = std::array<std::byte, 16>;
reply_header make_reply(status s, std::uint64_t cookie) noexcept;

// A reply to an option, with its data.
std::vector<std::byte> make_option_reply(option to, option_reply what, const writer& data = {});

std::string_view as_text(std::span<const std::byte> bytes) noexcept;

}  // namespace nbd
