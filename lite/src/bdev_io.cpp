// SPDX-License-Identifier: BSD-3-Clause
// The calls that submit I/O: what they check, in SPDK's order, and how they fill in the I/O.
#include "bdev_request.hpp"
#include "spdk/log.h"

using namespace spdk_lite;

namespace {

int submit_buffer(const target& to, spdk_bdev_io_type type, void* buf, void* md,
                  const block_range& range) {
  if (!valid(to.desc->bdev, range)) [[unlikely]] {
    return -EINVAL;
  }
  spdk_bdev_io* io = start(to, type, range);
  if (io == nullptr) [[unlikely]] {
    return -ENOMEM;
  }
  set_buffer(to, io, buf);
  io->md_buf = md;
  return submit(to, io);
}

int submit_vector(const target& to, spdk_bdev_io_type type, iovec* iov, int iovcnt, void* md,
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
  io->md_buf = md;
  init(to, io);
  if (io->ch->reset_in_progress) [[unlikely]] {
    // Vectors do not even get into the channel's list.
    bdev_io_deliver_unsubmitted(io, io_status::aborted);
    return 0;
  }
  bdev_io_submit(io);
  return 0;
}

int write_buffer(const target& to, void* buf, void* md, const block_range& range) {
  return to.desc->write ? submit_buffer(to, SPDK_BDEV_IO_TYPE_WRITE, buf, md, range) : -EBADF;
}

int write_vector(const target& to, iovec* iov, int iovcnt, void* md, const block_range& range) {
  return to.desc->write ? submit_vector(to, SPDK_BDEV_IO_TYPE_WRITE, iov, iovcnt, md, range)
                        : -EBADF;
}

const void* first_buffer(const iovec* iov) { return iov != nullptr ? iov->iov_base : nullptr; }

#define HAS_OPTION(opts, field) \
  (offsetof(spdk_bdev_ext_io_opts, field) + sizeof(spdk_bdev_ext_io_opts::field) <= (opts)->size)

/// The metadata that the options name, if they are valid.
int check_options(const spdk_bdev_desc* desc, const spdk_bdev_ext_io_opts* opts, const iovec* iov,
                  void*& md) {
  if (opts == nullptr) {
    return 0;
  }
  if (!HAS_OPTION(opts, metadata) || opts->size > sizeof(*opts)) {
    return -EINVAL;
  }
  if (opts->memory_domain != nullptr && first_buffer(iov) == nullptr) {
    return -EINVAL;
  }
  md = opts->metadata;
  if (!valid_metadata(desc, md, first_buffer(iov))) {
    return -EINVAL;
  }
  const bool sequence = HAS_OPTION(opts, accel_sequence) && opts->accel_sequence != nullptr;
  if (md != nullptr && sequence) {
    return -EINVAL;
  }
  if (md != nullptr && HAS_OPTION(opts, nvme_cdw12) &&
      (opts->nvme_cdw12.raw & SPDK_DIF_FLAGS_NVME_PRACT) != 0) {
    SPDK_ERRLOG("metadata in a buffer of its own does not go together with PRACT\n");
    return -ENOTSUP;
  }
  if (opts->memory_domain != nullptr || sequence) {
    SPDK_ERRLOG("this stand-in for SPDK has no memory domains and no accel sequences\n");
    return -ENOTSUP;
  }
  return 0;
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
  // Metadata of its own: what follows the data in the buffer.
  void* md =
      spdk_bdev_is_md_separate(parent->bdev)
          ? static_cast<std::byte*>(zero_buffer()) + parent->num_blocks * parent->bdev->block_len
          : nullptr;
  const int rc =
      write_buffer({parent->desc, spdk_io_channel_from_ctx(parent->ch), zeroes_written, parent},
                   zero_buffer(), md, {parent->offset_blocks, parent->num_blocks});
  if (rc == -ENOMEM) {
    bdev_io_wait(parent, write_zero_buffer);
  } else if (rc != 0) {
    parent->status = io_status::failed;
    call_back(parent);
  }
}

int seek(const target& to, spdk_bdev_io_type type, uint64_t offset_blocks) {
  if (!valid(to.desc->bdev, {offset_blocks, 1})) {
    return -EINVAL;
  }
  spdk_bdev_io* io = start(to, type, {offset_blocks, 0});
  if (io == nullptr) {
    return -ENOMEM;
  }
  if (to.desc->bdev->supports(type)) {
    return submit(to, io);
  }
  init(to, io);
  io->seek_offset = type == SPDK_BDEV_IO_TYPE_SEEK_DATA ? offset_blocks : UINT64_MAX;
  bdev_io_deliver_unsubmitted(io, io_status::success);
  return 0;
}

}  // namespace

int spdk_lite::bdev_readv(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov, int iovcnt,
                          void* md, uint64_t offset_blocks, uint64_t num_blocks,
                          spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return submit_vector({desc, ch, cb, cb_arg}, SPDK_BDEV_IO_TYPE_READ, iov, iovcnt, md,
                       {offset_blocks, num_blocks});
}

int spdk_lite::bdev_writev(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov, int iovcnt,
                           void* md, uint64_t offset_blocks, uint64_t num_blocks,
                           spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return write_vector({desc, ch, cb, cb_arg}, iov, iovcnt, md, {offset_blocks, num_blocks});
}

int spdk_bdev_read(spdk_bdev_desc* desc, spdk_io_channel* ch, void* buf, uint64_t offset,
                   uint64_t nbytes, spdk_bdev_io_completion_cb cb, void* cb_arg) {
  block_range range;
  return to_blocks(desc, offset, nbytes, range)
             ? submit_buffer({desc, ch, cb, cb_arg}, SPDK_BDEV_IO_TYPE_READ, buf, nullptr, range)
             : -EINVAL;
}

