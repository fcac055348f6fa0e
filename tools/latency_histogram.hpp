// SPDX-License-Identifier: BSD-3-Clause
// Durations counted in log-linear buckets: constant memory, percentiles within one percent.
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace spdk_io_tool {

// Each power of two of nanoseconds is divided into 128 equal buckets, so that a value is known
// within 1/128 of itself; values under 128 ns are exact. Anything above half an hour counts as that
// (the maximum stays exact), anything negative as zero. Recording takes a few instructions and
// never allocates. Thread: like any object, one at a time.
class latency_histogram {
 public:
  using nanoseconds = std::chrono::nanoseconds;

  void record(nanoseconds latency) noexcept {
    const auto value = latency.count() > 0 ? static_cast<std::uint64_t>(latency.count()) : 0;
    ++buckets_[bucket_of(value)];
    ++count_;
    if (value > max_) max_ = value;
    if (value < min_) min_ = value;
  }

  std::uint64_t count() const noexcept { return count_; }
  nanoseconds max() const noexcept { return nanoseconds(max_); }  // exact; 0 if empty
  nanoseconds min() const noexcept { return nanoseconds(count_ ? min_ : 0); }

  // The least recorded value that at least this share of all values does not exceed, rounded up
  // within its bucket: percentile(0.99). 0 if empty.
  nanoseconds percentile(double share) const noexcept;

  // How many values lie below `limit`, to the nearest bucket.
  std::uint64_t count_below(nanoseconds limit) const noexcept;

 private:
  static constexpr unsigned precision = 7;  // bits: 128 buckets for each power of two
  static constexpr unsigned highest = 41;   // bits of the largest value told apart

  static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
    if (value >= std::uint64_t(1) << highest) value = (std::uint64_t(1) << highest) - 1;
    const unsigned width = static_cast<unsigned>(std::bit_width(value));
    if (width <= precision) return value;
    const unsigned shift = width - precision - 1;
    return (std::size_t(shift) << precision) + static_cast<std::size_t>(value >> shift);
  }
  static std::uint64_t last_of(std::size_t bucket) noexcept;

  std::array<std::uint64_t, std::size_t(highest - precision + 1) << precision> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
  std::uint64_t min_ = UINT64_MAX;
};

}  // namespace spdk_io_tool
