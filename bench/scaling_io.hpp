// SPDX-License-Identifier: BSD-3-Clause
// What one thread of several does, and the ways to do it.
#pragma once

#include "io_world.hpp"

#include <spdk_io/spdk_io.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace bench {

// Lives on its thread. It reads a part of the device of its own, over and over.
class scaling_lane {
 public:
  static constexpr std::uint64_t device_size = std::uint64_t(1) << 30;

  scaling_lane(const sio::bdev_desc& disk, sio::io_channel& channel, std::size_t index,
               std::size_t lanes)
      : disk_(disk), channel_(channel), buffer_(must(sio::dma_buffer::zeroed(io_size, 4096))) {
    const sio::shard part = sio::shard_of(device_size / io_size, lanes, index);
    first_ = part.first * io_size;
    end_ = part.end() * io_size;
    next_ = first_;
  }

  const sio::bdev_desc& disk() const noexcept { return disk_; }
  sio::io_channel& channel() noexcept { return channel_; }
  sio::dma_buffer& buffer() noexcept { return buffer_; }

  void begin(std::uint64_t count) noexcept { left_ = count; }
  // True if there is another one to do, which starts at `offset` (bytes).
  bool take(std::uint64_t& offset) noexcept {
    if (left_ == 0) return false;
    --left_;
    offset = next_;
    next_ += io_size;
    if (next_ == end_) next_ = first_;
    return true;
  }
  void failed() noexcept { ++failures_; }
  void check() const {
    if (failures_ > 0) throw std::runtime_error(std::to_string(failures_) + " reads failed");
    if (left_ > 0) throw std::runtime_error(std::to_string(left_) + " reads were not done");
  }

  static constexpr std::uint64_t io_size = 4096;  // bytes

 private:
  const sio::bdev_desc& disk_;
  sio::io_channel& channel_;
  sio::dma_buffer buffer_;
  std::uint64_t first_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t left_ = 0;
  std::uint64_t failures_ = 0;
};

struct scaling_run {
  std::uint64_t count;
  std::uint32_t depth;
};

struct scaling_candidate {
  std::string_view name;
  sio::task<void> (*run)(scaling_lane& lane, scaling_run run);
};

sio::task<void> scaling_raw(scaling_lane& lane, scaling_run run);
sio::task<void> scaling_co_await(scaling_lane& lane, scaling_run run);
// As co_await, with a counter that all threads add to: what must not be.
sio::task<void> scaling_shared(scaling_lane& lane, scaling_run run);

inline constexpr std::size_t compared = 2;  // the first ones
inline constexpr scaling_candidate scaling_candidates[] = {
    {"raw", scaling_raw}, {"co_await", scaling_co_await}, {"shared", scaling_shared}};

}  // namespace bench
