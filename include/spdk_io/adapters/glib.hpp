// SPDX-License-Identifier: BSD-3-Clause
// SPDK as one task among others on a GLib main context, and so beside GTK and GStreamer. Only this
// header includes GLib.
#pragma once

#include <spdk_io/detail/posted_functions.hpp>
#include <spdk_io/run_until.hpp>

#include <glib.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <functional>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace adapters::glib {

// An exception that leaves a callable of an executor or of its timers would cross GLib's C frames.
// It is kept instead, and the executor's GMainLoop is quit, if it has one; run(), run_one(),
// run_while() and run_until() rethrow it when GLib has returned. Whoever calls g_main_loop_run() or
// g_main_context_iteration() himself calls this afterwards, on the same OS thread: it rethrows the
// oldest exception kept for that context (null: the default one), or does nothing. Call it until it
// does nothing before the context goes.
inline void rethrow(GMainContext* context) {
  spdk_io::detail::rethrow_kept_exception(context ? context : g_main_context_default());
}

namespace detail {

// Where callables run: a main context, and the loop that an exception quits, if there is one.
// Neither is referenced: a context that was dropped drops its sources, and what they hold.
struct place {
  GMainContext* context;
  GMainLoop* loop;
  int priority;

  template <class F>
  void call_from_c(F&& f) const noexcept {
    try {
      std::forward<F>(f)();
    } catch (...) {
      spdk_io::detail::keep_exception(context);
      if (loop) g_main_loop_quit(loop);
    }
  }
};

// A GSource attached to the context, with an object of C++ that hears of its ready time. The object
// lives as long as somebody refers to it, and as long as the source may be dispatched.
template <class Object>
class source {
 public:
  source(const source&) = delete;
  source& operator=(const source&) = delete;
  ~source() { g_source_unref(native_); }

  static std::shared_ptr<Object> attach(const place& where) {
    auto made = std::make_shared<Object>(where);
    auto* held = new std::shared_ptr<Object>(made);
    g_source_set_callback(made->native_, nullptr, held, [](void* data) {
      const std::unique_ptr<std::shared_ptr<Object>> last(
          static_cast<std::shared_ptr<Object>*>(data));
      (*last)->on_destroyed();
    });
    g_source_set_priority(made->native_, where.priority);
    g_source_set_can_recurse(made->native_, TRUE);  // loops in a callable, such as dialogues
    g_source_set_name(made->native_, "spdk-io");
    g_source_attach(made->native_, where.context);
    return made;
  }

  // Any thread. In microseconds of g_get_monotonic_time(); 0: at once; -1: not at all.
  void set_ready_time(gint64 time) noexcept { g_source_set_ready_time(native_, time); }
  void destroy() noexcept { g_source_destroy(native_); }
  // Ready when the file is readable, until it is removed by what this gives.
  gpointer add_file(int file) noexcept { return g_source_add_unix_fd(native_, file, G_IO_IN); }
  void remove_file(gpointer tag) noexcept { g_source_remove_unix_fd(native_, tag); }
  const place& where() const noexcept { return where_; }

  // Objects may hide these. Whether the source is ready, asked before the loop might sleep, and if
  // not for how long that may be (milliseconds; -1: for ever); and whether it is, after that.
  bool before_waiting(int& /*timeout*/) noexcept { return false; }
  bool is_due() const noexcept { return false; }

 protected:
  gint64 now() const noexcept { return g_source_get_time(native_); }  // of the loop's turn

  explicit source(const place& where) : where_(where) {
    native_ = g_source_new(functions(), sizeof(with_object));
    reinterpret_cast<with_object*>(native_)->object = static_cast<Object*>(this);
  }

 private:
  struct with_object {
    GSource base;
    Object* object;
  };

  static GSourceFuncs* functions() {
    static GSourceFuncs table = [] {
      GSourceFuncs made{};
      made.prepare = [](GSource* s, int* timeout) -> gboolean {
        *timeout = -1;
        // If not, the ready time decides, and the files.
        return reinterpret_cast<with_object*>(s)->object->before_waiting(*timeout);
      };
      made.check = [](GSource* s) -> gboolean {
        return reinterpret_cast<with_object*>(s)->object->is_due();
      };
      made.dispatch = [](GSource*, GSourceFunc, void* data) -> gboolean {
        (*static_cast<std::shared_ptr<Object>*>(data))->on_ready();
        return G_SOURCE_CONTINUE;
      };
      return made;
    }();
    return &table;
  }

  const place where_;
  GSource* native_;
};

// What the copies of an executor share.
class post_source : public source<post_source> {
 public:
  explicit post_source(const place& where) : source(where) {}

  template <class F>
  void post(F&& f) {
    posted_.post(std::forward<F>(f), [this] { set_ready_time(0); });
  }

  // The last executor has gone, on whichever thread. What is posted still runs.
  void release() noexcept {
    posted_.release([this] { set_ready_time(0); });
  }

