// SPDX-License-Identifier: BSD-3-Clause
// Ctrl-C and its like: the first asks the job to end, the second ends the process.
#pragma once

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>

#include <functional>

namespace spdk_io_tool {

// Listens on the loop for SIGINT, SIGTERM and SIGHUP, apart from those that the parent process
// had ignored. It must outlive the loop's run.
class stop_signals {
 public:
  // `last_wish` runs before a second signal ends the process on the spot.
  stop_signals(asio::io_context& loop, std::function<void()> last_wish);

  // The signal that has come; 0 if none has. The reference stays good.
  const int& received() const noexcept { return received_; }

  // The same where the loop is not running.
  int poll();

 private:
  void wait();

  asio::io_context& loop_;
  asio::signal_set signals_;
  std::function<void()> last_wish_;
  int received_ = 0;
};

}  // namespace spdk_io_tool
