// SPDX-License-Identifier: BSD-3-Clause
// Interrupt mode: each thread has a group of file descriptors that becomes readable on messages,
// expired timers and whatever devices add, so that its OS thread may sleep.
#include <sys/timerfd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "spdk/log.h"
#include "spdk/string.h"
#include "spdk/thread.h"
#include "thread_internal.hpp"

using spdk_lite::current_thread;
using spdk_lite::poller_state;
using spdk_lite::thread_state;

/// A descriptor of a thread's group, or a group nested in it.
struct spdk_interrupt {
  int fd = -1;
  spdk_fd_group* group = nullptr;
  spdk_thread* thread = nullptr;
  spdk_interrupt_fn fn = nullptr;
  void* arg = nullptr;
  std::string name;
};

namespace {

std::atomic<bool> mode_enabled{false};

/// Calls `fn` with `thread` as the current one, wherever the group was waited for.
template <typename Function>
int call_on(spdk_thread& thread, Function fn) {
  spdk_thread* const outer = std::exchange(current_thread, &thread);
  const int rc = fn();
  spdk_lite::check_no_spinlock_held(thread);
  current_thread = outer;
  return rc;
}

int run_interrupt(void* ctx) {
  const auto& interrupt = *static_cast<const spdk_interrupt*>(ctx);
  // The interrupt may unregister itself, hence the copies.
  return call_on(*interrupt.thread, [fn = interrupt.fn, arg = interrupt.arg] { return fn(arg); });
}

int run_nested(void* ctx, spdk_fd_fn fn, void* arg) {
  return call_on(*static_cast<const spdk_interrupt*>(ctx)->thread, [=] { return fn(arg); });
}

int process_messages(void* ctx) {
  auto& thread = *static_cast<spdk_thread*>(ctx);
  return call_on(thread, [&thread] {
    int rc = spdk_lite::run_critical_message(thread) ? 1 : 0;
    if (spdk_lite::run_messages(thread, 0) > 0) {
      rc = 1;
    }
    if (!thread.in_interrupt) {
      // A message turned the thread to poll mode: nobody watches the descriptor any more.
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t n = read(thread.message_fd, &count, sizeof count);
    }
    return rc;
  });
}

timespec duration_of(std::uint64_t ticks) {
  const std::uint64_t hz = spdk_get_ticks_hz();
  timespec result{};
  result.tv_sec = static_cast<time_t>(ticks / hz);
  result.tv_nsec = static_cast<long>(ticks % hz * SPDK_SEC_TO_NSEC / hz);
  return result;
}

std::uint64_t ticks_of(const timespec& duration) {
  const std::uint64_t hz = spdk_get_ticks_hz();
  return static_cast<std::uint64_t>(duration.tv_sec) * hz +
         static_cast<std::uint64_t>(duration.tv_nsec) * hz / SPDK_SEC_TO_NSEC;
}

int timer_expired(void* ctx) {
  const auto& poller = *static_cast<const spdk_poller*>(ctx);
  std::uint64_t expirations = 0;
  if (read(poller.interrupt->fd, &expirations, sizeof expirations) < 0) {
    return 0;
  }
  return poller.fn(poller.arg);
}

/// Moves a timed poller to a new place in its thread's queue.
void set_deadline(spdk_poller& poller, std::uint64_t ticks_from_now) {
  auto& timers = poller.thread->timed_pollers;
  const auto [first, last] = timers.equal_range(&poller);
  const auto place = std::find(first, last, &poller);
  if (place == last) {
    return;
  }
  auto node = timers.extract(place);
  poller.next_run_tick = spdk_get_ticks() + ticks_from_now;
  timers.insert(std::move(node));
}

void set_timer_mode(spdk_poller* poller, void*, bool interrupt_mode) {
  itimerspec timer{};
  if (interrupt_mode) {
    const std::uint64_t now = spdk_get_ticks();
    const std::uint64_t hz = spdk_get_ticks_hz();
    std::uint64_t delay = poller->period_ticks;
    if (poller->next_run_tick != 0) {
      delay = poller->next_run_tick > now ? poller->next_run_tick - now : 0;
    }
    // A delay of zero would disarm the timer.
    timer.it_value = duration_of(std::max<std::uint64_t>(delay, hz / SPDK_SEC_TO_USEC));
    timer.it_interval = duration_of(poller->period_ticks);
  }
  itimerspec before{};
  if (timerfd_settime(poller->interrupt->fd, 0, &timer, &before) != 0) {
    SPDK_ERRLOG("the timer of poller %s cannot be set: %s\n", poller->name.c_str(),
                spdk_strerror(errno));
  }
  if (!interrupt_mode) {
    set_deadline(*poller, ticks_of(before.it_value));
  }
}

/// A poller without a period keeps its thread awake: its descriptor stays readable.
void set_busy_mode(spdk_poller* poller, void*, bool interrupt_mode) {
  std::uint64_t value = 1;
  const int fd = poller->interrupt->fd;
  [[maybe_unused]] const ssize_t n =
      interrupt_mode ? write(fd, &value, sizeof value) : read(fd, &value, sizeof value);
}

void set_poller_mode(spdk_poller& poller, bool interrupt_mode) {
  if (poller.state != poller_state::unregistered && poller.set_mode != nullptr) {
    poller.set_mode(&poller, poller.set_mode_arg, interrupt_mode);
  }
}

std::unique_ptr<spdk_interrupt> make_interrupt(const char* name) {
  if (current_thread == nullptr || current_thread->state != thread_state::running) {
    SPDK_ERRLOG("an interrupt can only be registered on a running thread\n");
    return nullptr;
  }
  if (current_thread->fd_group == nullptr) {
    SPDK_ERRLOG("interrupt mode is not enabled\n");
    return nullptr;
  }
  auto interrupt = std::make_unique<spdk_interrupt>();
  interrupt->thread = current_thread;
  interrupt->name = name != nullptr ? name : "";
  return interrupt;
}

}  // namespace

