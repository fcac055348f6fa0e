// SPDX-License-Identifier: BSD-3-Clause
// An OS thread that knows nothing of SPDK, and requests stops.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

namespace spdk_io_tool {

class stop_caller {
 public:
  // Its stop is requested as soon as the thread comes to it. Any thread.
  void request_soon(std::stop_source source) {
    {
      std::lock_guard lock(mutex_);
      sources_.push_back(std::move(source));
    }
    more_.notify_one();
  }

 private:
  void run(const std::stop_token& end) {
    std::vector<std::stop_source> now;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        if (!more_.wait(lock, end, [this] { return !sources_.empty(); })) return;
        now.swap(sources_);
      }
      for (auto& each : now) each.request_stop();
      now.clear();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any more_;
  std::vector<std::stop_source> sources_;
  std::jthread thread_{[this](const std::stop_token& end) { run(end); }};  // last: it uses the rest
};

}  // namespace spdk_io_tool
