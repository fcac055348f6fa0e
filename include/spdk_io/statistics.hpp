// SPDX-License-Identifier: BSD-3-Clause
// What SPDK counts of a device's I/O: operations, bytes, latencies.
#pragma once

#include <spdk_io/bdev_desc.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/io_channel.hpp>
#include <spdk_io/task.hpp>

#include <chrono>
#include <cstdint>

namespace spdk_io::inline SPDK_IO_ABI {

// Of operations that have completed successfully. Latencies are from submission to completion, as
// SPDK saw them; 0 where there was no operation.
struct operation_statistics {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  std::chrono::nanoseconds total_latency{0};
  std::chrono::nanoseconds min_latency{0};
  std::chrono::nanoseconds max_latency{0};

  std::chrono::nanoseconds mean_latency() const noexcept {
    return count == 0 ? std::chrono::nanoseconds(0)
                      : std::chrono::nanoseconds(static_cast<std::uint64_t>(total_latency.count()) /
                                                 count);
  }
};

// Write zeroes, flush, reset, compare and abort are not counted by SPDK.
struct io_statistics {
  operation_statistics read;
  operation_statistics write;
  operation_statistics unmap;
  operation_statistics copy;
};

// What is set back to zero once it has been read, for everybody who reads it.
enum class statistics_reset : std::uint8_t {
  none,
  extremes,  // the smallest and largest latencies
  all,       // those, counts and sums
};

// The whole device: all channels of all threads, those that have gone too. SPDK asks each thread
// by message.
// Errors: those of bdev_desc::channel(). Thread: an attached one, whose channel of the device is
// made if there is none; it resumes there. Cancellation: none; destroying the task waits.
task<result<io_statistics>> device_statistics(bdev_desc device,
                                              statistics_reset reset = statistics_reset::none);

// What the calling thread's channel did. SPDK has one for each thread and device, so this counts
// all I/O of the thread on the device, whatever handle or C code it came through.
// Errors: those of an I/O on the channel (empty, of another thread, closed).
result<io_statistics> channel_statistics(const io_channel& channel,
                                         statistics_reset reset = statistics_reset::none);

}  // namespace spdk_io::inline SPDK_IO_ABI
