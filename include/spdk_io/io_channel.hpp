// SPDX-License-Identifier: BSD-3-Clause
// One thread's way to a device: where I/O is submitted, without locks.
#pragma once

#include <spdk_io/dma_buffer.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/io_operation.hpp>
#include <spdk_io/ownership.hpp>

#include <cstdint>
#include <limits>
#include <span>
#include <utility>

struct spdk_io_channel;

namespace spdk_io::inline SPDK_IO_ABI {

class bdev_desc;

namespace detail {

struct handle_access;

// The I/O calls, for whatever names a channel (io_channel) or looks it up at the start of each
// operation (bdev_desc). Derived provides io_target(), a channel_state* or a desc_state*.
//
// Offsets of read(), write() and flush() are in bytes and multiples of the block size, as are
// the lengths; those of the _blocks forms are in blocks. Buffers should be aligned to
// bdev::alignment() (SPDK copies others) and must live until the operation has completed, as
// must the array of a vectored form. The result is result<void>: all of it was transferred, or
// the error says why not. See io_operation for starting, cancelling and threads.
//
// Errors of the submission: invalid_argument (misaligned, past the end, an empty buffer),
// bad_file_descriptor (a write or flush through a read-only descriptor), not_supported (flush on
// a device that has none), operation_not_permitted (wrong thread, or none), no_such_device (the
// descriptor was closed). Of the completion: io_error with the NVMe status, or the system's
// errno where the device knows it; operation_canceled if it was aborted.
template <class Derived>
class io_calls {
 public:
  [[nodiscard]] io_operation read(dma_span into, std::uint64_t offset) const noexcept {
    return make(operation_kind::read, bytes, into.data(), offset, into.size());
  }
  [[nodiscard]] io_operation write(const_dma_span from, std::uint64_t offset) const noexcept {
    return make(operation_kind::write, bytes, const_cast<std::byte*>(from.data()), offset,
                from.size());
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
  // devices: zeroes). Error of the completion where the device has none: not_supported.
  [[nodiscard]] io_operation unmap(std::uint64_t offset, std::uint64_t length) const noexcept {
    return make(operation_kind::unmap, bytes, nullptr, offset, length);
  }
  // Resets the device, for all who use it, also through a read-only descriptor. I/O that is
  // queued for it anywhere, and new I/O until it is done, ends with operation_canceled. Error of
  // the completion where the device has none: not_supported.
  [[nodiscard]] io_operation reset() const noexcept {
    return make(operation_kind::reset, bytes, nullptr, 0, 0);
  }

  // Scattered and gathered: the buffers in turn make up one contiguous range of the device.
  [[nodiscard]] io_operation readv(std::span<const dma_span> into,
                                   std::uint64_t offset) const noexcept {
    return make_vector(operation_kind::read, bytes, into, offset);
  }
  [[nodiscard]] io_operation writev(std::span<const const_dma_span> from,
                                    std::uint64_t offset) const noexcept {
    return make_vector(operation_kind::write, bytes, from, offset);
  }
  [[nodiscard]] io_operation writev(std::span<const dma_span> from,
                                    std::uint64_t offset) const noexcept {
    return make_vector(operation_kind::write, bytes, from, offset);
  }

  // The same in blocks. Requires: the buffer holds `count` blocks.
  [[nodiscard]] io_operation read_blocks(dma_span into, std::uint64_t first,
                                         std::uint64_t count) const noexcept {
    return make(operation_kind::read, blocks, into.data(), first, count, into.size());
  }
  [[nodiscard]] io_operation write_blocks(const_dma_span from, std::uint64_t first,
                                          std::uint64_t count) const noexcept {
    return make(operation_kind::write, blocks, const_cast<std::byte*>(from.data()), first, count,
                from.size());
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
  [[nodiscard]] io_operation readv_blocks(std::span<const dma_span> into,
                                          std::uint64_t first) const noexcept {
    return make_vector(operation_kind::read, blocks, into, first);
  }
  [[nodiscard]] io_operation writev_blocks(std::span<const const_dma_span> from,
                                           std::uint64_t first) const noexcept {
    return make_vector(operation_kind::write, blocks, from, first);
  }

 private:
  static constexpr auto bytes = detail::io_unit::bytes;
  static constexpr auto blocks = detail::io_unit::blocks;

  io_operation make(operation_kind kind, detail::io_unit unit, void* buffer, std::uint64_t offset,
                    std::uint64_t length,
                    std::size_t capacity = std::numeric_limits<std::size_t>::max()) const noexcept {
    return io_operation(static_cast<const Derived&>(*this).io_target(), {.kind = kind,
                                                                         .in = unit,
                                                                         .buffer = buffer,
                                                                         .capacity = capacity,
                                                                         .offset = offset,
                                                                         .length = length});
  }
  template <class Span>
  io_operation make_vector(operation_kind kind, detail::io_unit unit, std::span<Span> buffers,
                           std::uint64_t offset) const noexcept {
    const bool too_many = buffers.size() > std::numeric_limits<std::uint32_t>::max();
    return io_operation(static_cast<const Derived&>(*this).io_target(),
                        {.kind = kind,
                         .in = unit,
                         .form = detail::io_form::vectored,
                         .buffer = const_cast<std::remove_const_t<Span>*>(buffers.data()),
                         .count = too_many ? 0 : static_cast<std::uint32_t>(buffers.size()),
                         .offset = offset});
  }
};

}  // namespace detail

// Made by bdev_desc::channel(). Copyable; it keeps its device open, as a bdev_desc does.
//
// Thread: its I/O is started on the thread that made it (elsewhere it is an error, and an
// assertion in debug builds); it may be dropped on any thread. When that thread, or the one
// that opened the device, ends, it stays but every I/O fails.
class io_channel : public detail::io_calls<io_channel> {
 public:
  // Takes on this thread's channel of `desc`, which the program got with SPDK's C API. SPDK has one
  // channel for each thread and device, which counts its users: the result is the same as that of
  // desc.channel(), and what matters is the program's own reference to it.
  // adopt: the library takes that reference over: do not put it. borrow: the program keeps it, and
  // may put it at any time.
  // Errors: those of bdev_desc::channel(); invalid_argument (null, or a channel of something else
  // than the device); operation_not_permitted (a channel of another thread).
  static result<io_channel> from_native(const bdev_desc& desc, spdk_io_channel* native,
                                        ownership how);

  io_channel() = default;  // empty: every I/O fails with bad_file_descriptor
  io_channel(const io_channel& other) noexcept;
  io_channel(io_channel&& other) noexcept
      : channel_(std::exchange(other.channel_, nullptr)),
        desc_(std::exchange(other.desc_, nullptr)) {}
  io_channel& operator=(io_channel other) noexcept {
    std::swap(channel_, other.channel_);
    std::swap(desc_, other.desc_);
    return *this;
  }
  ~io_channel();

  std::uint32_t block_size() const noexcept;  // bytes; 0 if empty

  // SPDK's channel, borrowed; null once it is no longer usable. On the channel's thread.
  spdk_io_channel* native_handle() const noexcept;

 private:
  friend class detail::io_calls<io_channel>;
  friend class bdev_desc;
  friend struct detail::handle_access;
  io_channel(detail::channel_state* channel, detail::desc_state* desc) noexcept;
  detail::channel_state* io_target() const noexcept { return channel_; }

  detail::channel_state* channel_ = nullptr;
  detail::desc_state* desc_ = nullptr;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
