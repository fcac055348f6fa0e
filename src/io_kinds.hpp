// SPDX-License-Identifier: BSD-3-Clause
// Our kinds of I/O and SPDK's.
#pragma once

#include <spdk_io/bdev.hpp>

#include <spdk/bdev.h>

namespace spdk_io::inline SPDK_IO_ABI::detail {

struct kind_entry {
  io_kind ours;
  spdk_bdev_io_type native;
};

inline constexpr kind_entry io_kinds[] = {
    {io_kind::read, SPDK_BDEV_IO_TYPE_READ},
    {io_kind::write, SPDK_BDEV_IO_TYPE_WRITE},
    {io_kind::flush, SPDK_BDEV_IO_TYPE_FLUSH},
    {io_kind::unmap, SPDK_BDEV_IO_TYPE_UNMAP},
    {io_kind::write_zeroes, SPDK_BDEV_IO_TYPE_WRITE_ZEROES},
    {io_kind::reset, SPDK_BDEV_IO_TYPE_RESET},
    {io_kind::compare, SPDK_BDEV_IO_TYPE_COMPARE},
    {io_kind::compare_and_write, SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE},
    {io_kind::copy, SPDK_BDEV_IO_TYPE_COPY},
    {io_kind::abort, SPDK_BDEV_IO_TYPE_ABORT},
    {io_kind::zcopy, SPDK_BDEV_IO_TYPE_ZCOPY},
    {io_kind::nvme_admin, SPDK_BDEV_IO_TYPE_NVME_ADMIN},
    {io_kind::nvme_io, SPDK_BDEV_IO_TYPE_NVME_IO},
};

constexpr spdk_bdev_io_type native_type(io_kind kind) noexcept {
  for (const auto& each : io_kinds) {
    if (each.ours == kind) return each.native;
  }
  return SPDK_BDEV_IO_TYPE_INVALID;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
