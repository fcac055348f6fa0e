// SPDX-License-Identifier: BSD-3-Clause
// A scheduler as an executor of the library's, for poller_task(). See execution.hpp.
#pragma once

#include <spdk_io/detail/posted_functions.hpp>
#include <spdk_io/executor.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace adapters::execution::inline SPDK_IO_EXECUTION_VOCABULARY {
namespace detail {

// Those of this OS thread, whatever loop it runs.
inline constexpr char kept_here = 0;

struct shared_hook {
  std::move_only_function<void()> call;
};

// A callable on its way: freed before it runs, or when it is dropped.
template <class Scheduler, class F>
class posted {
  struct receiver {
    using receiver_concept = vocabulary::receiver_tag;
    posted* self;

    void set_value() noexcept { self->run(); }
    template <class Error>
    void set_error(Error&&) noexcept {
      delete self;
    }
    void set_stopped() noexcept { delete self; }
  };

 public:
  static void start(const Scheduler& where, F&& f, std::shared_ptr<shared_hook> hook) {
    auto* made = new posted(where, std::move(f), std::move(hook));
    vocabulary::start(made->state_);
  }

 private:
  posted(const Scheduler& where, F&& f, std::shared_ptr<shared_hook> hook)
      : function_(std::move(f)),
        hook_(std::move(hook)),
        state_(vocabulary::connect(vocabulary::schedule(Scheduler(where)), receiver{this})) {}

  void run() noexcept {
    F f = std::move(function_);
    const auto hook = std::move(hook_);
    delete this;
    try {
      f();
    } catch (...) {
      spdk_io::detail::keep_exception(&kept_here);
      if (hook) hook->call();
    }
  }

  F function_;
  std::shared_ptr<shared_hook> hook_;
  vocabulary::connect_result_t<decltype(vocabulary::schedule(std::declval<Scheduler>())), receiver>
      state_;
};

}  // namespace detail

// An exception that leaves a callable of an executor would end the program, since a receiver throws
// nothing. It is kept instead: whoever runs the loop calls this when the loop has returned, on the
// same OS thread; it rethrows the oldest one kept there, or does nothing.
inline void rethrow() { spdk_io::detail::rethrow_kept_exception(&detail::kept_here); }

// The executor that poller_task() takes, on a scheduler whose work is run by one OS thread, that of
// the polled spdk_io::thread: that of a run_loop, say.
//   ex::run_loop loop;
//   adapters::execution::executor on_loop(loop.get_scheduler(), [&] { loop.finish(); });
//   auto polling = sio::poller_task(thread, on_loop);
//   …                        // what ends calls polling->stop() and loop.finish()
//   loop.run();
//   adapters::execution::rethrow();
//
// post() may be called on any thread, as start() of a schedule may. Each allocates its operation
// state. Where the scheduler completes with an error or stopped, the callable is dropped. There is
// no timer, since schedulers have none: the poller task does not sleep. A run_loop goes on as long
// as something is scheduled, finish() or not: stop the poller task before. Since it cannot be run
// one turn at a time either, there is no run_until() on it.
template <class Scheduler>
class executor {
 public:
  static constexpr bool post_is_thread_safe = true;

  explicit executor(Scheduler where) noexcept : where_(std::move(where)) {}

  // on_exception() is called for every exception that is kept, on the loop's OS thread, to end the
  // loop. It throws nothing.
  template <std::invocable F>
  executor(Scheduler where, F on_exception)
      : where_(std::move(where)),
        hook_(std::make_shared<detail::shared_hook>(std::move(on_exception))) {}

  template <class F>
  void post(F f) {
    detail::posted<Scheduler, F>::start(where_, std::move(f), hook_);
  }

  std::string_view name() const noexcept { return "a scheduler of std::execution"; }

 private:
  Scheduler where_;
  std::shared_ptr<detail::shared_hook> hook_;
};

}  // namespace adapters::execution::inline SPDK_IO_EXECUTION_VOCABULARY
}  // namespace spdk_io::inline SPDK_IO_ABI
