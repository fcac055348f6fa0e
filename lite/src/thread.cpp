// SPDX-License-Identifier: BSD-3-Clause
// The life of SPDK threads: library start and end, creation, polling, exit, destruction, and
// what can be asked about a thread.
#include "spdk/thread.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <utility>

#include "spdk/log.h"
#include "thread_internal.hpp"

SPDK_LOG_REGISTER_COMPONENT(thread)

namespace spdk_lite {

constinit thread_local spdk_thread* current_thread = nullptr;

thread_registry& registry() {
  static auto& instance = *new thread_registry;
  return instance;
}

library_state& library() {
  static auto& instance = *new library_state;
  return instance;
}

void report_wrong_thread(const char* function, const char* object, const spdk_thread& owner) {
  const char* const caller = current_thread != nullptr ? current_thread->name.c_str() : "none";
  SPDK_ERRLOG("%s(%s) called on thread %s, but it belongs to thread %s\n", function, object, caller,
              owner.name.c_str());
}

}  // namespace spdk_lite

using spdk_lite::current_thread;
using spdk_lite::die;
using spdk_lite::library;
using spdk_lite::registry;
using spdk_lite::thread_state;

namespace {

constexpr std::uint64_t exit_timeout_seconds = 5;
constexpr std::size_t max_name_length = 256;

std::atomic<spdk_thread*> app_thread{nullptr};
/// A copy of the registry's size that can be read without its lock.
std::atomic<std::uint32_t> thread_count{0};

std::string make_name(const char* name, const void* object) {
  if (name != nullptr) {
    return std::string{name, strnlen(name, max_name_length)};
  }
  std::array<char, 32> address{};
  std::snprintf(address.data(), address.size(), "%p", object);
  return address.data();
}

int start_library(std::size_t ctx_size, std::size_t pool_size) {
  auto& lib = library();
  if (!spdk_lite::env_is_up()) {
    die("spdk_thread_lib_init() before spdk_env_init()");
  }
  if (lib.initialised || pool_size == 0) {
    SPDK_ERRLOG("the message pool cannot be created: %s\n",
                lib.initialised ? "the library is initialised already" : "its size is 0");
    return -ENOMEM;
  }
  lib.ctx_size = ctx_size;
  lib.pool_free = pool_size;
  lib.initialised = true;
  return 0;
}

/// Sets a cache of messages aside for a new thread, if that many are left.
std::size_t take_pool_share() {
  auto& pool = library().pool_free;
  std::size_t free = pool.load();
  while (free >= SPDK_MSG_MEMPOOL_CACHE_SIZE) {
    if (pool.compare_exchange_weak(free, free - SPDK_MSG_MEMPOOL_CACHE_SIZE)) {
      return SPDK_MSG_MEMPOOL_CACHE_SIZE;
    }
  }
  return 0;
}

void add_to_registry(spdk_thread& thread) {
  auto& all = registry();
  const std::lock_guard lock{all.mutex};
  thread.id = all.next_id++;
  all.threads.push_back(&thread);
  thread_count = static_cast<std::uint32_t>(all.threads.size());
}

void remove_from_registry(spdk_thread& thread) {
  auto& all = registry();
  const std::lock_guard lock{all.mutex};
  std::erase(all.threads, &thread);
  thread_count = static_cast<std::uint32_t>(all.threads.size());
}

/// A thread object with room for the runner's context behind it; NULL without memory.
spdk_thread* allocate_thread() {
  const std::size_t size =
      SPDK_ALIGN_CEIL(sizeof(spdk_thread) + library().ctx_size, std::size_t{SPDK_CACHE_LINE_SIZE});
  void* const memory = std::aligned_alloc(alignof(spdk_thread), size);
  if (memory == nullptr) {
    return nullptr;
  }
  std::memset(memory, 0, size);
  auto* const thread = new (memory) spdk_thread;
  if (!thread->messages.create()) {
    thread->~spdk_thread();
    std::free(memory);
    return nullptr;
  }
  return thread;
}

void free_thread(spdk_thread& thread) {
  for (const auto& channel : thread.channels) {
    SPDK_ERRLOG("thread %s still has a channel of the io_device at %p\n", thread.name.c_str(),
                spdk_io_channel_get_io_device(channel.second));
  }
  spdk_lite::free_pollers(thread);
  remove_from_registry(thread);
  library().pool_free += thread.pool_share;
  spdk_lite::destroy_interrupts(thread);
  thread.~spdk_thread();
  std::free(&thread);
}

/// Tells whoever runs the threads. Without a runner a thread can only be created while the pool
/// has a full cache for it; SPDK behaves like that, though it is hardly intended.
bool announce(spdk_thread& thread) {
  const auto& lib = library();
  if (lib.new_thread != nullptr) {
    return lib.new_thread(&thread) == 0;
  }
  if (lib.op_supported != nullptr && lib.op_supported(SPDK_THREAD_OP_NEW)) {
    return lib.op(&thread, SPDK_THREAD_OP_NEW) == 0;
  }
  return thread.pool_share > 0 || spdk_interrupt_mode_is_enabled();
}

/// What keeps an exiting thread alive, or nothing.
std::optional<std::string> reason_to_stay(const spdk_thread& thread) {
  using spdk_lite::poller_state;
  if (thread.messages.size() > 0) {
    return "messages";
  }
  if (thread.for_eachs > 0) {
    return "for_each operations";
  }
  for (const spdk_poller* p = thread.active_pollers.first(); p != nullptr; p = p->next) {
    if (p->state != poller_state::unregistered) {
      return "active poller " + p->name;
    }
  }
  for (const spdk_poller* const p : thread.timed_pollers) {
    if (p->state != poller_state::unregistered) {
      return "timed poller " + p->name;
    }
  }
  if (!thread.paused_pollers.empty()) {
    return "paused poller " + thread.paused_pollers.first()->name;
  }
  if (std::string name = spdk_lite::first_channel_name(thread); !name.empty()) {
    return "a channel of io_device " + name;
  }
  if (thread.pending_unregisters > 0) {
    return "io_devices being unregistered";
  }
  return std::nullopt;
}

void try_to_finish_exit(spdk_thread& thread, std::uint64_t now) {
  if (now >= thread.exit_deadline) {
    SPDK_ERRLOG("thread %s did not finish its exit within %" PRIu64 " s: it is forced to\n",
                thread.name.c_str(), exit_timeout_seconds);
  } else if (const auto reason = reason_to_stay(thread); reason) {
    // SPDK_INFOLOG() would look for the flag in the innermost namespace.
    if (SPDK_LOG_thread.enabled) {
      spdk_log(SPDK_LOG_INFO, __FILE__, __LINE__, __func__,
               "thread %s cannot exit yet: it has %s\n", thread.name.c_str(), reason->c_str());
    }
    return;
  }
  thread.state = thread_state::exited;
  if (thread.in_interrupt) {
    if (library().op == nullptr) {
      die("thread %s exited in interrupt mode, for which spdk_thread_lib_init_ext() needs a "
          "thread operation function",
          thread.name.c_str());
    }
    library().op(&thread, SPDK_THREAD_OP_RESCHED);
  }
}

/// In interrupt mode nothing but messages reaches a sleeping thread: one that is exiting sends
/// itself this one until it is done.
void continue_exit(void* ctx) {
  auto& thread = *static_cast<spdk_thread*>(ctx);
  try_to_finish_exit(thread, spdk_get_ticks());
  if (thread.state != thread_state::exited) {
    spdk_thread_send_msg(&thread, continue_exit, &thread);
  }
}

int run_once(spdk_thread& thread, std::uint32_t max_msgs, std::uint64_t now) {
  thread.last_tsc.store(now, std::memory_order_relaxed);
  int rc = spdk_lite::run_critical_message(thread) ? 1 : 0;
  if (spdk_lite::run_messages(thread, max_msgs) > 0) {
    rc = 1;
  }
  return std::max(rc, spdk_lite::run_pollers(thread, now));
}

void update_stats(spdk_thread& thread, std::uint64_t start, int rc) {
  const std::uint64_t end = spdk_get_ticks();
  if (rc == 0) {
    thread.stats.idle_tsc += end - start;
  } else if (rc > 0) {
    thread.stats.busy_tsc += end - start;
  }
  thread.last_tsc.store(end, std::memory_order_relaxed);
}

}  // namespace

