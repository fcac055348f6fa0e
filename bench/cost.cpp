// SPDX-License-Identifier: BSD-3-Clause
// One candidate, run alone and told how much to do, for what is counted rather than timed: heap
// allocations here, and instructions by callgrind around it (the difference of two lengths).
#include "counted_malloc.hpp"
#include "io_candidates.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <string>

// Only what runs in here is counted by callgrind, see counts.py: what SPDK does when it starts
// takes another number of instructions each time.
extern "C" [[gnu::noinline]] void spdk_io_bench_counted(const bench::io_candidate& candidate,
                                                        bench::io_world& world, bench::io_run run) {
  candidate.run(world, run);
}

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
    const bench::io_candidate& candidate = bench::io_candidate_named(name);
    bench::io_world world(pool);
    measuring = true;
    spdk_io_bench_counted(candidate, world, run);
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
