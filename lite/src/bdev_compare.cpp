// SPDX-License-Identifier: BSD-3-Clause
// Compare, and compare and write. What the module lacks is made of reads, compares and writes;
// the pair is kept together by a lock on its range.
#include "bdev_request.hpp"
#include "spdk/log.h"

#include <algorithm>
#include <cstring>

using namespace spdk_lite;

namespace {

void end(spdk_bdev_io* io, io_status status) {
  io->status = status;
  call_back(io);
}

// --- compare as a read into a buffer of the layer's ---

bool same_data(const spdk_bdev_io* io, const spdk_bdev_io* read) {
  const auto* data = static_cast<const std::byte*>(read->iovs[0].iov_base);
  std::size_t left = read->iovs[0].iov_len;
  for (int i = 0; i < io->iovcnt && left != 0; ++i) {
    const std::size_t n = std::min(left, io->iovs[i].iov_len);
    if (std::memcmp(data, io->iovs[i].iov_base, n) != 0) {
      return false;
    }
    data += n;
    left -= n;
  }
  // SPDK looks at the metadata of the first block only.
  return io->md_buf == nullptr || !spdk_bdev_is_md_separate(io->bdev) ||
         std::memcmp(read->md_buf, io->md_buf, io->bdev->md_len) == 0;
}

void read_done(spdk_bdev_io* read, bool success, void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  if (!success) {
    end(io, io_status::failed);
    spdk_bdev_free_io(read);
    return;
  }
  const bool same = same_data(io, read);
  spdk_bdev_free_io(read);
  end(io, same ? io_status::success : io_status::miscompare);
}

void read_and_compare(void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  const int rc = spdk_bdev_read_blocks(io->desc, spdk_io_channel_from_ctx(io->ch), nullptr,
                                       io->offset_blocks, io->num_blocks, read_done, io);
  if (rc == -ENOMEM) {
    bdev_io_wait(io, read_and_compare);
  } else if (rc != 0) {
    end(io, io_status::failed);
  }
}

int compare(const target& to, spdk_bdev_io* io) {
  init(to, io);
  if (io->bdev->supports(SPDK_BDEV_IO_TYPE_COMPARE)) {
    bdev_io_submit(io);
  } else {
    read_and_compare(io);
  }
  return 0;
}

int compare_buffer(const target& to, void* buf, void* md, const block_range& range) {
  if (!valid(to.desc->bdev, range)) {
    return -EINVAL;
  }
  spdk_bdev_io* io = start(to, SPDK_BDEV_IO_TYPE_COMPARE, range);
  if (io == nullptr) {
    return -ENOMEM;
  }
  set_buffer(to, io, buf);
  io->md_buf = md;
  return compare(to, io);
}

int compare_vector(const target& to, iovec* iov, int iovcnt, void* md, const block_range& range) {
  if (!valid(to.desc->bdev, range)) {
    return -EINVAL;
  }
  spdk_bdev_io* io = start(to, SPDK_BDEV_IO_TYPE_COMPARE, range);
  if (io == nullptr) {
    return -ENOMEM;
  }
  io->iovs = iov;
  io->iovcnt = iovcnt;
  io->md_buf = md;
  return compare(to, io);
}

// --- compare and write: lock, compare, write, unlock ---

void unlock(spdk_bdev_io* io, io_status status) {
  io->status = status;
  bdev_unlock_range(io, call_back);
}

void write_done(spdk_bdev_io* write, bool success, void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  if (!success) {
    SPDK_ERRLOG("the write of a compare and write failed\n");
  }
  spdk_bdev_free_io(write);
  unlock(io, success ? io_status::success : io_status::failed);
}

void write_locked(void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  const int rc =
      spdk_bdev_writev_blocks(io->desc, spdk_io_channel_from_ctx(io->ch), io->fused.iovs,
                              io->fused.iovcnt, io->offset_blocks, io->num_blocks, write_done, io);
  if (rc == -ENOMEM) {
    bdev_io_wait(io, write_locked);
  } else if (rc != 0) {
    unlock(io, io_status::failed);
  }
}

void compare_done(spdk_bdev_io* compare, bool success, void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  spdk_bdev_free_io(compare);
  if (success) {
    write_locked(io);
  } else {
    unlock(io, io_status::miscompare);
  }
}

void compare_locked(void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  const int rc =
      spdk_bdev_comparev_blocks(io->desc, spdk_io_channel_from_ctx(io->ch), io->iovs, io->iovcnt,
                                io->offset_blocks, io->num_blocks, compare_done, io);
  if (rc == -ENOMEM) {
    bdev_io_wait(io, compare_locked);
  } else if (rc != 0) {
    unlock(io, io_status::first_fused_failed);
  }
}

}  // namespace

int spdk_bdev_compare_blocks(spdk_bdev_desc* desc, spdk_io_channel* ch, void* buf,
                             uint64_t offset_blocks, uint64_t num_blocks,
                             spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return compare_buffer({desc, ch, cb, cb_arg}, buf, nullptr, {offset_blocks, num_blocks});
}

int spdk_bdev_compare_blocks_with_md(spdk_bdev_desc* desc, spdk_io_channel* ch, void* buf, void* md,
                                     uint64_t offset_blocks, uint64_t num_blocks,
                                     spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return valid_metadata(desc, md, buf)
             ? compare_buffer({desc, ch, cb, cb_arg}, buf, md, {offset_blocks, num_blocks})
             : -EINVAL;
}

int spdk_bdev_comparev_blocks(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov, int iovcnt,
                              uint64_t offset_blocks, uint64_t num_blocks,
                              spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return compare_vector({desc, ch, cb, cb_arg}, iov, iovcnt, nullptr, {offset_blocks, num_blocks});
}

int spdk_bdev_comparev_blocks_with_md(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov,
                                      int iovcnt, void* md, uint64_t offset_blocks,
                                      uint64_t num_blocks, spdk_bdev_io_completion_cb cb,
                                      void* cb_arg) {
  return valid_metadata(desc, md, iov != nullptr ? iov->iov_base : nullptr)
             ? compare_vector({desc, ch, cb, cb_arg}, iov, iovcnt, md, {offset_blocks, num_blocks})
             : -EINVAL;
}

int spdk_bdev_comparev_and_writev_blocks(spdk_bdev_desc* desc, spdk_io_channel* ch,
                                         iovec* compare_iov, int compare_iovcnt, iovec* write_iov,
                                         int write_iovcnt, uint64_t offset_blocks,
                                         uint64_t num_blocks, spdk_bdev_io_completion_cb cb,
                                         void* cb_arg) {
  if (!desc->write) {
    return -EBADF;
  }
  const block_range range{offset_blocks, num_blocks};
  if (!valid(desc->bdev, range) || num_blocks > desc->bdev->acwu) {
    return -EINVAL;
  }
  const target to{desc, ch, cb, cb_arg};
  spdk_bdev_io* io = start(to, SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE, range);
  if (io == nullptr) {
    return -ENOMEM;
  }
  io->iovs = compare_iov;
  io->iovcnt = compare_iovcnt;
  io->fused.iovs = write_iov;
  io->fused.iovcnt = write_iovcnt;
  init(to, io);
  if (io->bdev->supports(SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE)) {
    bdev_io_submit(io);
  } else {
    bdev_lock_range(io, [](spdk_bdev_io* owner) { compare_locked(owner); });
  }
  return 0;
}
