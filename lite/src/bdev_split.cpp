// SPDX-License-Identifier: BSD-3-Clause
// I/O that is larger than the device takes, or crosses a boundary of it, becomes several
// children; the parent completes with the last of them, or with the first failure's status.
#include "bdev_internal.hpp"
#include "spdk/log.h"

#include <algorithm>
#include <cerrno>

namespace spdk_lite {
namespace {

constexpr unsigned max_children_without_data = 8;

void split_rw(void* arg);
void split_without_data(void* arg);

/// Ends a parent that has no child in flight.
void finish(spdk_bdev_io* io) {
  io->ch->submitted.remove(io);
  call_back(io);
}

bool is_rw(const spdk_bdev_io* io) {
  return io->type == SPDK_BDEV_IO_TYPE_READ || io->type == SPDK_BDEV_IO_TYPE_WRITE;
}

void* child_metadata(const spdk_bdev_io* io) {
  return io->md_buf == nullptr
             ? nullptr
             : static_cast<std::byte*>(io->md_buf) +
                   (io->split_offset_blocks - io->offset_blocks) * io->bdev->md_len;
}

int submit_child(spdk_bdev_io* io, iovec* iov, int iovcnt, uint64_t blocks) {
  spdk_io_channel* ch = spdk_io_channel_from_ctx(io->ch);
  const uint64_t offset = io->split_offset_blocks;
  switch (io->type) {
    case SPDK_BDEV_IO_TYPE_READ:
      return bdev_readv(io->desc, ch, iov, iovcnt, child_metadata(io), offset, blocks,
                        bdev_split_child_done, io);
    case SPDK_BDEV_IO_TYPE_WRITE:
      return bdev_writev(io->desc, ch, iov, iovcnt, child_metadata(io), offset, blocks,
                         bdev_split_child_done, io);
    case SPDK_BDEV_IO_TYPE_COPY:
      return spdk_bdev_copy_blocks(io->desc, ch, offset,
                                   io->src_offset_blocks + (offset - io->offset_blocks), blocks,
                                   bdev_split_child_done, io);
    default:
      return spdk_bdev_write_zeroes_blocks(io->desc, ch, offset, blocks, bdev_split_child_done, io);
  }
}

bool add_child(spdk_bdev_io* io, iovec* iov, int iovcnt, uint64_t blocks) {
  ++io->children;
  const int rc = submit_child(io, iov, iovcnt, blocks);
  if (rc == 0) {
    io->split_offset_blocks += blocks;
    io->split_remaining_blocks -= blocks;
    return true;
  }
  --io->children;
  if (rc == -ENOMEM) {
    if (io->children == 0) {
      // At the head: this I/O holds resources that only its own end gives back.
      io->wait_entry.dep_unblock = true;
      bdev_io_wait(io, is_rw(io) ? split_rw : split_without_data);
    }  // else the next child's completion continues
    return false;
  }
  io->status = io_status::failed;
  io->split_remaining_blocks = 0;
  if (io->children == 0) {
    finish(io);
  }
  return false;
}

uint64_t blocks_to_boundary(const spdk_bdev_io* io) {
  const spdk_bdev* bdev = io->bdev;
  uint64_t blocks = io->split_remaining_blocks;
  if (bdev->max_rw_size != 0) {
    blocks = std::min<uint64_t>(blocks, bdev->max_rw_size);
  }
  if (bdev->split_on_optimal_io_boundary) {
    const uint64_t boundary = bdev->optimal_io_boundary;
    blocks = std::min(blocks, boundary - io->split_offset_blocks % boundary);
  }
  return blocks;
}

/// Where in the parent's iovecs the next child starts.
struct iov_cursor {
  const iovec* at;
  const iovec* end;
  size_t offset;

  explicit iov_cursor(const spdk_bdev_io* io)
      : at(io->iovs),
        end(io->iovs + io->iovcnt),
        offset((io->split_offset_blocks - io->offset_blocks) * io->bdev->block_len) {
    while (at != end && offset >= at->iov_len) {
      offset -= at->iov_len;
      ++at;
    }
  }

