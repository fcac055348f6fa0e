// SPDX-License-Identifier: BSD-3-Clause
// Waiting for signals on the loop.
#include "stop_signals.hpp"

#include "failure.hpp"

#include <csignal>
#include <utility>

#include <unistd.h>

namespace spdk_io_tool {
namespace {

bool ignored(int signal) noexcept {
  struct sigaction now = {};
  return ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

stop_signals::stop_signals(asio::io_context& loop, std::function<void()> last_wish)
    : loop_(loop), signals_(loop), last_wish_(std::move(last_wish)) {
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (!ignored(signal)) signals_.add(signal);
  }
  wait();
}

int stop_signals::poll() {
  loop_.poll();
  loop_.restart();
  return received_;
}

void stop_signals::wait() {
  signals_.async_wait([this](const asio::error_code& aborted, int signal) {
    if (aborted) return;
    if (received_ != 0) {
      last_wish_();
      ::_exit(exit_signal_base + signal);
    }
    received_ = signal;
    wait();
  });
}

}  // namespace spdk_io_tool
