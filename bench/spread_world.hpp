// SPDX-License-Identifier: BSD-3-Clause
// What the cost of an I/O may grow with: many devices, and many SPDK threads with a channel for
// each of them. One OS thread polls all, so that counts repeat.
#pragma once

#include "io_world.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench {

struct spread {
  std::uint32_t devices = 1;
  std::uint32_t threads = 1;
};

// The environment, the first SPDK thread, and null devices that nobody has opened. Making them
// takes SPDK some 20 ms for each.
class null_devices {
 public:
  static constexpr std::uint64_t size = std::uint64_t(1) << 24;  // bytes of each

  explicit null_devices(std::uint32_t count);

  std::uint32_t count() const noexcept { return count_; }
  static std::string name(std::uint32_t device) { return "null" + std::to_string(device); }
  sio::thread& first_thread() noexcept { return thread_; }

 private:
  sio::env env_;
  sio::thread thread_;
  std::uint32_t count_;
};

class spread_world {
 public:
  // The first so many of the devices.
  spread_world(null_devices& devices, spread size);

  std::uint32_t devices() const noexcept { return static_cast<std::uint32_t>(disks_.size()); }
  std::uint32_t threads() const noexcept { return static_cast<std::uint32_t>(1 + others_.size()); }
  sio::thread& thread(std::uint32_t i) noexcept {
    return i == 0 ? devices_.first_thread() : others_[i - 1];
  }
  // A thread's channels, by device.
  std::vector<sio::io_channel>& channels(std::uint32_t thread) noexcept {
    return channels_[thread];
  }
  sio::bdev_desc& disk(std::uint32_t device) noexcept { return disks_[device]; }
  // One for all: a null device leaves it alone.
  sio::dma_buffer& buffer() noexcept { return buffer_; }

 private:
  sio::task<> take_channels(std::uint32_t thread);

  null_devices& devices_;
  std::vector<sio::thread> others_;
  std::vector<sio::bdev_desc> disks_;
  std::vector<std::vector<sio::io_channel>> channels_;
  sio::dma_buffer buffer_;
};

// What a run has still to do: reads, each of the next device in turn, whichever thread does it.
class spread_load {
 public:
  struct place {
    std::uint32_t device;
    std::uint64_t offset;  // bytes
  };

  spread_load(const spread_world& world, std::uint64_t count) noexcept
      : left_(count), devices_(world.devices()) {}

  // True if there is another one to do.
  bool take(place& at) noexcept {
    if (left_ == 0) return false;
    --left_;
    at = next_;
    if (++next_.device == devices_) next_ = {0, (next_.offset + io_world::io_size) % last};
    return true;
  }
  void failed() noexcept { ++failures_; }
  void check() const {
    if (failures_ > 0) throw std::runtime_error(std::to_string(failures_) + " reads failed");
    if (left_ > 0) throw std::runtime_error(std::to_string(left_) + " reads were not done");
  }

 private:
  static constexpr std::uint64_t last = null_devices::size;

  std::uint64_t left_;
  std::uint32_t devices_;
  place next_{0, 0};
  std::uint64_t failures_ = 0;
};

}  // namespace bench
