// SPDX-License-Identifier: BSD-3-Clause
// Events: functions that any OS thread has the reactor of a core call.
#include <array>
#include <string>

#include "env_internal.hpp"
#include "reactor_internal.hpp"
#include "spdk/event.h"
#include "spdk/log.h"

using namespace spdk_lite;

struct spdk_event {
  std::uint32_t core;
  spdk_event_fn fn;
  void* arg1;
  void* arg2;
};

namespace {

constexpr std::size_t event_pool_size = 16'383;
constexpr std::size_t event_batch = 8;

spdk_mempool* event_pool = nullptr;

}  // namespace

namespace spdk_lite {

bool create_event_pool() {
  const std::string name = "evtpool_" + std::to_string(getpid());
  event_pool = spdk_mempool_create(name.c_str(), event_pool_size, sizeof(spdk_event),
                                   SPDK_MEMPOOL_DEFAULT_CACHE_SIZE, SPDK_ENV_NUMA_ID_ANY);
  return event_pool != nullptr;
}

void destroy_event_pool() {
  spdk_mempool_free(event_pool);
  event_pool = nullptr;
}

int run_events(reactor& r) {
  std::array<spdk_lite::message, event_batch> batch;
  const std::size_t count = r.events.take(batch);
  if (r.fd_group != nullptr && r.events.size() > 0) {
    signal_fd(r.events_fd, "events");
  }
  std::array<void*, event_batch> done{};
  for (std::size_t i = 0; i < count; ++i) {
    auto* const event = static_cast<spdk_event*>(batch[i].ctx);
    event->fn(event->arg1, event->arg2);
    done[i] = event;
  }
  if (count > 0) {
    spdk_mempool_put_bulk(event_pool, done.data(), count);
  }
  return static_cast<int>(count);
}

void send_event(std::uint32_t core, spdk_event_fn fn, void* arg1) {
  spdk_event* const event = spdk_event_allocate(core, fn, arg1, nullptr);
  if (event == nullptr) {
    die("no event is left for core %u", core);
  }
  spdk_event_call(event);
}

}  // namespace spdk_lite

spdk_event* spdk_event_allocate(uint32_t lcore, spdk_event_fn fn, void* arg1, void* arg2) {
  if (find_reactor(lcore) == nullptr) {
    if (event_pool == nullptr) {
      SPDK_WARNLOG("there are no reactors: the application is not started\n");
    }
    return nullptr;
  }
  auto* const event = static_cast<spdk_event*>(spdk_mempool_get(event_pool));
  if (event != nullptr) {
    *event = {lcore, fn, arg1, arg2};
  }
  return event;
}

void spdk_event_call(spdk_event* event) {
  reactor* const target = find_reactor(event->core);
  if (target == nullptr) {
    die("an event for core %u, which has no reactor any more", event->core);
  }
  const bool may_sleep = target->fd_group != nullptr;
  // The pool has fewer events than the queue has room for.
  if (!target->events.push({nullptr, event}, may_sleep)) {
    die("the event queue of core %u is full", event->core);
  }
  if (may_sleep) {
    signal_fd(target->events_fd, "events");
  }
}
