// SPDX-License-Identifier: BSD-3-Clause
// Pollers: functions that a thread calls in every poll, or whenever a period has passed.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <new>
#include <utility>

#include "spdk/log.h"
#include "spdk/thread.h"
#include "thread_internal.hpp"

using spdk_lite::current_thread;
using spdk_lite::poller_state;
using spdk_lite::thread_state;

namespace {

constexpr std::size_t max_name_length = 256;

std::uint64_t ticks_of_us(std::uint64_t us) {
  const std::uint64_t hz = spdk_get_ticks_hz();
  return us / SPDK_SEC_TO_USEC * hz + us % SPDK_SEC_TO_USEC * hz / SPDK_SEC_TO_USEC;
}

void set_name(spdk_poller& poller, const char* name) {
  if (name != nullptr) {
    poller.name.assign(name, strnlen(name, max_name_length));
    return;
  }
  std::array<char, 32> address{};
  std::snprintf(address.data(), address.size(), "%p", reinterpret_cast<void*>(poller.fn));
  poller.name = address.data();
}

void insert_timer(spdk_thread& thread, spdk_poller& poller, std::uint64_t now) {
  poller.next_run_tick = now + poller.period_ticks;
  if (poller.timer.empty()) {
    thread.timed_pollers.insert(&poller);
  } else {
    thread.timed_pollers.insert(std::move(poller.timer));
  }
}

/// Runs the poller's function. Afterwards its state tells what happened to it meanwhile.
int call(spdk_thread& thread, spdk_poller& poller) {
  poller.state = poller_state::running;
  const int rc = poller.fn(poller.arg);
  spdk_lite::check_no_spinlock_held(thread);
  ++poller.run_count;
  if (rc > 0) {
    ++poller.busy_count;
  }
  if (poller.state == poller_state::running) {
    poller.state = poller_state::waiting;
  }
  return rc;
}

/// Acts on a poller's being unregistered or paused, which may have come before or during its
/// call. `leave` takes it out of where it is. Returns whether it is gone from there.
template <typename Leave>
bool settle(spdk_thread& thread, spdk_poller& poller, Leave leave) {
  if (poller.state == poller_state::unregistered) {
    leave();
    delete &poller;
    return true;
  }
  if (poller.state == poller_state::pausing) {
    leave();
    thread.paused_pollers.push_back(poller);
    poller.state = poller_state::paused;
    return true;
  }
  return false;
}

int run_active_poller(spdk_thread& thread, spdk_poller& poller) {
  const auto leave = [&] { thread.active_pollers.remove(poller); };
  if (settle(thread, poller, leave)) [[unlikely]] {
    return 0;
  }
  const int rc = call(thread, poller);
  settle(thread, poller, leave);
  return rc;
}

/// `poller` has been taken out of the timer queue.
int run_timed_poller(spdk_thread& thread, spdk_poller& poller, std::uint64_t now) {
  const auto leave = [] {};
  if (settle(thread, poller, leave)) [[unlikely]] {
    return 0;
  }
  const int rc = call(thread, poller);
  if (!settle(thread, poller, leave)) {
    // The next period begins when this poll began, not when the poller was called.
    insert_timer(thread, poller, now);
  }
  return rc;
}

void run_post_poller_handlers(spdk_thread& thread) {
  const std::uint8_t count = thread.post_poller_handler_count;
  // No new ones while these run.
  thread.post_poller_handler_count = spdk_lite::max_post_poller_handlers;
  for (std::uint8_t i = 0; i < count; ++i) {
    thread.post_poller_handlers[i].fn(thread.post_poller_handlers[i].arg);
  }
  thread.post_poller_handler_count = 0;
}

/// Whether the poller may be changed here; says so if not.
bool is_on_its_thread(const char* function, const spdk_poller& poller) {
  if (current_thread != poller.thread) {
    spdk_lite::report_wrong_thread(function, poller.name.c_str(), *poller.thread);
    return false;
  }
  return true;
}

void warn_if_registered(const spdk_poller& poller) {
  if (poller.state != poller_state::unregistered) {
    SPDK_WARNLOG("poller %s is still registered at the end of its thread\n", poller.name.c_str());
  }
}

void free_list(spdk_lite::poller_list& list) {
  while (!list.empty()) {
    spdk_poller* const poller = list.first();
    warn_if_registered(*poller);
    list.remove(*poller);
    delete poller;
  }
}

void reap_message(void* ctx) {
  spdk_lite::reap_unregistered_pollers(*static_cast<spdk_thread*>(ctx));
}

}  // namespace

