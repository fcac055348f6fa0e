// SPDX-License-Identifier: BSD-3-Clause
// Polling within a budget, and the way to sleep.
#include <spdk_io/detail/poll_driver.hpp>

#include "concat.hpp"
#include "interrupt_sleep.hpp"
#include "thread_state.hpp"
#include "ticks.hpp"

#include <spdk/thread.h>

#include <algorithm>
#include <cstdio>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds no_limit = nanoseconds::max();

nanoseconds first_sleep(const idle::backoff& policy) {
  return std::max(policy.max_sleep / 16, nanoseconds(1));
}

}  // namespace

poll_driver::poll_driver(std::shared_ptr<thread_state> state, idle::spin,
                         poll_budget budget) noexcept
    : state_(std::move(state)),
      budget_(budget),
      budget_ticks_(to_ticks(budget.time)),
      sleeps_(false),
      last_work_(spdk_get_ticks()) {}

poll_driver::poll_driver(std::shared_ptr<thread_state> state, idle::backoff policy,
                         poll_budget budget) noexcept
    : state_(std::move(state)),
      budget_(budget),
      budget_ticks_(to_ticks(budget.time)),
      sleeps_(policy.max_sleep > nanoseconds(0)),
      policy_(policy),
      spin_ticks_(to_ticks(policy.spin_for)),
      last_work_(spdk_get_ticks()),
      next_sleep_(first_sleep(policy)) {}

// Polled or not, it is idle from spin_for after its last work.
poll_driver::poll_driver(std::shared_ptr<thread_state> state, idle::interrupt policy,
                         poll_budget budget) noexcept
    : poll_driver(std::move(state), policy.otherwise, budget) {
  wants_interrupts_ = true;
  interrupt_spin_ticks_ = to_ticks(policy.spin_for);
}

poll_driver::~poll_driver() { detach(); }

result<void> poll_driver::attach(std::string_view executor, waker* w) {
  if (state_->has_poller_task) {
    return std::unexpected(
        error(std::errc::already_connected, operation_kind::run,
              concat("poller task: thread \"", state_->name, "\" already has one (started on ",
                     state_->poller_task_executor, ")")));
  }
  if (!state_->on_own_os_thread() || state_->phase != thread_phase::running) {
    return std::unexpected(
        error(std::errc::operation_not_permitted, operation_kind::run,
              concat("poller task: thread \"", state_->name,
                     "\" has ended, or belongs to another OS thread than this one")));
  }
  if (wants_interrupts_) {
    if (auto ok = attach_interrupts(); !ok) return ok;
  }
  state_->has_poller_task = true;
  state_->poller_task_executor = executor;
  state_->set_waker(w);
  attached_ = true;
  // A thread that is polled anyway need not look at its files for that.
  set_interrupt_mode(*state_, wants_interrupts_);
  return {};
}

result<void> poll_driver::attach_interrupts() {
  if (!spdk_interrupt_mode_is_enabled() || state_->reactor_polls) {
    return std::unexpected(
        error(std::errc::not_supported, operation_kind::run,
              concat("poller task: idle::interrupt on thread \"", state_->name,
                     state_->reactor_polls
                         ? "\", which SPDK's reactor polls: set app_options.interrupt instead"
                         : "\" needs SPDK's interrupt mode: start with env_options.interrupt = "
                           "true, or take idle::backoff")));
  }
  interrupts_ = std::make_unique<interrupt_sleep>(*state_);
  if (!interrupts_->files.complete()) {
    interrupts_.reset();
    return std::unexpected(error(std::errc::too_many_files_open, operation_kind::run,
                                 concat("poller task: no file descriptors for the sleep of thread \"",
                                        state_->name, "\": raise the limit (ulimit -n)")));
  }
  sleep_file_ = interrupts_->files.set();
  interrupts_->poll_first = true;
  return {};
}

void poll_driver::detach() noexcept {
  if (!attached_) return;
  attached_ = false;
  state_->set_waker(nullptr);
  state_->end_sleep();
  state_->has_poller_task = false;
  set_interrupt_mode(*state_, true);
}

bool poll_driver::poke() noexcept {
  if (sleep_file_ < 0) return false;
  interrupts_->files.poke();
  return true;
}

bool poll_driver::interrupts_on() const noexcept { return interrupts_ && interrupts_->on(); }

error poll_driver::ran_elsewhere(std::string_view executor) const {
  error e(std::errc::operation_not_permitted, operation_kind::run,
          concat("poller task: stopped, since ", executor,
                 " ran it on another OS thread than that of thread \"", state_->name,
                 "\"; let that OS thread alone run the executor (a strand is not enough), or give "
                 "each OS thread an executor and a thread of its own"));
  std::fprintf(stderr, "spdk-io: %s\n", e.message().c_str());
  return e;
}

