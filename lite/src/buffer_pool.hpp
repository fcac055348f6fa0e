// SPDX-License-Identifier: BSD-3-Clause
// DMA buffers that the block device layer provides itself: for reads without a buffer and
// for I/O whose buffers are misaligned. The counterpart of SPDK's iobuf.
#pragma once

#include "bdev_module.hpp"

#include <cstddef>
#include <cstdint>

namespace spdk_lite {

struct buffer_pool_options {
  std::uint64_t small_count = 8192;
  std::uint64_t large_count = 1024;
  std::uint32_t small_size = 8 * 1024;
  std::uint32_t large_size = 132 * 1024;
};

/// 0, or -EINVAL for values below SPDK's minimum.
int buffer_pool_set_options(const buffer_pool_options& options);
const buffer_pool_options& buffer_pool_get_options();

/// The subsystem iobuf: makes the options current, frees all memory.
void buffer_pool_start();
void buffer_pool_stop();

/// The buffers of one thread. It sets some aside for itself, so that it can always make
/// progress: who finds none waits until the same thread gives one back.
class buffer_channel {
 public:
  using ready_fn = void (*)(spdk_bdev_io* io, void* buf);

  /// False if the pool cannot spare as many.
  bool start(std::uint32_t small_cache, std::uint32_t large_cache);
  void stop();

  [[nodiscard]] std::size_t max_size() const;

  /// NULL if the I/O has been queued; ready runs when its turn has come.
  void* get(std::size_t len, spdk_bdev_io* io, ready_fn ready);
  void put(void* buf, std::size_t len);

  /// The first waiting I/O that matches, taken out of its queue, or NULL.
  template <class Match>
  spdk_bdev_io* take_waiting(Match match) {
    for (cache* c : {&small_, &large_}) {
      for (spdk_bdev_io* io = c->waiting.front(); io != nullptr; io = bdev_io_queue::next(io)) {
        if (match(io)) {
          c->waiting.remove(io);
          return io;
        }
      }
    }
    return nullptr;
  }

 private:
  struct free_buffer {
    free_buffer* next;
  };
  struct cache {
    free_buffer* free = nullptr;
    std::uint32_t free_count = 0;
    std::uint32_t reserved = 0;  ///< ours, but memory not allocated yet
    std::uint32_t limit = 0;
    std::size_t size = 0;
    ready_fn ready = nullptr;
    bdev_io_queue waiting;
  };

  cache& fitting(std::size_t len) { return len <= small_.size ? small_ : large_; }

  cache small_;
  cache large_;
};

}  // namespace spdk_lite
