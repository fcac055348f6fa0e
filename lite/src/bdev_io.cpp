// SPDX-License-Identifier: BSD-3-Clause
// The calls that submit I/O: what they check, in SPDK's order, and how they fill in the I/O.
#include "bdev_internal.hpp"

#include <bit>
#include <cerrno>

using namespace spdk_lite;

namespace {

struct block_range {
  uint64_t offset = 0;
  uint64_t count = 0;
};

/// False if the bytes are not whole blocks.
bool to_blocks(const spdk_bdev_desc* desc, uint64_t offset, uint64_t nbytes, block_range& range) {
  const uint64_t block = desc->bdev->block_len;
  if (std::has_single_bit(block)) [[likely]] {
    const int shift = std::countr_zero(block);
    range = {offset >> shift, nbytes >> shift};
    return ((offset | nbytes) & (block - 1)) == 0;
  }
  range = {offset / block, nbytes / block};
  return offset % block == 0 && nbytes % block == 0;
}

bool valid(const spdk_bdev* bdev, const block_range& range) {
  const uint64_t end = range.offset + range.count;
  return end >= range.offset && end <= bdev->num_blocks;
}

struct target {
  spdk_bdev_desc* desc;
  spdk_io_channel* ch;
  spdk_bdev_io_completion_cb cb;
  void* cb_arg;
};

spdk_bdev_io* start(const target& to, spdk_bdev_io_type type, const block_range& range = {}) {
  bdev_channel* ch = to_bdev_channel(to.ch);
  spdk_bdev_io* io = channel_get_io(ch);
  if (io == nullptr) [[unlikely]] {
    return nullptr;
  }
  io->type = type;
  io->iovs = nullptr;
  io->iovcnt = 0;
  io->offset_blocks = range.offset;
  io->num_blocks = range.count;
  return io;
}

int submit(const target& to, spdk_bdev_io* io) {
  bdev_io_init(io, to.desc, to_bdev_channel(to.ch), io->type, to.cb, to.cb_arg);
  bdev_io_submit(io);
  return 0;
}

int submit_buffer(const target& to, spdk_bdev_io_type type, void* buf, const block_range& range) {
  if (!valid(to.desc->bdev, range)) [[unlikely]] {
    return -EINVAL;
  }
  spdk_bdev_io* io = start(to, type, range);
  if (io == nullptr) [[unlikely]] {
    return -ENOMEM;
  }
  io->iov = {buf, range.count * to.desc->bdev->block_len};
  io->iovs = &io->iov;
  io->iovcnt = 1;
  return submit(to, io);
}

int submit_vector(const target& to, spdk_bdev_io_type type, iovec* iov, int iovcnt,
                  const block_range& range) {
  if (!valid(to.desc->bdev, range)) [[unlikely]] {
    return -EINVAL;
  }
  spdk_bdev_io* io = start(to, type, range);
  if (io == nullptr) [[unlikely]] {
    return -ENOMEM;
  }
  io->iovs = iov;
  io->iovcnt = iovcnt;
  return submit(to, io);
}

// --- write_zeroes where the module has none: a write from a buffer of zeroes ---

void zeroes_written(spdk_bdev_io* write, bool success, void* arg) {
  auto* parent = static_cast<spdk_bdev_io*>(arg);
  spdk_bdev_free_io(write);
  parent->status = success ? io_status::success : io_status::failed;
  call_back(parent);
}

void write_zero_buffer(void* arg) {
  auto* parent = static_cast<spdk_bdev_io*>(arg);
  const int rc =
      spdk_bdev_write_blocks(parent->desc, spdk_io_channel_from_ctx(parent->ch), zero_buffer(),
                             parent->offset_blocks, parent->num_blocks, zeroes_written, parent);
  if (rc == -ENOMEM) {
    bdev_io_wait(parent, write_zero_buffer);
  } else if (rc != 0) {
    parent->status = io_status::failed;
    call_back(parent);
  }
}

void empty_unmap_done(void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  io->status = io_status::success;
  call_back(io);
}

}  // namespace

