// SPDX-License-Identifier: BSD-3-Clause
// Zero copy: the module lends a buffer of its own, and takes it back.
#include "bdev_request.hpp"

using namespace spdk_lite;

int spdk_bdev_zcopy_start(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov, int iovcnt,
                          uint64_t offset_blocks, uint64_t num_blocks, bool populate,
                          spdk_bdev_io_completion_cb cb, void* cb_arg) {
  if (!desc->write) {
    return -EBADF;
  }
  const block_range range{offset_blocks, num_blocks};
  if (!valid(desc->bdev, range)) {
    return -EINVAL;
  }
  if (!desc->bdev->supports(SPDK_BDEV_IO_TYPE_ZCOPY)) {
    return -ENOTSUP;
  }
  const target to{desc, ch, cb, cb_arg};
  spdk_bdev_io* io = start(to, SPDK_BDEV_IO_TYPE_ZCOPY, range);
  if (io == nullptr) {
    return -ENOMEM;
  }
  io->iovs = iov;
  io->iovcnt = iovcnt;
  io->zcopy = {.start = true, .populate = populate, .commit = false};
  return submit(to, io);
}

int spdk_bdev_zcopy_end(spdk_bdev_io* io, bool commit, spdk_bdev_io_completion_cb cb,
                        void* cb_arg) {
  if (io->type != SPDK_BDEV_IO_TYPE_ZCOPY) {
    return -EINVAL;
  }
  io->zcopy.commit = commit;
  io->zcopy.start = false;
  io->cb = cb;
  io->cb_arg = cb_arg;
  io->status = io_status::pending;
  bdev_io_submit(io);
  return 0;
}