namespace spdk_lite {

bool create_interrupts(spdk_thread& thread) {
  thread.in_interrupt = true;
  if (spdk_fd_group_create(&thread.fd_group) != 0) {
    return false;
  }
  thread.message_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (thread.message_fd < 0) {
    return false;
  }
  spdk_event_handler_opts opts{sizeof opts, EPOLLIN, SPDK_FD_TYPE_EVENTFD};
  return spdk_fd_group_add_ext(thread.fd_group, thread.message_fd, process_messages, &thread,
                               "messages", &opts) == 0;
}

void destroy_interrupts(spdk_thread& thread) {
  if (thread.message_fd >= 0) {
    spdk_fd_group_remove(thread.fd_group, thread.message_fd);
    close(thread.message_fd);
  }
  if (thread.fd_group != nullptr) {
    spdk_fd_group_destroy(thread.fd_group);
  }
}

bool create_poller_interrupt(spdk_poller& poller) {
  const bool timed = poller.period_ticks > 0;
  const int fd = timed ? timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
                       : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) {
    return false;
  }
  poller.interrupt = timed
                         ? spdk_interrupt_register(fd, timer_expired, &poller, poller.name.c_str())
                         : spdk_interrupt_register(fd, poller.fn, poller.arg, poller.name.c_str());
  if (poller.interrupt == nullptr) {
    close(fd);
    return false;
  }
  poller.set_mode = timed ? set_timer_mode : set_busy_mode;
  if (poller.thread->in_interrupt) {
    set_poller_mode(poller, true);
  }
  return true;
}

void destroy_poller_interrupt(spdk_poller& poller) {
  if (poller.interrupt != nullptr) {
    const int fd = poller.interrupt->fd;
    spdk_interrupt_unregister(&poller.interrupt);
    close(fd);
  }
}

void notify(const spdk_thread& thread) {
  const std::uint64_t one = 1;
  // EAGAIN means that the counter is at its maximum: readable in any case.
  if (write(thread.message_fd, &one, sizeof one) < 0 && errno != EAGAIN) {
    die("thread %s cannot be notified: %s", thread.name.c_str(), spdk_strerror(errno));
  }
}

}  // namespace spdk_lite

int spdk_interrupt_mode_enable(void) {
  if (spdk_lite::library().initialised) {
    SPDK_ERRLOG("interrupt mode must be enabled before spdk_thread_lib_init()\n");
    return -1;
  }
  mode_enabled = true;
  return 0;
}

bool spdk_interrupt_mode_is_enabled(void) { return mode_enabled.load(std::memory_order_relaxed); }

