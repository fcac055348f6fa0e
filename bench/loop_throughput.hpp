// SPDX-License-Identifier: BSD-3-Clause
// Reads as fast as a loop lets them, by turns with the same on the library's own run loop.
#pragma once

#include "loop_world.hpp"
#include "must.hpp"
#include "rounds.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

inline constexpr std::uint32_t loop_depth = 32;

inline sio::task<sio::result<void>> reads_of(loop_world& world, std::uint64_t& left) {
  while (left > 0) {
    --left;
    if (auto r = co_await world.channel().read(world.buffer(), 0); !r) co_return r;
  }
  co_return sio::result<void>();
}

inline sio::task<sio::result<void>> reads_at_depth(loop_world& world, std::uint64_t count) {
  sio::task_scope scope;
  for (std::uint32_t i = 0; i < loop_depth; ++i) {
    scope.spawn(sio::unstoppable(reads_of(world, count)));
  }
  co_return co_await scope.join();
}

template <class Policy>
void read_on_run_loop(loop_world& world, std::uint64_t count) {
  must(sio::run_until(world.thread(), reads_at_depth(world, count), Policy()));
}

// The run loop takes every policy. Nanoseconds for each I/O, by round.
template <class Loop, class Policy>
nlohmann::json loop_throughput(loop_world& world, std::uint64_t count, std::size_t rounds) {
  const std::vector<candidate> candidates{
      {"run_loop", [&] { read_on_run_loop<Policy>(world, count); }},
      {"loop", [&] {
         Loop loop;
         must(sio::run_until(loop.executor(), world.thread(), reads_at_depth(world, count),
                             Policy()));
       }}};
  const auto times = by_turns(candidates, rounds);
  nlohmann::json out = {{"count", count}, {"depth", loop_depth}};
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    std::vector<double> each;
    for (double time : times[i]) each.push_back(time / static_cast<double>(count));
    out[candidates[i].name] = std::move(each);
  }
  return out;
}

}  // namespace bench
