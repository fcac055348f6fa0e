// SPDX-License-Identifier: BSD-3-Clause
// Candidates measured by turns, so that what the machine does meanwhile hits all of them alike.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace bench {

struct candidate {
  std::string name;
  std::function<void()> run;
};

// For each candidate, how long it took in each round, in nanoseconds. `warm_ups` further rounds
// come first and are dropped. Each round begins with another candidate.
inline std::vector<std::vector<double>> by_turns(const std::vector<candidate>& candidates,
                                                 std::size_t rounds, std::size_t warm_ups = 1) {
  std::vector<std::vector<double>> times(candidates.size());
  for (std::size_t round = 0; round < warm_ups + rounds; ++round) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const std::size_t which = (i + round) % candidates.size();
      const auto start = std::chrono::steady_clock::now();
      candidates[which].run();
      const std::chrono::duration<double, std::nano> took =
          std::chrono::steady_clock::now() - start;
      if (round >= warm_ups) times[which].push_back(took.count());
    }
  }
  return times;
}

}  // namespace bench
