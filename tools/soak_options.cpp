// SPDX-License-Identifier: BSD-3-Clause
// Command-line options of `spdk-io soak`.
#include "soak_options.hpp"

#include "option_values.hpp"
#include "units.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <limits>
#include <string>

namespace spdk_io_tool {
namespace {

constexpr std::uint32_t most_threads = 64;
constexpr std::uint32_t most_depth = 4096;
constexpr std::uint32_t most_devices = 64;
constexpr double most_seconds = 366 * 86400.0;

outcome<void> within(const char* option, double value, double low, double high) {
  if (value >= low && value <= high) return {};
  return refused(fmt::format("{} {} is not from {} to {}", option, value, low, high));
}

outcome<void> check_sizes(const soak_options& o) {
  const std::uint64_t least = std::uint64_t(o.threads) * o.depth * 16 * soak_options::block_size;
  if (o.size % soak_options::block_size != 0 || o.size < least ||
      o.size > std::numeric_limits<std::uint32_t>::max()) {
    return refused(
        fmt::format("--size {} is not a multiple of {} from {} (16 blocks for each operation in "
                    "flight) to 4 GiB",
                    o.size, soak_options::block_size, format_size(least)));
  }
  if (o.pool != 0 && o.pool < 2 * (o.threads + 1)) {
    return refused(fmt::format("--pool {} is less than {}, two for each of SPDK's threads", o.pool,
                               2 * (o.threads + 1)));
  }
  return {};
}

}  // namespace

CLI::App* add_soak(CLI::App& app, soak_options& o) {
  CLI::App* soak = app.add_subcommand(
      "soak",
      "Random I/O on several threads and devices, with errors, cancellations, resets, removals and "
      "re-creations; whatever was acknowledged is read back");
  soak->add_option("--seconds", o.seconds, "How long (default: 60)")->type_name("NUMBER");
  soak->add_option("--operations", o.operations, "Ends after so many as well")->type_name("NUMBER");
  soak->add_option_function<std::string>(
          "--seed", [&o](const std::string& text) { set_seed(text, o.seed); },
          "Of what is done (default: random, and printed)")
      ->type_name("NUMBER");
  soak->add_option("--threads", o.threads, "SPDK threads, each on an OS thread (default: 2)")
      ->type_name("NUMBER");
  soak->add_option("--depth", o.depth,
                   "Operations in flight of each thread on each device (default: 16)")
      ->type_name("NUMBER");
  soak->add_option("--devices", o.devices, "Devices under test (default: 4)")->type_name("NUMBER");
  soak->add_option_function<std::string>(
          "--size", [&o](const std::string& text) { set_size(text, "--size", o.size); },
          "Bytes of each device (default: 16M)")
      ->type_name("SIZE");
  soak->add_option("--pool", o.pool,
                   "bdev_ios of SPDK, for all threads; with few of them operations wait, and "
                   "devices are not stacked (default: enough)")
      ->type_name("NUMBER");
  soak->add_option("--trouble", o.trouble,
                   "Milliseconds, on average, between two troubles of a device: errors, resets, "
                   "removals; 0: none (default: 20)")
      ->type_name("NUMBER");
  soak->add_option("--report", o.report,
                   "Seconds between two lines on how far it is; 0: none (default: 10)")
      ->type_name("NUMBER");
  soak->add_option("--stall", o.stall,
                   "Seconds without an operation that ends, after which it is a failure "
                   "(default: 60)")
      ->type_name("NUMBER");
  soak->add_option_function<std::string>(
          "--max-growth",
          [&o](const std::string& text) { set_size(text, "--max-growth", o.max_growth); },
          "Growth of memory after the first quarter that is a failure, in a run of 20 seconds or "
          "more (default: 8M)")
      ->type_name("SIZE");
  soak->add_flag("--hugepages", o.hugepages, "Take memory from hugepages");
  soak->add_flag("--corrupt", o.corrupt, "For testing: change a byte of what some reads bring");
  return soak;
}

outcome<void> complete(soak_options& o) {
  if (auto ok = within("--seconds", o.seconds, 0.1, most_seconds); !ok) return ok;
  if (auto ok = within("--threads", o.threads, 1, most_threads); !ok) return ok;
  if (auto ok = within("--depth", o.depth, 1, most_depth); !ok) return ok;
  if (auto ok = within("--devices", o.devices, 1, most_devices); !ok) return ok;
  if (auto ok = within("--trouble", o.trouble, 0, 3'600'000); !ok) return ok;
  if (auto ok = within("--report", o.report, 0, most_seconds); !ok) return ok;
  if (auto ok = within("--stall", o.stall, 1, most_seconds); !ok) return ok;
  if (auto ok = check_sizes(o); !ok) return ok;
  if (!o.seed) o.seed = random_seed();
  return {};
}

}  // namespace spdk_io_tool
