// SPDX-License-Identifier: BSD-3-Clause
// Times candidates against each other in one process, by turns, and prints what each took in each
// round, as JSON. bench/report.py makes medians, ratios, tables and plots of it.
#include "io_candidates.hpp"
#include "messages.hpp"
#include "rounds.hpp"
#include "streams.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {
namespace {

using nlohmann::json;

struct options {
  std::vector<std::uint32_t> depths{1, 8, 32, 128, 1024};
  std::size_t rounds = 11;
  std::uint64_t count = 400'000;
  bdev_io_pool pool;
};

// One comparison: nanoseconds for each operation, by candidate and round.
json compared(const std::vector<candidate>& candidates, std::size_t rounds, std::uint64_t count) {
  const auto times = by_turns(candidates, rounds);
  json out = json::object();
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    std::vector<double> each;
    for (double time : times[i]) each.push_back(time / static_cast<double>(count));
    out[candidates[i].name] = std::move(each);
  }
  return out;
}

json overhead(io_world& world, const options& o) {
  json out = json::array();
  for (std::uint32_t depth : o.depths) {
    std::vector<candidate> candidates;
    for (const io_candidate& each : io_candidates()) {
      candidates.push_back({std::string(each.name), [&world, &each, &o, depth] {
                              each.run(world, {.count = o.count, .depth = depth});
                            }});
    }
    out.push_back({{"depth", depth}, {"ns", compared(candidates, o.rounds, o.count)}});
  }
  return out;
}

json messages(io_world& world, const options& o) {
  const std::uint64_t count = o.count / 4;
  return {{"ns", compared(message_candidates(world, count), o.rounds, count)}};
}

json streams(io_world& world, const options& o) {
  json out{{"cases", json::array()}};
  for (const stream_case& each : stream_cases()) {
    // The smaller ones are as long as the larger ones.
    const std::uint64_t count = each.device == "null" ? o.count : o.count / 20;
    out["cases"].push_back(
        {{"device", each.device},
         {"chunk", each.chunk},
         {"depth", each.depth},
         {"ns", compared(stream_candidates(world, each, count), o.rounds, count)}});
  }
  const std::uint64_t trips = o.count / 4;
  out["channel"] = {{"ns", compared(channel_candidates(world, trips), o.rounds, trips)}};
  return out;
}

int run(const options& o, std::string_view part) {
  const auto wanted = [part](std::string_view name) { return part == "all" || part == name; };
  io_world world(o.pool);
  json out{{"provider", sio::provider_name()},
           {"provider_version", sio::provider_version()},
           {"rounds", o.rounds},
           {"count", o.count},
           {"cache", o.pool.cache}};
  json names = json::object();
  for (const io_candidate& each : io_candidates()) names[std::string(each.name)] = each.what;
  out["candidates"] = std::move(names);
  if (wanted("overhead")) out["overhead"] = overhead(world, o);
  if (wanted("messages")) out["messages"] = messages(world, o);
  if (wanted("streams")) out["streams"] = streams(world, o);
  std::printf("%s\n", out.dump(1).c_str());
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  CLI::App cli{"Times the ways to do the same I/O, by turns, and prints JSON."};
  bench::options o;
  std::string part = "all";
  cli.add_option("--part", part, "What to measure")
      ->check(CLI::IsMember({"all", "overhead", "messages", "streams"}));
  cli.add_option("--depth", o.depths, "I/Os in flight")->check(CLI::PositiveNumber);
  cli.add_option("--rounds", o.rounds, "Rounds, after one that is dropped")
      ->check(CLI::PositiveNumber);
  cli.add_option("--count", o.count, "I/Os in each round of each candidate")
      ->check(CLI::PositiveNumber);
  cli.add_option("--pool", o.pool.size, "bdev_ios in SPDK's pool (0: its default)");
  cli.add_option("--cache", o.pool.cache, "of these, in each thread's cache");
  CLI11_PARSE(cli, argc, argv);
  try {
    return bench::run(o, part);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "spdk-io-bench: %s\n", e.what());
    return 1;
  }
}
