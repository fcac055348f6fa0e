// SPDX-License-Identifier: BSD-3-Clause
// Accepting clients, watching the device, and the end of both.
#include "server.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/this_coro.hpp>

#include <chrono>
#include <exception>
#include <sstream>
#include <system_error>
#include <utility>

namespace nbd {
namespace {

using asio::ip::tcp;

sio::error wrong(std::errc code, const std::string& text) {
  return sio::error(code, sio::operation_kind::none, text);
}

sio::result<tcp::acceptor> listen_at(asio::io_context& ctx, const tcp::endpoint& at) {
  tcp::acceptor acceptor(ctx);
  asio::error_code failed;
  acceptor.open(at.protocol(), failed);
  if (!failed) acceptor.set_option(tcp::acceptor::reuse_address(true), failed);
  if (!failed) acceptor.bind(at, failed);
  if (!failed) acceptor.listen(tcp::acceptor::max_listen_connections, failed);
  if (!failed) return acceptor;
  std::ostringstream text;
  text << "listening on " << at << ": " << failed.message();
  return std::unexpected(wrong(static_cast<std::errc>(failed.value()), text.str()));
}

}  // namespace

sio::result<std::unique_ptr<server>> server::listen(asio::io_context& ctx, const tcp::endpoint& at,
                                                    sio::bdev_desc disk, server_options options) {
  if (options.clients == 0 || options.depth == 0) {
    return std::unexpected(
        wrong(std::errc::invalid_argument, "a server for no clients, or no requests"));
  }
  if (!options.log) options.log = [](std::string_view) {};
  if (options.buffers == 0) options.buffers = options.clients * options.depth;
  auto exported = exported_disk::make(
      std::move(disk),
      {.name = options.name, .read_only = options.read_only, .max_request = options.max_request});
  if (!exported) return std::unexpected(exported.error());
  auto buffers = sio::dma_pool::create({.buffers = options.buffers, .size = options.max_request});
  if (!buffers) return std::unexpected(buffers.error());
  auto acceptor = listen_at(ctx, at);
  if (!acceptor) return std::unexpected(acceptor.error());
  return std::unique_ptr<server>(new server(std::move(*acceptor), std::move(*exported),
                                            std::move(*buffers), std::move(options)));
}

server::server(tcp::acceptor acceptor, exported_disk disk, sio::dma_pool buffers,
               server_options options)
    : acceptor_(std::move(acceptor)),
      disk_(std::move(disk)),
      buffers_(std::move(buffers)),
      options_(std::move(options)),
      port_(acceptor_.local_endpoint().port()),
      pause_(acceptor_.get_executor()),
      places_(options_.clients, options_.clients) {}

// [run]
asio::awaitable<sio::result<void>> server::run() {
  const auto ex = co_await asio::this_coro::executor;
  asio::co_spawn(ex, watch_device(), [this](std::exception_ptr) { watched_.set(); });
  co_await asio::co_spawn(ex, accept_clients(),
                          asio::bind_cancellation_slot(accepting_.slot(), asio::use_awaitable));
  asio::error_code ignored;
  acceptor_.close(ignored);

  // All places: the last client has gone.
  const auto all = co_await places_.acquire(options_.clients).async(asio::use_awaitable);
  const auto flushed = co_await disk_.flush(flushing_.get_token());
  watching_.request_stop();
  (void)co_await watched_.wait().async(asio::use_awaitable);
  if (removed_) co_return std::unexpected(*removed_);
  co_return flushed;
}
// [/run]

void server::stop() {
  stopping_ = true;
  accepting_.emit(asio::cancellation_type::terminal);
  for (const auto& each : connections_) each->finish();
}

void server::stop_now() {
  stop();
  flushing_.request_stop();
  for (const auto& each : connections_) {
    each->abort_io();
    each->close();
  }
}

asio::awaitable<void> server::accept_clients() {
  using namespace std::chrono_literals;
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto ex = co_await asio::this_coro::executor;
  while (!stopping_) {
    auto place = co_await places_.acquire().async(asio::use_awaitable);
    if (!place || stopping_) co_return;
    asio::error_code failed;
    auto socket =
        co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, failed));
    if (stopping_) co_return;
    if (!failed) {
      asio::co_spawn(ex, serve(std::move(socket), std::move(*place)), asio::detached);
      continue;
    }
    // Out of file descriptors, for example: that passes when a client goes.
    options_.log("accepting a client: " + failed.message());
    pause_.expires_after(100ms);
    co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, failed));
  }
}

asio::awaitable<void> server::serve(tcp::socket socket, sio::async_semaphore::permit place) {
  if (stopping_) co_return;
  asio::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  const auto client = std::make_shared<connection>(std::move(socket), disk_, buffers_,
                                                   options_.depth, options_.log);
  connections_.insert(client);
  co_await client->run();
  connections_.erase(client);
  place.release();
}

asio::awaitable<void> server::watch_device() {
  for (;;) {
    auto next = with_stop_token(watching_.get_token(), disk_.device().next_event());
    const auto event = co_await std::move(next).async(asio::use_awaitable);
    if (!event) co_return;
    if (event->what == sio::device_event::kind::resized) {
      options_.log("the device has " + std::to_string(event->size) + " bytes now");
      continue;
    }
    removed_ = wrong(std::errc::no_such_device, "the device was removed");
    options_.log(removed_->message());
    stop();
    for (const auto& each : connections_) each->abort_io();
  }
}

}  // namespace nbd
