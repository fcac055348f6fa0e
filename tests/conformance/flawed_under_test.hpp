// SPDX-License-Identifier: BSD-3-Clause
// A loop with one flaw (SPDK_IO_TEST_FLAW), for a test of the conformance suite: it must fail
// there, and without a flaw it must pass.
#pragma once

#include <spdk_io/executor.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

namespace spdk_io_test {

enum class flaw { none, never_yields, loses_wake_up, drops_callables };

class loop_under_test {
  using clock = std::chrono::steady_clock;
  using timers = std::multimap<clock::time_point, std::function<void()>>;

 public:
  static constexpr std::string_view name = "a flawed loop";
  static constexpr bool watches_files = false;
  static constexpr flaw its_flaw = flaw::SPDK_IO_TEST_FLAW;

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

  struct executor_type {
    static constexpr bool post_is_thread_safe = true;
    loop_under_test* loop;
    void post(std::function<void()> f) { loop->post(std::move(f)); }
    timer new_timer() { return timer(*loop); }
    bool run_one() { return loop->run_one(); }
  };
  executor_type executor() { return {this}; }

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
    if (!lost) {
      roused_ = true;
      wake_.notify_one();
    }
  }

  // False: nothing came for a second, which only one with a flaw takes for the end.
  bool wait() {
    std::unique_lock lock(mutex_);
    if (!queue_.empty()) return true;
    roused_ = false;
    waiting_ = true;
    const auto due =
        timers_.empty() ? clock::now() + std::chrono::hours(1) : timers_.begin()->first;
    const auto patience = clock::now() + std::chrono::seconds(1);
    const bool patient = its_flaw == flaw::none || due < patience;
    const bool came = wake_.wait_until(lock, patient ? due : patience, [this] { return roused_; });
    waiting_ = false;
    return came || patient;
  }

  void fire() {
    while (!timers_.empty() && timers_.begin()->first <= clock::now()) {
      auto f = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
      f();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  timers timers_;
  std::uint64_t posted_ = 0;
  bool roused_ = false;
  bool waiting_ = false;
  bool stopped_ = false;
};

}  // namespace spdk_io_test
