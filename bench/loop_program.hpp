// SPDX-License-Identifier: BSD-3-Clause
// The command line of the programs that measure one executor each.
#pragma once

#include "loop_world.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace bench {

struct loop_options {
  std::string part = "about";
  std::string policy = "spin";
  loop_device device;
  std::size_t rounds = 11;
  std::uint64_t count = 1'000'000;
  std::size_t samples = 2000;
  double seconds = 2;
};

// What main() does: prints what `measure` gives for them.
int loop_program(int argc, char** argv, nlohmann::json (*measure)(const loop_options&));

}  // namespace bench
