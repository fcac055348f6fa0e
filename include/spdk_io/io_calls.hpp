// SPDX-License-Identifier: BSD-3-Clause
// The block operations: what io_channel and bdev_desc can do alike.
#pragma once

#include <spdk_io/dma_buffer.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/extended_io_operation.hpp>
#include <spdk_io/gather_list.hpp>
#include <spdk_io/io_operation.hpp>
#include <spdk_io/io_options.hpp>
#include <spdk_io/zcopy.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// The I/O calls, for whatever names a channel (io_channel) or looks it up at the start of each
// operation (bdev_desc). Derived provides io_target(), a channel_state* or a desc_state*.
//
// Offsets and lengths are in bytes and multiples of the block size; those of the _blocks forms are
// in blocks, and their buffers hold at least as many. Buffers should be aligned to
// bdev::alignment() (SPDK copies others) and must live until the operation has completed, as
// must the array of a vectored form: buffers which in turn make up one contiguous range of the
// device, whose length is their sum. The result is result<void>: all of it was done, or the error
// says why not. A length of 0 succeeds where the offset could be, up to the very end of the device;
// in a vector no buffer may be empty. See io_operation for starting, cancelling and threads.
//
// Errors of the submission: invalid_argument (misaligned, past the end, a null buffer, an empty one
// in a vector, a vector whose sum overflows),
// bad_file_descriptor (all but read, compare and reset, through a read-only descriptor),
// not_supported (flush or zcopy on a device that has none), operation_not_permitted (wrong thread,
// or none), no_such_device (the descriptor was closed). Of the completion: io_error with the NVMe
// status, or the system's errno where the device knows it; operation_canceled if it was aborted;
// not_supported (unmap or reset on a device that has none); illegal_byte_sequence (see compare()).
template <class Derived>
class io_calls {
 public:
  [[nodiscard]] io_operation read(dma_span into, std::uint64_t offset) const noexcept {
    return make(operation_kind::read, bytes, into.data(), offset, into.size());
  }
  [[nodiscard]] io_operation write(const_dma_span from, std::uint64_t offset) const noexcept {
    return make(operation_kind::write, bytes, writable(from), offset, from.size());
  }
  // The same for a whole buffer: a coroutine keeps no view of it then (GCC would, in its frame).
  template <std::same_as<dma_buffer> Buffer>
  [[nodiscard]] io_operation read(Buffer& into, std::uint64_t offset) const noexcept {
    return make(operation_kind::read, bytes, into.data(), offset, into.size());
  }
  template <std::same_as<dma_buffer> Buffer>
  [[nodiscard]] io_operation write(const Buffer& from, std::uint64_t offset) const noexcept {
    return make(operation_kind::write, bytes, writable(from), offset, from.size());
  }
  // What was written before it completed is on stable storage when it succeeds.
  [[nodiscard]] io_operation flush(std::uint64_t offset, std::uint64_t length) const noexcept {
    return make(operation_kind::flush, bytes, nullptr, offset, length);
  }
  // Zeroes the range, without a buffer; where the device has no such command SPDK writes zeroes.
  [[nodiscard]] io_operation write_zeroes(std::uint64_t offset,
                                          std::uint64_t length) const noexcept {
    return make(operation_kind::write_zeroes, bytes, nullptr, offset, length);
  }
  // The range is no longer needed. What reads find there afterwards depends on the device (malloc
  // devices: zeroes).
  [[nodiscard]] io_operation unmap(std::uint64_t offset, std::uint64_t length) const noexcept {
    return make(operation_kind::unmap, bytes, nullptr, offset, length);
  }
  // Resets the device, for all who use it, also through a read-only descriptor. I/O that is
  // queued for it anywhere, and new I/O until it is done, ends with operation_canceled.
  [[nodiscard]] io_operation reset() const noexcept {
    return make(operation_kind::reset, bytes, nullptr, 0, 0);
  }
  // Succeeds if the device holds the same bytes. A difference is fault::miscompare, with
  // illegal_byte_sequence (EILSEQ, what Ceph's and Linux's block layers say) and NVMe status
  // 2/85h. Where the device has no such command SPDK reads and compares.
  [[nodiscard]] io_operation compare(const_dma_span with, std::uint64_t offset) const noexcept {
    return make(operation_kind::compare, bytes, writable(with), offset, with.size());
  }

  // Scattered and gathered.
  [[nodiscard]] io_operation readv(std::span<const dma_span> into,
                                   std::uint64_t offset) const noexcept {
    return make_vector(operation_kind::read, bytes, into, offset);
  }
  [[nodiscard]] io_operation writev(gather_list from, std::uint64_t offset) const noexcept {
    return make_vector(operation_kind::write, bytes, from, offset);
  }
  [[nodiscard]] io_operation comparev(gather_list with, std::uint64_t offset) const noexcept {
    return make_vector(operation_kind::compare, bytes, with, offset);
  }

