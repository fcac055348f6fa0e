// SPDX-License-Identifier: BSD-3-Clause
// Measures one executor, SPDK_IO_BENCH_LOOP's loop_under_test, and prints JSON: one part with one
// idle policy in each run, since SPDK starts once in a process. loops.py runs all.
#include "loop_idle.hpp"
#include "loop_lateness.hpp"
#include "loop_policies.hpp"
#include "loop_throughput.hpp"
#include "loop_wake_up.hpp"
#include "loop_world.hpp"

#include SPDK_IO_BENCH_LOOP

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>

namespace bench {
namespace {

using nlohmann::json;
using loop = spdk_io_test::loop_under_test;
using executor = decltype(std::declval<loop&>().executor());

struct options {
  std::string part = "about";
  std::string policy = "spin";
  loop_device device;
  std::size_t rounds = 11;
  std::uint64_t count = 1'000'000;
  std::size_t samples = 2000;
  double seconds = 2;
};

json about() {
  return {{"executor", loop::name},
          {"policies", policy_names<executor>()},
          {"provider", sio::provider_name()},
          {"provider_version", sio::provider_version()}};
}

template <class Policy>
json measured(const options& o, bool interrupt_mode) {
  loop_world world(o.device, interrupt_mode);
  if (o.part == "throughput") return loop_throughput<loop, Policy>(world, o.count, o.rounds);
  if (o.part == "lateness") return lateness_under_io<loop, Policy>(world, o.samples);
  if (o.part == "idle") {
    return idle_cost<loop, Policy>(world, std::chrono::duration<double>(o.seconds));
  }
  if (o.part == "message") return message_latency<loop, Policy>(world, o.samples);
  return read_latency<loop, Policy>(world, o.samples);
}

json run(const options& o) {
  if (o.part == "about") return about();
  if (o.part == "alone") return lateness_alone<loop>(o.samples);
  json out;
  with_policy<executor>(o.policy, [&]<class Policy>(named_policy<Policy> policy) {
    out = measured<Policy>(o, policy.interrupt_mode);
  });
  return out;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  CLI::App cli{"Measures one executor, one part with one idle policy, and prints JSON."};
  bench::options o;
  cli.add_option("--part", o.part,
                 "about: no figures; lateness of a timer, alone: the same without I/O; latency of "
                 "a message, and of a read after one")
      ->check(
          CLI::IsMember({"about", "throughput", "lateness", "alone", "idle", "message", "read"}));
  cli.add_option("--policy", o.policy, "What the poller task does when there is nothing to do");
  cli.add_option("--device", o.device.kind, "null, malloc, uring, aio, delay, error");
  cli.add_option("--file", o.device.file, "of uring and aio");
  cli.add_option("--rounds", o.rounds, "of throughput, after one that is dropped")
      ->check(CLI::PositiveNumber);
  cli.add_option("--count", o.count, "I/Os in each round")->check(CLI::PositiveNumber);
  cli.add_option("--samples", o.samples, "of lateness, and of messages and reads")
      ->check(CLI::PositiveNumber);
  cli.add_option("--seconds", o.seconds, "of idleness")->check(CLI::PositiveNumber);
  CLI11_PARSE(cli, argc, argv);
  try {
    std::printf("%s\n", bench::run(o).dump().c_str());
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", argv[0], e.what());
    return 1;
  }
}
