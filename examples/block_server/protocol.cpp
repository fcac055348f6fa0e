// SPDX-License-Identifier: BSD-3-Clause
// Messages of the NBD protocol, to and from bytes.
#include "protocol.hpp"

#include <algorithm>

namespace nbd {

// Not by insert(), of which GCC 12 believes that it writes beyond the end.
writer& writer::put(std::span<const std::byte> bytes) {
  const std::size_t end = bytes_.size();
  bytes_.resize(end + bytes.size());
  std::ranges::copy(bytes, bytes_.begin() + static_cast<std::ptrdiff_t>(end));
  return *this;
}

std::optional<request> parse_request(
    std::span<const std::byte, request::wire_size> bytes) noexcept {
  reader in(bytes);
  if (in.take<std::uint32_t>() != request_magic) return std::nullopt;
  request r;
  r.flags = in.take<std::uint16_t>();
  r.what = static_cast<command>(in.take<std::uint16_t>());
  r.cookie = in.take<std::uint64_t>();
  r.offset = in.take<std::uint64_t>();
  r.length = in.take<std::uint32_t>();
  return r;
}

reply_header make_reply(status s, std::uint64_t cookie) noexcept {
  const std::uint32_t first[] = {reader::from_wire(simple_reply_magic),
                                 reader::from_wire(static_cast<std::uint32_t>(s))};
  const std::uint64_t second = reader::from_wire(cookie);
  reply_header out;
  std::memcpy(out.data(), first, sizeof(first));
  std::memcpy(out.data() + sizeof(first), &second, sizeof(second));
  return out;
}

std::vector<std::byte> make_option_reply(option to, option_reply what, const writer& data) {
  writer out;
  out.put(option_reply_magic).put(to).put(what);
  out.put(static_cast<std::uint32_t>(data.bytes().size())).put(std::span(data.bytes()));
  return out.bytes();
}

std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace nbd
