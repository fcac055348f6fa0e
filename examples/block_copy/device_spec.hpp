// SPDX-License-Identifier: BSD-3-Clause
// Devices as the command line names them: files, memory, and those of a configuration.
#pragma once

#include <spdk_io/spdk_io.hpp>

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace block_copy {

namespace sio = spdk_io;

struct device_spec {
  enum class kind : std::uint8_t { aio, uring, malloc, bdev };

  kind what = kind::aio;
  std::string name;           // the file's path, or the device's name
  std::uint64_t size = 0;     // bytes, of malloc
  std::uint32_t block = 512;  // bytes, of malloc

  bool is_file() const noexcept { return what == kind::aio || what == kind::uring; }
};

// "[aio:]PATH", "uring:PATH", "malloc:SIZE[:BLOCK]", "bdev:NAME"; what is wrong with it otherwise.
std::expected<device_spec, std::string> parse_device(std::string_view text);

enum class role : std::uint8_t { source, destination };

// Creates the device, unless it is one of the configuration, and opens it, the source for reading
// only. Errors: create_bdev()'s, bdev_desc::open()'s. Requires: `spec` lives until it has ended.
sio::task<sio::result<sio::bdev_desc>> open_device(const device_spec& spec, role as);

// What the devices would not notice: the same file on both sides, whatever its names, is an error
// (invalid_argument).
sio::result<void> check_files(const device_spec& source, const device_spec& destination);

// While it lives, nobody mounts the destination, if that is a block device, or uses it exclusively.
class exclusive_use {
 public:
  // Errors: device_or_resource_busy (somebody does), those of open(2).
  static sio::result<exclusive_use> of(const device_spec& destination);

  exclusive_use(exclusive_use&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  exclusive_use& operator=(exclusive_use&&) = delete;
  ~exclusive_use();

 private:
  explicit exclusive_use(int file) noexcept : file_(file) {}
  int file_;  // -1: there is nothing to be held
};

}  // namespace block_copy