namespace spdk_lite {

bool earlier_deadline::operator()(const spdk_poller* a, const spdk_poller* b) const {
  return a->next_run_tick < b->next_run_tick;
}

void poller_list::push_back(spdk_poller& poller) {
  poller.previous = last_;
  poller.next = nullptr;
  (last_ != nullptr ? last_->next : first_) = &poller;
  last_ = &poller;
}

void poller_list::remove(spdk_poller& poller) {
  (poller.previous != nullptr ? poller.previous->next : first_) = poller.next;
  (poller.next != nullptr ? poller.next->previous : last_) = poller.previous;
  poller.previous = nullptr;
  poller.next = nullptr;
}

int run_pollers(spdk_thread& thread, std::uint64_t now) {
  int result = 0;
  for (spdk_poller* poller = thread.active_pollers.last(); poller != nullptr;) {
    spdk_poller* const previous = poller->previous;
    result = std::max(result, run_active_poller(thread, *poller));
    if (thread.post_poller_handler_count > 0) [[unlikely]] {
      run_post_poller_handlers(thread);
    }
    poller = previous;
  }
  auto& timers = thread.timed_pollers;
  for (auto due = timers.begin(); due != timers.end() && (*due)->next_run_tick <= now;) {
    const auto next = std::next(due);
    spdk_poller& poller = **due;
    poller.timer = timers.extract(due);
    result = std::max(result, run_timed_poller(thread, poller, now));
    due = next;
  }
  return result;
}

void insert_poller(spdk_thread& thread, spdk_poller& poller, std::uint64_t now) {
  if (poller.period_ticks > 0) {
    insert_timer(thread, poller, now);
  } else {
    thread.active_pollers.push_back(poller);
  }
}

void free_pollers(spdk_thread& thread) {
  free_list(thread.active_pollers);
  free_list(thread.paused_pollers);
  for (const spdk_poller* const poller : thread.timed_pollers) {
    warn_if_registered(*poller);
    delete poller;
  }
  thread.timed_pollers.clear();
}

void reap_unregistered_pollers(spdk_thread& thread) {
  for (spdk_poller* poller = thread.active_pollers.first(); poller != nullptr;) {
    spdk_poller* const next = poller->next;
    if (poller->state == poller_state::unregistered) {
      thread.active_pollers.remove(*poller);
      delete poller;
    }
    poller = next;
  }
  std::erase_if(thread.timed_pollers, [](const spdk_poller* poller) {
    const bool dead = poller->state == poller_state::unregistered;
    if (dead) {
      delete poller;
    }
    return dead;
  });
  thread.reaping_pollers = false;
}

}  // namespace spdk_lite

spdk_poller* spdk_poller_register_named(spdk_poller_fn fn, void* arg, uint64_t period_microseconds,
                                        const char* name) {
  spdk_thread* const thread = current_thread;
  if (thread == nullptr) {
    SPDK_ERRLOG("a poller cannot be registered without a current thread\n");
    return nullptr;
  }
  if (thread->state == thread_state::exited) {
    SPDK_ERRLOG("thread %s has exited\n", thread->name.c_str());
    return nullptr;
  }
  auto* const poller = new (std::nothrow) spdk_poller;
  if (poller == nullptr) {
    SPDK_ERRLOG("no memory for a poller\n");
    return nullptr;
  }
  poller->fn = fn;
  poller->arg = arg;
  poller->thread = thread;
  poller->period_ticks = ticks_of_us(period_microseconds);
  set_name(*poller, name);
  if (spdk_interrupt_mode_is_enabled() && !spdk_lite::create_poller_interrupt(*poller)) {
    delete poller;
    return nullptr;
  }
  spdk_lite::insert_poller(*thread, *poller, spdk_get_ticks());
  return poller;
}

