// SPDX-License-Identifier: BSD-3-Clause
// What the calls that submit I/O share: what they check, and how they fill in the I/O.
#pragma once

#include "bdev_internal.hpp"

#include <bit>
#include <cerrno>

namespace spdk_lite {

struct block_range {
  std::uint64_t offset = 0;
  std::uint64_t count = 0;
};

/// False if the bytes are not whole blocks.
inline bool to_blocks(const spdk_bdev_desc* desc, std::uint64_t offset, std::uint64_t nbytes,
                      block_range& range) {
  const std::uint64_t block = desc_block_size(desc);
  // A power of two, seen without counting bits: the plain x86-64 has no instruction for that.
  if ((block & (block - 1)) == 0) [[likely]] {
    const int shift = std::countr_zero(block);
    range = {offset >> shift, nbytes >> shift};
    return ((offset | nbytes) & (block - 1)) == 0;
  }
  range = {offset / block, nbytes / block};
  return offset % block == 0 && nbytes % block == 0;
}

inline bool valid(const spdk_bdev* bdev, const block_range& range) {
  const std::uint64_t end = range.offset + range.count;
  return end >= range.offset && end <= bdev->num_blocks;
}

/// Metadata in a buffer of its own needs a device that has it there, and a data buffer.
inline bool valid_metadata(const spdk_bdev_desc* desc, const void* md, const void* buf) {
  return md == nullptr || (spdk_bdev_is_md_separate(desc->bdev) && buf != nullptr);
}

struct target {
  spdk_bdev_desc* desc;
  spdk_io_channel* ch;
  spdk_bdev_io_completion_cb cb;
  void* cb_arg;
};

/// An I/O object without buffers, or NULL.
inline spdk_bdev_io* start(const target& to, spdk_bdev_io_type type,
                           const block_range& range = {}) {
  spdk_bdev_io* io = channel_get_io(to_bdev_channel(to.ch));
  if (io == nullptr) [[unlikely]] {
    return nullptr;
  }
  io->type = type;
  io->iovs = nullptr;
  io->iovcnt = 0;
  io->md_buf = nullptr;
  io->offset_blocks = range.offset;
  io->num_blocks = range.count;
  return io;
}

inline void init(const target& to, spdk_bdev_io* io) {
  bdev_io_init(io, to.desc, to_bdev_channel(to.ch), io->type, to.cb, to.cb_arg);
}

inline int submit(const target& to, spdk_bdev_io* io) {
  init(to, io);
  bdev_io_submit(io);
  return 0;
}

inline void set_buffer(const target& to, spdk_bdev_io* io, void* buf) {
  io->iov = {buf, io->num_blocks * desc_block_size(to.desc)};
  io->iovs = &io->iov;
  io->iovcnt = 1;
}

}  // namespace spdk_lite