void spdk_thread_set_interrupt_mode(bool enable_interrupt) {
  if (current_thread == nullptr || !spdk_interrupt_mode_is_enabled()) {
    spdk_lite::die("spdk_thread_set_interrupt_mode() needs a current thread and interrupt mode");
  }
  spdk_thread& thread = *current_thread;
  if (thread.in_interrupt == enable_interrupt) {
    return;
  }
  // Changing a timed poller's mode may move it in its queue.
  std::vector<spdk_poller*> timed(thread.timed_pollers.begin(), thread.timed_pollers.end());
  for (spdk_poller* const poller : timed) {
    set_poller_mode(*poller, enable_interrupt);
  }
  for (const auto* list : {&thread.active_pollers, &thread.paused_pollers}) {
    for (spdk_poller* poller = list->first(); poller != nullptr; poller = poller->next) {
      set_poller_mode(*poller, enable_interrupt);
    }
  }
  thread.in_interrupt = enable_interrupt;
}

int spdk_thread_get_interrupt_fd(spdk_thread* thread) {
  return spdk_fd_group_get_fd(thread->fd_group);
}

spdk_fd_group* spdk_thread_get_interrupt_fd_group(spdk_thread* thread) { return thread->fd_group; }

void spdk_poller_register_interrupt(spdk_poller* poller, spdk_poller_set_interrupt_mode_cb cb_fn,
                                    void* cb_arg) {
  if (!spdk_interrupt_mode_is_enabled()) {
    return;
  }
  spdk_lite::destroy_poller_interrupt(*poller);
  poller->set_mode = cb_fn;
  poller->set_mode_arg = cb_arg;
  if (poller->thread->in_interrupt) {
    set_poller_mode(*poller, true);
  }
}

spdk_interrupt* spdk_interrupt_register(int efd, spdk_interrupt_fn fn, void* arg,
                                        const char* name) {
  return spdk_interrupt_register_for_events(efd, SPDK_INTERRUPT_EVENT_IN, fn, arg, name);
}

spdk_interrupt* spdk_interrupt_register_for_events(int efd, uint32_t events, spdk_interrupt_fn fn,
                                                   void* arg, const char* name) {
  spdk_event_handler_opts opts{sizeof opts, events, SPDK_FD_TYPE_DEFAULT};
  return spdk_interrupt_register_ext(efd, fn, arg, name, &opts);
}

spdk_interrupt* spdk_interrupt_register_ext(int efd, spdk_interrupt_fn fn, void* arg,
                                            const char* name, spdk_event_handler_opts* opts) {
  auto interrupt = make_interrupt(name);
  if (interrupt == nullptr) {
    return nullptr;
  }
  interrupt->fd = efd;
  interrupt->fn = fn;
  interrupt->arg = arg;
  const int rc = spdk_fd_group_add_ext(interrupt->thread->fd_group, efd, run_interrupt,
                                       interrupt.get(), interrupt->name.c_str(), opts);
  if (rc != 0) {
    SPDK_ERRLOG("thread %s: descriptor %d cannot be added: %s\n", interrupt->thread->name.c_str(),
                efd, spdk_strerror(-rc));
    return nullptr;
  }
  return interrupt.release();
}

spdk_interrupt* spdk_interrupt_register_fd_group(spdk_fd_group* fgrp, const char* name) {
  auto interrupt = make_interrupt(name);
  if (interrupt == nullptr || spdk_fd_group_set_wrapper(fgrp, run_nested, interrupt.get()) != 0) {
    return nullptr;
  }
  interrupt->group = fgrp;
  if (spdk_fd_group_nest(interrupt->thread->fd_group, fgrp) != 0) {
    spdk_fd_group_set_wrapper(fgrp, nullptr, nullptr);
    return nullptr;
  }
  return interrupt.release();
}

void spdk_interrupt_unregister(spdk_interrupt** pintr) {
  const std::unique_ptr<spdk_interrupt> interrupt{std::exchange(*pintr, nullptr)};
  if (interrupt == nullptr) {
    return;
  }
  spdk_thread& thread = *interrupt->thread;
  if (current_thread != &thread) {
    spdk_lite::report_wrong_thread(__func__, interrupt->name.c_str(), thread);
  }
  if (interrupt->group != nullptr) {
    spdk_fd_group_unnest(thread.fd_group, interrupt->group);
    spdk_fd_group_set_wrapper(interrupt->group, nullptr, nullptr);
  } else {
    spdk_fd_group_remove(thread.fd_group, interrupt->fd);
  }
}

int spdk_interrupt_set_event_types(spdk_interrupt* intr, spdk_interrupt_event_types event_types) {
  if (current_thread != intr->thread) {
    spdk_lite::report_wrong_thread(__func__, intr->name.c_str(), *intr->thread);
    return -EINVAL;
  }
  if (intr->fd < 0) {
    return -EINVAL;
  }
  return spdk_fd_group_event_modify(intr->thread->fd_group, intr->fd, event_types);
}