// A sleep that was announced stays so: whoever would wake the thread finds nobody, and the next
// task that is attached ends it.
result<void> poll_driver::leave(std::string_view executor) {
  error e = ran_elsewhere(executor);
  if (attached_) {
    attached_ = false;
    state_->set_waker(nullptr);
    state_->has_poller_task = false;
  }
  return std::unexpected(e);
}

bool poll_driver::thread_alive() const noexcept { return state_->phase == thread_phase::running; }

void poll_driver::poll() {
  const std::uint64_t start = spdk_get_ticks();
  if (interrupts_) interrupts_->poll_first = false;
  std::size_t done = 0;
  std::size_t seen = 0;
  std::size_t unchecked = 0;
  while (attached_ && thread_alive()) {
    const std::size_t worked = state_->poll(0);
    if (worked == 0) break;
    if (count(worked)) [[likely]]
      done += worked;
    if ((seen += worked) >= budget_.entries) break;
    // Reading the clock costs as much as a small I/O: once for some entries, not for each.
    unchecked += worked;
    if (unchecked < 8) continue;
    unchecked = 0;
    if (spdk_get_ticks() - start >= budget_ticks_) break;
  }
  note_work(done);
  if (attached_ && interrupts_on()) interrupts_->give_up_if_useless();
}

// Whether it was work.
inline bool poll_driver::count(std::size_t worked) noexcept {
  return !interrupts_on() || interrupts_->useful(worked);
}

void poll_driver::note_work(std::size_t done) noexcept {
  if (done == 0 || (!sleeps_ && !interrupts_)) return;
  last_work_ = spdk_get_ticks();
  next_sleep_ = first_sleep(policy_);
}

nanoseconds poll_driver::may_sleep() noexcept {
  const nanoseconds never(0);
  if ((!sleeps_ && !interrupts_) || !state_->nothing_ready()) return never;
  const std::uint64_t now = spdk_get_ticks();
  if (interrupts_on()) return chosen_sleep_ = may_sleep_by_file(now);
  if (now - last_work_ < spin_ticks_) return never;
  if (interrupts_ && interrupts_->try_again(now)) {
    interrupts_->turn_on();
    return never;
  }
  if (!sleeps_ || !state_->waiting.empty()) return never;
  nanoseconds most = next_sleep_;
  if (state_->any_io()) {
    if (policy_.in_flight_sleep <= never) return never;
    most = std::min(most, policy_.in_flight_sleep);
  }
  if (!shorten_to_timers(most, now)) return never;
  // Despite SPDK's documentation this is the time, not how long until then.
  if (std::uint64_t due = spdk_thread_next_poller_expiration(state_->native); due != 0) {
    if (due <= now) return never;
    most = std::min(most, from_ticks(due - now));
  }
  return chosen_sleep_ = most;
}

// SPDK's own timed pollers have files there.
nanoseconds poll_driver::may_sleep_by_file(std::uint64_t now) noexcept {
  const nanoseconds never(0);
  if (interrupts_->poll_first || state_->waiting.needs_polls()) return never;
  if (now - last_work_ < interrupt_spin_ticks_) return never;
  nanoseconds most = no_limit;
  return shorten_to_timers(most, now) ? most : never;
}

// False: one is due.
bool poll_driver::shorten_to_timers(nanoseconds& sleep, std::uint64_t now) noexcept {
  if (state_->timers.empty()) return true;
  const std::uint64_t due = state_->timers.next_due();
  if (due <= now) return false;
  sleep = std::min(sleep, from_ticks(due - now));
  return true;
}

void poll_driver::announce_sleep() noexcept { state_->announce_sleep(); }

bool poll_driver::last_look() {
  const std::size_t done = state_->poll(0);
  note_work(count(done) ? done : 0);
  if (done != 0 || !attached_ || !thread_alive() || !state_->messages.empty_seq_cst() ||
      !state_->returns.empty_seq_cst()) {
    return false;
  }
  if (interrupts_on()) {
    if (!interrupts_->may_sleep()) return false;
  } else {
    next_sleep_ = std::min(next_sleep_ * 2, policy_.max_sleep);
  }
  if (interrupts_ && chosen_sleep_ != no_limit) interrupts_->files.start_timer(chosen_sleep_);
  return state_->asleep.load(std::memory_order_seq_cst);
}

void poll_driver::awake() noexcept {
  state_->end_sleep();
  if (!interrupts_) return;
  interrupts_->files.clear();
  interrupts_->poll_first = true;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
