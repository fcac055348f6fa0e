// SPDX-License-Identifier: BSD-3-Clause
// A loop that a test turns by hand, with timers that fire and files that are looked at when the test
// says so, and executors on it that can do more or less.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace spdk_io_test {

class manual_loop {
 public:
  using function = std::move_only_function<void()>;

  class timer;
  class watch;
  class post_only;        // no more than post()
  class with_watch;       // and files; post() on the loop's thread only
  class with_timer;       // and a timer; post() on the loop's thread only
  class with_everything;  // and post() from any thread, and run_one()

  void post(function f) {
    std::lock_guard lock(mutex_);
    posted_.push_back(std::move(f));
  }
  std::size_t posted() const {
    std::lock_guard lock(mutex_);
    return posted_.size();
  }

  // Runs the oldest callable; false if there is none.
  bool run_one() {
    std::unique_lock lock(mutex_);
    if (posted_.empty()) return false;
    function f = std::move(posted_.front());
    posted_.pop_front();
    lock.unlock();
    f();
    return true;
  }

  // What its timer was last armed with, while it is armed.
  std::optional<std::chrono::nanoseconds> armed() const {
    for (const auto* each : timers_)
      if (each->f) return each->duration;
    return std::nullopt;
  }
  // Lets the time of every armed timer come.
  void fire() {
    for (auto* each : std::vector(timers_))
      if (each->f) std::exchange(each->f, nullptr)();
  }

  // Whether it watches a file; lets those that are readable have their functions, and says how many.
  bool watches() const {
    for (const auto* each : watches_)
      if (each->f) return true;
    return false;
  }
  int look() {
    int found = 0;
    for (auto* each : std::vector(watches_)) {
      pollfd file{.fd = each->file, .events = POLLIN, .revents = 0};
      if (!each->f || ::poll(&file, 1, 0) != 1) continue;
      ++found;
      std::exchange(each->f, nullptr)();
    }
    return found;
  }

 private:
  struct slot {
    std::chrono::nanoseconds duration{0};
    function f;
  };
  struct watched {
    int file;
    function f;
  };

  mutable std::mutex mutex_;
  std::vector<slot*> timers_;
  std::vector<watched*> watches_;
  std::deque<function> posted_;  // goes first: what it holds may hold timers
};

class manual_loop::timer {
 public:
  explicit timer(manual_loop& loop) : loop_(&loop), slot_(std::make_unique<slot>()) {
    loop_->timers_.push_back(slot_.get());
  }
  timer(timer&&) = default;
  ~timer() {
    if (slot_) std::erase(loop_->timers_, slot_.get());
  }
  void start(std::chrono::nanoseconds duration, function f) {
    slot_->duration = duration;
    slot_->f = std::move(f);
  }
  void cancel() { slot_->f = nullptr; }

 private:
  manual_loop* loop_;
  std::unique_ptr<slot> slot_;
};

class manual_loop::watch {
 public:
  watch(manual_loop& loop, int file)
      : loop_(&loop), watched_(std::make_unique<watched>(file, nullptr)) {
    loop_->watches_.push_back(watched_.get());
  }
  watch(watch&&) = default;
  ~watch() {
    if (watched_) std::erase(loop_->watches_, watched_.get());
  }
  void start(function f) { watched_->f = std::move(f); }
  void cancel() { watched_->f = nullptr; }

 private:
  manual_loop* loop_;
  std::unique_ptr<watched> watched_;
};

class manual_loop::post_only {
 public:
  explicit post_only(manual_loop& loop) noexcept : loop_(&loop) {}
  template <class F>
  void post(F f) {
    loop_->post(std::move(f));
  }
  std::string_view name() const noexcept { return "the test's loop"; }

 protected:
  manual_loop* loop_;
};

class manual_loop::with_watch : public post_only {
 public:
  using post_only::post_only;
  watch new_watch(int file) { return watch(*loop_, file); }
};

class manual_loop::with_timer : public post_only {
 public:
  using post_only::post_only;
  timer new_timer() { return timer(*loop_); }
};

class manual_loop::with_everything : public with_timer {
 public:
  static constexpr bool post_is_thread_safe = true;
  using with_timer::with_timer;
  bool run_one() { return loop_->run_one(); }
};

}  // namespace spdk_io_test
