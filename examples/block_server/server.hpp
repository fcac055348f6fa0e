// SPDX-License-Identifier: BSD-3-Clause
// A server of one block device for any number of NBD clients, as tasks of one io_context.
#pragma once

#include "connection.hpp"
#include "exported_disk.hpp"

#include <asio/awaitable.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

namespace nbd {

struct server_options {
  std::string name = "disk";  // of the export; the empty name means it, too
  bool read_only = false;     // refuses what writes
  std::uint32_t max_request =
      256 << 10;            // bytes of one read or write, a multiple of the block size
  std::size_t clients = 8;  // at once; further ones wait to be accepted
  std::size_t depth = 16;   // requests of one client at once
  // Of max_request bytes each, shared by all clients. 0: as many as all of them can have in use.
  // With fewer, a client that does not read its replies keeps them from the others.
  std::size_t buffers = 0;
  log_function log =
      {};  // clients that go away or break the protocol, and what becomes of the device
};

// Thread: the one that runs `ctx`, polls the SPDK thread, and has opened the device. Its memory is
// allocated when it is made: buffers × max_request.
class server {
 public:
  // Listens at once; clients are accepted by run().
  // Errors: the system's (address in use, …); those of exported_disk::make() and
  // dma_pool::create(); invalid_argument (a number that is 0).
  static sio::result<std::unique_ptr<server>> listen(asio::io_context& ctx,
                                                     const asio::ip::tcp::endpoint& at,
                                                     sio::bdev_desc disk, server_options options);

  server(const server&) = delete;
  server& operator=(const server&) = delete;

  // Serves until stop(), or until the device is removed, and then until the last client has gone;
  // what was written is flushed then. Once. The server outlives it.
  // Errors: no_such_device (it was removed: I/O in flight was aborted, clients were disconnected);
  // those of a flush.
  asio::awaitable<sio::result<void>> run();

  // Accepts and reads nothing more; requests under way are done and answered. A client that does
  // not read its replies holds that up: stop_now() does not wait for clients, and aborts their I/O.
  // From any coroutine of the same loop; neither waits.
  void stop();
  void stop_now();

  std::uint16_t port() const { return port_; }
  std::size_t clients() const noexcept { return connections_.size(); }
  const sio::dma_pool& buffers() const noexcept { return buffers_; }

 private:
  server(asio::ip::tcp::acceptor acceptor, exported_disk disk, sio::dma_pool buffers,
         server_options options);

  asio::awaitable<void> accept_clients();
  asio::awaitable<void> serve(asio::ip::tcp::socket socket, sio::async_semaphore::permit place);
  asio::awaitable<void> watch_device();

  asio::ip::tcp::acceptor acceptor_;
  exported_disk disk_;
  sio::dma_pool buffers_;
  const server_options options_;
  const std::uint16_t port_;
  asio::steady_timer pause_;
  sio::async_semaphore places_;  // for clients
  std::unordered_set<std::shared_ptr<connection>> connections_;
  asio::cancellation_signal accepting_;
  sio::local_stop_source watching_;
  sio::async_event watched_;
  sio::local_stop_source flushing_;
  std::optional<sio::error> removed_;
  bool stopping_ = false;
};

}  // namespace nbd
