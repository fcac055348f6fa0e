// SPDX-License-Identifier: BSD-3-Clause
// Messages between SPDK threads, and the walk over all threads that is made of them.
#include <algorithm>
#include <array>
#include <memory>
#include <span>

#include "spdk/log.h"
#include "spdk/thread.h"
#include "thread_internal.hpp"

using spdk_lite::current_thread;
using spdk_lite::die;
using spdk_lite::registry;
using spdk_lite::thread_state;

namespace {

constexpr std::uint32_t max_batch = 8;

void notify_sleeper(const spdk_thread& thread) {
  if (spdk_interrupt_mode_is_enabled() && thread.in_interrupt) {
    spdk_lite::notify(thread);
  }
}

/// A walk over all threads; travels from one to the next as the argument of a message.
struct thread_walk {
  spdk_msg_fn fn;
  spdk_msg_fn completion;
  void* ctx;
  spdk_thread* origin;
  spdk_thread* position;
};

void finish_walk(void* ctx) {
  const std::unique_ptr<thread_walk> walk{static_cast<thread_walk*>(ctx)};
  --walk->origin->for_eachs;
  if (walk->completion != nullptr) {
    walk->completion(walk->ctx);
  }
}

/// The first running thread that was created after `thread`, or NULL.
spdk_thread* next_running_thread(const spdk_thread* thread) {
  auto& all = registry();
  const std::lock_guard lock{all.mutex};
  auto next = std::ranges::find(all.threads, thread);
  if (next == all.threads.end()) {
    return nullptr;
  }
  next = std::find_if(next + 1, all.threads.end(),
                      [](const spdk_thread* t) { return t->state == thread_state::running; });
  return next != all.threads.end() ? *next : nullptr;
}

void visit_thread(void* ctx) {
  auto* const walk = static_cast<thread_walk*>(ctx);
  walk->fn(walk->ctx);
  walk->position = next_running_thread(walk->position);
  if (walk->position != nullptr) {
    spdk_thread_send_msg(walk->position, visit_thread, walk);
  } else {
    spdk_thread_send_msg(walk->origin, finish_walk, walk);
  }
}

}  // namespace

namespace spdk_lite {

std::size_t run_messages(spdk_thread& thread, std::uint32_t limit) {
  std::array<message, max_batch> batch;
  limit = limit == 0 ? max_batch : std::min(limit, max_batch);
  // All are taken before the first one runs: what they send waits for the next poll.
  const std::size_t count = thread.messages.take(std::span{batch}.first(limit));
  if (thread.in_interrupt.load(std::memory_order_relaxed) && thread.messages.size() > 0) {
    notify(thread);
  }
  for (std::size_t i = 0; i < count; ++i) {
    batch[i].fn(batch[i].ctx);
    check_no_spinlock_held(thread);
  }
  return count;
}

bool run_critical_message(spdk_thread& thread) {
  const spdk_msg_fn fn = thread.critical_message.load(std::memory_order_acquire);
  if (fn == nullptr) [[likely]] {
    return false;
  }
  fn(nullptr);
  thread.critical_message.store(nullptr, std::memory_order_release);
  return true;
}

}  // namespace spdk_lite

int spdk_thread_send_msg(const spdk_thread* thread, spdk_msg_fn fn, void* ctx) {
  if (thread->state.load(std::memory_order_relaxed) == thread_state::exited) [[unlikely]] {
    SPDK_ERRLOG("a message was sent to thread %s, which has exited\n", thread->name.c_str());
    die("a message was sent to thread %s, which has exited", thread->name.c_str());
  }
  if (!thread->messages.push({fn, ctx}, spdk_interrupt_mode_is_enabled())) [[unlikely]] {
    SPDK_ERRLOG("the message queue of thread %s is full\n", thread->name.c_str());
    die("the message queue of thread %s is full", thread->name.c_str());
  }
  notify_sleeper(*thread);
  return 0;
}

int spdk_thread_send_critical_msg(spdk_thread* thread, spdk_msg_fn fn) {
  spdk_msg_fn none = nullptr;
  if (!thread->critical_message.compare_exchange_strong(none, fn)) {
    // May run in a signal handler, hence no message.
    std::abort();
  }
  notify_sleeper(*thread);
  return 0;
}

void spdk_for_each_thread(spdk_msg_fn fn, void* ctx, spdk_msg_fn cpl) {
  if (current_thread == nullptr) {
    SPDK_ERRLOG("there is no current thread\n");
    if (cpl != nullptr) {
      cpl(ctx);
    }
    return;
  }
  auto* const walk = new thread_walk{fn, cpl, ctx, current_thread, nullptr};
  ++current_thread->for_eachs;
  {
    auto& all = registry();
    const std::lock_guard lock{all.mutex};
    walk->position = all.threads.front();
  }
  spdk_thread_send_msg(walk->position, visit_thread, walk);
}
