// SPDX-License-Identifier: BSD-3-Clause
// A libuv loop, for the conformance suite.
#pragma once

#include <spdk_io/adapters/libuv.hpp>

#include <uv.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

namespace spdk_io_test {

class loop_under_test {
 public:
  static constexpr std::string_view name = "libuv";
  static constexpr bool watches_files = true;

  loop_under_test() : loop_(new_loop()), executor_(*loop_) {
    // Else uv_run() would end where there is nothing to wait for.
    constexpr auto each_hour = std::chrono::milliseconds(std::chrono::hours(1)).count();
    uv_timer_t& alive = own<uv_timer_t>([] {});
    uv_timer_init(loop_, &alive);
    uv_timer_start(&alive, [](uv_timer_t*) {}, each_hour, each_hour);
  }
  loop_under_test(const loop_under_test&) = delete;
  loop_under_test& operator=(const loop_under_test&) = delete;
  ~loop_under_test() {
    {
      const auto last = std::move(executor_);
    }
    for (uv_handle_t* each : own_) uv_close(each, deleted);
    uv_run(loop_, UV_RUN_DEFAULT);
    if (uv_loop_close(loop_) == 0) delete loop_;
  }

  auto executor() { return executor_; }
  bool run_one() {
    if (stopped_) return false;
    executor_.run_one();
    return true;
  }
  void stop() {
    stopped_ = true;
    uv_stop(loop_);
  }
  void restart() { stopped_ = false; }

  void after(std::chrono::nanoseconds duration, std::function<void()> f) {
    start_timer(std::chrono::ceil<std::chrono::milliseconds>(duration), {}, std::move(f));
  }
  void every(std::chrono::milliseconds period, std::function<void()> f) {
    start_timer(period, period, std::move(f));
  }
  void watch(int file, std::function<void()> f) {
    uv_poll_t& poll = own<uv_poll_t>(std::move(f));
    uv_poll_init(loop_, &poll, file);
    uv_poll_start(&poll, UV_READABLE, [](uv_poll_t* h, int, int) { function_of(h)(); });
  }

 private:
  static uv_loop_t* new_loop() {
    auto* loop = new uv_loop_t;
    uv_loop_init(loop);
    return loop;
  }
  void start_timer(std::chrono::milliseconds first, std::chrono::milliseconds period,
                   std::function<void()> f) {
    uv_timer_t& timer = own<uv_timer_t>(std::move(f));
    uv_timer_init(loop_, &timer);
    uv_timer_start(
        &timer, [](uv_timer_t* h) { function_of(h)(); }, static_cast<std::uint64_t>(first.count()),
        static_cast<std::uint64_t>(period.count()));
  }
  // Kept until the loop goes.
  template <class Handle>
  struct owned {
    Handle handle;  // first
    std::function<void()> function;
  };
  template <class Handle>
  Handle& own(std::function<void()> f) {
    auto* made = new owned<Handle>{{}, std::move(f)};
    own_.push_back(reinterpret_cast<uv_handle_t*>(&made->handle));
    return made->handle;
  }
  template <class Handle>
  static std::function<void()>& function_of(Handle* h) {
    return reinterpret_cast<owned<Handle>*>(h)->function;
  }
  static void deleted(uv_handle_t* h) {
    if (h->type == UV_TIMER) {
      delete reinterpret_cast<owned<uv_timer_t>*>(h);
    } else {
      delete reinterpret_cast<owned<uv_poll_t>*>(h);
    }
  }

  uv_loop_t* loop_;
  spdk_io::adapters::libuv::executor executor_;
  std::vector<uv_handle_t*> own_;
  bool stopped_ = false;
};

}  // namespace spdk_io_test
