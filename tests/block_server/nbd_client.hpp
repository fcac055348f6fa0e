// SPDX-License-Identifier: BSD-3-Clause
// A client on the server's own loop. It sends what a test wants, right or wrong, and collects what
// comes back; nothing of it waits, except by turning the loop.
#pragma once

#include "protocol.hpp"
#include "turning.hpp"

#include <asio/ip/tcp.hpp>
#include <asio/write.hpp>

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace block_test {

using bytes = std::vector<std::byte>;

inline bytes to_bytes(std::initializer_list<int> values) {
  bytes out;
  for (int v : values) out.push_back(static_cast<std::byte>(v));
  return out;
}

inline bytes request_bytes(const nbd::request& r, std::span<const std::byte> data = {}) {
  nbd::writer out;
  out.put(nbd::request_magic).put(r.flags).put(r.what).put(r.cookie).put(r.offset).put(r.length);
  return out.put(data).bytes();
}

inline bytes option_bytes(std::uint32_t option, const nbd::writer& data = {}) {
  nbd::writer out;
  out.put(nbd::option_magic).put(option).put(static_cast<std::uint32_t>(data.bytes().size()));
  return out.put(std::span<const std::byte>(data.bytes())).bytes();
}

// The data of "go" and "info".
inline nbd::writer wish(std::string_view name, std::initializer_list<std::uint16_t> infos = {}) {
  nbd::writer out;
  out.put(static_cast<std::uint32_t>(name.size())).put(name);
  out.put(static_cast<std::uint16_t>(infos.size()));
  for (std::uint16_t each : infos) out.put(each);
  return out;
}

struct option_answer {
  std::uint32_t option = 0;
  nbd::option_reply what = nbd::option_reply::ack;
  bytes data;
};

struct answer {
  nbd::status status = nbd::status::ok;
  std::uint64_t cookie = 0;
};

class nbd_client {
 public:
  nbd_client(turning& loop, std::uint16_t port)
      : loop_(loop), state_(std::make_shared<state>(loop.ctx)) {
    state_->socket.connect({asio::ip::address_v4::loopback(), port});
    state_->receive(state_);
  }
  nbd_client(nbd_client&&) = default;
  ~nbd_client() {
    if (state_) disconnect();
  }

  // Goes away without a word.
  void disconnect() {
    asio::error_code ignored;
    state_->socket.close(ignored);
  }

  // In order, as fast as the server takes it.
  void send(bytes what) { state_->send(state_, std::move(what)); }
  void send(const nbd::request& r, std::span<const std::byte> data = {}) {
    send(request_bytes(r, data));
  }
  bool sending() const { return !state_->outgoing.empty(); }

  std::size_t received() const { return state_->received.size(); }  // bytes that nobody took
  bool ended() const { return state_->ended; }  // the server has closed the connection
  // Whether it was reset then, even if that came behind an orderly end.
  bool reset() const {
    int pending = 0;
    socklen_t size = sizeof(pending);
    ::getsockopt(state_->socket.native_handle(), SOL_SOCKET, SO_ERROR, &pending, &size);
    return state_->reset || pending != 0;
  }

  // Turns the loop until so much has come, or no more will.
  bytes take(std::size_t n) {
    loop_.until([&] { return received() >= n || ended(); });
    if (received() < n) {
      ADD_FAILURE() << "closed after " << received() << " of " << n << " bytes";
      return bytes(n);
    }
    const auto end = state_->received.begin() + static_cast<std::ptrdiff_t>(n);
    bytes out(state_->received.begin(), end);
    state_->received.erase(state_->received.begin(), end);
    return out;
  }
  // Turns the loop until the server closes; nothing was left to take, and nothing came.
  void expect_closed() {
    loop_.until([&] { return ended(); });
    EXPECT_EQ(received(), 0u);
  }

  option_answer take_option_answer() {
    const bytes header = take(20);
    nbd::reader in(header);
    EXPECT_EQ(in.take<std::uint64_t>(), nbd::option_reply_magic);
    option_answer out;
    out.option = in.take<std::uint32_t>();
    out.what = static_cast<nbd::option_reply>(in.take<std::uint32_t>());
    out.data = take(in.take<std::uint32_t>());
    return out;
  }
  // The header of a reply; data of a read is behind it.
  answer take_answer() {
    const bytes header = take(16);
    nbd::reader in(header);
    EXPECT_EQ(in.take<std::uint32_t>(), nbd::simple_reply_magic);
    answer out;
    out.status = static_cast<nbd::status>(in.take<std::uint32_t>());
    out.cookie = in.take<std::uint64_t>();
    return out;
  }

  void greet(std::uint32_t flags = 3) {
    take(18);
    send(nbd::writer().put(flags).bytes());
  }
  // To the transmission phase, and what the server said.
  std::uint16_t go(std::string_view name = {}) {
    greet();
    send(option_bytes(7, wish(name)));
    const auto exported = take_option_answer();
    EXPECT_EQ(exported.what, nbd::option_reply::info);
    EXPECT_EQ(take_option_answer().what, nbd::option_reply::info);
    EXPECT_EQ(take_option_answer().what, nbd::option_reply::ack);
    nbd::reader in(exported.data);
    in.take(10);
    return in.take<std::uint16_t>();
  }

  // One request, until it is answered.
  nbd::status ask(const nbd::request& r, std::span<const std::byte> data = {}) {
    send(r, data);
    const answer got = take_answer();
    EXPECT_EQ(got.cookie, r.cookie);
    return got.status;
  }
  nbd::status write(std::uint64_t offset, std::span<const std::byte> data,
                    std::uint16_t flags = 0) {
    return ask({.flags = flags,
                .what = nbd::command::write,
                .cookie = 0xabcdef0123456789 + offset,
                .offset = offset,
                .length = static_cast<std::uint32_t>(data.size())},
               data);
  }
  bytes read(std::uint64_t offset, std::uint32_t length) {
    EXPECT_EQ(ask({.cookie = offset + 1, .offset = offset, .length = length}), nbd::status::ok);
    return take(length);
  }

 private:
  struct state {
    explicit state(asio::io_context& ctx) : socket(ctx) {}

    void send(const std::shared_ptr<state>& self, bytes what) {
      outgoing.push_back(std::move(what));
      if (outgoing.size() == 1) send_first(self);
    }
    void send_first(const std::shared_ptr<state>& self) {
      asio::async_write(socket, asio::buffer(outgoing.front()),
                        [self](const asio::error_code& failed, std::size_t) {
                          self->outgoing.pop_front();
                          if (failed) self->outgoing.clear();
                          if (!self->outgoing.empty()) self->send_first(self);
                        });
    }
    void receive(const std::shared_ptr<state>& self) {
      socket.async_read_some(
          asio::buffer(chunk), [self](const asio::error_code& failed, std::size_t n) {
            self->received.insert(self->received.end(), self->chunk.begin(),
                                  self->chunk.begin() + static_cast<std::ptrdiff_t>(n));
            if (!failed) return self->receive(self);
            self->ended = true;
            self->reset = failed != asio::error::eof;
          });
    }

    asio::ip::tcp::socket socket;
    std::deque<bytes> outgoing;
    bytes received;
    std::array<std::byte, 65536> chunk{};
    bool ended = false;
    bool reset = false;
  };

  turning& loop_;
  std::shared_ptr<state> state_;
};

}  // namespace block_test
