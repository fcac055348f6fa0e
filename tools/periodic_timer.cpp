// SPDX-License-Identifier: BSD-3-Clause
// Waiting for the next point in time, and looking at the clock there.
#include "periodic_timer.hpp"

namespace spdk_io_tool {

void periodic_timer::start() {
  running_ = true;
  timer_.expires_after(period_);
  wait();
}

void periodic_timer::stop() {
  running_ = false;
  timer_.cancel();
}

void periodic_timer::wait() {
  timer_.async_wait([this](const asio::error_code& aborted) {
    if (!aborted && running_) fire();
  });
}

void periodic_timer::fire() {
  const auto due = timer_.expiry();
  const auto late = clock::now() - due;
  lateness_.record(std::chrono::duration_cast<std::chrono::nanoseconds>(late));
  const auto skipped = late / period_;
  missed_ += static_cast<std::uint64_t>(skipped);
  timer_.expires_at(due + (skipped + 1) * period_);
  wait();
}

}  // namespace spdk_io_tool