  // It stays ready as long as something is posted.
  void on_ready() noexcept {
    where().call_from_c([this] { posted_.run_batch(); });
    const auto left = posted_.what_is_left([this] { set_ready_time(-1); });
    if (left == spdk_io::detail::posted_functions::rest::none_and_released) destroy();
  }
  void on_destroyed() noexcept { posted_.close(); }

  // Runs the context's loop until going_on(), which is asked before it might sleep, gives false.
  template <class F>
  void run_while(F& going_on) {
    going_on_ = &going_on;
    ask_ = [](void* f) { return (*static_cast<F*>(f))(); };
    g_main_loop_run(where().loop);
    ask_ = nullptr;
  }
  bool before_waiting(int& /*timeout*/) noexcept {
    if (ask_ && !ask_(going_on_)) g_main_loop_quit(where().loop);
    return false;
  }

 private:
  spdk_io::detail::posted_functions posted_;
  void* going_on_ = nullptr;
  bool (*ask_)(void*) = nullptr;
};

// Without GLib's ready time: to set that writes to a file, even on the loop's own thread, which
// then takes one more turn to read it.
class timer_source : public source<timer_source> {
 public:
  explicit timer_source(const place& where) : source(where) {}

  template <class F>
  void start(std::chrono::nanoseconds duration, F&& f) {
    const auto previous = std::exchange(function_, std::forward<F>(f));
    const auto whole = std::chrono::ceil<std::chrono::microseconds>(duration).count();
    due_ = g_get_monotonic_time() + (whole > 0 ? whole : 0);
  }
  void cancel() noexcept {
    due_ = never;
    const auto dropped = std::exchange(function_, nullptr);
  }

  bool before_waiting(int& timeout) noexcept {
    if (due_ == never) return false;
    const gint64 left = due_ - now();
    timeout = static_cast<int>(std::clamp<gint64>((left + 999) / 1000, 0, INT_MAX));
    return left <= 0;
  }
  bool is_due() const noexcept { return due_ != never && due_ <= now(); }
  void on_ready() noexcept {
    due_ = never;
    auto function = std::exchange(function_, nullptr);
    if (function) where().call_from_c(std::move(function));
  }
  void on_destroyed() noexcept { const auto dropped = std::exchange(function_, nullptr); }

 private:
  static constexpr gint64 never = -1;

  gint64 due_ = never;  // microseconds of g_get_monotonic_time()
  std::move_only_function<void()> function_;
};

class watch_source : public source<watch_source> {
 public:
  explicit watch_source(const place& where) : source(where) {}

  template <class F>
  void start(int file, F&& f) {
    const auto previous = std::exchange(function_, std::forward<F>(f));
    if (!tag_) tag_ = add_file(file);
  }
  void cancel() noexcept { const auto dropped = stop(); }

  void on_ready() noexcept {
    auto function = stop();
    if (function) where().call_from_c(std::move(function));
  }
  void on_destroyed() noexcept {
    tag_ = nullptr;
    const auto dropped = std::exchange(function_, nullptr);
  }

 private:
  std::move_only_function<void()> stop() noexcept {
    if (tag_) remove_file(std::exchange(tag_, nullptr));
    return std::exchange(function_, nullptr);
  }

  std::move_only_function<void()> function_;
  gpointer tag_ = nullptr;
};

}  // namespace detail

// The executor that poller_task() takes, on a main context that is the user's, and is run by one OS
// thread, to which the polled spdk_io::thread belongs.
//
// Copies share one GSource. What is posted runs in batches, one for each iteration of the context.
// GLib dispatches the sources of the highest priority that are ready, and no others: at
// G_PRIORITY_DEFAULT_IDLE, the default here, all that the context has beside it goes first,
// sockets, timers and redrawing, and idle functions take turns with it; but a source of higher
// priority that is always ready keeps SPDK waiting. At G_PRIORITY_DEFAULT it takes turns with
// sockets and timers, and idle functions wait while there is I/O in flight.
//
// With a GMainLoop, an exception quits it, and g_main_loop_quit() stops run_while() and
// run_until(). A context alone cannot be stopped.
//
// The source goes once the last copy has gone, on any thread, and what is posted has run; or with
// the context, which drops what is posted, then and later. Nothing here holds a reference to the
// context or the loop: they live while an executor runs them or makes timers.
class executor {
 public:
  static constexpr bool post_is_thread_safe = true;
  class timer;
  class watch;

  // A null context is the default one, as everywhere in GLib.
  explicit executor(GMainContext* context, int priority = G_PRIORITY_DEFAULT_IDLE)
      : executor(detail::place{.context = context ? context : g_main_context_default(),
                               .loop = nullptr,
                               .priority = priority}) {}
  explicit executor(GMainLoop* loop, int priority = G_PRIORITY_DEFAULT_IDLE)
      : executor(detail::place{
            .context = g_main_loop_get_context(loop), .loop = loop, .priority = priority}) {}

