// SPDX-License-Identifier: BSD-3-Clause
// The ways to do the same I/O over many devices and SPDK threads: `count` reads in all, `depth` of
// them in flight on each thread.
#pragma once

#include "spread_world.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace bench {

struct spread_run {
  std::uint64_t count;
  std::uint32_t depth;
};

// SPDK's C API, and a loop that calls spdk_thread_poll() for one thread after another.
void spread_raw(spread_world& world, spread_run run);
// A poller task for each thread on one run loop; coroutines without a stop token, and with one.
void spread_co_await(spread_world& world, spread_run run);
void spread_co_await_stoppable(spread_world& world, spread_run run);

struct spread_candidate {
  std::string_view name;
  void (*run)(spread_world&, spread_run);
};

inline constexpr std::array spread_candidates{
    spread_candidate{"raw", spread_raw},
    spread_candidate{"co_await", spread_co_await},
    spread_candidate{"co_await_token", spread_co_await_stoppable},
};

}  // namespace bench
