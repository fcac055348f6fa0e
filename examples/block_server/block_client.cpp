// SPDX-License-Identifier: BSD-3-Clause
// block_client: one request to an NBD server on this machine, by blocking calls, for trying the
// server where no other client is at hand.
#include "protocol.hpp"

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::string_view usage =
    "usage: block_client PORT info                   what the default export can do\n"
    "       block_client PORT write OFFSET TEXT      the block that begins there: text, then "
    "zeroes\n"
    "       block_client PORT read OFFSET            prints the text again\n"
    "       block_client PORT zero OFFSET LENGTH\n"
    "       block_client PORT flush\n";

// The server can do something else, but not this.
struct refused : std::runtime_error {
  explicit refused(std::uint32_t error)
      : runtime_error("the server answers with error " + std::to_string(error)) {}
};

class client {
 public:
  explicit client(std::uint16_t port) : socket_(context_) {
    socket_.connect({asio::ip::address_v4::loopback(), port});
    receive(18);
    nbd::writer hello;
    hello.put(std::uint32_t{nbd::fixed_newstyle | nbd::no_zeroes});
    // "Go", with the empty name, and no wishes.
    hello.put(nbd::option_magic).put(nbd::option::go).put(std::uint32_t{6});
    hello.put(std::uint32_t{0}).put(std::uint16_t{0});
    send(hello.bytes());
    while (receive_option_reply() != nbd::option_reply::ack) {
    }
  }

  std::uint64_t size = 0;        // bytes
  std::uint16_t flags = 0;       // nbd::transmission_flags
  std::uint32_t block_size = 1;  // bytes

  // Gives what was read.
  std::vector<std::byte> ask(const nbd::request& r, std::span<const std::byte> data = {}) {
    nbd::writer out;
    out.put(nbd::request_magic).put(r.flags).put(r.what).put(r.cookie).put(r.offset);
    out.put(r.length).put(data);
    send(out.bytes());
    const auto header = receive(16);
    nbd::reader in(header);
    if (in.take<std::uint32_t>() != nbd::simple_reply_magic)
      throw std::runtime_error("what the server says is no reply");
    if (const auto failed = in.take<std::uint32_t>(); failed != 0) throw refused(failed);
    return receive(r.what == nbd::command::read ? r.length : 0);
  }
  void say_goodbye() {
    nbd::writer out;
    out.put(nbd::request_magic).put(std::uint16_t{0}).put(nbd::command::disconnect);
    out.put(std::uint64_t{0}).put(std::uint64_t{0}).put(std::uint32_t{0});
    send(out.bytes());
  }

 private:
  void send(std::span<const std::byte> bytes) {
    asio::write(socket_, asio::buffer(bytes.data(), bytes.size()));
  }
  std::vector<std::byte> receive(std::size_t bytes) {
    std::vector<std::byte> out(bytes);
    asio::read(socket_, asio::buffer(out));
    return out;
  }
  nbd::option_reply receive_option_reply() {
    const auto header = receive(20);
    nbd::reader in(header);
    in.take(12);
    const auto what = static_cast<nbd::option_reply>(in.take<std::uint32_t>());
    const auto data = receive(in.take<std::uint32_t>());
    if (what == nbd::option_reply::info) learn(data);
    if (what != nbd::option_reply::info && what != nbd::option_reply::ack)
      throw std::runtime_error("the server has no default export");
    return what;
  }
  void learn(std::span<const std::byte> data) {
    nbd::reader in(data);
    const auto about = static_cast<nbd::info>(in.take<std::uint16_t>());
    if (about == nbd::info::exported) {
      size = in.take<std::uint64_t>();
      flags = in.take<std::uint16_t>();
    } else if (about == nbd::info::block_size) {
      block_size = in.take<std::uint32_t>();
    }
  }

  asio::io_context context_;
  asio::ip::tcp::socket socket_;
};

void print_info(const client& c) {
  std::cout << c.size << " bytes, blocks of " << c.block_size << ":";
  if ((c.flags & nbd::read_only) != 0) std::cout << " read-only";
  if ((c.flags & nbd::send_flush) != 0) std::cout << " flush";
  if ((c.flags & nbd::send_fua) != 0) std::cout << " fua";
  if ((c.flags & nbd::send_trim) != 0) std::cout << " trim";
  if ((c.flags & nbd::send_write_zeroes) != 0) std::cout << " zeroes";
  std::cout << '\n';
}

void print_text(std::span<const std::byte> block) {
  const std::string_view text = nbd::as_text(block);
  std::cout << text.substr(0, text.find('\0')) << '\n';
}

bool perform(client& c, std::span<const std::string> args) {
  const std::string& what = args[0];
  if (what == "info" && args.size() == 1) {
    print_info(c);
    return true;
  }
  if (what == "flush" && args.size() == 1) {
    c.ask({.what = nbd::command::flush});
    return true;
  }
  if (args.size() < 2) return false;
  nbd::request r{.offset = std::stoull(args[1]), .length = c.block_size};
  if (what == "read" && args.size() == 2) {
    print_text(c.ask(r));
    return true;
  }
  if (args.size() != 3) return false;
  if (what == "write") {
    std::vector<std::byte> block(c.block_size);
    std::string text = args[2].substr(0, block.size());
    asio::buffer_copy(asio::buffer(block), asio::buffer(text));
    r.what = nbd::command::write;
    r.flags = (c.flags & nbd::send_fua) != 0 ? std::uint16_t{nbd::fua} : std::uint16_t{0};
    c.ask(r, block);
    return true;
  }
  if (what == "zero") {
    r.what = nbd::command::write_zeroes;
    r.length = static_cast<std::uint32_t>(std::stoul(args[2]));
    c.ask(r);
    return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() >= 2) {
    client c(static_cast<std::uint16_t>(std::stoul(args[0])));
    int code = 2;
    try {
      if (perform(c, std::span(args).subspan(1))) code = 0;
    } catch (const refused& e) {
      std::cerr << "block_client: " << e.what() << '\n';
      code = 1;
    }
    c.say_goodbye();
    if (code != 2) return code;
  }
  std::cerr << usage;
  return 2;
} catch (const std::exception& e) {
  std::cerr << "block_client: " << e.what() << '\n';
  return 1;
}
