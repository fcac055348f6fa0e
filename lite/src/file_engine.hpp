// SPDX-License-Identifier: BSD-3-Clause
// Asynchronous file I/O for one SPDK thread: io_uring, or a few OS threads that use
// preadv() and pwritev() where io_uring is forbidden. Which one it is only shows in the log.
#pragma once

#include "spdk/thread.h"

#include <sys/uio.h>

#include <cstdint>

namespace spdk_lite {

/// One operation. Belongs to the engine between submit() and complete; needs no allocation.
struct file_op {
  enum class kind : std::uint8_t { read, write, sync, punch_hole, zero_range };

  // Set before submit().
  kind what;
  int fd;
  int iovcnt;
  iovec* iov;  ///< not modified
  std::uint64_t offset;
  std::uint64_t len;
  iovec* room;  ///< for up to room_count iovecs, used when only a part has been transferred
  int room_count;
  /// 0, a negative errno, or > 0: the bytes before the end of the file, fewer than len.
  void (*complete)(file_op* op, std::int64_t result);

  // The engine's own.
  std::int64_t result;
  std::uint64_t done;
  void* owner;
  file_op* next;
};

/// Used on its SPDK thread only. Its poller delivers the completions.
class file_engine {
 public:
  virtual ~file_engine() = default;

  virtual void submit(file_op* op) = 0;
};

/// The engine is a channel: one per thread, from the first get to the last put.
void file_engine_start();
void file_engine_stop();
spdk_io_channel* file_engine_get_channel();
file_engine* file_engine_of(spdk_io_channel* ch);

}  // namespace spdk_lite