  // Any thread.
  template <class F>
  void post(F f) {
    shared_->post(std::move(f));
  }
  timer new_timer();
  watch new_watch(int file);

  // One iteration, waiting if nothing is ready. True.
  bool run_one() {
    rethrow();
    g_main_context_iteration(shared_->where().context, TRUE);
    rethrow();
    return true;
  }

  // Runs the loop, or iterates the context, as long as going_on() gives true: it is asked before
  // the loop might sleep, and must not throw. False if the loop was quit before.
  template <class F>
  bool run_while(F going_on) {
    if (!shared_->where().loop) {
      while (going_on()) run_one();
      return true;
    }
    rethrow();
    if (!going_on()) return true;
    shared_->run_while(going_on);
    rethrow();
    return !going_on();
  }

  // g_main_loop_run(): until g_main_loop_quit(). Requires: made with a GMainLoop.
  void run() {
    rethrow();
    g_main_loop_run(shared_->where().loop);
    rethrow();
  }

  // See adapters::glib::rethrow().
  void rethrow() { glib::rethrow(shared_->where().context); }

  std::string_view name() const noexcept { return "a GLib main context"; }

 private:
  explicit executor(const detail::place& where) {
    auto source = detail::post_source::attach(where);
    auto* raw = source.get();
    shared_ = std::shared_ptr<detail::post_source>(
        raw, [source = std::move(source)](detail::post_source* s) { s->release(); });
  }

  std::shared_ptr<detail::post_source> shared_;
};

// Calls a function once. Used and destroyed on the thread of the context.
//
// Durations are rounded up to microseconds; GLib may wait in whole milliseconds, rounded up too. So
// a sleeping poller task wakes up to a millisecond late for sleep_for() and for SPDK's timed
// pollers. Messages and submissions wake it at once, and by default it does not sleep at all with
// I/O in flight; for timers finer than that take idle::spin.
class executor::timer {
 public:
  explicit timer(const detail::place& where) : source_(detail::timer_source::attach(where)) {}
  timer(timer&&) noexcept = default;
  timer& operator=(timer&&) = delete;
  ~timer() {
    if (source_) source_->destroy();
  }

  template <class F>
  void start(std::chrono::nanoseconds duration, F f) {
    source_->start(duration, std::move(f));
  }
  void cancel() noexcept { source_->cancel(); }

 private:
  std::shared_ptr<detail::timer_source> source_;
};

inline executor::timer executor::new_timer() { return timer(shared_->where()); }

// Calls a function once, when a file is readable. Used and destroyed on the thread of the context.
class executor::watch {
 public:
  watch(const detail::place& where, int file)
      : source_(detail::watch_source::attach(where)), file_(file) {}
  watch(watch&&) noexcept = default;
  watch& operator=(watch&&) = delete;
  ~watch() {
    if (!source_) return;
    source_->cancel();
    source_->destroy();
  }

  template <class F>
  void start(F f) {
    source_->start(file_, std::move(f));
  }
  void cancel() noexcept { source_->cancel(); }

 private:
  std::shared_ptr<detail::watch_source> source_;
  int file_;
};

inline executor::watch executor::new_watch(int file) { return watch(shared_->where(), file); }

}  // namespace adapters::glib

// poller_task() on a main context or loop, for a task that is kept in a handle:
//   auto polling = sio::poller_task(thread, loop, sio::idle::backoff());
//   g_main_loop_run(loop);
//   sio::adapters::glib::rethrow(g_main_loop_get_context(loop));
template <class Idle = idle::backoff>
result<running_poller_task<adapters::glib::executor>> poller_task(thread& t, GMainContext* context,
                                                                  Idle policy = {},
                                                                  poll_budget budget = {}) {
  return poller_task(t, adapters::glib::executor(context), policy, budget);
}
template <class Idle = idle::backoff>
result<running_poller_task<adapters::glib::executor>> poller_task(thread& t, GMainLoop* loop,
                                                                  Idle policy = {},
                                                                  poll_budget budget = {}) {
  return poller_task(t, adapters::glib::executor(loop), policy, budget);
}

// run_until() on a main context or loop, which may have other work and is left as it is when app
// has ended. g_main_loop_quit() of that loop before app has ended cancels app.
template <awaitable A, class Idle = idle::backoff>
std::remove_cvref_t<await_result_t<A>> run_until(GMainContext* context, thread& t, A&& app,
                                                 Idle policy = {}) {
  return run_until(adapters::glib::executor(context), t, std::forward<A>(app), policy);
}
template <awaitable A, class Idle = idle::backoff>
std::remove_cvref_t<await_result_t<A>> run_until(GMainLoop* loop, thread& t, A&& app,
                                                 Idle policy = {}) {
  return run_until(adapters::glib::executor(loop), t, std::forward<A>(app), policy);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