spdk_poller* spdk_poller_register(spdk_poller_fn fn, void* arg, uint64_t period_microseconds) {
  return spdk_poller_register_named(fn, arg, period_microseconds, nullptr);
}

void spdk_poller_unregister(spdk_poller** ppoller) {
  spdk_poller* const poller = std::exchange(*ppoller, nullptr);
  if (poller == nullptr || !is_on_its_thread(__func__, *poller)) {
    return;
  }
  spdk_thread& thread = *poller->thread;
  if (spdk_interrupt_mode_is_enabled()) {
    spdk_lite::destroy_poller_interrupt(*poller);
    // Pollers have no turns there at which they could be freed.
    if (!std::exchange(thread.reaping_pollers, true)) {
      spdk_thread_send_msg(&thread, reap_message, &thread);
    }
  }
  if (poller->state == poller_state::paused) {
    // Its turn to be freed comes only among the active ones.
    thread.paused_pollers.remove(*poller);
    poller->period_ticks = 0;
    thread.active_pollers.push_back(*poller);
  }
  poller->state = poller_state::unregistered;
}

void spdk_poller_pause(spdk_poller* poller) {
  if (!is_on_its_thread(__func__, *poller)) {
    return;
  }
  if (poller->state == poller_state::waiting || poller->state == poller_state::running) {
    poller->state = poller_state::pausing;
  }
}

void spdk_poller_resume(spdk_poller* poller) {
  if (!is_on_its_thread(__func__, *poller)) {
    return;
  }
  if (poller->state == poller_state::paused) {
    poller->thread->paused_pollers.remove(*poller);
    spdk_lite::insert_poller(*poller->thread, *poller, spdk_get_ticks());
    poller->state = poller_state::waiting;
  } else if (poller->state == poller_state::pausing) {
    poller->state = poller_state::waiting;
  }
}

void spdk_thread_register_post_poller_handler(spdk_post_poller_fn fn, void* fn_arg) {
  if (current_thread == nullptr) {
    spdk_lite::die("spdk_thread_register_post_poller_handler() without a current thread");
  }
  auto& count = current_thread->post_poller_handler_count;
  if (count == spdk_lite::max_post_poller_handlers) {
    SPDK_ERRLOG("too many post-poller handlers\n");
    return;
  }
  current_thread->post_poller_handlers[count++] = {fn, fn_arg};
}

const char* spdk_poller_get_name(spdk_poller* poller) { return poller->name.c_str(); }

spdk_poller* spdk_thread_get_first_active_poller(spdk_thread* thread) {
  return thread->active_pollers.first();
}
spdk_poller* spdk_thread_get_next_active_poller(spdk_poller* prev) { return prev->next; }

spdk_poller* spdk_thread_get_first_timed_poller(spdk_thread* thread) {
  const auto& timed = thread->timed_pollers;
  return timed.empty() ? nullptr : *timed.begin();
}
spdk_poller* spdk_thread_get_next_timed_poller(spdk_poller* prev) {
  const auto& timed = prev->thread->timed_pollers;
  const auto after = std::next(std::find(timed.begin(), timed.end(), prev));
  return after == timed.end() ? nullptr : *after;
}

spdk_poller* spdk_thread_get_first_paused_poller(spdk_thread* thread) {
  return thread->paused_pollers.first();
}
spdk_poller* spdk_thread_get_next_paused_poller(spdk_poller* prev) { return prev->next; }
