// SPDX-License-Identifier: BSD-3-Clause
#include "io_candidates.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

namespace bench {

std::span<const io_candidate> io_candidates() noexcept {
  static constexpr std::array candidates{
      io_candidate{"raw", "raw callbacks, own spdk_thread_poll() loop", raw_callbacks},
      io_candidate{"co_await", "co_await, run loop, no stop token", co_await_io},
      io_candidate{"co_await_token", "co_await, run loop, with a stop token", co_await_stoppable},
      io_candidate{"start", "start() with a callback, run loop", start_with_callback},
      io_candidate{"sender", "a sender: connect() and start(), run loop", senders},
      io_candidate{"asio_callback", "Asio, handlers", asio_callbacks},
      io_candidate{"asio_awaitable", "Asio, use_awaitable", asio_use_awaitable},
      io_candidate{"naive", "a completion on the heap for each I/O", naive_awaiter},
  };
  return candidates;
}

const io_candidate& io_candidate_named(std::string_view name) {
  const auto all = io_candidates();
  auto found = std::ranges::find(all, name, &io_candidate::name);
  if (found == all.end()) throw std::runtime_error("no candidate is named " + std::string(name));
  return *found;
}

}  // namespace bench
