// SPDX-License-Identifier: BSD-3-Clause
// The reactors of the application framework: their loop, from the first poll to the exit of the
// last thread.
#include "reactor.hpp"

#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "env_internal.hpp"
#include "reactor_internal.hpp"
#include "spdk/env.h"
#include "spdk/event.h"
#include "spdk/fd_group.h"
#include "spdk/log.h"
#include "spdk/string.h"
#include "spdk/thread.h"

SPDK_LOG_REGISTER_COMPONENT(reactor)

using namespace spdk_lite;

namespace {

enum class phase { none, ready, running, stopping };

struct {
  std::atomic<phase> now{phase::none};
  /// By core; NULL where the environment has none.
  std::vector<std::unique_ptr<reactor>> by_core;
  spdk_cpuset core_mask{};
} reactors;

std::atomic<bool> context_switch_monitor{true};

int run_events_of(void* ctx) { return run_events(*static_cast<reactor*>(ctx)); }

int settle_threads(void* ctx) {
  auto& r = *static_cast<reactor*>(ctx);
  int count = 0;
  const std::vector<spdk_thread*> threads = r.threads;
  for (spdk_thread* const thread : threads) {
    count += settle(r, thread) ? 1 : 0;
  }
  return count;
}

void poll_threads(reactor& r) {
  if (r.threads.empty()) {
    r.last_tsc = spdk_get_ticks();
    return;
  }
  // A poll neither adds threads to this reactor nor takes any away.
  for (std::size_t i = 0; i < r.threads.size();) {
    spdk_thread* const thread = r.threads[i];
    spdk_thread_poll(thread, 0, r.last_tsc);
    r.last_tsc = spdk_thread_get_last_tsc(thread);
    if (!settle(r, thread)) {
      ++i;
    }
  }
}

void run_once(reactor& r) {
  if (r.fd_group != nullptr) {
    spdk_fd_group_wait(r.fd_group, -1);
  } else {
    run_events(r);
    poll_threads(r);
  }
}

void watch_context_switches(reactor& r) {
  if (r.last_tsc - r.last_usage_tsc <= spdk_get_ticks_hz()) {
    return;
  }
  rusage usage{};
  if (getrusage(RUSAGE_THREAD, &usage) == 0) {
    const long voluntary = usage.ru_nvcsw - r.last_usage.ru_nvcsw;
    const long involuntary = usage.ru_nivcsw - r.last_usage.ru_nivcsw;
    if (SPDK_LOG_reactor.enabled && (voluntary != 0 || involuntary != 0)) {
      spdk_log(
          SPDK_LOG_INFO, __FILE__, __LINE__, __func__,
          "core %u: %ld voluntary and %ld involuntary context switches since the last report\n",
          r.core, voluntary, involuntary);
    }
    r.last_usage = usage;
  }
  r.last_usage_tsc = r.last_tsc;
}

/// All but the app thread should have been asked to exit before.
void begin_exits(reactor& r) {
  for (spdk_thread* const thread : r.threads) {
    if (!spdk_thread_is_running(thread)) {
      continue;
    }
    if (!spdk_thread_is_app_thread(thread)) {
      SPDK_ERRLOG("thread '%s' was not asked to exit with spdk_thread_exit() before the end\n",
                  spdk_thread_get_name(thread));
    }
    spdk_set_thread(thread);
    spdk_thread_exit(thread);
    spdk_set_thread(nullptr);
  }
}

void finish_exits(reactor& r) {
  while (!r.threads.empty()) {
    const std::vector<spdk_thread*> threads = r.threads;
    for (spdk_thread* const thread : threads) {
      if (spdk_thread_is_exited(thread)) {
        remove_thread(r, thread);
        spdk_thread_destroy(thread);
      } else if (r.fd_group != nullptr) {
        // Handlers may have taken away any of the threads: look again.
        spdk_fd_group_wait(r.fd_group, -1);
        break;
      } else {
        spdk_thread_poll(thread, 0, 0);
      }
    }
  }
}

int run_reactor(void* ctx) {
  auto& r = *static_cast<reactor*>(ctx);
  SPDK_NOTICELOG("Reactor started on core %u\n", r.core);
  prctl(PR_SET_NAME, ("reactor_" + std::to_string(r.core)).c_str(), 0, 0, 0);
  r.last_tsc = spdk_get_ticks();
  do {
    run_once(r);
    if (context_switch_monitor.load(std::memory_order_relaxed)) {
      watch_context_switches(r);
    }
  } while (reactors.now.load(std::memory_order_acquire) == phase::running);
  begin_exits(r);
  finish_exits(r);
  return 0;
}

// ---- construction ----

/// What wakes a sleeping reactor. 0 or negative errno.
int create_interrupts(reactor& r) {
  if (const int rc = spdk_fd_group_create(&r.fd_group); rc != 0) {
    return rc;
  }
  r.events_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  r.placement_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (r.events_fd < 0 || r.placement_fd < 0) {
    return -errno;
  }
  spdk_event_handler_opts opts{sizeof opts, EPOLLIN, SPDK_FD_TYPE_EVENTFD};
  const int rc = spdk_fd_group_add_ext(r.fd_group, r.events_fd, run_events_of, &r, "events", &opts);
  return rc != 0 ? rc
                 : spdk_fd_group_add_ext(r.fd_group, r.placement_fd, settle_threads, &r,
                                         "placement", &opts);
}

void destroy_interrupts(reactor& r) {
  for (const int fd : {r.events_fd, r.placement_fd}) {
    if (fd >= 0) {
      spdk_fd_group_remove(r.fd_group, fd);
      close(fd);
    }
  }
  if (r.fd_group != nullptr) {
    spdk_fd_group_destroy(r.fd_group);
  }
}

int create_reactors() {
  reactors.by_core.resize(spdk_env_get_last_core() + 1);
  std::uint32_t core = 0;
  SPDK_ENV_FOREACH_CORE(core) {
    auto r = std::make_unique<reactor>();
    r->core = core;
    if (!r->events.create()) {
      return -ENOMEM;
    }
    if (spdk_interrupt_mode_is_enabled()) {
      if (const int rc = create_interrupts(*r); rc != 0) {
        SPDK_ERRLOG("the reactor of core %u cannot watch descriptors: %s\n", core,
                    spdk_strerror(-rc));
        return rc;
      }
    }
    reactors.by_core[core] = std::move(r);
  }
  return 0;
}

void destroy_reactors() {
  for (const auto& r : reactors.by_core) {
    if (r != nullptr) {
      destroy_interrupts(*r);
    }
  }
  reactors.by_core.clear();
  destroy_event_pool();
}

/// Passes over the reactors one after the other: whatever was sent to one of them before this
/// has run when it gets there. The end is heard by all of them, those asleep included.
void sweep(void* arg1, void*) {
  const auto origin = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(arg1));
  const std::uint32_t next = spdk_env_get_next_core(spdk_env_get_current_core());
  if (next != any_core) {
    send_event(next, sweep, arg1);
    return;
  }
  send_event(
      origin,
      [](void*, void*) {
        reactors.now.store(phase::stopping, std::memory_order_release);
        for (const auto& r : reactors.by_core) {
          if (r != nullptr && r->fd_group != nullptr) {
            signal_fd(r->events_fd, "the end");
          }
        }
      },
      nullptr);
}

}  // namespace

