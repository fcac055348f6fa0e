// SPDX-License-Identifier: BSD-3-Clause
// The one body of all poller tasks: when to poll, when to yield, when and how long to sleep.
#pragma once

#include <spdk_io/detail/os_thread.hpp>
#include <spdk_io/detail/waker.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/idle.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;
class interrupt_sleep;

// Made and used on its thread's OS thread, but for on_own_os_thread() and what is for the case that
// an executor ran its task elsewhere. Attached while it lives: a thread has at most one.
class poll_driver {
 public:
  poll_driver(std::shared_ptr<thread_state> state, idle::spin, poll_budget budget) noexcept;
  poll_driver(std::shared_ptr<thread_state> state, idle::backoff policy,
              poll_budget budget) noexcept;
  poll_driver(std::shared_ptr<thread_state> state, idle::interrupt policy,
              poll_budget budget) noexcept;
  poll_driver(const poll_driver&) = delete;
  poll_driver& operator=(const poll_driver&) = delete;
  ~poll_driver();

  // Errors: the thread has a poller task already (the message says on which executor); there is no
  // interrupt mode to sleep in (it says what to set).
  result<void> attach(std::string_view executor, waker* w);
  void detach() noexcept;

  bool on_own_os_thread() const noexcept { return this_os_thread() == os_thread_; }

  // On another OS thread than its own: the error that says so, which is also written to stderr,
  // since those who could take it may never look.
  error ran_elsewhere(std::string_view executor) const;

  // For a task that is destroyed where it was run: nothing on a thread's own OS thread, elsewhere
  // ran_elsewhere(), and it is detached, as far as another OS thread can do that.
  result<void> stay_or_leave(std::string_view executor) {
    if (on_own_os_thread()) [[likely]]
      return {};
    return leave(executor);
  }

  // False once the thread has ended: nothing is left to poll.
  bool thread_alive() const noexcept;

  // Polls until there is nothing to do or the budget is used up.
  void poll();

  // How long the thread may sleep now; zero: not at all.
  std::chrono::nanoseconds may_sleep() noexcept;

  // The file that is readable when a sleep is to end, however long that was to be; -1 where there is
  // none, and the sleep ends by a timer or by the waker. From attach() on.
  int sleep_file() const noexcept { return sleep_file_; }
  // Any thread, while attached: ends a sleep by its file. False where there is none.
  bool poke() noexcept;

  // The protocol of going to sleep: announce it, look once more, then sleep. False: something
  // came up meanwhile; stay awake. (What came up later than the look calls the waker.)
  void announce_sleep() noexcept;
  bool last_look();
  void awake() noexcept;

 private:
  result<void> attach_interrupts();
  std::chrono::nanoseconds may_sleep_by_file(std::uint64_t now) noexcept;
  bool interrupts_on() const noexcept;
  bool shorten_to_timers(std::chrono::nanoseconds& sleep, std::uint64_t now) noexcept;
  bool count(std::size_t worked) noexcept;
  void note_work(std::size_t done) noexcept;
  result<void> leave(std::string_view executor);

  const void* os_thread_ = this_os_thread();
  std::shared_ptr<thread_state> state_;
  poll_budget budget_;
  std::uint64_t budget_ticks_;
  bool sleeps_;
  idle::backoff policy_;
  std::uint64_t spin_ticks_ = 0;
  std::uint64_t interrupt_spin_ticks_ = 0;
  std::uint64_t last_work_;
  std::chrono::nanoseconds next_sleep_{0};
  std::chrono::nanoseconds chosen_sleep_{0};  // what may_sleep() said last
  bool wants_interrupts_ = false;
  bool attached_ = false;
  int sleep_file_ = -1;
  std::unique_ptr<interrupt_sleep> interrupts_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
