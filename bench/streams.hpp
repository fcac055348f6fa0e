// SPDX-License-Identifier: BSD-3-Clause
// read_stream and write_sink against a loop written by hand over the same operations, and channels
// against SPDK's own messages.
#pragma once

#include "io_world.hpp"
#include "rounds.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

// A device to stream from and to, and the size of its chunks.
struct stream_case {
  std::string_view device;  // "null" or "malloc"
  std::size_t chunk;        // bytes
  std::uint32_t depth;
};

std::vector<stream_case> stream_cases();

// `count` chunks each: read_by_hand, read_stream, write_by_hand, write_sink. By hand it is one
// coroutine for each chunk in flight, which takes what is next; so chunks do not come in order.
std::vector<candidate> stream_candidates(io_world& world, const stream_case& what,
                                         std::uint64_t count);

// `count` round trips one after another between two threads: raw (SPDK's messages), and channel, by
// two channels.
std::vector<candidate> channel_candidates(io_world& world, std::uint64_t count);

}  // namespace bench
