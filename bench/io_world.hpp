// SPDX-License-Identifier: BSD-3-Clause
// What all candidates do their I/O on: one SPDK thread of this OS thread, one device, one channel.
#pragma once

#include "must.hpp"

#include <spdk_io/spdk_io.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace bench {

namespace sio = spdk_io;

// How large SPDK's pool of bdev_ios is, in all and in each thread's cache; 0: SPDK's default.
struct bdev_io_pool {
  std::uint32_t size = 0;
  std::uint32_t cache = 0;
};

class io_world {
 public:
  static constexpr std::uint64_t io_size = 4096;  // bytes

  explicit io_world(bdev_io_pool pool = {});

  sio::thread& thread() noexcept { return thread_; }
  sio::bdev_desc& disk() noexcept { return disk_; }
  sio::io_channel& channel() noexcept { return channel_; }
  // One for all: a null device leaves it alone.
  sio::dma_buffer& buffer() noexcept { return buffer_; }
  std::uint64_t device_size() const noexcept { return device_size_; }

 private:
  sio::env env_;
  sio::thread thread_;
  sio::bdev_desc disk_;
  sio::io_channel channel_;
  sio::dma_buffer buffer_;
  std::uint64_t device_size_;
};

// The poller's budget, without its limit in time, which no batch here comes near: under callgrind,
// where all is slow, it would decide how much is counted.
inline constexpr sio::poll_budget patient{.time = std::chrono::hours(1)};

// What one run has still to do: reads one after another, over and over the device.
class io_load {
 public:
  io_load(io_world& world, std::uint64_t count) noexcept
      : left_(count), end_(world.device_size()) {}

  // True if there is another one to do, which starts at `offset` (bytes).
  bool take(std::uint64_t& offset) noexcept {
    if (left_ == 0) return false;
    --left_;
    offset = next_;
    next_ += io_world::io_size;
    if (next_ == end_) next_ = 0;
    return true;
  }
  void failed() noexcept { ++failures_; }
  // A figure that counts failed I/O would be worth nothing.
  void check() const {
    if (failures_ > 0) throw std::runtime_error(std::to_string(failures_) + " reads failed");
    if (left_ > 0) throw std::runtime_error(std::to_string(left_) + " reads were not done");
  }

 private:
  std::uint64_t left_;
  std::uint64_t end_;
  std::uint64_t next_ = 0;
  std::uint64_t failures_ = 0;
};

}  // namespace bench
