// SPDX-License-Identifier: BSD-3-Clause
// A device, kept from going away while a call about it is under way.
#pragma once

#include <spdk_io/error.hpp>

#include <cstdint>
#include <utility>

struct spdk_bdev;
struct spdk_io_channel;

namespace spdk_io::inline SPDK_IO_ABI {
class bdev_desc;
class io_channel;

namespace detail {

// Holds a reference of its own to the calling thread's channel: a device waits with its end for
// its channels, even if the descriptor is closed meanwhile. Destroyed on the thread that made it.
class device_use {
 public:
  // Errors: those of bdev_desc::channel(), told as of `what`.
  static result<device_use> of(const bdev_desc& desc, operation_kind what);
  // Errors as an I/O on this channel would have: empty, of another thread, closed.
  static result<device_use> of(const io_channel& channel, operation_kind what);

  device_use(device_use&& other) noexcept
      : device_(other.device_),
        channel_(std::exchange(other.channel_, nullptr)),
        name_(other.name_),
        what_(other.what_) {}
  device_use& operator=(device_use&&) = delete;
  ~device_use();

  spdk_bdev* device() const noexcept { return device_; }
  spdk_io_channel* channel() const noexcept { return channel_; }

  // A failure of the call: `code` is an errno, positive.
  std::unexpected<error> failure(int code, fault why = fault::none) const {
    return std::unexpected(
        error(error::io{.code = std::errc{code}, .what = what_, .why = why, .device = name_}));
  }

 private:
  device_use(spdk_bdev* device, spdk_io_channel* channel, std::uint32_t name, operation_kind what)
      : device_(device), channel_(channel), name_(name), what_(what) {}

  spdk_bdev* device_;
  spdk_io_channel* channel_;
  std::uint32_t name_;
  operation_kind what_;
};

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI
