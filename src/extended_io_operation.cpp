// SPDX-License-Identifier: BSD-3-Clause
// Submission of block I/O with metadata, options, two buffers, or two places.
#include <spdk_io/extended_io_operation.hpp>

#include "channel_state.hpp"

#include <spdk/bdev.h>
#include <spdk/dif.h>

#include <cerrno>
#include <cstddef>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

std::uint32_t dif_flags(dif_checks checks) noexcept {
  auto flag = [checks](dif_checks one, std::uint32_t native) {
    return (checks & one) == one ? native : 0;
  };
  return flag(dif_checks::reference_tag, SPDK_DIF_FLAGS_REFTAG_CHECK) |
         flag(dif_checks::application_tag, SPDK_DIF_FLAGS_APPTAG_CHECK) |
         flag(dif_checks::guard, SPDK_DIF_FLAGS_GUARD_CHECK);
}

// The structure grows from release to release, and SPDK looks at no more than its size says: as
// much of it as is used, so that a shared library of another release takes it, too.
spdk_bdev_ext_io_opts to_native(const io_options& o) noexcept {
  using native = spdk_bdev_ext_io_opts;
  native out = {};
  out.size = offsetof(native, dif_check_flags_exclude_mask);
  out.memory_domain = o.memory_domain;
  out.memory_domain_ctx = o.memory_domain_context;
  out.metadata = o.metadata.data();
  out.accel_sequence = o.accel_sequence;
  if (o.skip_checks != dif_checks::none) out.size = offsetof(native, nvme_cdw12);
  out.dif_check_flags_exclude_mask = dif_flags(o.skip_checks);
  if (o.nvme_cdw12 != 0) out.size = offsetof(native, nvme_cdw13);
  out.nvme_cdw12.raw = o.nvme_cdw12;
  if (o.nvme_cdw13 != 0) out.size = sizeof(native);
  out.nvme_cdw13.raw = o.nvme_cdw13;
  return out;
}

}  // namespace

bool extended_io_core::prepare() noexcept {
  if (shape_.kind == operation_kind::copy) return true;
  return prepare_buffers() && prepare_metadata();
}

// The length is what the buffers come to, or, in blocks with one buffer, what was asked for.
bool extended_io_core::prepare_buffers() noexcept {
  const bool two = shape_.kind == operation_kind::compare_and_write;
  if (buffers_.array) {
    std::uint64_t total = 0;
    std::uint64_t other = 0;
    if (!sum_of(buffers_.array, buffers_.count, total) ||
        (two && !sum_of(second_.array, second_.count, other))) {
      return refuse_invalid(fault::bad_vector);
    }
    if (!take_length(total)) return false;
    return !two || total == other || refuse_invalid(fault::lengths_differ);
  }
  if (!buffers_.own.iov_base || (two && !second_.own.iov_base)) {
    return refuse_invalid(fault::no_buffer);
  }
  if (shape_.unit == io_unit::bytes) {
    return !two || buffers_.own.iov_len == second_.own.iov_len ||
           refuse_invalid(fault::lengths_differ);
  }
  const std::uint32_t block = channel().block_size;
  if (length_ > buffers_.own.iov_len / block || (two && length_ > second_.own.iov_len / block)) {
    return refuse_invalid(fault::short_buffer);
  }
  buffers_.own.iov_len = second_.own.iov_len = length_ * block;
  return true;
}

bool extended_io_core::prepare_metadata() noexcept {
  const bool optional = with_options_ || shape_.kind == operation_kind::compare_and_write;
  if (optional && !options_.metadata.data()) return true;
  const spdk_bdev* bdev = channel().bdev;
  if (!spdk_bdev_is_md_separate(bdev)) return refuse_invalid(fault::no_metadata);
  const std::uint64_t count =
      shape_.unit == io_unit::blocks ? length_ : length_ / channel().block_size;
  if (!options_.metadata.data() || count > options_.metadata.size() / spdk_bdev_get_md_size(bdev)) {
    return refuse_invalid(fault::short_metadata);
  }
  return true;
}

int extended_io_core::submit() noexcept {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  if (!in_blocks(first, count)) return -EINVAL;
  switch (shape_.kind) {
    case operation_kind::compare_and_write: return submit_compare_and_write(first, count);
    case operation_kind::copy: return submit_copy(first, count);
    default:
      return with_options_ ? submit_with_options(first, count) : submit_with_metadata(first, count);
  }
}

int extended_io_core::submit_compare_and_write(std::uint64_t first, std::uint64_t count) noexcept {
  channel_state& ch = channel();
  return spdk_bdev_comparev_and_writev_blocks(
      ch.native_desc, ch.native, buffers_.data(), static_cast<int>(buffers_.count), second_.data(),
      static_cast<int>(second_.count), first, count, on_complete, static_cast<io_core*>(this));
}

int extended_io_core::submit_copy(std::uint64_t first, std::uint64_t count) noexcept {
  channel_state& ch = channel();
  std::uint64_t source = source_;
  if (shape_.unit == io_unit::bytes) {
    if (source_ % ch.block_size != 0) {
      why_ = fault::source_misaligned;
      return -EINVAL;
    }
    source = source_ / ch.block_size;
  }
  int rc = spdk_bdev_copy_blocks(ch.native_desc, ch.native, first, source, count, on_complete,
                                 static_cast<io_core*>(this));
  const std::uint64_t blocks = spdk_bdev_get_num_blocks(ch.bdev);
  if (rc == -EINVAL && (source > blocks || count > blocks - source)) why_ = fault::source_past_end;
  return rc;
}

int extended_io_core::submit_with_metadata(std::uint64_t first, std::uint64_t count) noexcept {
  channel_state& ch = channel();
  auto* submit = shape_.kind == operation_kind::read    ? spdk_bdev_readv_blocks_with_md
                 : shape_.kind == operation_kind::write ? spdk_bdev_writev_blocks_with_md
                                                        : spdk_bdev_comparev_blocks_with_md;
  return submit(ch.native_desc, ch.native, buffers_.data(), static_cast<int>(buffers_.count),
                options_.metadata.data(), first, count, on_complete, static_cast<io_core*>(this));
}

int extended_io_core::submit_with_options(std::uint64_t first, std::uint64_t count) noexcept {
  channel_state& ch = channel();
  auto options = to_native(options_);
  auto* submit = shape_.kind == operation_kind::read ? spdk_bdev_readv_blocks_ext
                                                     : spdk_bdev_writev_blocks_ext;
  return submit(ch.native_desc, ch.native, buffers_.data(), static_cast<int>(buffers_.count), first,
                count, on_complete, static_cast<io_core*>(this), &options);
}

result<void> extended_io_core::finish() noexcept {
  auto result = io_core::finish();
  if (result || shape_.kind != operation_kind::copy) return result;
  error::io failed = failure();
  failed.source = source_;
  return std::unexpected(error(failed));
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
