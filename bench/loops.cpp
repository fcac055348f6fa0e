// SPDX-License-Identifier: BSD-3-Clause
// Measures one executor, SPDK_IO_BENCH_LOOP's loop_under_test, and prints JSON: one part with one
// idle policy in each run, since SPDK starts once in a process. loops.py runs all.
#include "loop_idle.hpp"
#include "loop_lateness.hpp"
#include "loop_policies.hpp"
#include "loop_program.hpp"
#include "loop_throughput.hpp"
#include "loop_wake_up.hpp"
#include "loop_world.hpp"

#include SPDK_IO_BENCH_LOOP

#include <nlohmann/json.hpp>

#include <chrono>
#include <utility>

namespace bench {
namespace {

using nlohmann::json;
using loop = spdk_io_test::loop_under_test;
using executor = decltype(std::declval<loop&>().executor());

json about() {
  return {{"executor", loop::name},
          {"policies", policy_names<executor>()},
          {"provider", sio::provider_name()},
          {"provider_version", sio::provider_version()}};
}

template <class Policy>
json measured(const loop_options& o, bool interrupt_mode) {
  loop_world world(o.device, interrupt_mode);
  if (o.part == "throughput") return loop_throughput<loop, Policy>(world, o.count, o.rounds);
  if (o.part == "lateness") return lateness_under_io<loop, Policy>(world, o.samples);
  if (o.part == "idle") {
    return idle_cost<loop, Policy>(world, std::chrono::duration<double>(o.seconds));
  }
  if (o.part == "message") return message_latency<loop, Policy>(world, o.samples);
  return read_latency<loop, Policy>(world, o.samples);
}

json run(const loop_options& o) {
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

int main(int argc, char** argv) { return bench::loop_program(argc, argv, bench::run); }