int spdk_thread_lib_init(spdk_new_thread_fn new_thread_fn, size_t ctx_sz) {
  const int rc = start_library(ctx_sz, SPDK_DEFAULT_MSG_MEMPOOL_SIZE);
  if (rc == 0) {
    library().new_thread = new_thread_fn;
  }
  return rc;
}

int spdk_thread_lib_init_ext(spdk_thread_op_fn thread_op_fn,
                             spdk_thread_op_supported_fn thread_op_supported_fn, size_t ctx_sz,
                             size_t msg_mempool_size) {
  if ((thread_op_fn == nullptr) != (thread_op_supported_fn == nullptr)) {
    SPDK_ERRLOG("give both thread operation functions or neither\n");
    return -EINVAL;
  }
  const int rc = start_library(ctx_sz, msg_mempool_size);
  if (rc == 0) {
    library().op = thread_op_fn;
    library().op_supported = thread_op_supported_fn;
  }
  return rc;
}

void spdk_thread_lib_fini(void) {
  spdk_lite::report_registered_devices();
  if (spdk_thread* const thread = app_thread.exchange(nullptr); thread != nullptr) {
    free_thread(*thread);
  }
  auto& lib = library();
  lib.new_thread = nullptr;
  lib.op = nullptr;
  lib.op_supported = nullptr;
  lib.ctx_size = 0;
  lib.pool_free = 0;
  lib.initialised = false;
}

