// SPDX-License-Identifier: BSD-3-Clause
// A GLib main context, for the conformance suite.
#pragma once

#include <spdk_io/adapters/glib.hpp>

#include <glib-unix.h>
#include <glib.h>

#include <chrono>
#include <functional>
#include <string_view>
#include <utility>

namespace spdk_io_test {

class loop_under_test {
  using function = std::function<void()>;

 public:
  static constexpr std::string_view name = "glib";
  static constexpr bool watches_files = true;

  loop_under_test() = default;
  loop_under_test(const loop_under_test&) = delete;
  loop_under_test& operator=(const loop_under_test&) = delete;
  ~loop_under_test() { g_main_context_unref(context_); }

  auto executor() { return executor_type{spdk_io::adapters::glib::executor(context_), this}; }
  bool run_one() {
    if (stopped_) return false;
    // Not by an executor made for it: its source would be ready when it goes, and the loop never
    // sleep.
    spdk_io::adapters::glib::rethrow(context_);
    g_main_context_iteration(context_, TRUE);
    spdk_io::adapters::glib::rethrow(context_);
    return true;
  }
  void stop() { stopped_ = true; }
  void restart() { stopped_ = false; }

  void after(std::chrono::nanoseconds duration, function f) {
    const auto whole = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
    attach(g_timeout_source_new(static_cast<guint>(whole)), G_SOURCE_FUNC(on_time), std::move(f));
  }
  void every(std::chrono::milliseconds period, function f) {
    attach(g_timeout_source_new(static_cast<guint>(period.count())), G_SOURCE_FUNC(on_each_time),
           std::move(f));
  }
  // f() each time when `file` is readable. The file is the caller's.
  void watch(int file, function f) {
    attach(g_unix_fd_source_new(file, G_IO_IN), G_SOURCE_FUNC(on_readable), std::move(f));
  }

 private:
  // As the adapter's, but it can be stopped.
  struct executor_type : spdk_io::adapters::glib::executor {
    loop_under_test* whole;
    bool run_one() { return whole->run_one(); }
    void run_while() = delete;  // hides the base's, which would not see the stop
  };

  void attach(GSource* source, GSourceFunc call, function f) {
    g_source_set_callback(source, call, new function(std::move(f)),
                          [](gpointer kept) { delete static_cast<function*>(kept); });
    g_source_attach(source, context_);
    g_source_unref(source);
  }
  static gboolean on_time(gpointer f) {
    (*static_cast<function*>(f))();
    return G_SOURCE_REMOVE;
  }
  static gboolean on_each_time(gpointer f) {
    (*static_cast<function*>(f))();
    return G_SOURCE_CONTINUE;
  }
  static gboolean on_readable(gint, GIOCondition, gpointer f) {
    (*static_cast<function*>(f))();
    return G_SOURCE_CONTINUE;
  }

  GMainContext* const context_ = g_main_context_new();
  bool stopped_ = false;
};

}  // namespace spdk_io_test
