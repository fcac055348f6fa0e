// SPDX-License-Identifier: BSD-3-Clause
// One client: its requests run side by side, up to a limit, and are answered as they end.
#pragma once

#include "exported_disk.hpp"

#include <asio/awaitable.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/ip/tcp.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace nbd {

// Called with one line, without its newline.
using log_function = std::function<void(std::string_view)>;

// Thread: the one that runs the io_context and polls the device's SPDK thread.
class connection : public std::enable_shared_from_this<connection> {
 public:
  // `depth`: requests at once, at least 1. `disk`, `buffers` and `log` outlive run().
  connection(asio::ip::tcp::socket socket, exported_disk& disk, sio::dma_pool& buffers,
             std::size_t depth, const log_function& log);

  // The whole life of it. When this ends, no request is under way, their buffers are back, and the
  // socket is closed. A client that goes away without a word, or breaks the protocol, has its I/O
  // in flight aborted; a line in the log says why.
  asio::awaitable<void> run();

  // From any coroutine of the same loop, in this order or alone; none of them waits.
  void finish();    // reads no further request; those under way are done and answered
  void abort_io();  // what the device can abort fails, and is answered so
  void close();     // nothing is answered any more

 private:
  asio::awaitable<std::string> serve();
  asio::awaitable<void> read_requests();
  asio::awaitable<request> receive_request();
  asio::awaitable<sio::pooled_buffer> receive_data(request r, status found);
  asio::awaitable<void> discard(std::uint32_t bytes);
  static asio::awaitable<void> answer(std::shared_ptr<connection> self, request r, status found,
                                      sio::pooled_buffer buffer,
                                      sio::async_semaphore::permit place);
  asio::awaitable<void> reply(request r, status s, const sio::pooled_buffer& buffer);
  void lose(std::string why);
  void hang_up();

  asio::ip::tcp::socket socket_;
  exported_disk& disk_;
  sio::dma_pool& buffers_;
  const log_function& log_;
  const std::string client_;
  const std::size_t depth_;
  sio::async_semaphore places_;  // for requests: all are there when none is under way
  sio::async_mutex writing_;     // replies do not interleave
  sio::local_stop_source io_;
  asio::cancellation_signal reading_;
  std::string_view doing_ = "in the handshake";
  std::string lost_;  // why it cannot go on
  bool broken_ = false;
  bool finishing_ = false;
};

}  // namespace nbd