  // The same in blocks.
  [[nodiscard]] io_operation read_blocks(dma_span into, std::uint64_t first,
                                         std::uint64_t count) const noexcept {
    return make(operation_kind::read, blocks, into.data(), first, count, into.size());
  }
  [[nodiscard]] io_operation write_blocks(const_dma_span from, std::uint64_t first,
                                          std::uint64_t count) const noexcept {
    return make(operation_kind::write, blocks, writable(from), first, count, from.size());
  }
  [[nodiscard]] io_operation flush_blocks(std::uint64_t first, std::uint64_t count) const noexcept {
    return make(operation_kind::flush, blocks, nullptr, first, count);
  }
  [[nodiscard]] io_operation write_zeroes_blocks(std::uint64_t first,
                                                 std::uint64_t count) const noexcept {
    return make(operation_kind::write_zeroes, blocks, nullptr, first, count);
  }
  [[nodiscard]] io_operation unmap_blocks(std::uint64_t first, std::uint64_t count) const noexcept {
    return make(operation_kind::unmap, blocks, nullptr, first, count);
  }
  [[nodiscard]] io_operation compare_blocks(const_dma_span with, std::uint64_t first,
                                            std::uint64_t count) const noexcept {
    return make(operation_kind::compare, blocks, writable(with), first, count, with.size());
  }
  [[nodiscard]] io_operation readv_blocks(std::span<const dma_span> into,
                                          std::uint64_t first) const noexcept {
    return make_vector(operation_kind::read, blocks, into, first);
  }
  [[nodiscard]] io_operation writev_blocks(gather_list from, std::uint64_t first) const noexcept {
    return make_vector(operation_kind::write, blocks, from, first);
  }
  [[nodiscard]] io_operation comparev_blocks(gather_list with, std::uint64_t first) const noexcept {
    return make_vector(operation_kind::compare, blocks, with, first);
  }

  // Copies within the device; the ranges do not overlap. Where the device has no such command SPDK
  // reads and writes.
  [[nodiscard]] extended_io_operation copy(copy_range range) const noexcept {
    return make_copy(bytes, range);
  }
  [[nodiscard]] extended_io_operation copy_blocks(copy_range range) const noexcept {
    return make_copy(blocks, range);
  }

  // Writes if the device holds what it is compared with, with no other write in between. Both
  // buffers have the same length, at most bdev_info::atomic_compare_and_write blocks. Errors
  // besides the others': compare()'s, of the completion; invalid_argument (too long, or of
  // different lengths). Where SPDK emulates it, a failure to read is told as a miscompare.
  [[nodiscard]] extended_io_operation compare_and_write(const_dma_span compare,
                                                        const_dma_span write,
                                                        std::uint64_t offset) const noexcept {
    return make_compare_and_write(bytes, one(compare), one(write), offset, compare.size());
  }
  [[nodiscard]] extended_io_operation comparev_and_writev(gather_list compare, gather_list write,
                                                          std::uint64_t offset) const noexcept {
    return make_compare_and_write(bytes, many(compare), many(write), offset, 0);
  }
  [[nodiscard]] extended_io_operation compare_and_write_blocks(const_dma_span compare,
                                                               const_dma_span write,
                                                               std::uint64_t first,
                                                               std::uint64_t count) const noexcept {
    return make_compare_and_write(blocks, one(compare), one(write), first, count);
  }
  [[nodiscard]] extended_io_operation comparev_and_writev_blocks(
      gather_list compare, gather_list write, std::uint64_t first) const noexcept {
    return make_compare_and_write(blocks, many(compare), many(write), first, 0);
  }

