// SPDX-License-Identifier: BSD-3-Clause
// A libuv loop, for the conformance suite.
#pragma once

#include <spdk_io/adapters/libuv.hpp>

#include <uv.h>

#include <chrono>
#include <functional>
#include <string_view>
#include <utility>

namespace spdk_io_test {

class loop_under_test {
 public:
  static constexpr std::string_view name = "libuv";
  static constexpr bool watches_files = true;

  loop_under_test() : loop_(new_loop()), executor_(*loop_), alive_(new uv_timer_t) {
    // Else uv_run() would end where there is nothing to wait for.
    uv_timer_init(loop_, alive_);
    alive_->data = nullptr;
    uv_timer_start(alive_, [](uv_timer_t*) {}, an_hour, an_hour);
  }
  loop_under_test(const loop_under_test&) = delete;
  loop_under_test& operator=(const loop_under_test&) = delete;
  ~loop_under_test() {
    {
      const auto last = std::move(executor_);
    }
    uv_walk(
        loop_,
        [](uv_handle_t* h, void*) {
          if (uv_is_closing(h)) return;
          if (h->type == UV_TIMER) return uv_close(h, deleted<uv_timer_t>);
          if (h->type == UV_POLL) return uv_close(h, deleted<uv_poll_t>);
        },
        nullptr);
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
    auto* timer = new uv_timer_t;
    uv_timer_init(loop_, timer);
    timer->data = new std::function(std::move(f));
    const auto whole = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
    uv_timer_start(
        timer,
        [](uv_timer_t* h) {
          auto* f = static_cast<std::function<void()>*>(h->data);
          h->data = nullptr;
          (*f)();
          delete f;
          uv_close(reinterpret_cast<uv_handle_t*>(h), deleted<uv_timer_t>);
        },
        static_cast<std::uint64_t>(whole), 0);
  }
  void watch(int file, std::function<void()> f) {
    auto* poll = new uv_poll_t;
    uv_poll_init(loop_, poll, file);
    poll->data = new std::function(std::move(f));
    uv_poll_start(poll, UV_READABLE, [](uv_poll_t* h, int, int) {
      (*static_cast<std::function<void()>*>(h->data))();
    });
  }

 private:
  static constexpr std::uint64_t an_hour = 3'600'000;  // milliseconds

  static uv_loop_t* new_loop() {
    auto* loop = new uv_loop_t;
    uv_loop_init(loop);
    return loop;
  }
  template <class Handle>
  static void deleted(uv_handle_t* h) {
    delete static_cast<std::function<void()>*>(h->data);
    delete reinterpret_cast<Handle*>(h);
  }

  uv_loop_t* loop_;
  spdk_io::adapters::libuv::executor executor_;
  uv_timer_t* alive_;
  bool stopped_ = false;
};

}  // namespace spdk_io_test
