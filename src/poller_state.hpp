// SPDX-License-Identifier: BSD-3-Clause
// What a poller's object, its thread and SPDK share.
#pragma once

#include <spdk_io/detail/node_ring.hpp>

#include <functional>

struct spdk_poller;

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;

// Freed when it is neither owned by a poller object nor running.
struct poller_state : ready_node {
  using ready_node::ready_node;

  thread_state* home = nullptr;
  spdk_poller* native = nullptr;
  std::move_only_function<bool()> function;
  poller_state* next_of_thread = nullptr;
  bool owned = true;
  bool running = false;
  bool paused = false;
  bool busy = true;  // what its last run said
};

// The thread ends: unregisters all its pollers and leaves their objects empty.
void stop_pollers(thread_state& home) noexcept;

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
