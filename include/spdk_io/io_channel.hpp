// SPDX-License-Identifier: BSD-3-Clause
// One thread's way to a device: where I/O is submitted, without locks.
#pragma once

#include <spdk_io/error.hpp>
#include <spdk_io/io_calls.hpp>
#include <spdk_io/ownership.hpp>

#include <cstdint>
#include <utility>

struct spdk_io_channel;

namespace spdk_io::inline SPDK_IO_ABI {

class bdev_desc;

namespace detail {

struct handle_access;
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
