// SPDX-License-Identifier: BSD-3-Clause
// A reactor's data, shared by the sources that run it, its events and its threads.
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <vector>

#include "message_queue.hpp"
#include "spdk/env.h"
#include "spdk/event.h"
#include "spdk/fd_group.h"

namespace spdk_lite {

inline constexpr std::uint32_t any_core = SPDK_ENV_LCORE_ID_ANY;

struct reactor {
  std::uint32_t core = any_core;
  /// Pointers to events; the messages' functions are unused.
  message_queue events;
  /// In the order in which they are polled. Used by this reactor only.
  std::vector<spdk_thread*> threads;
  std::uint64_t last_tsc = 0;

  /// Interrupt mode only.
  spdk_fd_group* fd_group = nullptr;
  int events_fd = -1;
  int placement_fd = -1;

  rusage last_usage{};
  std::uint64_t last_usage_tsc = 0;
};

// reactor.cpp
/// NULL where there is none.
reactor* find_reactor(std::uint32_t core);
/// Wakes a reactor that sleeps.
void signal_fd(int fd, const char* what);

// event.cpp
/// False if there is no memory.
bool create_event_pool();
void destroy_event_pool();
/// Up to eight; returns how many.
int run_events(reactor& r);
/// Aborts if no event is left.
void send_event(std::uint32_t core, spdk_event_fn fn, void* arg1);

// thread_placement.cpp
/// Makes the thread library place its threads on reactors. 0 or negative errno.
int start_placement(std::size_t msg_mempool_size);
void remove_thread(reactor& r, spdk_thread* thread);
/// Takes away a thread that has exited or is to move. True if it did.
bool settle(reactor& r, spdk_thread* thread);

}  // namespace spdk_lite
