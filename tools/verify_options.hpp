// SPDX-License-Identifier: BSD-3-Clause
// The options of `spdk-io verify`: what they mean, and how they are given.
#pragma once

#include "failure.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace spdk_io_tool {

enum class device_kind { uring, aio, malloc, null };
enum class idle_kind { spin, backoff };

struct verify_options {
  device_kind device = device_kind::uring;
  idle_kind idle = idle_kind::backoff;
  std::string file;                   // empty: a fresh name in the current folder
  std::uint64_t size = 256u << 20;    // bytes
  std::uint64_t block_size = 4096;    // bytes: of a request
  std::uint32_t depth = 32;           // requests in flight
  std::optional<std::uint64_t> seed;  // none: a random one
  std::uint64_t generation = 1;
  std::optional<std::uint64_t> corrupt_block;  // for testing the check
  bool overwrite = false;
  bool keep = false;
  bool hugepages = false;

  bool on_file() const noexcept {
    return device == device_kind::uring || device == device_kind::aio;
  }
  std::uint64_t blocks() const noexcept { return size / block_size; }
};

// Adds the subcommand; parsing fills `options`.
CLI::App* add_verify(CLI::App& app, verify_options& options);

// What the parser cannot know: combinations that make no sense. Fills in what was left open (the
// file's name, the seed).
outcome<void> complete(verify_options& options);

}  // namespace spdk_io_tool
