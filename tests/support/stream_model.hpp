// SPDX-License-Identifier: BSD-3-Clause
// What the tests of streams and sinks share: devices with errors, random numbers that a seed
// repeats, and how often somebody waits.
#pragma once

#include "devices.hpp"
#include "started.hpp"

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace spdk_io_test {

class dice {
 public:
  explicit dice(std::uint64_t seed) : random_(seed) {}
  // From `low` to `high`, both included.
  std::uint64_t roll(std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>(low, high)(random_);
  }
  bool once_in(std::uint64_t times) { return roll(1, times) == 1; }

 private:
  std::mt19937_64 random_;
};

// Writes the whole device, and gives what it then holds.
inline std::vector<std::byte> fill_device(const sio::bdev_desc& disk, std::uint64_t seed) {
  auto all = must(sio::dma_buffer::allocate(disk.bdev().size()));
  fill_pattern(all, seed);
  must(run(disk.write(all, 0)));
  return {all.begin(), all.end()};
}

inline std::vector<std::byte> device_content(const sio::bdev_desc& disk) {
  auto all = must(sio::dma_buffer::allocate(disk.bdev().size()));
  must(run(disk.read(all, 0)));
  return {all.begin(), all.end()};
}

// Where they differ first; their size if nowhere.
inline std::size_t first_difference(std::span<const std::byte> a, std::span<const std::byte> b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

// co_await of another one, which counts how often it suspends.
template <class Operation>
struct counting_waits {
  bool await_ready() const noexcept { return awaited.await_ready(); }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> me) noexcept {
    const bool suspends = awaited.await_suspend(me);
    waits += suspends ? 1 : 0;
    return suspends;
  }
  auto await_resume() { return awaited.await_resume(); }

  Operation awaited;
  int& waits;
};

}  // namespace spdk_io_test