spdk_thread* spdk_thread_create(const char* name, const spdk_cpuset* cpumask) {
  if (!library().initialised) {
    die("spdk_thread_create() before spdk_thread_lib_init()");
  }
  spdk_thread* const thread = allocate_thread();
  if (thread == nullptr) {
    SPDK_ERRLOG("no memory for a thread\n");
    return nullptr;
  }
  thread->name = make_name(name, thread);
  thread->last_tsc = spdk_get_ticks();
  thread->pool_share = take_pool_share();
  if (cpumask != nullptr) {
    spdk_cpuset_copy(&thread->cpumask, cpumask);
  } else {
    spdk_cpuset_negate(&thread->cpumask);
  }
  add_to_registry(*thread);
  if ((spdk_interrupt_mode_is_enabled() && !spdk_lite::create_interrupts(*thread)) ||
      !announce(*thread)) {
    free_thread(*thread);
    return nullptr;
  }
  // Two first threads may be created at the same time: one of them wins.
  spdk_thread* none = nullptr;
  app_thread.compare_exchange_strong(none, thread);
  return thread;
}

spdk_thread* spdk_thread_get_app_thread(void) { return app_thread; }

bool spdk_thread_is_app_thread(spdk_thread* thread) {
  return app_thread == (thread != nullptr ? thread : current_thread);
}

void spdk_set_thread(spdk_thread* thread) { current_thread = thread; }
spdk_thread* spdk_get_thread(void) { return current_thread; }

void spdk_thread_bind(spdk_thread* thread, bool bind) { thread->is_bound = bind; }
bool spdk_thread_is_bound(spdk_thread* thread) { return thread->is_bound; }

int spdk_thread_exit(spdk_thread* thread) {
  if (current_thread != thread) {
    die("spdk_thread_exit(%s) must be called on that thread", thread->name.c_str());
  }
  if (thread->state != thread_state::running) {
    return 0;
  }
  thread->exit_deadline = spdk_get_ticks() + spdk_get_ticks_hz() * exit_timeout_seconds;
  thread->state = thread_state::exiting;
  if (spdk_interrupt_mode_is_enabled()) {
    spdk_thread_send_msg(thread, continue_exit, thread);
  }
  return 0;
}

bool spdk_thread_is_running(spdk_thread* thread) { return thread->state == thread_state::running; }
bool spdk_thread_is_exited(spdk_thread* thread) { return thread->state == thread_state::exited; }

void spdk_thread_destroy(spdk_thread* thread) {
  if (thread->state != thread_state::exited) {
    die("spdk_thread_destroy(%s): the thread has not exited", thread->name.c_str());
  }
  if (thread->is_polled) {
    die("spdk_thread_destroy(%s) within its own poll", thread->name.c_str());
  }
  if (current_thread == thread) {
    current_thread = nullptr;
  }
  // Much refers to the app thread until the very end: it is freed by spdk_thread_lib_fini().
  if (thread != app_thread) {
    free_thread(*thread);
  }
}