int spdk_bdev_read_blocks(spdk_bdev_desc* desc, spdk_io_channel* ch, void* buf,
                          uint64_t offset_blocks, uint64_t num_blocks,
                          spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return submit_buffer({desc, ch, cb, cb_arg}, SPDK_BDEV_IO_TYPE_READ, buf, nullptr,
                       {offset_blocks, num_blocks});
}

int spdk_bdev_readv(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov, int iovcnt,
                    uint64_t offset, uint64_t nbytes, spdk_bdev_io_completion_cb cb, void* cb_arg) {
  block_range range;
  return to_blocks(desc, offset, nbytes, range)
             ? submit_vector({desc, ch, cb, cb_arg}, SPDK_BDEV_IO_TYPE_READ, iov, iovcnt, nullptr,
                             range)
             : -EINVAL;
}

int spdk_bdev_readv_blocks(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov, int iovcnt,
                           uint64_t offset_blocks, uint64_t num_blocks,
                           spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return submit_vector({desc, ch, cb, cb_arg}, SPDK_BDEV_IO_TYPE_READ, iov, iovcnt, nullptr,
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
  return write_buffer({desc, ch, cb, cb_arg}, buf, nullptr, {offset_blocks, num_blocks});
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
  return write_vector({desc, ch, cb, cb_arg}, iov, iovcnt, nullptr, {offset_blocks, num_blocks});
}

int spdk_bdev_read_blocks_with_md(spdk_bdev_desc* desc, spdk_io_channel* ch, void* buf, void* md,
                                  uint64_t offset_blocks, uint64_t num_blocks,
                                  spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return valid_metadata(desc, md, buf)
             ? submit_buffer({desc, ch, cb, cb_arg}, SPDK_BDEV_IO_TYPE_READ, buf, md,
                             {offset_blocks, num_blocks})
             : -EINVAL;
}

int spdk_bdev_readv_blocks_with_md(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov,
                                   int iovcnt, void* md, uint64_t offset_blocks,
                                   uint64_t num_blocks, spdk_bdev_io_completion_cb cb,
                                   void* cb_arg) {
  return valid_metadata(desc, md, first_buffer(iov))
             ? bdev_readv(desc, ch, iov, iovcnt, md, offset_blocks, num_blocks, cb, cb_arg)
             : -EINVAL;
}

int spdk_bdev_readv_blocks_ext(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov, int iovcnt,
                               uint64_t offset_blocks, uint64_t num_blocks,
                               spdk_bdev_io_completion_cb cb, void* cb_arg,
                               spdk_bdev_ext_io_opts* opts) {
  void* md = nullptr;
  const int rc = check_options(desc, opts, iov, md);
  return rc != 0 ? rc
                 : bdev_readv(desc, ch, iov, iovcnt, md, offset_blocks, num_blocks, cb, cb_arg);
}

int spdk_bdev_write_blocks_with_md(spdk_bdev_desc* desc, spdk_io_channel* ch, void* buf, void* md,
                                   uint64_t offset_blocks, uint64_t num_blocks,
                                   spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return valid_metadata(desc, md, buf)
             ? write_buffer({desc, ch, cb, cb_arg}, buf, md, {offset_blocks, num_blocks})
             : -EINVAL;
}

int spdk_bdev_writev_blocks_with_md(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov,
                                    int iovcnt, void* md, uint64_t offset_blocks,
                                    uint64_t num_blocks, spdk_bdev_io_completion_cb cb,
                                    void* cb_arg) {
  return valid_metadata(desc, md, first_buffer(iov))
             ? bdev_writev(desc, ch, iov, iovcnt, md, offset_blocks, num_blocks, cb, cb_arg)
             : -EINVAL;
}

int spdk_bdev_writev_blocks_ext(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov, int iovcnt,
                                uint64_t offset_blocks, uint64_t num_blocks,
                                spdk_bdev_io_completion_cb cb, void* cb_arg,
                                spdk_bdev_ext_io_opts* opts) {
  void* md = nullptr;
  const int rc = check_options(desc, opts, iov, md);
  return rc != 0 ? rc
                 : bdev_writev(desc, ch, iov, iovcnt, md, offset_blocks, num_blocks, cb, cb_arg);
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
  init(to, io);
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
  init(to, io);
  bdev_io_deliver_unsubmitted(io, io_status::success);
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

int spdk_bdev_seek_data(spdk_bdev_desc* desc, spdk_io_channel* ch, uint64_t offset_blocks,
                        spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return seek({desc, ch, cb, cb_arg}, SPDK_BDEV_IO_TYPE_SEEK_DATA, offset_blocks);
}

int spdk_bdev_seek_hole(spdk_bdev_desc* desc, spdk_io_channel* ch, uint64_t offset_blocks,
                        spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return seek({desc, ch, cb, cb_arg}, SPDK_BDEV_IO_TYPE_SEEK_HOLE, offset_blocks);
}

int spdk_bdev_write_uncorrectable_blocks(spdk_bdev_desc* desc, spdk_io_channel* ch,
                                         uint64_t offset_blocks, uint64_t num_blocks,
                                         spdk_bdev_io_completion_cb cb, void* cb_arg) {
  if (!desc->write) {
    return -EBADF;
  }
  const block_range range{offset_blocks, num_blocks};
  if (!valid(desc->bdev, range)) {
    return -EINVAL;
  }
  if (!desc->bdev->supports(SPDK_BDEV_IO_TYPE_WRITE_UNCORRECTABLE)) {
    return -ENOTSUP;
  }
  const target to{desc, ch, cb, cb_arg};
  spdk_bdev_io* io = start(to, SPDK_BDEV_IO_TYPE_WRITE_UNCORRECTABLE, range);
  return io != nullptr ? submit(to, io) : -ENOMEM;
}
