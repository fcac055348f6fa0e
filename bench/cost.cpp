// SPDX-License-Identifier: BSD-3-Clause
// One candidate, run alone and told how much to do, for what is counted rather than timed: heap
// allocations here, and instructions by callgrind around it (the difference of two lengths).
#include "counted_malloc.hpp"
#include "io_candidates.hpp"
#include "streams.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <string_view>

// Only what runs in here is counted by callgrind, see counts.py: what SPDK does when it starts
// takes another number of instructions each time.
extern "C" [[gnu::noinline]] void spdk_io_bench_counted(const std::function<void()>& run) { run(); }

namespace {

// One of the ways to do I/O, or, of the same I/O in a stream's chunks, one of stream_candidates().
std::function<void()> candidate_named(std::string_view name, bench::io_world& world,
                                      bench::io_run run) {
  if (name.starts_with("read_") || name.starts_with("write_")) {
    const bench::stream_case chunks{.device = "null", .chunk = 4096, .depth = run.depth};
    for (const auto& each : bench::stream_candidates(world, chunks, run.count)) {
      if (each.name == name) return each.run;
    }
  }
  const bench::io_candidate& candidate = bench::io_candidate_named(name);
  return [&candidate, &world, run] { candidate.run(world, run); };
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App cli{"Runs one candidate once, and prints its heap allocations."};
  std::string name;
  bench::io_run run{.count = 10'000, .depth = 32};
  bench::bdev_io_pool pool;
  cli.add_option("candidate", name)->required();
  cli.add_option("--count", run.count, "I/Os");
  cli.add_option("--depth", run.depth, "I/Os in flight or waiting")->check(CLI::PositiveNumber);
  cli.add_option("--pool", pool.size, "bdev_ios in SPDK's pool (0: its default)");
  cli.add_option("--cache", pool.cache, "of these, in each thread's cache");
  CLI11_PARSE(cli, argc, argv);
  try {
    bench::io_world world(pool);
    const auto candidate = candidate_named(name, world, run);
    measuring = true;
    spdk_io_bench_counted(candidate);
    measuring = false;
    std::printf("{\"allocations\": %llu, \"bytes\": %llu}\n",
                static_cast<unsigned long long>(allocations),
                static_cast<unsigned long long>(allocated));
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cost: %s\n", e.what());
    return 1;
  }
}
