// SPDX-License-Identifier: BSD-3-Clause
// The options of `spdk-io soak`: what they mean, and how they are given.
#pragma once

#include "failure.hpp"

#include <cstdint>
#include <optional>

namespace CLI {
class App;
}

namespace spdk_io_tool {

struct soak_options {
  double seconds = 60;
  std::uint64_t operations = 0;       // ends after so many as well; 0: only after the time
  std::optional<std::uint64_t> seed;  // none: a random one
  std::uint32_t threads = 2;
  std::uint32_t depth = 16;  // operations in flight of each thread on each device
  std::uint32_t devices = 4;
  std::uint64_t size = 16u << 20;       // bytes of each device
  std::uint32_t pool = 0;               // SPDK's bdev_ios; 0: enough for all that is in flight
  double trouble = 20;                  // milliseconds between two troubles of a device; 0: none
  double report = 10;                   // seconds between two lines; 0: none
  double stall = 60;                    // seconds without an operation that ends: something hangs
  std::uint64_t max_growth = 8u << 20;  // bytes resident, after the first quarter
  bool corrupt = false;                 // for testing the check
  bool hugepages = false;

  static constexpr std::uint64_t block_size = 4096;  // bytes, of every device
  std::uint64_t blocks() const noexcept { return size / block_size; }

  // What may be in flight at once: an operation for each layer of a device.
  std::uint64_t most_in_flight() const noexcept {
    return std::uint64_t(threads) * devices * depth * 3;
  }
  // In a stack of devices an I/O holds its bdev_io while it waits for one for the device below.
  // With a small pool, all would wait for each other for ever.
  bool stacked() const noexcept { return pool == 0 || pool >= 2 * most_in_flight(); }
};

// Adds the subcommand; parsing fills `options`.
CLI::App* add_soak(CLI::App& app, soak_options& options);

// What the parser cannot know. Fills in what was left open (the seed).
outcome<void> complete(soak_options& options);

}  // namespace spdk_io_tool
