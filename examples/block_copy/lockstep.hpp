// SPDX-License-Identifier: BSD-3-Clause
// Ranges of two devices, read side by side.
#pragma once

#include <spdk_io/spdk_io.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace block_copy {

namespace sio = spdk_io;

// Chunk and depth, for each of the two.
struct lockstep_options {
  std::size_t chunk = 256 << 10;  // bytes
  std::uint32_t depth = 16;
};

class lockstep {
 public:
  // Offsets and the length in bytes, any.
  lockstep(const sio::bdev_desc& a, std::uint64_t offset_a, const sio::bdev_desc& b,
           std::uint64_t offset_b, std::uint64_t length, lockstep_options options);

  // Once. Bytes from where the ranges begin; nothing if they are equal. Errors and cancellation are
  // those of read_stream. Requires: this lives until it has ended.
  sio::task<sio::result<std::optional<std::uint64_t>>> first_difference();

  std::size_t memory() const noexcept;  // bytes of DMA memory

 private:
  // A stream, and what is left of the chunk that it gave last: the two of them are cut differently.
  struct side {
    sio::read_stream stream;
    std::optional<sio::read_chunk> chunk = {};
    std::span<const std::byte> rest = {};
  };
  static sio::task<sio::result<void>> refill(side& s);

  side a_;
  side b_;
  std::uint64_t length_;
};

}  // namespace block_copy
