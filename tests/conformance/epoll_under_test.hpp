// SPDX-License-Identifier: BSD-3-Clause
// The epoll loop of the examples, for the conformance suite. Its timers are files, as on any epoll
// loop.
#pragma once

#include "epoll_loop.hpp"

#include <sys/timerfd.h>

#include <chrono>
#include <functional>
#include <list>
#include <string_view>
#include <utility>

namespace spdk_io_test {

class loop_under_test {
 public:
  static constexpr std::string_view name = "epoll";
  static constexpr bool watches_files = true;

  ~loop_under_test() {
    for (int each : timers_) ::close(each);
  }

  struct executor_type : epoll_loop::executor {
    loop_under_test* whole;
    bool run_one() { return whole->run_one(); }
  };
  executor_type executor() { return {{&loop_}, this}; }
  bool run_one() { return !stopped_ && loop_.run_one(); }
  void stop() { stopped_ = true; }
  void restart() { stopped_ = false; }
  void after(std::chrono::nanoseconds duration, std::function<void()> f) {
    start_timer({.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = duration.count()}},
                std::move(f));
  }
  void every(std::chrono::nanoseconds period, std::function<void()> f) {
    const timespec each{.tv_sec = 0, .tv_nsec = period.count()};
    start_timer({.it_interval = each, .it_value = each}, std::move(f));
  }
  void watch(int file, std::function<void()> f) { loop_.watch(file, std::move(f)); }

 private:
  void start_timer(const itimerspec& when, std::function<void()> f) {
    const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    timers_.push_back(timer);
    ::timerfd_settime(timer, 0, &when, nullptr);
    loop_.watch(timer, [timer, f = std::move(f)] {
      std::uint64_t times = 0;
      if (::read(timer, &times, sizeof times) == sizeof times) f();
    });
  }

  epoll_loop loop_;
  std::list<int> timers_;
  bool stopped_ = false;
};

}  // namespace spdk_io_test
