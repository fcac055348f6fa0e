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
  static constexpr bool watches_files = true;

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
  // f() each time when `file` is readable. The file is the caller's.
  void watch(int file, std::function<void()> f) {
    auto& each = watches_.emplace_back(loop_, file);
    each.start([this, &each, f = std::move(f)] { go_on(each, f); });
  }

 private:
  static void repeat(spdk_io::run_loop::timer& timer, std::chrono::nanoseconds period,
                     std::function<void()> f) {
    timer.start(period, [&timer, period, f = std::move(f)]() mutable {
      f();
      repeat(timer, period, std::move(f));
    });
  }
  void go_on(spdk_io::run_loop::watch& each, const std::function<void()>& f) {
    f();
    each.start([this, &each, f] { go_on(each, f); });
  }

  spdk_io::run_loop loop_;
  std::list<spdk_io::run_loop::timer> timers_;
  std::list<spdk_io::run_loop::watch> watches_;
};

}  // namespace spdk_io_test
