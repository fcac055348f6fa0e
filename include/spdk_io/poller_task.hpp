// SPDX-License-Identifier: BSD-3-Clause
// The task that polls an SPDK thread on an executor, as one task among the executor's others.
#pragma once

#include <spdk_io/detail/poll_driver.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/executor.hpp>
#include <spdk_io/idle.hpp>
#include <spdk_io/thread.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {

struct no_timer {};

template <class E>
struct timer_of {
  using type = no_timer;
};
template <timed_executor E>
struct timer_of<E> {
  using type = decltype(std::declval<E&>().new_timer());
};

struct no_watch {};

template <class E>
struct watch_of {
  using type = no_watch;
};
template <watching_executor E>
struct watch_of<E> {
  using type = decltype(std::declval<E&>().new_watch(0));
};

// Shared by the handle and by whatever is posted, so that a callable that the loop still holds
// after the task has stopped finds a stopped task and nothing worse.
template <executor E>
class posted_poller : public std::enable_shared_from_this<posted_poller<E>>, private waker {
 public:
  template <class Idle>
  posted_poller(std::shared_ptr<thread_state> state, E ex, Idle policy, poll_budget budget)
      : executor_(std::move(ex)), driver_(std::move(state), policy, budget) {
    if constexpr (timed_executor<E>) timer_.emplace(executor_.new_timer());
    waker::wake = on_wake;
  }

  result<void> start() {
    if (auto ok = driver_.attach(executor_name(executor_), this); !ok) return ok;
    if constexpr (watching_executor<E>) {
      if (driver_.sleep_file() >= 0) watch_.emplace(executor_.new_watch(driver_.sleep_file()));
    }
    post();
    return {};
  }

  // On the loop's thread.
  void stop() noexcept {
    if (stopped_.exchange(true)) return;
    driver_.detach();
    if constexpr (timed_executor<E>) timer_->cancel();
    watch_.reset();
  }

  bool stopped() const noexcept { return stopped_ || failed_; }
  const error* failure() const noexcept { return failed_ ? &*failure_ : nullptr; }

  void return_on_failure() noexcept { calls_owner_ = true; }

 private:
  struct turn_function {
    std::shared_ptr<posted_poller> self;
    void operator()() const { self->turn(); }
  };
  struct end_of_sleep {
    std::shared_ptr<posted_poller> self;
    std::uint64_t sleep;
    void operator()() const { self->sleep_ended(sleep); }
  };
  struct file_is_readable {
    std::shared_ptr<posted_poller> self;
    void operator()() const { self->woken_by_file(); }
  };

  void post() { executor_.post(turn_function{this->shared_from_this()}); }

  // First in whatever the executor runs, since it may do so on any OS thread, and stop() may have
  // come before. On another one than the thread's own nothing of the task is touched.
  bool over() {
    if (driver_.on_own_os_thread()) [[likely]]
      return stopped_ || failed_;
    if (!stopped_ && !refused_.exchange(true)) refuse();
    return true;
  }

  void refuse() {
    failure_ = driver_.ran_elsewhere(executor_name(executor_));
    failed_ = true;
    if (calls_owner_) call_owner();
  }

  // The OS thread of the polled thread may wait in run_one(), with nothing left that would be run
  // there: posted again and again until it is, or the task is stopped there.
  void call_owner() {
    if (driver_.on_own_os_thread() || stopped_) return;
    std::this_thread::yield();
    executor_.post([self = this->shared_from_this()] { self->call_owner(); });
  }

  // Posts itself (or arms its timer) before it runs user code: an exception that leaves that
  // code, and with it the executor's run function, does not end the task.
  void turn() {
    if (over()) return;
    if (!driver_.thread_alive()) return stop();
    if constexpr (timed_executor<E> || watching_executor<E>) {
      if (auto duration = driver_.may_sleep(); duration.count() > 0) return go_to_sleep(duration);
    }
    post();
    driver_.poll();
  }

  void go_to_sleep(std::chrono::nanoseconds duration) {
    if constexpr (watching_executor<E>) {
      if (watch_) return sleep_by_file();
    }
    if constexpr (timed_executor<E>) sleep_by_timer(duration);
  }

  void sleep_by_timer(std::chrono::nanoseconds duration) {
    timer_->start(duration, end_of_sleep{this->shared_from_this(), ++sleep_});
    asleep_ = true;
    driver_.announce_sleep();
    if (driver_.last_look()) return;
    wake_up();
  }

  // Whoever wakes it makes the file readable: it is the only one to end the sleep.
  void sleep_by_file() {
    struct awake_unless_asleep {
      posted_poller* self;
      ~awake_unless_asleep() {
        if (self) self->wake_up();
      }
    } awake{this};
    asleep_ = true;
    driver_.announce_sleep();
    if (!driver_.last_look()) return;
    watch_->start(file_is_readable{this->shared_from_this()});
    awake.self = nullptr;
  }

  void woken_by_file() {
    if (over() || !asleep_) return;
    asleep_ = false;
    driver_.awake();
    turn();
  }

  // By its timer: the usual end of a sleep, and with nothing to do it sleeps again from here.
  void sleep_ended(std::uint64_t sleep) {
    if (over() || !asleep_ || sleep != sleep_) return;
    asleep_ = false;
    driver_.awake();
    turn();
  }