namespace spdk_lite {

reactor* find_reactor(std::uint32_t core) {
  return core < reactors.by_core.size() ? reactors.by_core[core].get() : nullptr;
}

void signal_fd(int fd, const char* what) {
  const std::uint64_t one = 1;
  // EAGAIN means that the counter is at its maximum: readable in any case.
  if (write(fd, &one, sizeof one) < 0 && errno != EAGAIN) {
    SPDK_ERRLOG("a reactor cannot be told of %s: %s\n", what, spdk_strerror(errno));
  }
}

int reactors_init(std::size_t msg_mempool_size) {
  if (!create_event_pool()) {
    SPDK_ERRLOG("the pool of events cannot be created\n");
    return -1;
  }
  int rc = start_placement(msg_mempool_size);
  if (rc == 0 && (rc = create_reactors()) != 0) {
    spdk_thread_lib_fini();
  }
  if (rc != 0) {
    destroy_reactors();
    return rc;
  }
  reactors.now = phase::ready;
  return 0;
}

void reactors_run() {
  reactors.now = phase::running;
  const std::uint32_t own_core = spdk_env_get_current_core();
  std::uint32_t core = 0;
  SPDK_ENV_FOREACH_CORE(core) { spdk_cpuset_set_cpu(&reactors.core_mask, core, true); }
  SPDK_ENV_FOREACH_CORE(core) {
    if (core == own_core) {
      continue;
    }
    if (spdk_env_thread_launch_pinned(core, run_reactor, find_reactor(core)) != 0) {
      die("the reactor of core %u cannot be started: another function runs there", core);
    }
  }
  run_reactor(find_reactor(own_core));
  spdk_env_thread_wait_all();
  reactors.now = phase::ready;
}

void reactors_stop() {
  const std::uintptr_t origin = spdk_env_get_current_core();
  send_event(spdk_env_get_first_core(), sweep, reinterpret_cast<void*>(origin));
}

void reactors_fini() {
  if (reactors.now == phase::none) {
    return;
  }
  spdk_thread_lib_fini();
  destroy_reactors();
  reactors.now = phase::none;
}

}  // namespace spdk_lite

int spdk_app_parse_core_mask(const char* mask, spdk_cpuset* cpumask) {
  const int rc = spdk_cpuset_parse(cpumask, mask);
  if (rc < 0) {
    return rc;
  }
  spdk_cpuset_and(cpumask, &reactors.core_mask);
  return 0;
}

const spdk_cpuset* spdk_app_get_core_mask(void) { return &reactors.core_mask; }

void spdk_framework_enable_context_switch_monitor(bool enabled) {
  context_switch_monitor = enabled;
}
bool spdk_framework_context_switch_monitor_enabled(void) { return context_switch_monitor; }
