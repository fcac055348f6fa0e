// SPDX-License-Identifier: BSD-3-Clause
// Turns in a reactor's events.
#include "reactor_driver.hpp"

#include "concat.hpp"
#include "ticks.hpp"

#include <spdk_io/detail/fatal.hpp>

#include <spdk/cpuset.h>
#include <spdk/env.h>
#include <spdk/event.h>
#include <spdk/thread.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

struct driven {
  std::uint32_t core;
  thread_state* state;
};
std::mutex driven_mutex;
std::vector<driven> all_driven;

// In one of the driver's events; and acting for the thread, for SPDK's calls about it.
class reactor_event {
 public:
  reactor_event() noexcept : before_(std::exchange(in_reactor_event, true)) {}
  ~reactor_event() { in_reactor_event = before_; }
  reactor_event(const reactor_event&) = delete;
  reactor_event& operator=(const reactor_event&) = delete;

 private:
  bool before_;
};

class native_scope {
 public:
  explicit native_scope(spdk_thread* native) noexcept : before_(spdk_get_thread()) {
    spdk_set_thread(native);
  }
  ~native_scope() { spdk_set_thread(before_); }
  native_scope(const native_scope&) = delete;
  native_scope& operator=(const native_scope&) = delete;

 private:
  spdk_thread* before_;
};

}  // namespace

bool reactors_run() noexcept {
  const spdk_cpuset* cores = spdk_app_get_core_mask();
  return cores && spdk_cpuset_count(cores) > 0;
}

std::shared_ptr<thread_state> thread_of_core(std::uint32_t core) {
  std::lock_guard lock(driven_mutex);
  auto found = std::ranges::find(all_driven, core, &driven::core);
  return found == all_driven.end() ? nullptr : found->state->shared_from_this();
}

reactor_driver& reactor_driver::start(std::shared_ptr<thread_state> state,
                                      exception_handler handler, void* context) {
  auto* driver = new reactor_driver(std::move(state), handler, context);
  driver->post();
  return *driver;
}

reactor_driver::reactor_driver(std::shared_ptr<thread_state> state, exception_handler handler,
                               void* context)
    : state_(std::move(state)),
      core_(spdk_env_get_current_core()),
      was_bound_(spdk_thread_is_bound(state_->native)),
      handler_(handler),
      context_(context) {
  waker::wake = on_wake;
  spdk_thread_bind(state_->native, true);
  state_->reactor_polls = true;
  state_->has_poller_task = true;
  state_->poller_task_executor = "an SPDK reactor";
  state_->set_waker(this);
  std::lock_guard lock(driven_mutex);
  all_driven.push_back({core_, state_.get()});
}

reactor_driver::~reactor_driver() = default;

void reactor_driver::stop(void (*then)(void*), void* argument) noexcept {
  then_argument_ = argument;
  then_ = then;
  state_->wake_if_asleep();
}

bool reactor_driver::on_wake(waker& self) noexcept {
  static_cast<reactor_driver&>(self).post();
  return true;
}

// At most one is under way: either asleep is set, or an event is posted, or this is inside one.
void reactor_driver::post() noexcept {
  spdk_event* event = spdk_event_allocate(core_, on_event, this, nullptr);
  if (!event) {
    fatal(concat("thread \"", state_->name,
                 "\": SPDK's reactors have run out of events (too many are under way)"));
  }
  spdk_event_call(event);
}

void reactor_driver::on_event(void* argument, void*) {
  auto& self = *static_cast<reactor_driver*>(argument);
  reactor_event here;
  self.state_->hurdles.set_sleep(false);  // whoever sent the event has ended the sleep
  const std::size_t done = self.run_turn();
  if (self.then_) return self.end();
  self.arm_timer();
  self.sleep_unless(done > 0);
}

std::size_t reactor_driver::run_turn() {
  try {
    return state_->run_without_polling();
  } catch (...) {
    handler_(context_, std::current_exception());
    return 1;
  }
}

// Going to sleep: announce it, then look once more at what other OS threads can fill.
void reactor_driver::sleep_unless(bool busy) noexcept {
  thread_state& s = *state_;
  if (busy || then_ || !s.nothing_ready() || !s.waiting.empty()) return post();
  s.announce_sleep();
  if (s.messages.empty_seq_cst() && s.returns.empty_seq_cst()) return;
  if (s.asleep.exchange(false, std::memory_order_seq_cst)) post();
}

// One poller of SPDK's for all of the thread's timers, which may fire too early but not too late.
void reactor_driver::arm_timer() {
  if (state_->timers.empty()) return;
  const std::uint64_t due = state_->timers.next_due();
  if (timer_ && timer_due_ <= due) return;
  native_scope as(state_->native);
  disarm_timer();
  const std::uint64_t now = spdk_get_ticks();
  const auto left = due > now ? from_ticks(due - now) : std::chrono::nanoseconds(0);
  const auto period = std::chrono::duration_cast<std::chrono::microseconds>(left).count() + 1;
  timer_ = spdk_poller_register_named(on_timer, this, static_cast<std::uint64_t>(period),
                                      "spdk_io::timers");
  timer_due_ = due;
  if (!timer_) fatal(concat("thread \"", state_->name, "\": SPDK refuses to register a timer"));
}

void reactor_driver::disarm_timer() noexcept {
  if (timer_) spdk_poller_unregister(&timer_);
}

int reactor_driver::on_timer(void* argument) {
  auto& self = *static_cast<reactor_driver*>(argument);
  self.disarm_timer();
  self.state_->wake_if_asleep();
  return SPDK_POLLER_BUSY;
}

// The thread takes no more turns; what it does while it ends, it does inside `then`.
void reactor_driver::end() {
  spdk_thread* native = state_->native;
  {
    native_scope as(native);
    disarm_timer();
  }
  state_->set_waker(nullptr);
  {
    std::lock_guard lock(driven_mutex);
    std::erase_if(all_driven, [this](const driven& each) { return each.state == state_.get(); });
  }
  if (state_->at_end == native_end::leave) spdk_thread_bind(native, was_bound_);
  then_(then_argument_);
  delete this;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