  // The end of a sleep, whoever ends it: only the first one counts.
  void wake_up() {
    if (over() || !asleep_) return;
    asleep_ = false;
    ++sleep_;
    driver_.awake();
    if constexpr (timed_executor<E>) timer_->cancel();
    post();
  }

  static bool on_wake(waker& w) noexcept {
    auto& self = static_cast<posted_poller&>(w);
    if (self.driver_.poke()) return true;
    if constexpr (!waking_executor<E>) {
      if (!self.driver_.on_own_os_thread()) return false;
    }
    if (auto me = self.weak_from_this().lock()) {
      self.executor_.post([me = std::move(me)] { me->wake_up(); });
    }
    return true;
  }

  E executor_;
  poll_driver driver_;
  std::optional<typename timer_of<E>::type> timer_;
  std::optional<typename watch_of<E>::type> watch_;  // with idle::interrupt; its file is driver_'s
  std::uint64_t sleep_ = 0;
  bool asleep_ = false;
  std::atomic<bool> stopped_ = false;
  std::atomic<bool> refused_ = false;      // by the OS thread that writes failure_
  std::atomic<bool> failed_ = false;       // failure_ is there
  std::atomic<bool> calls_owner_ = false;  // see call_owner()
  std::optional<error> failure_;
};

}  // namespace detail

// What a poller task does where nothing is said: it sleeps if it can.
template <executor E>
using default_idle = std::conditional_t<timed_executor<E>, idle::backoff, idle::spin>;

// Keeps a poller task running while it lives. Used on the loop's thread. Its destructor stops
// the task; it may outlive neither the loop's thread nor, in use, the loop.
template <executor E>
class running_poller_task {
 public:
  explicit running_poller_task(std::shared_ptr<detail::posted_poller<E>> task) noexcept
      : task_(std::move(task)) {}
  running_poller_task(running_poller_task&&) = default;
  running_poller_task& operator=(running_poller_task&& other) noexcept {
    stop();
    task_ = std::move(other.task_);
    return *this;
  }
  ~running_poller_task() { stop(); }

  // Polls no more. What is in flight stays so until somebody polls the thread again, or ends it.
  void stop() noexcept {
    if (task_) task_->stop();
  }

  // Stopped, or failed, or the thread has ended.
  bool stopped() const noexcept { return !task_ || task_->stopped(); }

  // Why it ended by itself: the executor ran it on another OS thread than that of the polled
  // thread, where it must not poll. Null while it has not, and after stop() as before. The error
  // was written to stderr as well. The thread can be polled again after stop(). Lives as long as
  // this handle.
  const error* failure() const noexcept { return task_ ? task_->failure() : nullptr; }

  // For loops that are run by run_one() on the OS thread of the polled thread until something has
  // happened there, as run_until() does: where the task fails, elsewhere, run_one() returns here.
  void return_on_failure() noexcept {
    if (task_) task_->return_on_failure();
  }

 private:
  std::shared_ptr<detail::posted_poller<E>> task_;
};

// Starts polling `t` on an executor: the task posts itself again and again, within the budget,
// so that the executor's own tasks, timers and sockets get their turn. It ends when the handle
// is stopped or destroyed, or with the thread.
//
// Call it on the OS thread of `t`, which must be the loop's, and the only one that runs it: run on
// another one (by an io_context with several OS threads, with or without a strand), the task polls
// no more, says so on stderr, and keeps the error; see running_poller_task::failure().
//
// backoff needs an executor with a timer; a message from another thread wakes a sleeping loop at
// once where post() is thread-safe, and within max_sleep elsewhere.
//
// interrupt needs an executor that can watch files, and neither a timer of it nor that others may
// post: the file ends each sleep.
//
// Errors: the thread has a poller task already; interrupt without env_options.interrupt, or without
// file descriptors (three are needed); it has ended; it belongs to another OS thread.
// An exception that leaves a continuation which nobody awaits leaves the executor's run
// function; the task goes on.
template <executor E>
result<running_poller_task<E>> poller_task(thread& t, E ex, idle::spin policy,
                                           poll_budget budget = {}) {
  auto task =
      std::make_shared<detail::posted_poller<E>>(t.shared_state(), std::move(ex), policy, budget);
  if (auto ok = task->start(); !ok) return std::unexpected(ok.error());
  return running_poller_task<E>(std::move(task));
}
template <timed_executor E>
result<running_poller_task<E>> poller_task(thread& t, E ex, idle::backoff policy,
                                           poll_budget budget = {}) {
  auto task =
      std::make_shared<detail::posted_poller<E>>(t.shared_state(), std::move(ex), policy, budget);
  if (auto ok = task->start(); !ok) return std::unexpected(ok.error());
  return running_poller_task<E>(std::move(task));
}
template <watching_executor E>
result<running_poller_task<E>> poller_task(thread& t, E ex, idle::interrupt policy,
                                           poll_budget budget = {}) {
  auto task =
      std::make_shared<detail::posted_poller<E>>(t.shared_state(), std::move(ex), policy, budget);
  if (auto ok = task->start(); !ok) return std::unexpected(ok.error());
  return running_poller_task<E>(std::move(task));
}
template <executor E>
result<running_poller_task<E>> poller_task(thread& t, E ex) {
  return poller_task(t, std::move(ex), default_idle<E>());
}

}  // namespace spdk_io::inline SPDK_IO_ABI
