// SPDX-License-Identifier: BSD-3-Clause
// Ctrl-C as a request to stop: the first one asks, the second one ends the process.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <stop_token>
#include <thread>
#include <utility>

namespace block_copy {

// For SIGINT and SIGTERM, apart from what the parent process has ignored. Made before any other
// thread is: from then on the signals are blocked, in all that are started later too, and an OS
// thread that knows nothing of SPDK waits for them.
class stop_on_signals {
 public:
  explicit stop_on_signals(std::stop_source stop) : stop_(std::move(stop)) {
    sigemptyset(&signals_);
    for (int each : {SIGINT, SIGTERM}) {
      if (!ignored(each)) sigaddset(&signals_, each);
    }
    sigaddset(&signals_, wake_up);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    waiting_ = std::thread([this] { wait(); });
  }
  stop_on_signals(const stop_on_signals&) = delete;
  stop_on_signals& operator=(const stop_on_signals&) = delete;
  ~stop_on_signals() {
    over_ = true;
    pthread_kill(waiting_.native_handle(), wake_up);
    waiting_.join();
  }

  int received() const noexcept { return received_; }  // 0: none

 private:
  static constexpr int wake_up = SIGUSR1;

  static bool ignored(int signal) noexcept {
    struct sigaction now = {};
    return sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
  }

  void wait() {
    for (int signal = 0; !over_;) {
      if (sigwait(&signals_, &signal) != 0 || signal == wake_up) continue;
      if (received_ != 0) std::_Exit(128 + signal);
      received_ = signal;
      stop_.request_stop();
    }
  }

  std::stop_source stop_;
  sigset_t signals_;
  std::atomic<bool> over_ = false;
  std::atomic<int> received_ = 0;
  std::thread waiting_;
};

}  // namespace block_copy
