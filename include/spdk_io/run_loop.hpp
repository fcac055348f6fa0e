// SPDX-License-Identifier: BSD-3-Clause
// The library's own loop: posted callables, timers and watched files on one thread.
#pragma once

#include <spdk_io/abi.hpp>
#include <spdk_io/detail/timer_queue.hpp>

#include <poll.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI {

// A plain loop for programs that have no other. It runs on whichever OS thread calls run() or
// run_one(), one at a time. post() and stop() may be called on any thread. What is still posted
// when it is destroyed is dropped. Its storage is reused: in a steady state it allocates nothing.
class run_loop {
 public:
  using function = std::move_only_function<void()>;
  class timer;
  class watch;
  class executor;

  // Throws std::system_error where the process has no more file descriptors.
  run_loop();
  run_loop(const run_loop&) = delete;
  run_loop& operator=(const run_loop&) = delete;
  ~run_loop();

  void post(function f);

  // Runs callables until stop(). An exception that leaves one leaves run(); the rest stays.
  void run();

  // Runs what is due now, waiting if there is nothing; false, at once, if it was stopped.
  bool run_one();

  // Makes run() and run_one() return, now and until restart().
  void stop();
  void restart();

  executor get_executor() noexcept;

 private:
  friend class timer;
  friend class watch;

  bool take_posted();
  void fire_timers();
  void run_batch();
  void wait();
  void look_at_files(std::int64_t nanoseconds);
  void wake_waiting();
  bool on_loop_thread() const noexcept;

  std::vector<function> batch_;  // being run
  std::size_t batch_position_ = 0;
  std::vector<function> local_;  // posted on the loop's thread
  detail::timer_queue timers_;   // in nanoseconds of steady_clock
  std::atomic<const void*> runner_{nullptr};
  std::atomic<bool> remote_waiting_{false};
  std::vector<watch*> watches_;  // those that were started
  std::vector<pollfd> files_;    // those that are looked at, and woken_ before them
  const int woken_;  // a file that other threads make readable while this one waits
  std::mutex mutex_;
  bool waiting_ = false;          // with the mutex
  std::vector<function> remote_;  // posted elsewhere; with the mutex
  std::atomic<bool> stopped_{false};
};

// Calls a function once on the loop's thread. Used there; destroyed before its loop.
class run_loop::timer : private detail::timer_node {
 public:
  explicit timer(run_loop& loop) noexcept : loop_(&loop) {}
  timer(timer&& other) noexcept : loop_(other.loop_) {}  // Requires: other was not started
  timer& operator=(timer&&) = delete;
  ~timer() { cancel(); }

  void start(std::chrono::nanoseconds duration, function f);
  void cancel() noexcept;

 private:
  static void on_expire(detail::timer_node& node);

  run_loop* loop_;
  function function_;
};

// Calls a function once, on the loop's thread, when a file is readable. Used there; destroyed before
// its loop. The file stays open as long as it is watched, and is the caller's.
class run_loop::watch {
 public:
  watch(run_loop& loop, int file) noexcept : loop_(&loop), file_(file) {}
  watch(watch&& other) noexcept
      : loop_(other.loop_), file_(other.file_) {}  // Requires: other was not started
  watch& operator=(watch&&) = delete;
  ~watch() { cancel(); }

  void start(function f);
  void cancel() noexcept;

 private:
  friend class run_loop;

  run_loop* loop_;
  const int file_;
  function function_;
};

// The handle that poller_task() takes.
class run_loop::executor {
 public:
  static constexpr bool post_is_thread_safe = true;

  explicit executor(run_loop& loop) noexcept : loop_(&loop) {}
  void post(function f) { loop_->post(std::move(f)); }
  timer new_timer() { return timer(*loop_); }
  watch new_watch(int file) { return watch(*loop_, file); }
  bool run_one() { return loop_->run_one(); }
  std::string_view name() const noexcept { return "a spdk_io::run_loop"; }

 private:
  run_loop* loop_;
};

inline run_loop::executor run_loop::get_executor() noexcept { return executor(*this); }

}  // namespace spdk_io::inline SPDK_IO_ABI