  /// At most `len` contiguous bytes; empty at the end.
  iovec take(size_t len) {
    while (at != end && offset == at->iov_len) {
      ++at;
      offset = 0;
    }
    if (at == end) {
      return {};
    }
    const iovec piece{static_cast<std::byte*>(at->iov_base) + offset,
                      std::min(len, at->iov_len - offset)};
    offset += piece.iov_len;
    return piece;
  }
};

/// Fills `iov` with up to `bytes`, in whole blocks; returns the bytes and the iovecs used.
size_t fill_child(iov_cursor cursor, size_t bytes, size_t block, iovec* iov, int space,
                  int& iovcnt) {
  size_t filled = 0;
  for (iovcnt = 0; filled < bytes && iovcnt < space; ++iovcnt) {
    iov[iovcnt] = cursor.take(bytes - filled);
    if (iov[iovcnt].iov_len == 0) {
      break;
    }
    filled += iov[iovcnt].iov_len;
  }
  for (size_t excess = filled % block; excess != 0;) {  // ran out of iovecs within a block
    iovec& last = iov[iovcnt - 1];
    const size_t cut = std::min(excess, last.iov_len);
    last.iov_len -= cut;
    excess -= cut;
    filled -= cut;
    iovcnt -= last.iov_len == 0 ? 1 : 0;
  }
  return filled;
}

/// Children share the parent's room for iovecs, so a round ends when that is used up.
void split_rw(void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  constexpr int room = sizeof(spdk_bdev_io::child_iov) / sizeof(iovec);
  const size_t block = io->bdev->block_len;
  int used = 0;
  while (io->split_remaining_blocks > 0 && used < room) {
    int iovcnt = 0;
    const size_t bytes = fill_child(iov_cursor(io), blocks_to_boundary(io) * block, block,
                                    io->child_iov + used, room - used, iovcnt);
    if (bytes == 0) {
      if (io->children == 0) {
        SPDK_ERRLOG("the buffers end within the first block\n");
        io->status = io_status::failed;
        finish(io);
      }
      return;
    }
    if (!add_child(io, io->child_iov + used, iovcnt, bytes / block)) {
      return;
    }
    used += iovcnt;
  }
}

void split_without_data(void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  const uint64_t most =
      io->type == SPDK_BDEV_IO_TYPE_COPY ? io->bdev->max_copy : io->bdev->max_write_zeroes;
  for (unsigned i = 0; i < max_children_without_data && io->split_remaining_blocks > 0; ++i) {
    const uint64_t blocks = std::min(io->split_remaining_blocks, most);
    if (!add_child(io, nullptr, 0, blocks)) {
      return;
    }
  }
}

void split_with_buffer(spdk_io_channel* /*ch*/, spdk_bdev_io* io, bool success) {
  if (success) {
    split_rw(io);
    return;
  }
  io->status = io_status::failed;
  bdev_io_deliver(io);
}

}  // namespace

bool bdev_io_should_split(const spdk_bdev_io* io) {
  const spdk_bdev* bdev = io->bdev;
  if (is_rw(io)) {
    if (bdev->max_rw_size != 0 && io->num_blocks > bdev->max_rw_size) {
      return true;
    }
    const uint64_t boundary = bdev->optimal_io_boundary;
    return bdev->split_on_optimal_io_boundary && boundary != 0 && io->num_blocks != 0 &&
           io->offset_blocks / boundary != (io->offset_blocks + io->num_blocks - 1) / boundary;
  }
  const uint64_t most = io->type == SPDK_BDEV_IO_TYPE_WRITE_ZEROES ? bdev->max_write_zeroes
                        : io->type == SPDK_BDEV_IO_TYPE_COPY       ? bdev->max_copy
                                                                   : 0;
  return most != 0 && io->num_blocks > most;
}

void bdev_io_split(spdk_bdev_io* io) {
  io->split_offset_blocks = io->offset_blocks;
  io->split_remaining_blocks = io->num_blocks;
  io->children = 0;
  io->status = io_status::success;
  if (!is_rw(io)) {
    split_without_data(io);
  } else if (io->iovs != nullptr && io->iovs[0].iov_base != nullptr) {
    split_rw(io);
  } else {
    bdev_io_get_buf(io, split_with_buffer, io->num_blocks * io->bdev->block_len);
  }
}

void bdev_split_child_done(spdk_bdev_io* child, bool success, void* parent) {
  auto* io = static_cast<spdk_bdev_io*>(parent);
  if (!success) {
    io->status = bdev_io_take_status(io, child);
    io->split_remaining_blocks = 0;  // no further children
  }
  spdk_bdev_free_io(child);
  if (--io->children != 0) {
    return;
  }
  if (io->split_remaining_blocks == 0) {
    finish(io);
  } else if (is_rw(io)) {
    split_rw(io);
  } else {
    split_without_data(io);
  }
}

}  // namespace spdk_lite
