// SPDX-License-Identifier: BSD-3-Clause
// The first phase of a connection: what client and server tell each other about the export.
#pragma once

#include "exported_disk.hpp"

#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>

#include <cstddef>
#include <stdexcept>

namespace nbd {

// Thrown where a client does not keep to the protocol so that nothing can be answered: what() says
// how, and the connection is closed.
struct violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Bytes that come with one option; who sends more does not negotiate.
inline constexpr std::size_t max_option_data = 64 << 10;

// Greets the client, and answers its options until it has chosen the export (true: requests follow)
// or wants no more (false).
// Throws violation, and std::system_error where the socket fails or the coroutine is cancelled.
asio::awaitable<bool> shake_hands(asio::ip::tcp::socket& socket, const exported_disk& disk);

}  // namespace nbd
