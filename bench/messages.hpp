// SPDX-License-Identifier: BSD-3-Clause
// Messages between two SPDK threads on two OS threads, there and back again, against SPDK's own.
#pragma once

#include "io_world.hpp"
#include "rounds.hpp"

#include <cstdint>
#include <vector>

namespace bench {

// Each does `count` of them: round trips one after another (raw, call), and messages in one
// direction as fast as they are taken (raw_send, send).
std::vector<candidate> message_candidates(io_world& world, std::uint64_t count);

}  // namespace bench
