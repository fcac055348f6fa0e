// SPDX-License-Identifier: BSD-3-Clause
// Polling within a budget, and the way to sleep.
#include <spdk_io/detail/poll_driver.hpp>

#include "concat.hpp"
#include "thread_state.hpp"
#include "ticks.hpp"

#include <spdk/thread.h>

#include <algorithm>
#include <cstdio>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

using std::chrono::nanoseconds;

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
  state_->has_poller_task = true;
  state_->poller_task_executor = executor;
  state_->set_waker(w);
  attached_ = true;
  return {};
}

void poll_driver::detach() noexcept {
  if (!attached_) return;
  attached_ = false;
  state_->set_waker(nullptr);
  state_->end_sleep();
  state_->has_poller_task = false;
}

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
  std::size_t done = 0;
  std::size_t unchecked = 0;
  while (attached_ && thread_alive()) {
    const std::size_t worked = state_->poll(0);
    if (worked == 0) break;
    done += worked;
    if (done >= budget_.entries) break;
    // Reading the clock costs as much as a small I/O: once for some entries, not for each.
    unchecked += worked;
    if (unchecked < 8) continue;
    unchecked = 0;
    if (spdk_get_ticks() - start >= budget_ticks_) break;
  }
  note_work(done);
}

void poll_driver::note_work(std::size_t done) noexcept {
  if (done == 0 || !sleeps_) return;
  last_work_ = spdk_get_ticks();
  next_sleep_ = first_sleep(policy_);
}

nanoseconds poll_driver::may_sleep() noexcept {
  const nanoseconds never(0);
  if (!sleeps_ || !state_->nothing_ready() || !state_->waiting.empty()) return never;
  const std::uint64_t now = spdk_get_ticks();
  if (now - last_work_ < spin_ticks_) return never;
  nanoseconds most = next_sleep_;
  if (state_->any_io()) {
    if (policy_.in_flight_sleep <= never) return never;
    most = std::min(most, policy_.in_flight_sleep);
  }
  if (!state_->timers.empty()) {
    if (state_->timers.next_due() <= now) return never;
    most = std::min(most, from_ticks(state_->timers.next_due() - now));
  }
  // Despite SPDK's documentation this is the time, not how long until then.
  if (std::uint64_t due = spdk_thread_next_poller_expiration(state_->native); due != 0) {
    if (due <= now) return never;
    most = std::min(most, from_ticks(due - now));
  }
  return most;
}

void poll_driver::announce_sleep() noexcept { state_->announce_sleep(); }

bool poll_driver::last_look() {
  std::size_t done = state_->poll(0);
  note_work(done);
  if (done != 0 || !attached_ || !thread_alive() || !state_->messages.empty_seq_cst() ||
      !state_->returns.empty_seq_cst()) {
    return false;
  }
  next_sleep_ = std::min(next_sleep_ * 2, policy_.max_sleep);
  return state_->asleep.load(std::memory_order_seq_cst);
}

void poll_driver::awake() noexcept { state_->end_sleep(); }

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
