// SPDX-License-Identifier: BSD-3-Clause
// Which reactor runs which SPDK thread: on creation, when a thread's mask changes, at its end.
#include <mutex>

#include "reactor_internal.hpp"
#include "spdk/env.h"
#include "spdk/log.h"
#include "spdk/string.h"
#include "thread_internal.hpp"

using namespace spdk_lite;

namespace {

/// Behind each SPDK thread.
struct placement {
  /// To another core, after the poll that is under way.
  bool move;
};

/// Where the next thread goes that may run on several cores.
struct {
  std::mutex mutex;
  std::uint32_t next_core = any_core;
} scheduler;

placement& placement_of(spdk_thread& thread) {
  return *static_cast<placement*>(spdk_thread_get_ctx(&thread));
}

/// An event on the core that was chosen for the thread.
void add_thread(void* arg1, void*) {
  auto* const thread = static_cast<spdk_thread*>(arg1);
  reactor& r = *find_reactor(spdk_env_get_current_core());
  r.threads.push_back(thread);
  if (r.fd_group == nullptr) {
    return;
  }
  if (const int rc = spdk_fd_group_nest(r.fd_group, spdk_thread_get_interrupt_fd_group(thread));
      rc != 0) {
    SPDK_ERRLOG("thread %s cannot be watched on core %u: %s\n", spdk_thread_get_name(thread),
                r.core, spdk_strerror(-rc));
  }
}

/// The next core in turn that the mask has. As in SPDK, a mask that has none of the cores counts
/// as all of them where a spinning reactor asks; else it leads to the last core that was tried.
std::uint32_t choose_core(const spdk_thread& thread) {
  spdk_cpuset cores{};
  spdk_env_get_cpuset(&cores);
  spdk_cpuset allowed{};
  spdk_cpuset_copy(&allowed, &thread.cpumask);
  spdk_cpuset_and(&allowed, &cores);
  const bool on_reactor = spdk_env_get_current_core() != any_core;
  if (spdk_cpuset_count(&allowed) == 0 && on_reactor && !spdk_interrupt_mode_is_enabled()) {
    spdk_cpuset_copy(&allowed, &cores);
  }
  const std::lock_guard lock{scheduler.mutex};
  std::uint32_t core = any_core;
  for (std::uint32_t i = 0; i < spdk_env_get_core_count(); ++i) {
    if (scheduler.next_core == any_core) {
      scheduler.next_core = spdk_env_get_first_core();
    }
    core = scheduler.next_core;
    scheduler.next_core = spdk_env_get_next_core(core);
    if (spdk_cpuset_get_cpu(&allowed, core)) {
      break;
    }
  }
  return core;
}

int place_thread(spdk_thread& thread) {
  const std::uint32_t core = choose_core(thread);
  placement_of(thread).move = false;
  spdk_event* const event = spdk_event_allocate(core, add_thread, &thread, nullptr);
  if (event == nullptr) {
    SPDK_ERRLOG("thread %s cannot be placed on core %u: no event is left\n",
                spdk_thread_get_name(&thread), core);
    return -1;
  }
  spdk_event_call(event);
  return 0;
}

int handle_thread_op(spdk_thread* thread, spdk_thread_op op) {
  if (op == SPDK_THREAD_OP_NEW) {
    return place_thread(*thread);
  }
  // RESCHED comes on the thread itself: it is moved, or taken away, when it is not running.
  placement_of(*thread).move = true;
  if (const reactor* const r = find_reactor(spdk_env_get_current_core());
      r != nullptr && r->fd_group != nullptr) {
    signal_fd(r->placement_fd, "a thread to be moved");
  }
  return 0;
}

bool supports_thread_op(spdk_thread_op op) {
  return op == SPDK_THREAD_OP_NEW || op == SPDK_THREAD_OP_RESCHED;
}

}  // namespace

namespace spdk_lite {

int start_placement(std::size_t msg_mempool_size) {
  return spdk_thread_lib_init_ext(handle_thread_op, supports_thread_op, sizeof(placement),
                                  msg_mempool_size);
}

void remove_thread(reactor& r, spdk_thread* thread) {
  std::erase(r.threads, thread);
  if (r.fd_group != nullptr) {
    spdk_fd_group_unnest(r.fd_group, spdk_thread_get_interrupt_fd_group(thread));
  }
}

bool settle(reactor& r, spdk_thread* thread) {
  if (spdk_thread_is_exited(thread) && spdk_thread_is_idle(thread)) {
    remove_thread(r, thread);
    spdk_thread_destroy(thread);
    return true;
  }
  if (placement_of(*thread).move && !spdk_thread_is_bound(thread)) {
    remove_thread(r, thread);
    place_thread(*thread);
    return true;
  }
  return false;
}

}  // namespace spdk_lite
