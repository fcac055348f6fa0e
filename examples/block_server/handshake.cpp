// SPDX-License-Identifier: BSD-3-Clause
// Fixed newstyle negotiation: the greeting, then one option after the other.
#include "handshake.hpp"

#include <asio/read.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nbd {
namespace {

using asio::ip::tcp;

struct received_option {
  option what = option::abort;  // or a number that is none of them
  std::vector<std::byte> data;
};

asio::awaitable<void> send(tcp::socket& socket, std::vector<std::byte> bytes) {
  co_await asio::async_write(socket, asio::buffer(bytes), asio::use_awaitable);
}

asio::awaitable<received_option> receive_option(tcp::socket& socket) {
  std::array<std::byte, 16> header;
  co_await asio::async_read(socket, asio::buffer(header), asio::use_awaitable);
  reader in(header);
  if (in.take<std::uint64_t>() != option_magic)
    throw violation("an option with a wrong magic number");
  received_option got;
  got.what = static_cast<option>(in.take<std::uint32_t>());
  const auto length = in.take<std::uint32_t>();
  if (length > max_option_data)
    throw violation("an option with " + std::to_string(length) + " bytes of data");
  got.data.resize(length);
  co_await asio::async_read(socket, asio::buffer(got.data), asio::use_awaitable);
  co_return got;
}

// An empty name is that of the default export: there is one.
bool is_name_of(const exported_disk& disk, std::string_view name) {
  return name.empty() || name == disk.name();
}

// The name in the data of "go" and "info"; nothing where its lengths contradict each other. (What
// else the client would like to know is not looked at: it is told everything.)
std::optional<std::string_view> name_in(std::span<const std::byte> data) {
  reader in(data);
  if (in.left() < sizeof(std::uint32_t)) return std::nullopt;
  const auto length = in.take<std::uint32_t>();
  if (in.left() < sizeof(std::uint16_t) || length > in.left() - sizeof(std::uint16_t))
    return std::nullopt;
  const std::string_view name = as_text(in.take(length));
  const auto wishes = in.take<std::uint16_t>();
  if (in.left() != wishes * sizeof(std::uint16_t)) return std::nullopt;
  return name;
}

std::vector<std::byte> describe(option to, const exported_disk& disk) {
  writer exported;
  exported.put(info::exported).put(disk.size()).put(disk.flags());
  writer sizes;
  sizes.put(info::block_size).put(disk.block_size());
  sizes.put(std::min(std::max(disk.block_size(), std::uint32_t{4096}), disk.max_request()));
  sizes.put(disk.max_request());
  writer out;
  out.put(std::span<const std::byte>(make_option_reply(to, option_reply::info, exported)));
  out.put(std::span<const std::byte>(make_option_reply(to, option_reply::info, sizes)));
  out.put(std::span<const std::byte>(make_option_reply(to, option_reply::ack)));
  return out.bytes();
}

std::vector<std::byte> list(const exported_disk& disk) {
  writer entry;
  entry.put(static_cast<std::uint32_t>(disk.name().size())).put(std::string_view(disk.name()));
  writer out;
  out.put(std::span<const std::byte>(make_option_reply(option::list, option_reply::server, entry)));
  out.put(std::span<const std::byte>(make_option_reply(option::list, option_reply::ack)));
  return out.bytes();
}

// What is answered, and whether that chooses the export.
struct answered {
  std::vector<std::byte> bytes;
  bool chosen = false;
};

answered answer(const received_option& got, const exported_disk& disk) {
  switch (got.what) {
    case option::list:
      if (!got.data.empty()) return {make_option_reply(got.what, option_reply::invalid)};
      return {list(disk)};
    case option::info:
    case option::go: {
      const auto name = name_in(got.data);
      if (!name) return {make_option_reply(got.what, option_reply::invalid)};
      if (!is_name_of(disk, *name)) return {make_option_reply(got.what, option_reply::unknown)};
      return {describe(got.what, disk), got.what == option::go};
    }
    case option::abort: return {make_option_reply(got.what, option_reply::ack)};
    default: return {make_option_reply(got.what, option_reply::unsupported)};
  }
}

}  // namespace

asio::awaitable<bool> shake_hands(tcp::socket& socket, const exported_disk& disk) {
  constexpr std::uint16_t offered = fixed_newstyle | no_zeroes;
  writer greeting;
  greeting.put(server_magic).put(option_magic).put(offered);
  co_await send(socket, greeting.bytes());

  std::array<std::byte, 4> reply;
  co_await asio::async_read(socket, asio::buffer(reply), asio::use_awaitable);
  const auto flags = reader(reply).take<std::uint32_t>();
  if ((flags & ~std::uint32_t{offered}) != 0) throw violation("flags that nobody offered");

  for (;;) {
    const received_option got = co_await receive_option(socket);
    if (got.what == option::export_name) {
      // This option has no errors.
      if (!is_name_of(disk, as_text(got.data))) throw violation("a wish for an unknown export");
      writer chosen;
      chosen.put(disk.size()).put(disk.flags());
      if ((flags & no_zeroes) == 0) chosen.put(std::string_view(std::string(124, '\0')));
      co_await send(socket, chosen.bytes());
      co_return true;
    }
    const answered reply_to = answer(got, disk);
    co_await send(socket, reply_to.bytes);
    if (reply_to.chosen) co_return true;
    if (got.what == option::abort) co_return false;
  }
}

}  // namespace nbd
