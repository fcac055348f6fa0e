// SPDX-License-Identifier: BSD-3-Clause
// The second phase of a connection: requests in, replies out.
#include "connection.hpp"

#include "handshake.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/read.hpp>
#include <asio/redirect_error.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <array>
#include <sstream>
#include <system_error>
#include <utility>

namespace nbd {
namespace {

using asio::ip::tcp;

// A write that is refused may have this much data, which is read and thrown away; who announces
// more does not speak this protocol.
constexpr std::uint32_t max_discarded = 32 << 20;

std::string name_of(const tcp::socket& socket) {
  asio::error_code gone;
  const auto from = socket.remote_endpoint(gone);
  std::ostringstream out;
  if (gone) {
    out << "a client that has gone";
  } else {
    out << "client " << from;
  }
  return out.str();
}

bool transfers(const request& r) { return r.what == command::read || r.what == command::write; }

}  // namespace

connection::connection(tcp::socket socket, exported_disk& disk, sio::dma_pool& buffers,
                       std::size_t depth, const log_function& log)
    : socket_(std::move(socket)),
      disk_(disk),
      buffers_(buffers),
      log_(log),
      client_(name_of(socket_)),
      depth_(depth),
      places_(depth, depth) {}

asio::awaitable<void> connection::run() {
  // A coroutine of its own, so that reading can be cancelled without what else goes on.
  const std::string why =
      co_await asio::co_spawn(socket_.get_executor(), serve(),
                              asio::bind_cancellation_slot(reading_.slot(), asio::use_awaitable));
  if (!why.empty()) {
    log_(client_ + ": " + why);
    abort_io();
  }
  // All places: nothing is under way.
  const auto all = co_await places_.acquire(depth_).async(asio::use_awaitable);
  hang_up();
}

void connection::finish() {
  finishing_ = true;
  reading_.emit(asio::cancellation_type::terminal);
}

void connection::abort_io() { io_.request_stop(); }

void connection::close() {
  asio::error_code ignored;
  socket_.close(ignored);
}

// Why it ended, unless that was in order.
asio::awaitable<std::string> connection::serve() {
  try {
    if (const bool chosen = co_await shake_hands(socket_, disk_); chosen) co_await read_requests();
    co_return std::string();
  } catch (const violation& v) {
    co_return std::string(v.what()) + "; closed";
  } catch (const std::system_error& e) {
    if (finishing_) co_return std::string();
    if (!lost_.empty()) co_return lost_;
    if (e.code() == asio::error::eof) co_return "disconnected " + std::string(doing_);
    co_return e.code().message() + " " + std::string(doing_);
  }
}

// [requests]
asio::awaitable<void> connection::read_requests() {
  while (!finishing_) {
    const request r = co_await receive_request();
    if (r.what == command::disconnect) co_return;
    // Where there is no place, or no buffer, nothing is read until there is one: TCP lets the
    // client wait.
    auto place = (co_await places_.acquire().async(asio::use_awaitable)).value();
    const status found = disk_.check(r);
    auto buffer = co_await receive_data(r, found);
    asio::co_spawn(socket_.get_executor(),
                   answer(shared_from_this(), r, found, std::move(buffer), std::move(place)),
                   asio::detached);
  }
}
// [/requests]

asio::awaitable<request> connection::receive_request() {
  std::array<std::byte, request::wire_size> bytes;
  doing_ = "between requests";
  const std::size_t some =
      co_await socket_.async_read_some(asio::buffer(bytes), asio::use_awaitable);
  doing_ = "within a request";
  co_await asio::async_read(socket_, asio::buffer(bytes) + some, asio::use_awaitable);
  const auto r = parse_request(bytes);
  if (!r) throw violation("a request with a wrong magic number");
  co_return *r;
}

// The buffer of the request, if it needs one; with the data, if it brings some.
asio::awaitable<sio::pooled_buffer> connection::receive_data(request r, status found) {
  sio::pooled_buffer buffer;
  if (found == status::ok && transfers(r))
    buffer = (co_await buffers_.allocate().async(asio::use_awaitable)).value();
  if (r.what != command::write) co_return buffer;
  doing_ = "within the data of a write";
  if (buffer.empty()) {
    co_await discard(r.length);
  } else {
    co_await asio::async_read(socket_, asio::buffer(buffer.data(), r.length), asio::use_awaitable);
  }
  co_return buffer;
}

asio::awaitable<void> connection::discard(std::uint32_t bytes) {
  if (bytes > max_discarded) throw violation("a write of " + std::to_string(bytes) + " bytes");
  std::array<std::byte, 4096> nowhere;
  for (std::size_t left = bytes; left != 0;) {
    left -= co_await socket_.async_read_some(
        asio::buffer(nowhere.data(), std::min(left, nowhere.size())), asio::use_awaitable);
  }
}

// [answer]
asio::awaitable<void> connection::answer(std::shared_ptr<connection> self, request r, status found,
                                         sio::pooled_buffer buffer,
                                         sio::async_semaphore::permit place) {
  if (found == status::ok) {
    const sio::dma_span data = transfers(r) ? buffer.first(r.length) : sio::dma_span();
    found = co_await self->disk_.perform(r, data, self->io_.get_token());
  }
  co_await self->reply(r, found, buffer);
  // The buffer goes back before the place does: who has all places knows that all buffers are back.
  buffer.reset();
  place.release();
}
// [/answer]

asio::awaitable<void> connection::reply(request r, status s, const sio::pooled_buffer& buffer) {
  const auto turn = co_await writing_.lock().async(asio::use_awaitable);
  // Without a thread to run on, or where an earlier reply has failed: Asio waits for the socket to
  // become writable then, which it may never tell again.
  if (!turn || broken_) co_return;
  const reply_header header = make_reply(s, r.cookie);
  const bool with_data = r.what == command::read && s == status::ok;
  const std::array<asio::const_buffer, 2> parts = {
      asio::buffer(header), asio::buffer(buffer.data(), with_data ? r.length : 0)};
  asio::error_code failed;
  co_await asio::async_write(socket_, parts, asio::redirect_error(asio::use_awaitable, failed));
  if (failed) lose(failed.message() + " in a reply");
}

// The socket takes nothing more.
void connection::lose(std::string why) {
  broken_ = true;
  abort_io();
  if (finishing_) return;
  lost_ = std::move(why);
  reading_.emit(asio::cancellation_type::terminal);
}

void connection::hang_up() {
  asio::error_code failed;
  socket_.shutdown(tcp::socket::shutdown_send, failed);
  // A socket that is closed with unread bytes in it is reset, and with them the client may lose
  // the last replies. Those that are there are read; nobody waits for more.
  if (!failed) socket_.non_blocking(true, failed);
  std::array<std::byte, 4096> unread;
  for (int i = 0; i < 1024 && !failed; ++i) socket_.read_some(asio::buffer(unread), failed);
  close();
}

}  // namespace nbd