int spdk_bdev_read(spdk_bdev_desc* desc, spdk_io_channel* ch, void* buf, uint64_t offset,
                   uint64_t nbytes, spdk_bdev_io_completion_cb cb, void* cb_arg) {
  block_range range;
  return to_blocks(desc, offset, nbytes, range)
             ? submit_buffer({desc, ch, cb, cb_arg}, SPDK_BDEV_IO_TYPE_READ, buf, range)
             : -EINVAL;
}

int spdk_bdev_read_blocks(spdk_bdev_desc* desc, spdk_io_channel* ch, void* buf,
                          uint64_t offset_blocks, uint64_t num_blocks,
                          spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return submit_buffer({desc, ch, cb, cb_arg}, SPDK_BDEV_IO_TYPE_READ, buf,
                       {offset_blocks, num_blocks});
}

int spdk_bdev_readv(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov, int iovcnt,
                    uint64_t offset, uint64_t nbytes, spdk_bdev_io_completion_cb cb, void* cb_arg) {
  block_range range;
  return to_blocks(desc, offset, nbytes, range)
             ? submit_vector({desc, ch, cb, cb_arg}, SPDK_BDEV_IO_TYPE_READ, iov, iovcnt, range)
             : -EINVAL;
}

int spdk_bdev_readv_blocks(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov, int iovcnt,
                           uint64_t offset_blocks, uint64_t num_blocks,
                           spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return submit_vector({desc, ch, cb, cb_arg}, SPDK_BDEV_IO_TYPE_READ, iov, iovcnt,
                       {offset_blocks, num_blocks});
}

int spdk_bdev_write(spdk_bdev_desc* desc, spdk_io_channel* ch, void* buf, uint64_t offset,
                    uint64_t nbytes, spdk_bdev_io_completion_cb cb, void* cb_arg) {
  block_range range;
  return to_blocks(desc, offset, nbytes, range)
             ? spdk_bdev_write_blocks(desc, ch, buf, range.offset, range.count, cb, cb_arg)
             : -EINVAL;
}

int spdk_bdev_write_blocks(spdk_bdev_desc* desc, spdk_io_channel* ch, void* buf,
                           uint64_t offset_blocks, uint64_t num_blocks,
                           spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return desc->write ? submit_buffer({desc, ch, cb, cb_arg}, SPDK_BDEV_IO_TYPE_WRITE, buf,
                                     {offset_blocks, num_blocks})
                     : -EBADF;
}

int spdk_bdev_writev(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov, int iovcnt,
                     uint64_t offset, uint64_t len, spdk_bdev_io_completion_cb cb, void* cb_arg) {
  block_range range;
  return to_blocks(desc, offset, len, range)
             ? spdk_bdev_writev_blocks(desc, ch, iov, iovcnt, range.offset, range.count, cb, cb_arg)
             : -EINVAL;
}

int spdk_bdev_writev_blocks(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov, int iovcnt,
                            uint64_t offset_blocks, uint64_t num_blocks,
                            spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return desc->write ? submit_vector({desc, ch, cb, cb_arg}, SPDK_BDEV_IO_TYPE_WRITE, iov, iovcnt,
                                     {offset_blocks, num_blocks})
                     : -EBADF;
}

int spdk_bdev_write_zeroes(spdk_bdev_desc* desc, spdk_io_channel* ch, uint64_t offset, uint64_t len,
                           spdk_bdev_io_completion_cb cb, void* cb_arg) {
  block_range range;
  return to_blocks(desc, offset, len, range)
             ? spdk_bdev_write_zeroes_blocks(desc, ch, range.offset, range.count, cb, cb_arg)
             : -EINVAL;
}

