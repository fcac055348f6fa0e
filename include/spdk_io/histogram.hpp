// SPDX-License-Identifier: BSD-3-Clause
// How a device's latencies are distributed.
#pragma once

#include <spdk_io/bdev.hpp>
#include <spdk_io/bdev_desc.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/io_channel.hpp>
#include <spdk_io/task.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI {

// A copy of what SPDK counted: how many I/Os took how long, from submission to completion.
class latency_histogram {
 public:
  struct bucket {
    std::chrono::nanoseconds from;  // including
    std::chrono::nanoseconds to;    // excluding
    std::uint64_t count;            // more than 0
  };

  latency_histogram() = default;  // empty
  // Requires: in ascending order of their upper ends.
  explicit latency_histogram(std::vector<bucket> buckets);

  std::uint64_t count() const noexcept { return count_; }
  bool empty() const noexcept { return count_ == 0; }

  // At least this part of all (0 to 1: 0.99 for the 99th percentile) took less than what it
  // returns: the upper end of a bucket. 0 if empty.
  std::chrono::nanoseconds percentile(double part) const noexcept;

  std::chrono::nanoseconds min() const noexcept;   // the lowest end of a bucket
  std::chrono::nanoseconds max() const noexcept;   // the upper end of the last one
  std::chrono::nanoseconds mean() const noexcept;  // as if all were in the middle of their bucket

  // Those that something fell into, in ascending order of their upper ends.
  std::span<const bucket> buckets() const noexcept { return buckets_; }

 private:
  std::vector<bucket> buckets_;
  std::uint64_t count_ = 0;
};

struct histogram_options {
  std::optional<io_kind> kind = std::nullopt;  // only this kind; by default all
  // Latencies outside count in the first or last bucket. Of use to save memory: 8 bytes for each
  // bucket and channel. (SPDK lays out channels that are made later as it does by default.)
  std::chrono::nanoseconds min{0};
  std::chrono::nanoseconds max = std::chrono::nanoseconds::max();
  // Each power of two is divided into 2^granularity buckets: 1 to 14; 7 tells values apart that
  // differ by 1 %, in about 60 KiB for each channel.
  unsigned granularity = 7;
};

// Begins to count, on all channels that there are and will be; where it is being
// taken already, it goes on with what it has, and as it was. (To begin anew: disable first.)
// Errors: resource_unavailable_try_again (another change is under way); invalid_argument (options
// that cannot be); not_enough_memory; those of bdev_desc::channel().
// Thread, for all: an attached one, whose channel of the device is made if there is none; it
// resumes there. Cancellation: none; destroying the task waits.
task<result<void>> enable_histogram(bdev_desc device, histogram_options options = {});

// Stops, and forgets. Errors as above.
task<result<void>> disable_histogram(bdev_desc device);

// The sum of all threads' channels. (Not of those that have gone: SPDK drops theirs.)
// Errors: bad_address (none is being taken); those of bdev_desc::channel().
task<result<latency_histogram>> device_histogram(bdev_desc device);

// That of the calling thread's channel alone. Errors: bad_address (none is being taken); those of
// an I/O on the channel (empty, of another thread, closed).
result<latency_histogram> channel_histogram(const io_channel& channel);

}  // namespace spdk_io::inline SPDK_IO_ABI
