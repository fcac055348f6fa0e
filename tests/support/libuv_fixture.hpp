// SPDX-License-Identifier: BSD-3-Clause
// A fixture: a libuv loop, what its user has there, and the check that the adapter leaves nothing
// behind.
#pragma once

#include "spdk_test.hpp"

#include <spdk_io/adapters/libuv.hpp>

#include <gtest/gtest.h>
#include <uv.h>

#include <functional>
#include <utility>

namespace spdk_io_test {

// A handle of the loop's user, closed with this object.
template <class Handle>
class user_handle {
 public:
  user_handle() : kept_(new state) { kept_->handle.data = kept_; }
  user_handle(const user_handle&) = delete;
  user_handle& operator=(const user_handle&) = delete;
  ~user_handle() { close(); }

  Handle* native() { return &kept_->handle; }
  void on_event(std::function<void()> f) { kept_->f = std::move(f); }
  static void called(Handle* h) { static_cast<state*>(h->data)->f(); }
  void close() {
    if (!kept_) return;
    uv_close(reinterpret_cast<uv_handle_t*>(native()),
             [](uv_handle_t* h) { delete static_cast<state*>(h->data); });
    kept_ = nullptr;
  }

 private:
  struct state {
    Handle handle{};
    std::function<void()> f;
  };
  state* kept_;
};

class ticker : public user_handle<uv_timer_t> {
 public:
  ticker(uv_loop_t& loop, std::function<void()> each_millisecond) {
    on_event(std::move(each_millisecond));
    uv_timer_init(&loop, native());
    uv_timer_start(native(), called, 1, 1);
  }
};

class watched : public user_handle<uv_poll_t> {
 public:
  watched(uv_loop_t& loop, int fd, std::function<void()> readable) {
    on_event(std::move(readable));
    uv_poll_init(&loop, native(), fd);
    uv_poll_start(native(), UV_READABLE, [](uv_poll_t* h, int, int) { called(h); });
  }
};

class libuv_adapter : public testing::Test {
 protected:
  libuv_adapter() { uv_loop_init(&loop); }
  // Nothing that the adapter has made stays open, and nothing keeps the loop going.
  ~libuv_adapter() override {
    uv_run(&loop, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop), 0);
  }

  bool turn() { return uv_run(&loop, UV_RUN_NOWAIT) != 0; }

  uv_loop_t loop;
  sio::thread& thread = main_thread();
};

}  // namespace spdk_io_test
