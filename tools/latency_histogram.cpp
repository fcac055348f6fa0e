// SPDX-License-Identifier: BSD-3-Clause
// Reading the buckets of a latency_histogram.
#include "latency_histogram.hpp"

#include <algorithm>
#include <cmath>

namespace spdk_io_tool {

// The inverse of bucket_of(): the largest value that falls into the bucket.
std::uint64_t latency_histogram::last_of(std::size_t bucket) noexcept {
  if (bucket < std::size_t(1) << precision) return bucket;
  const std::size_t shift = (bucket >> precision) - 1;
  const std::uint64_t mantissa = bucket - (shift << precision);
  return ((mantissa + 1) << shift) - 1;
}

std::chrono::nanoseconds latency_histogram::percentile(double share) const noexcept {
  if (count_ == 0) return nanoseconds(0);
  const double wanted = std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(count_));
  const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(wanted));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    seen += buckets_[bucket];
    if (seen >= rank) return nanoseconds(std::clamp(last_of(bucket), min_, max_));
  }
  return nanoseconds(max_);
}

std::uint64_t latency_histogram::count_below(nanoseconds limit) const noexcept {
  if (limit.count() <= 0) return 0;
  const std::size_t end = bucket_of(static_cast<std::uint64_t>(limit.count()));
  std::uint64_t below = 0;
  for (std::size_t bucket = 0; bucket < end; ++bucket) below += buckets_[bucket];
  return below;
}

}  // namespace spdk_io_tool