int spdk_bdev_write_zeroes_blocks(spdk_bdev_desc* desc, spdk_io_channel* ch, uint64_t offset_blocks,
                                  uint64_t num_blocks, spdk_bdev_io_completion_cb cb,
                                  void* cb_arg) {
  if (!desc->write) {
    return -EBADF;
  }
  const block_range range{offset_blocks, num_blocks};
  if (!valid(desc->bdev, range)) {
    return -EINVAL;
  }
  const bool native = desc->bdev->supports(SPDK_BDEV_IO_TYPE_WRITE_ZEROES);
  if (!native && !desc->bdev->supports(SPDK_BDEV_IO_TYPE_WRITE)) {
    return -ENOTSUP;
  }
  if (!native && desc->bdev->block_len > zero_buffer_size) {
    return -ENOTSUP;  // not even one block can be written from the buffer of zeroes
  }
  const target to{desc, ch, cb, cb_arg};
  spdk_bdev_io* io = start(to, SPDK_BDEV_IO_TYPE_WRITE_ZEROES, range);
  if (io == nullptr) {
    return -ENOMEM;
  }
  bdev_io_init(io, desc, to_bdev_channel(ch), io->type, cb, cb_arg);
  if (native || io->split) {
    bdev_io_submit(io);
  } else {
    write_zero_buffer(io);
  }
  return 0;
}

int spdk_bdev_unmap(spdk_bdev_desc* desc, spdk_io_channel* ch, uint64_t offset, uint64_t nbytes,
                    spdk_bdev_io_completion_cb cb, void* cb_arg) {
  block_range range;
  return to_blocks(desc, offset, nbytes, range)
             ? spdk_bdev_unmap_blocks(desc, ch, range.offset, range.count, cb, cb_arg)
             : -EINVAL;
}

int spdk_bdev_unmap_blocks(spdk_bdev_desc* desc, spdk_io_channel* ch, uint64_t offset_blocks,
                           uint64_t num_blocks, spdk_bdev_io_completion_cb cb, void* cb_arg) {
  if (!desc->write) {
    return -EBADF;
  }
  const block_range range{offset_blocks, num_blocks};
  if (!valid(desc->bdev, range)) {
    return -EINVAL;
  }
  const target to{desc, ch, cb, cb_arg};
  spdk_bdev_io* io = start(to, SPDK_BDEV_IO_TYPE_UNMAP, range);
  if (io == nullptr) {
    return -ENOMEM;
  }
  if (num_blocks != 0) {
    return submit(to, io);
  }
  bdev_io_init(io, desc, to_bdev_channel(ch), io->type, cb, cb_arg);
  spdk_thread_send_msg(spdk_get_thread(), empty_unmap_done, io);
  return 0;
}

int spdk_bdev_flush(spdk_bdev_desc* desc, spdk_io_channel* ch, uint64_t offset, uint64_t length,
                    spdk_bdev_io_completion_cb cb, void* cb_arg) {
  block_range range;
  return to_blocks(desc, offset, length, range)
             ? spdk_bdev_flush_blocks(desc, ch, range.offset, range.count, cb, cb_arg)
             : -EINVAL;
}

int spdk_bdev_flush_blocks(spdk_bdev_desc* desc, spdk_io_channel* ch, uint64_t offset_blocks,
                           uint64_t num_blocks, spdk_bdev_io_completion_cb cb, void* cb_arg) {
  if (!desc->write) {
    return -EBADF;
  }
  if (!desc->bdev->supports(SPDK_BDEV_IO_TYPE_FLUSH)) {
    return -ENOTSUP;
  }
  const block_range range{offset_blocks, num_blocks};
  if (!valid(desc->bdev, range)) {
    return -EINVAL;
  }
  const target to{desc, ch, cb, cb_arg};
  spdk_bdev_io* io = start(to, SPDK_BDEV_IO_TYPE_FLUSH, range);
  return io != nullptr ? submit(to, io) : -ENOMEM;
}
