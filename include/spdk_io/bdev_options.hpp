// SPDX-License-Identifier: BSD-3-Clause
// Devices made and deleted at run time, with typed options.
#pragma once

#include <spdk_io/error.hpp>
#include <spdk_io/task.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI {

// The texts in these options are views: they need to live until create_bdev() has returned its
// task, not longer. (Also, GCC 12 breaks strings in an aggregate that is written inside a
// co_await expression; views survive it.)

// A RAM disk.
struct malloc_bdev {
  std::string_view name;
  std::uint64_t size = 0;                 // bytes, a multiple of block_size
  std::uint32_t block_size = 512;         // bytes, a multiple of 512
  std::uint32_t physical_block_size = 0;  // bytes; 0: as block_size
  std::uint32_t optimal_boundary = 0;     // blocks; 0: none
  std::string_view uuid = {};             // empty: SPDK makes one
};

// Completes everything at once and keeps nothing: reads leave the buffer as it was.
struct null_bdev {
  std::string_view name;
  std::uint64_t size = 0;          // bytes, a multiple of block_size
  std::uint32_t block_size = 512;  // bytes, a multiple of 512
  std::uint32_t physical_block_size = 0;
  std::string_view uuid = {};
};

// A file or block device through io_uring: reads and writes only.
struct uring_bdev {
  std::string_view name;
  std::string_view file;
  // Bytes, a power of two from 512. 0: a block device's own; for a regular file 4096, or 512 if
  // its size is no multiple of 4096.
  std::uint32_t block_size = 0;
  std::string_view uuid = {};
};

// A file or block device through Linux AIO: reads, writes, flush, reset.
struct aio_bdev {
  std::string_view name;
  std::string_view file;
  // Bytes, a power of two from 512. 0: a block device's own; for a regular file 4096, or 512 if
  // its size is no multiple of 4096.
  std::uint32_t block_size = 0;
  bool read_only = false;
  bool fallocate = false;  // unmap and write_zeroes through fallocate(2)
  std::string_view uuid = {};
};

// Creates a device and gives its name. Starts SPDK's subsystems without a configuration if they
// are not running. Any attached thread; the work is done on the one that runs the subsystems.
// Errors: file_exists (the name is taken), no_such_file_or_directory and permission_denied (the
// file), invalid_argument (a size; a name that is empty, longer than 255 bytes, or has a NUL; a
// UUID that is none; a name or path that is not UTF-8; the message says which), and whatever SPDK
// reports. The options are copied. Destroying it while it runs waits for it to end.
task<result<std::string>> create_bdev(const malloc_bdev& options);
task<result<std::string>> create_bdev(const null_bdev& options);
task<result<std::string>> create_bdev(const uring_bdev& options);
task<result<std::string>> create_bdev(const aio_bdev& options);

// Deletes a device, whatever its kind. Those who have it open are told (bdev_desc::removed());
// it completes once they have closed it and the device is gone. Any attached thread.
// Errors: no_such_device; device_or_resource_busy (it is being deleted already).
task<result<void>> delete_bdev(std::string_view name);

}  // namespace spdk_io::inline SPDK_IO_ABI