  // With the blocks' metadata in a buffer of its own: bdev_info::metadata_size bytes for each
  // block, on a device that keeps it apart (metadata_interleaved is false). Errors besides the
  // others': invalid_argument (the device has none; the buffer is too small). Where SPDK emulates a
  // comparison it looks at the metadata of the first block only.
  [[nodiscard]] extended_io_operation read_with_metadata(dma_span into, dma_span metadata,
                                                         std::uint64_t offset) const noexcept {
    return make_metadata(operation_kind::read, bytes, one(into), metadata, offset, into.size());
  }
  [[nodiscard]] extended_io_operation write_with_metadata(const_dma_span from,
                                                          const_dma_span metadata,
                                                          std::uint64_t offset) const noexcept {
    return make_metadata(operation_kind::write, bytes, one(from), writable_span(metadata), offset,
                         from.size());
  }
  [[nodiscard]] extended_io_operation compare_with_metadata(const_dma_span with,
                                                            const_dma_span metadata,
                                                            std::uint64_t offset) const noexcept {
    return make_metadata(operation_kind::compare, bytes, one(with), writable_span(metadata), offset,
                         with.size());
  }
  [[nodiscard]] extended_io_operation readv_with_metadata(std::span<const dma_span> into,
                                                          dma_span metadata,
                                                          std::uint64_t offset) const noexcept {
    return make_metadata(operation_kind::read, bytes, many(into), metadata, offset, 0);
  }
  [[nodiscard]] extended_io_operation writev_with_metadata(gather_list from,
                                                           const_dma_span metadata,
                                                           std::uint64_t offset) const noexcept {
    return make_metadata(operation_kind::write, bytes, many(from), writable_span(metadata), offset,
                         0);
  }
  [[nodiscard]] extended_io_operation comparev_with_metadata(gather_list with,
                                                             const_dma_span metadata,
                                                             std::uint64_t offset) const noexcept {
    return make_metadata(operation_kind::compare, bytes, many(with), writable_span(metadata),
                         offset, 0);
  }
  [[nodiscard]] extended_io_operation read_blocks_with_metadata(
      dma_span into, dma_span metadata, std::uint64_t first, std::uint64_t count) const noexcept {
    return make_metadata(operation_kind::read, blocks, one(into), metadata, first, count);
  }
  [[nodiscard]] extended_io_operation write_blocks_with_metadata(
      const_dma_span from, const_dma_span metadata, std::uint64_t first,
      std::uint64_t count) const noexcept {
    return make_metadata(operation_kind::write, blocks, one(from), writable_span(metadata), first,
                         count);
  }
  [[nodiscard]] extended_io_operation compare_blocks_with_metadata(
      const_dma_span with, const_dma_span metadata, std::uint64_t first,
      std::uint64_t count) const noexcept {
    return make_metadata(operation_kind::compare, blocks, one(with), writable_span(metadata), first,
                         count);
  }
  [[nodiscard]] extended_io_operation readv_blocks_with_metadata(
      std::span<const dma_span> into, dma_span metadata, std::uint64_t first) const noexcept {
    return make_metadata(operation_kind::read, blocks, many(into), metadata, first, 0);
  }
  [[nodiscard]] extended_io_operation writev_blocks_with_metadata(
      gather_list from, const_dma_span metadata, std::uint64_t first) const noexcept {
    return make_metadata(operation_kind::write, blocks, many(from), writable_span(metadata), first,
                         0);
  }
  [[nodiscard]] extended_io_operation comparev_blocks_with_metadata(
      gather_list with, const_dma_span metadata, std::uint64_t first) const noexcept {
    return make_metadata(operation_kind::compare, blocks, many(with), writable_span(metadata),
                         first, 0);
  }

  // With options; see io_options.
  [[nodiscard]] extended_io_operation read(dma_span into, std::uint64_t offset,
                                           const io_options& options) const noexcept {
    return make_options(operation_kind::read, bytes, one(into), offset, into.size(), options);
  }
  [[nodiscard]] extended_io_operation write(const_dma_span from, std::uint64_t offset,
                                            const io_options& options) const noexcept {
    return make_options(operation_kind::write, bytes, one(from), offset, from.size(), options);
  }
  [[nodiscard]] extended_io_operation readv(std::span<const dma_span> into, std::uint64_t offset,
                                            const io_options& options) const noexcept {
    return make_options(operation_kind::read, bytes, many(into), offset, 0, options);
  }
  [[nodiscard]] extended_io_operation writev(gather_list from, std::uint64_t offset,
                                             const io_options& options) const noexcept {
    return make_options(operation_kind::write, bytes, many(from), offset, 0, options);
  }
  [[nodiscard]] extended_io_operation read_blocks(dma_span into, std::uint64_t first,
                                                  std::uint64_t count,
                                                  const io_options& options) const noexcept {
    return make_options(operation_kind::read, blocks, one(into), first, count, options);
  }
  [[nodiscard]] extended_io_operation write_blocks(const_dma_span from, std::uint64_t first,
                                                   std::uint64_t count,
                                                   const io_options& options) const noexcept {
    return make_options(operation_kind::write, blocks, one(from), first, count, options);
  }
  [[nodiscard]] extended_io_operation readv_blocks(std::span<const dma_span> into,
                                                   std::uint64_t first,
                                                   const io_options& options) const noexcept {
    return make_options(operation_kind::read, blocks, many(into), first, 0, options);
  }
  [[nodiscard]] extended_io_operation writev_blocks(gather_list from, std::uint64_t first,
                                                    const io_options& options) const noexcept {
    return make_options(operation_kind::write, blocks, many(from), first, 0, options);
  }

