// SPDX-License-Identifier: BSD-3-Clause
// The device of a read_stream or a write_sink: the channel is taken on the thread that uses it
// first.
#pragma once

#include <spdk_io/bdev_desc.hpp>
#include <spdk_io/dma_buffer.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/io_channel.hpp>

#include <cstddef>
#include <cstdint>

namespace spdk_io::inline SPDK_IO_ABI::detail {

struct channel_state;

class stream_device {
 public:
  explicit stream_device(const bdev_desc& desc) : desc_(desc) {}
  explicit stream_device(const io_channel& channel) : channel_(channel) {}

  // On the thread that uses it from then on. Afterwards the others may be called.
  result<void> open(operation_kind what);

  channel_state* channel() const noexcept { return state_; }
  std::uint32_t name() const noexcept { return name_; }              // interned
  std::uint32_t block_size() const noexcept { return block_size_; }  // bytes
  // As they were when it was opened: the device may be gone by now.
  std::uint64_t size() const noexcept { return size_; }          // bytes
  std::size_t alignment() const noexcept { return alignment_; }  // bytes, of buffers; at least 1
  bool can_flush() const noexcept { return can_flush_; }

  // `count` buffers of `bytes` each, rounded up to the alignment, which is `stride`; and further
  // memory behind them.
  result<dma_buffer> allocate(std::size_t count, std::size_t bytes, int numa, std::size_t& stride,
                              std::size_t further = 0) const;

 private:
  bdev_desc desc_;
  io_channel channel_;
  channel_state* state_ = nullptr;
  std::uint32_t name_ = 0;
  std::uint32_t block_size_ = 1;
  std::uint64_t size_ = 0;
  std::size_t alignment_ = 1;
  bool can_flush_ = false;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