void* spdk_thread_get_ctx(spdk_thread* thread) {
  return library().ctx_size > 0 ? thread + 1 : nullptr;
}

spdk_thread* spdk_thread_get_from_ctx(void* ctx) {
  return ctx != nullptr ? static_cast<spdk_thread*>(ctx) - 1 : nullptr;
}

spdk_cpuset* spdk_thread_get_cpumask(spdk_thread* thread) { return &thread->cpumask; }

int spdk_thread_set_cpumask(spdk_cpuset* cpumask) {
  const auto& lib = library();
  if (lib.op_supported == nullptr || !lib.op_supported(SPDK_THREAD_OP_RESCHED)) {
    SPDK_ERRLOG("whoever runs the threads cannot reschedule them\n");
    return -ENOTSUP;
  }
  if (current_thread == nullptr) {
    SPDK_ERRLOG("there is no current thread\n");
    return -EINVAL;
  }
  spdk_cpuset_copy(&current_thread->cpumask, cpumask);
  lib.op(current_thread, SPDK_THREAD_OP_RESCHED);
  return 0;
}

int spdk_thread_poll(spdk_thread* thread, uint32_t max_msgs, uint64_t now) {
  if (thread->is_polled) [[unlikely]] {
    die("spdk_thread_poll(%s) within its own poll", thread->name.c_str());
  }
  spdk_thread* const outer = std::exchange(current_thread, thread);
  thread->is_polled = true;
  if (now == 0) {
    now = spdk_get_ticks();
  }
  int rc = 0;
  if (!thread->in_interrupt.load(std::memory_order_relaxed)) [[likely]] {
    rc = run_once(*thread, max_msgs, now);
    if (thread->in_interrupt) [[unlikely]] {
      // It went to interrupt mode just now: messages may have come without a notification.
      rc = run_once(*thread, max_msgs, now);
    }
    if (thread->state.load(std::memory_order_relaxed) == thread_state::exiting) [[unlikely]] {
      try_to_finish_exit(*thread, now);
    }
  } else {
    rc = spdk_fd_group_wait(thread->fd_group, 0);
  }
  update_stats(*thread, now, rc);
  thread->is_polled = false;
  current_thread = outer;
  return rc;
}

uint64_t spdk_thread_next_poller_expiration(spdk_thread* thread) {
  return thread->timed_pollers.empty() ? 0 : (*thread->timed_pollers.begin())->next_run_tick;
}

int spdk_thread_has_active_pollers(spdk_thread* thread) { return !thread->active_pollers.empty(); }

bool spdk_thread_has_pollers(spdk_thread* thread) {
  return !thread->active_pollers.empty() || !thread->timed_pollers.empty() ||
         !thread->paused_pollers.empty();
}

bool spdk_thread_is_idle(spdk_thread* thread) {
  return thread->messages.size() == 0 && thread->active_pollers.empty() &&
         thread->timed_pollers.empty() && thread->critical_message == nullptr;
}

uint32_t spdk_thread_get_count(void) { return thread_count; }

const char* spdk_thread_get_name(const spdk_thread* thread) { return thread->name.c_str(); }
uint64_t spdk_thread_get_id(const spdk_thread* thread) { return thread->id; }

spdk_thread* spdk_thread_get_by_id(uint64_t id) {
  auto& all = registry();
  const std::lock_guard lock{all.mutex};
  if (id == 0 || id >= all.next_id) {
    SPDK_ERRLOG("there was never a thread with id %" PRIu64 "\n", id);
    return nullptr;
  }
  const auto found = std::ranges::find(all.threads, id, &spdk_thread::id);
  return found != all.threads.end() ? *found : nullptr;
}

int spdk_thread_get_stats(spdk_thread_stats* stats) {
  if (current_thread == nullptr || stats == nullptr) {
    return -EINVAL;
  }
  *stats = current_thread->stats;
  return 0;
}

uint64_t spdk_thread_get_last_tsc(spdk_thread* thread) {
  return (thread != nullptr ? thread : current_thread)->last_tsc;
}

uint16_t spdk_thread_get_trace_id(spdk_thread* thread) {
  return static_cast<std::uint16_t>(thread->id);
}
