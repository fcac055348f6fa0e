// SPDX-License-Identifier: BSD-3-Clause
// Copying within a device; a read and a write through a buffer of the layer's where the
// module has no copy of its own.
#include "bdev_request.hpp"

using namespace spdk_lite;

namespace {

void end(spdk_bdev_io* io, bool success) {
  io->status = success ? io_status::success : io_status::failed;
  call_back(io);
}

void write_done(spdk_bdev_io* write, bool success, void* arg) {
  spdk_bdev_free_io(write);
  end(static_cast<spdk_bdev_io*>(arg), success);
}

void write_copy(void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  const int rc = spdk_bdev_write_blocks_with_md(io->desc, spdk_io_channel_from_ctx(io->ch),
                                                io->iovs[0].iov_base, io->md_buf, io->offset_blocks,
                                                io->num_blocks, write_done, io);
  if (rc == -ENOMEM) {
    bdev_io_wait(io, write_copy);
  } else if (rc != 0) {
    end(io, false);
  }
}

void read_done(spdk_bdev_io* read, bool success, void* arg) {
  spdk_bdev_free_io(read);
  if (success) {
    write_copy(arg);
  } else {
    end(static_cast<spdk_bdev_io*>(arg), false);
  }
}

void read_source(void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  const int rc = spdk_bdev_read_blocks_with_md(
      io->desc, spdk_io_channel_from_ctx(io->ch), io->iovs[0].iov_base, io->md_buf,
      io->src_offset_blocks, io->num_blocks, read_done, io);
  if (rc == -ENOMEM) {
    bdev_io_wait(io, read_source);
  } else if (rc != 0) {
    end(io, false);
  }
}

void buffer_there(spdk_io_channel* /*ch*/, spdk_bdev_io* io, bool success) {
  if (success) {
    read_source(io);
  } else {
    end(io, false);
  }
}

}  // namespace

int spdk_bdev_copy_blocks(spdk_bdev_desc* desc, spdk_io_channel* ch, uint64_t dst_offset_blocks,
                          uint64_t src_offset_blocks, uint64_t num_blocks,
                          spdk_bdev_io_completion_cb cb, void* cb_arg) {
  if (!desc->write) {
    return -EBADF;
  }
  const block_range destination{dst_offset_blocks, num_blocks};
  if (!valid(desc->bdev, destination) || !valid(desc->bdev, {src_offset_blocks, num_blocks})) {
    return -EINVAL;
  }
  const target to{desc, ch, cb, cb_arg};
  spdk_bdev_io* io = start(to, SPDK_BDEV_IO_TYPE_COPY, destination);
  if (io == nullptr) {
    return -ENOMEM;
  }
  io->src_offset_blocks = src_offset_blocks;
  init(to, io);
  if (dst_offset_blocks == src_offset_blocks || num_blocks == 0) {
    bdev_io_deliver_unsubmitted(io, io_status::success);
  } else if (io->bdev->supports(SPDK_BDEV_IO_TYPE_COPY) || io->split) {
    bdev_io_submit(io);
  } else {
    bdev_io_get_buf(io, buffer_there, num_blocks * io->bdev->block_len);
  }
  return 0;
}
