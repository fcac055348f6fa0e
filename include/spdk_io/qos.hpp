// SPDX-License-Identifier: BSD-3-Clause
// Limits on a device's rate of I/O.
#pragma once

#include <spdk_io/bdev_desc.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/task.hpp>

#include <cstdint>

namespace spdk_io::inline SPDK_IO_ABI {

// Of a whole device, whoever does the I/O: 0 is no limit. SPDK rounds up: operations to multiples
// of 1000 a second, bytes to MiB a second. I/O beyond a limit waits inside SPDK, on one
// of the threads that use the device.
struct qos_limits {
  std::uint64_t iops = 0;                    // reads and writes, each second
  std::uint64_t bytes_per_second = 0;        // of both
  std::uint64_t read_bytes_per_second = 0;   // of reads alone
  std::uint64_t write_bytes_per_second = 0;  // of writes alone

  friend bool operator==(const qos_limits&, const qos_limits&) = default;
};

// Sets all four, and gives those that hold from now on: rounded up. So
//   co_await set_qos(disk, {.iops = 5000})
// lifts whatever other limit there was, and {} lifts all. It completes when each thread that uses
// the device knows.
// Errors: resource_unavailable_try_again (another change is under way); invalid_argument (a number
// that cannot be rounded up); those of bdev_desc::channel().
// Thread: an attached one, whose channel of the device is made if there is none; it resumes there.
// Cancellation: none; destroying the task waits.
task<result<qos_limits>> set_qos(bdev_desc device, qos_limits limits);

// Errors: those of bdev_desc::channel(). Thread: an attached one.
result<qos_limits> get_qos(const bdev_desc& device);

}  // namespace spdk_io::inline SPDK_IO_ABI
