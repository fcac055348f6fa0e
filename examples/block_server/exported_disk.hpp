// SPDX-License-Identifier: BSD-3-Clause
// A device as clients see it: how large it is, what it can do, and what becomes of a request.
#pragma once

#include "protocol.hpp"

#include <spdk_io/adapters/asio.hpp>
#include <spdk_io/spdk_io.hpp>

#include <asio/awaitable.hpp>

#include <cstdint>
#include <string>
#include <utility>

namespace nbd {

namespace sio = spdk_io;

// Thread: the one that opened the device.
class exported_disk {
 public:
  struct options {
    std::string name;               // of the export
    bool read_only = false;         // a device that was opened for reading is in any case
    std::uint32_t max_request = 0;  // bytes that one read or write may have
  };

  // Errors: those of bdev_desc::channel(); invalid_argument (max_request is no multiple of the
  // device's block size, or the protocol has no such block size).
  static sio::result<exported_disk> make(sio::bdev_desc disk, options o);

  const std::string& name() const noexcept { return options_.name; }
  std::uint64_t size() const noexcept { return disk_.bdev().size(); }              // bytes
  std::uint32_t block_size() const noexcept { return disk_.bdev().block_size(); }  // bytes
  std::uint32_t max_request() const noexcept { return options_.max_request; }      // bytes
  std::uint16_t flags() const noexcept { return flags_; }  // transmission_flags
  const sio::bdev_desc& device() const noexcept { return disk_; }

  // What is wrong with a request before the device is asked. Whatever clients have been told, they
  // may send anything.
  status check(const request& r) const noexcept;

  // Does what was found right. `buffer` has room for what a read or write transfers, and lives
  // until this has ended. With fua, what was written is on stable storage then.
  // Cancellation: a request to `stop` aborts the I/O; this ends once SPDK has let go of the buffer.
  asio::awaitable<status> perform(request r, sio::dma_span buffer, sio::local_stop_token stop);

  // Everything that was written is on stable storage. Succeeds where the device has no flush.
  asio::awaitable<sio::result<void>> flush(sio::local_stop_token stop);

 private:
  exported_disk(sio::bdev_desc disk, sio::io_channel channel, options o, std::uint16_t flags)
      : disk_(std::move(disk)),
        channel_(std::move(channel)),
        options_(std::move(o)),
        flags_(flags) {}

  bool can(transmission_flags flag) const noexcept { return (flags_ & flag) != 0; }
  bool knows(const request& r) const noexcept;

  sio::bdev_desc disk_;
  sio::io_channel channel_;
  options options_;
  std::uint16_t flags_;
};

}  // namespace nbd
