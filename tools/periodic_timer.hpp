// SPDX-License-Identifier: BSD-3-Clause
// The application's own timer, beside SPDK on the same loop: it measures how late it fires.
#pragma once

#include "latency_histogram.hpp"

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>

namespace spdk_io_tool {

// Fires at fixed points in time, a period apart. A firing so late that the next point has passed
// as well counts for both: the one in between is missed. Thread: the loop's. It must outlive the
// loop's run, or be stopped before; stop() and the destructor call nothing.
class periodic_timer {
 public:
  using clock = std::chrono::steady_clock;

  periodic_timer(asio::io_context& ctx, clock::duration period) : timer_(ctx), period_(period) {}

  void start();
  void stop();

  clock::duration period() const noexcept { return period_; }
  std::uint64_t fired() const noexcept { return lateness_.count(); }
  std::uint64_t missed() const noexcept { return missed_; }
  const latency_histogram& lateness() const noexcept { return lateness_; }

 private:
  void wait();
  void fire();

  asio::steady_timer timer_;
  clock::duration period_;
  bool running_ = false;
  std::uint64_t missed_ = 0;
  latency_histogram lateness_;
};

}  // namespace spdk_io_tool
