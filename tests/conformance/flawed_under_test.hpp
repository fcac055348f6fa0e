// SPDX-License-Identifier: BSD-3-Clause
// A loop with one flaw (that which SPDK_IO_TEST_FLAW in the environment names), for a test of the
// conformance suite: it must fail there, and without a flaw it must pass.
#pragma once

#include <spdk_io/executor.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

namespace spdk_io_test {

enum class flaw { none, never_yields, loses_wake_up, drops_callables, watches_in_vain };

// A name that is not one of them would be a test that finds nothing.
inline flaw chosen_flaw() {
  const char* const name = std::getenv("SPDK_IO_TEST_FLAW");
  const std::string_view wanted = name ? name : "none";
  if (wanted == "none") return flaw::none;
  if (wanted == "never_yields") return flaw::never_yields;
  if (wanted == "loses_wake_up") return flaw::loses_wake_up;
  if (wanted == "drops_callables") return flaw::drops_callables;
  if (wanted == "watches_in_vain") return flaw::watches_in_vain;
  std::fprintf(stderr, "no such flaw: %s\n", name);
  std::exit(0);  // which the test takes for a loop that passes, and fails
}

class loop_under_test {
  using clock = std::chrono::steady_clock;
  using timers = std::multimap<clock::time_point, std::function<void()>>;

 public:
  static constexpr std::string_view name = "a flawed loop";
  static constexpr bool watches_files = false;
  static inline const flaw its_flaw = chosen_flaw();

  class timer {
   public:
    explicit timer(loop_under_test& l) : loop_(&l) {}
    timer(timer&& other) noexcept : loop_(other.loop_), armed_(std::move(other.armed_)) {}
    ~timer() { cancel(); }
    void start(std::chrono::nanoseconds duration, std::function<void()> f) {
      cancel();
      armed_ = std::make_shared<bool>(true);
      loop_->after(duration, [armed = armed_, f = std::move(f)] {
        if (*armed) f();
      });
    }
    void cancel() {
      if (armed_) *armed_ = false;
    }

   private:
    loop_under_test* loop_;
    std::shared_ptr<bool> armed_;
  };

  class watch {
   public:
    watch(loop_under_test& l, int file) : loop_(&l), file_(file) {}
    ~watch() { cancel(); }
    void start(std::function<void()> f) {
      if (its_flaw != flaw::watches_in_vain) loop_->watched_[file_] = std::move(f);
    }
    void cancel() { loop_->watched_.erase(file_); }

   private:
    loop_under_test* loop_;
    int file_;
  };

  struct executor_type {
    static constexpr bool post_is_thread_safe = true;
    loop_under_test* loop;
    void post(std::function<void()> f) { loop->post(std::move(f)); }
    timer new_timer() { return timer(*loop); }
    watch new_watch(int file) { return watch(*loop, file); }
    bool run_one() { return loop->run_one(); }
  };
  executor_type executor() { return {this}; }
  loop_under_test() = default;
  loop_under_test(const loop_under_test&) = delete;
  loop_under_test& operator=(const loop_under_test&) = delete;
  ~loop_under_test() { ::close(roused_); }

  void after(std::chrono::nanoseconds duration, std::function<void()> f) {
    timers_.emplace(clock::now() + duration, std::move(f));
  }
  void stop() { stopped_ = true; }
  void restart() { stopped_ = false; }

  bool run_one() {
    // What it runs in one turn ends, except where it never yields: that one gives up some time.
    constexpr int for_ever = 20'000;
    if (stopped_) return false;
    if (!wait()) return false;
    fire();
    std::size_t left = 0;
    {
      std::lock_guard lock(mutex_);
      left = queue_.size();
    }
    for (int ran = 0; left > 0 && !stopped_; ++ran) {
      if (ran == for_ever) return false;
      std::function<void()> f;
      {
        std::lock_guard lock(mutex_);
        f = std::move(queue_.front());
        queue_.pop_front();
      }
      f();
      std::lock_guard lock(mutex_);
      left = its_flaw == flaw::never_yields ? queue_.size() : left - 1;
    }
    return true;
  }

 private:
  void post(std::function<void()> f) {
    std::lock_guard lock(mutex_);
    if (its_flaw == flaw::drops_callables && ++posted_ % 50 == 0) return;
    queue_.push_back(std::move(f));
    const bool lost = its_flaw == flaw::loses_wake_up && waiting_;
    if (!lost) ::eventfd_write(roused_, 1);
  }

  // False: nothing came for a second, which only one with a flaw takes for the end.
  bool wait() {
    std::vector<pollfd> files{{.fd = roused_, .events = POLLIN, .revents = 0}};
    for (const auto& [file, f] : watched_) files.push_back({file, POLLIN, 0});
    constexpr auto patience = std::chrono::milliseconds(1000);
    auto most = std::chrono::milliseconds(-1);
    {
      std::lock_guard lock(mutex_);
      waiting_ = queue_.empty();
      if (!timers_.empty()) most = until(timers_.begin()->first);
      if (its_flaw != flaw::none && (most.count() < 0 || most > patience)) most = patience;
      if (!waiting_) most = std::chrono::milliseconds(0);
    }
    const int came = ::poll(files.data(), files.size(), static_cast<int>(most.count()));
    {
      std::lock_guard lock(mutex_);
      waiting_ = false;
    }
    eventfd_t times = 0;
    ::eventfd_read(roused_, &times);
    for (const auto& each : files) {
      if (each.revents == 0 || each.fd == roused_) continue;
      if (auto f = watched_.extract(each.fd)) f.mapped()();
    }
    return came > 0 || most < patience;
  }
  static std::chrono::milliseconds until(clock::time_point due) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - clock::now());
    return std::clamp(left, std::chrono::milliseconds(0), std::chrono::milliseconds(1 << 30));
  }

  void fire() {
    while (!timers_.empty() && timers_.begin()->first <= clock::now()) {
      auto f = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
      f();
    }
  }

  std::mutex mutex_;
  std::deque<std::function<void()>> queue_;
  timers timers_;
  std::uint64_t posted_ = 0;
  int roused_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  std::map<int, std::function<void()>> watched_;
  bool waiting_ = false;
  bool stopped_ = false;
};

}  // namespace spdk_io_test
