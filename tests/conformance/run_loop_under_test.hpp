// SPDX-License-Identifier: BSD-3-Clause
// The library's own loop, for the conformance suite.
#pragma once

#include <spdk_io/run_loop.hpp>

#include <chrono>
#include <functional>
#include <list>
#include <string_view>
#include <utility>

namespace spdk_io_test {

class loop_under_test {
 public:
  static constexpr std::string_view name = "run_loop";
  static constexpr bool watches_files = false;

  auto executor() { return loop_.get_executor(); }
  bool run_one() { return loop_.run_one(); }
  void stop() { loop_.stop(); }
  void restart() { loop_.restart(); }
  void after(std::chrono::nanoseconds duration, std::function<void()> f) {
    timers_.emplace_back(loop_).start(duration, std::move(f));
  }
  void every(std::chrono::nanoseconds period, std::function<void()> f) {
    repeat(timers_.emplace_back(loop_), period, std::move(f));
  }

 private:
  static void repeat(spdk_io::run_loop::timer& timer, std::chrono::nanoseconds period,
                     std::function<void()> f) {
    timer.start(period, [&timer, period, f = std::move(f)]() mutable {
      f();
      repeat(timer, period, std::move(f));
    });
  }

  spdk_io::run_loop loop_;
  std::list<spdk_io::run_loop::timer> timers_;
};

}  // namespace spdk_io_test
