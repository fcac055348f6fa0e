// SPDX-License-Identifier: BSD-3-Clause
#include "loop_program.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <exception>

namespace bench {

int loop_program(int argc, char** argv, nlohmann::json (*measure)(const loop_options&)) {
  CLI::App cli{"Measures one executor, one part with one idle policy, and prints JSON."};
  loop_options o;
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
    std::printf("%s\n", measure(o).dump().c_str());
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", argv[0], e.what());
    return 1;
  }
}

}  // namespace bench
