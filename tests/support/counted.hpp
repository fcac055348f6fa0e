// SPDX-License-Identifier: BSD-3-Clause
// How many coroutines are there: each holds a `counted` while its frame lives.
#pragma once

#include "started.hpp"

#include <spdk_io/task.hpp>

namespace spdk_io_test {

struct counted {
  explicit counted(int& n) : alive(&n) { ++*alive; }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() { --*alive; }
  int* alive;
};

// Waits at the gate, and is counted meanwhile.
inline sio::task<void> hold(gate& g, int& alive) {
  counted here(alive);
  co_await g;
}

}  // namespace spdk_io_test
