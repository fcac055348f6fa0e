// SPDX-License-Identifier: BSD-3-Clause
// How much of the heap it takes to have a device open with a channel, and to have one more SPDK
// thread: with SPDK's C API alone, and with the library.
#pragma once

#include "spread_world.hpp"

#include <cstdint>

namespace bench {

// Bytes of the heap that are in use: what it says afterwards less what it said before.
using heap_meter = std::int64_t (*)();

struct bytes_of_one {
  double raw;
  double library;
};

// All devices but the first, which is open meanwhile.
bytes_of_one memory_of_devices(null_devices& devices, heap_meter in_use);
// So many threads more than there are; the library's with a poller task on a run loop for each.
bytes_of_one memory_of_threads(null_devices& devices, std::uint32_t count, heap_meter in_use);

}  // namespace bench
