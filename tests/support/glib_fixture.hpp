// SPDX-License-Identifier: BSD-3-Clause
// A fixture: a GLib main context, what its user has there, and the check that the adapter leaves
// nothing behind.
#pragma once

#include "spdk_test.hpp"

#include <spdk_io/adapters/glib.hpp>

#include <glib-unix.h>
#include <gtest/gtest.h>

#include <functional>
#include <utility>

namespace spdk_io_test {

// A source of the context's user, removed with this object.
class user_source {
 public:
  user_source(GMainContext* context, GSource* source, std::function<void()> f)
      : source_(source), f_(std::move(f)) {
    g_source_set_callback(source_, G_SOURCE_FUNC(+[](void* self) -> gboolean {
                            static_cast<user_source*>(self)->f_();
                            return G_SOURCE_CONTINUE;
                          }),
                          this, nullptr);
    g_source_attach(source_, context);
  }
  user_source(const user_source&) = delete;
  user_source& operator=(const user_source&) = delete;
  ~user_source() {
    g_source_destroy(source_);
    g_source_unref(source_);
  }

 private:
  GSource* source_;
  std::function<void()> f_;
};

class watched {
 public:
  watched(GMainContext* context, int fd, std::function<void()> readable)
      : source_(g_unix_fd_source_new(fd, G_IO_IN)), f_(std::move(readable)) {
    g_source_set_callback(source_, G_SOURCE_FUNC(+[](int, GIOCondition, void* self) -> gboolean {
                            static_cast<watched*>(self)->f_();
                            return G_SOURCE_CONTINUE;
                          }),
                          this, nullptr);
    g_source_attach(source_, context);
  }
  watched(const watched&) = delete;
  watched& operator=(const watched&) = delete;
  ~watched() {
    g_source_destroy(source_);
    g_source_unref(source_);
  }

 private:
  GSource* source_;
  std::function<void()> f_;
};

class glib_adapter : public testing::Test {
 protected:
  ~glib_adapter() override {
    while (turn()) {
    }
    EXPECT_EQ(sources(), 0);  // nothing that the adapter has made stays there
    g_main_loop_unref(loop);
    g_main_context_unref(context);
  }

  bool turn() { return g_main_context_iteration(context, FALSE) != FALSE; }
  bool ready() { return g_main_context_pending(context) != FALSE; }
  int sources() {
    int found = 0;
    for (guint id = 1; id < 1000; ++id) {
      if (g_main_context_find_source_by_id(context, id)) ++found;
    }
    return found;
  }
  user_source ticker(std::function<void()> each_millisecond) {
    return {context, g_timeout_source_new(1), std::move(each_millisecond)};
  }

  GMainContext* context = g_main_context_new();
  GMainLoop* loop = g_main_loop_new(context, FALSE);
  sio::thread& thread = main_thread();
};

}  // namespace spdk_io_test
