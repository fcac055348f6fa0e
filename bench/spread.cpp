// SPDX-License-Identifier: BSD-3-Clause
// I/O over many devices and SPDK threads. With a candidate's name: runs it once, for callgrind.
// Without: times all of them by turns, counts the heap that an I/O in flight, a device and a thread
// take, and prints it as JSON.
#include "counted_malloc.hpp"
#include "opening.hpp"
#include "rounds.hpp"
#include "spread_io.hpp"

#include <malloc.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

// Only what runs in here is counted by callgrind, see counts.py.
extern "C" [[gnu::noinline]] void spdk_io_bench_counted(const bench::spread_candidate& candidate,
                                                        bench::spread_world& world,
                                                        bench::spread_run run) {
  candidate.run(world, run);
}

namespace {

struct options {
  std::string candidate;
  bench::spread size;
  bench::spread_run run{.count = 400'000, .depth = 32};
  std::size_t rounds = 11;
};

void run_once(const options& o) {
  const auto found =
      std::ranges::find(bench::spread_candidates, o.candidate, &bench::spread_candidate::name);
  if (found == bench::spread_candidates.end()) {
    throw std::runtime_error("no candidate is named " + o.candidate);
  }
  bench::null_devices devices(o.size.devices);
  bench::spread_world world(devices, o.size);
  spdk_io_bench_counted(*found, world, o.run);
}

// Nanoseconds for each I/O, by candidate and round.
nlohmann::json times(bench::spread_world& world, const options& o) {
  std::vector<bench::candidate> all;
  for (const bench::spread_candidate& each : bench::spread_candidates) {
    all.push_back({std::string(each.name), [&] { each.run(world, o.run); }});
  }
  nlohmann::json out = nlohmann::json::object();
  const auto taken = bench::by_turns(all, o.rounds);
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (double time : taken[i]) {
      out[all[i].name].push_back(time / static_cast<double>(o.run.count));
    }
  }
  return out;
}

std::uint64_t heap_of_run(bench::spread_world& world, const bench::spread_candidate& candidate,
                          std::uint32_t depth) {
  const std::uint64_t before = allocated;
  measuring = true;
  candidate.run(world, {.count = std::uint64_t(2) * depth * world.threads(), .depth = depth});
  measuring = false;
  return allocated - before;
}

// Heap bytes that one more I/O in flight takes.
nlohmann::json bytes(bench::spread_world& world, const options& o) {
  nlohmann::json out = nlohmann::json::object();
  for (const bench::spread_candidate& each : bench::spread_candidates) {
    heap_of_run(world, each, o.run.depth);  // what is allocated once
    const auto few = static_cast<double>(heap_of_run(world, each, o.run.depth));
    const auto many = static_cast<double>(heap_of_run(world, each, 2 * o.run.depth));
    out[std::string(each.name)] = (many - few) / (double(o.run.depth) * world.threads());
  }
  return out;
}

nlohmann::json to_json(const bench::bytes_of_one& bytes) {
  return {{"raw", bytes.raw}, {"library", bytes.library}};
}

nlohmann::json all(const options& o) {
  const auto in_use = [] { return held; };
  // Else malloc changes its mind about it, and what is large has another size the second time.
  mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  bench::null_devices devices(o.size.devices + 1);
  measuring = true;
  nlohmann::json out{
      {"device", to_json(bench::memory_of_devices(devices, in_use))},
      {"thread", to_json(bench::memory_of_threads(devices, o.size.threads, in_use))}};
  measuring = false;
  bench::spread_world world(devices, o.size);
  out["bytes"] = bytes(world, o);
  out["ns"] = times(world, o);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App cli{"Does the same I/O over many devices and SPDK threads, which one OS thread polls."};
  options o;
  cli.add_option("candidate", o.candidate, "raw, co_await, co_await_token");
  cli.add_option("--devices", o.size.devices, "Null devices, read from in turn")
      ->check(CLI::PositiveNumber);
  cli.add_option("--threads", o.size.threads, "SPDK threads")->check(CLI::PositiveNumber);
  cli.add_option("--count", o.run.count, "I/Os, of all threads together");
  cli.add_option("--depth", o.run.depth, "I/Os in flight on each thread")
      ->check(CLI::PositiveNumber);
  cli.add_option("--rounds", o.rounds, "Where times are taken")->check(CLI::PositiveNumber);
  CLI11_PARSE(cli, argc, argv);
  try {
    if (o.candidate.empty()) {
      std::printf("%s\n", all(o).dump().c_str());
    } else {
      run_once(o);
    }
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "spdk-io-spread: %s\n", e.what());
    return 1;
  }
}
