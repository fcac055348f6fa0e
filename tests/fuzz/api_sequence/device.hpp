// SPDX-License-Identifier: BSD-3-Clause
// A device that an input uses, and what is known of it.
#pragma once

#include "block_states.hpp"
#include "fuzz.hpp"

#include <spdk_io/spdk_io.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace fuzz {

enum class device_kind : std::uint8_t { malloc, slow, fast_delay, error, null };
constexpr std::array<const char*, 5> kind_names = {"malloc", "slow", "fast", "error", "null"};

struct device {
  explicit device(std::size_t number)
      : kind(static_cast<device_kind>(number)), base(kind_names[number] + std::string("_base")) {
    switch (kind) {
      case device_kind::error: name = "EE_" + base; break;
      default: name = kind_names[number]; break;
    }
  }

  bool stacked() const { return kind != device_kind::malloc && kind != device_kind::null; }
  bool keeps_data() const { return kind != device_kind::null; }
  std::uint64_t size() const { return block_states::count * block_states::block_size; }

  sio::task<sio::result<void>> create() {
    using namespace std::chrono_literals;
    if (stacked() && !base_there) {
      auto made = co_await sio::create_bdev(sio::malloc_bdev{.name = base, .size = size()});
      if (!made) co_return std::unexpected(made.error());
      base_there = true;
      blocks.all_zero();
    }
    sio::result<std::string> made;
    switch (kind) {
      case device_kind::malloc:
        made = co_await sio::create_bdev(sio::malloc_bdev{.name = name, .size = size()});
        blocks.all_zero();
        break;
      case device_kind::slow:
        made = co_await sio::create_bdev(
            sio::delay_bdev{.name = name, .base = base, .average_read = 1h, .average_write = 1h});
        break;
      case device_kind::fast_delay:
        made = co_await sio::create_bdev(sio::delay_bdev{.name = name, .base = base});
        break;
      case device_kind::error:
        made = co_await sio::create_bdev(sio::error_bdev{.base = base});
        break;
      case device_kind::null:
        made = co_await sio::create_bdev(sio::null_bdev{.name = name, .size = size()});
        break;
    }
    if (!made) co_return std::unexpected(made.error());
    there = true;
    deleting = false;
    co_return sio::result<void>();
  }

  device_kind kind;
  std::string name;
  std::string base;
  block_states blocks;

  bool there = false;
  bool base_there = false;
  bool deleting = false;        // from the request on
  bool injected = false;        // errors, at any time
  bool resized = false;         // its size is not known any more
  std::uint64_t deletions = 0;  // requested
  std::uint64_t resets = 0;     // requested
  std::uint64_t resets_ended = 0;
  std::optional<sio::bdev_desc> handle;
  std::optional<sio::io_channel> channel;
};

}  // namespace fuzz
