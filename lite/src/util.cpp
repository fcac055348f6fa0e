// SPDX-License-Identifier: BSD-3-Clause
// Arithmetic, iovec and file descriptor helpers of the C API.
#include "spdk/util.h"

#include <linux/fs.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "spdk/fd.h"

namespace {

using copy_function = void* (*)(void*, const void*, std::size_t);

/// Copies segment by segment until one of the two lists ends, or comes to an empty segment, which
/// counts as the end.
std::size_t copy_lists(iovec* from, std::size_t from_count, iovec* to, std::size_t to_count,
                       copy_function copy) {
  spdk_iov_xfer in{};
  spdk_iov_xfer out{};
  spdk_iov_xfer_init(&in, from, static_cast<int>(from_count));
  spdk_iov_xfer_init(&out, to, static_cast<int>(to_count));
  std::size_t total = 0;
  while (in.cur_iov_idx < in.iovcnt && out.cur_iov_idx < out.iovcnt) {
    const iovec& source = in.iovs[in.cur_iov_idx];
    const iovec& target = out.iovs[out.cur_iov_idx];
    const std::size_t length =
        std::min(source.iov_len - in.cur_iov_offset, target.iov_len - out.cur_iov_offset);
    if (length == 0) {
      break;
    }
    copy(static_cast<char*>(target.iov_base) + out.cur_iov_offset,
         static_cast<const char*>(source.iov_base) + in.cur_iov_offset, length);
    total += length;
    for (spdk_iov_xfer* position : {&in, &out}) {
      position->cur_iov_offset += length;
      if (position->cur_iov_offset == position->iovs[position->cur_iov_idx].iov_len) {
        position->cur_iov_offset = 0;
        ++position->cur_iov_idx;
      }
    }
  }
  return total;
}

/// Walks over `length` bytes of the list; `visit(memory, offset, bytes)` sees each piece.
template <typename Visit>
std::size_t walk(spdk_iov_xfer& position, std::size_t length, Visit visit) {
  std::size_t done = 0;
  while (done < length && position.cur_iov_idx < position.iovcnt) {
    const iovec& segment = position.iovs[position.cur_iov_idx];
    const std::size_t bytes = std::min(segment.iov_len - position.cur_iov_offset, length - done);
    if (bytes > 0) {
      visit(static_cast<char*>(segment.iov_base) + position.cur_iov_offset, done, bytes);
    }
    done += bytes;
    position.cur_iov_offset += bytes;
    if (position.cur_iov_offset == segment.iov_len) {
      position.cur_iov_offset = 0;
      ++position.cur_iov_idx;
    }
  }
  return done;
}

int change_flags(int fd, int add, int remove) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) {
    return -errno;
  }
  return fcntl(fd, F_SETFL, (flags | add) & ~remove) < 0 ? -errno : 0;
}

}  // namespace

uint32_t spdk_u32log2(uint32_t x) {
  return x == 0 ? 0 : static_cast<std::uint32_t>(std::bit_width(x)) - 1;
}

uint64_t spdk_u64log2(uint64_t x) {
  return x == 0 ? 0 : static_cast<std::uint64_t>(std::bit_width(x)) - 1;
}

size_t spdk_iovcpy(iovec* siov, size_t siovcnt, iovec* diov, size_t diovcnt) {
  return copy_lists(siov, siovcnt, diov, diovcnt, std::memcpy);
}

size_t spdk_iovmove(iovec* siov, size_t siovcnt, iovec* diov, size_t diovcnt) {
  return copy_lists(siov, siovcnt, diov, diovcnt, std::memmove);
}

void spdk_iov_memset(iovec* iovs, int iovcnt, int c) {
  for (iovec* iov = iovs; iov < iovs + iovcnt; ++iov) {
    std::memset(iov->iov_base, c, iov->iov_len);
  }
}

void spdk_copy_iovs_to_buf(void* buf, size_t buf_len, iovec* iovs, int iovcnt) {
  spdk_iov_xfer position{};
  spdk_iov_xfer_init(&position, iovs, iovcnt);
  spdk_iov_xfer_to_buf(&position, buf, buf_len);
}

void spdk_copy_buf_to_iovs(iovec* iovs, int iovcnt, void* buf, size_t buf_len) {
  spdk_iov_xfer position{};
  spdk_iov_xfer_init(&position, iovs, iovcnt);
  spdk_iov_xfer_from_buf(&position, buf, buf_len);
}

void spdk_iov_xfer_init(spdk_iov_xfer* ix, iovec* iovs, int iovcnt) { *ix = {iovs, iovcnt, 0, 0}; }

size_t spdk_iov_xfer_from_buf(spdk_iov_xfer* ix, const void* buf, size_t buf_len) {
  return walk(*ix, buf_len, [buf](char* memory, std::size_t offset, std::size_t bytes) {
    std::memcpy(memory, static_cast<const char*>(buf) + offset, bytes);
  });
}

size_t spdk_iov_xfer_to_buf(spdk_iov_xfer* ix, const void* buf, size_t buf_len) {
  return walk(*ix, buf_len, [buf](const char* memory, std::size_t offset, std::size_t bytes) {
    std::memcpy(static_cast<char*>(const_cast<void*>(buf)) + offset, memory, bytes);
  });
}

uint64_t spdk_fd_get_size(int fd) {
  struct stat status{};
  if (fstat(fd, &status) != 0) {
    return 0;
  }
  if (S_ISREG(status.st_mode)) {
    return static_cast<std::uint64_t>(status.st_size);
  }
  std::uint64_t bytes = 0;
  if (S_ISBLK(status.st_mode) && ioctl(fd, BLKGETSIZE64, &bytes) == 0) {
    return bytes;
  }
  return 0;
}

uint32_t spdk_fd_get_blocklen(int fd) {
  int length = 0;
  return ioctl(fd, BLKSSZGET, &length) == 0 && length > 0 ? static_cast<std::uint32_t>(length) : 0;
}

int spdk_fd_set_nonblock(int fd) { return change_flags(fd, O_NONBLOCK, 0); }
int spdk_fd_clear_nonblock(int fd) { return change_flags(fd, 0, O_NONBLOCK); }
