// SPDX-License-Identifier: BSD-3-Clause
// Sees that a count goes on, from an OS thread of its own: what hangs may be any other.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

namespace spdk_io_tool {

class stall_watch {
 public:
  using clock = std::chrono::steady_clock;

  // Calls `stalled`, on that thread, each time that `count` has stayed the same for so long. Both
  // may be called until the destructor has returned.
  stall_watch(clock::duration patience, std::function<std::uint64_t()> count,
              std::function<void()> stalled)
      : patience_(patience), count_(std::move(count)), stalled_(std::move(stalled)) {}

 private:
  void run(const std::stop_token& end) {
    std::uint64_t before = count_();
    clock::time_point moved = clock::now();
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    while (!end.stop_requested()) {
      never.wait_for(lock, end, patience_ / 8, [] { return false; });
      const std::uint64_t now = count_();
      if (std::exchange(before, now) != now) {
        moved = clock::now();
      } else if (clock::now() - moved >= patience_ && !end.stop_requested()) {
        moved = clock::now();
        stalled_();
      }
    }
  }

  clock::duration patience_;
  std::function<std::uint64_t()> count_;
  std::function<void()> stalled_;
  std::jthread thread_{[this](const std::stop_token& end) { run(end); }};  // last: it uses the rest
};

}  // namespace spdk_io_tool