  // Lends the device's own memory for a range, instead of copying: see zcopy_buffer. For reading
  // it holds what the device does; for writing its content is undefined, and all of it is to be
  // filled. Needs a writable descriptor in both cases.
  [[nodiscard]] zcopy_operation zcopy_read(std::uint64_t offset,
                                           std::uint64_t length) const noexcept {
    return make_zcopy(operation_kind::zcopy_read, bytes, offset, length);
  }
  [[nodiscard]] zcopy_operation zcopy_write(std::uint64_t offset,
                                            std::uint64_t length) const noexcept {
    return make_zcopy(operation_kind::zcopy_write, bytes, offset, length);
  }
  [[nodiscard]] zcopy_operation zcopy_read_blocks(std::uint64_t first,
                                                  std::uint64_t count) const noexcept {
    return make_zcopy(operation_kind::zcopy_read, blocks, first, count);
  }
  [[nodiscard]] zcopy_operation zcopy_write_blocks(std::uint64_t first,
                                                   std::uint64_t count) const noexcept {
    return make_zcopy(operation_kind::zcopy_write, blocks, first, count);
  }

 private:
  static constexpr auto bytes = io_unit::bytes;
  static constexpr auto blocks = io_unit::blocks;

  auto target() const noexcept { return static_cast<const Derived&>(*this).io_target(); }

  // SPDK's signatures know no const.
  static std::byte* writable(const_dma_span s) noexcept { return const_cast<std::byte*>(s.data()); }
  static dma_span writable_span(const_dma_span s) noexcept {
    return dma_span::trusted({writable(s), s.size()});
  }
  static io_buffers one(const_dma_span s) noexcept { return {.own = {writable(s), s.size()}}; }

  // How many SPDK can be told of: 0, which is refused, for more than anybody has.
  static std::uint32_t counted(std::size_t n) noexcept {
    return n > std::numeric_limits<std::uint32_t>::max() ? 0 : static_cast<std::uint32_t>(n);
  }
  static io_buffers many(gather_list s) noexcept {
    return {.array = static_cast<iovec*>(s.array()), .count = counted(s.size())};
  }

  io_operation make(operation_kind kind, io_unit unit, void* buffer, std::uint64_t offset,
                    std::uint64_t length,
                    std::size_t capacity = std::numeric_limits<std::size_t>::max()) const noexcept {
    return io_operation(target(), {.kind = kind,
                                   .in = unit,
                                   .buffer = buffer,
                                   .capacity = capacity,
                                   .offset = offset,
                                   .length = length});
  }
  io_operation make_vector(operation_kind kind, io_unit unit, gather_list buffers,
                           std::uint64_t offset) const noexcept {
    return io_operation(target(), {.kind = kind,
                                   .in = unit,
                                   .form = io_form::vectored,
                                   .buffer = buffers.array(),
                                   .count = counted(buffers.size()),
                                   .offset = offset});
  }
  extended_io_operation make_copy(io_unit unit, copy_range range) const noexcept {
    return extended_io_operation(
        target(),
        {.io = request(operation_kind::copy, unit, range.to, range.length), .source = range.from});
  }
  extended_io_operation make_compare_and_write(io_unit unit, io_buffers compare, io_buffers write,
                                               std::uint64_t offset,
                                               std::uint64_t length) const noexcept {
    return extended_io_operation(
        target(), {.io = request(operation_kind::compare_and_write, unit, offset, length),
                   .buffers = compare,
                   .second = write});
  }
  extended_io_operation make_metadata(operation_kind kind, io_unit unit, io_buffers buffers,
                                      dma_span metadata, std::uint64_t offset,
                                      std::uint64_t length) const noexcept {
    return extended_io_operation(target(), {.io = request(kind, unit, offset, length),
                                            .buffers = buffers,
                                            .options = {.metadata = metadata}});
  }
  extended_io_operation make_options(operation_kind kind, io_unit unit, io_buffers buffers,
                                     std::uint64_t offset, std::uint64_t length,
                                     const io_options& options) const noexcept {
    return extended_io_operation(target(), {.io = request(kind, unit, offset, length),
                                            .buffers = buffers,
                                            .options = options,
                                            .with_options = true});
  }
  zcopy_operation make_zcopy(operation_kind kind, io_unit unit, std::uint64_t offset,
                             std::uint64_t length) const noexcept {
    return zcopy_operation(target(), request(kind, unit, offset, length));
  }
  static io_request request(operation_kind kind, io_unit unit, std::uint64_t offset,
                            std::uint64_t length) noexcept {
    return {.kind = kind, .in = unit, .offset = offset, .length = length};
  }
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
