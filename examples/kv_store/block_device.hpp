// SPDX-License-Identifier: BSD-3-Clause
// What the store needs of a device, and an open SPDK device as one. Tests put devices of their own
// in between: one that loses power, one that fails.
#pragma once

#include <spdk_io/spdk_io.hpp>

#include <cstdint>
#include <utility>

namespace kv {

namespace sio = spdk_io;

// Offsets and lengths are in bytes, multiples of block_size(). Any number of calls may be under
// way. What was written may be lost, or be there in parts, until a flush() that began after the
// write had ended has succeeded. Buffers live until the call has ended.
class block_device {
 public:
  virtual ~block_device() = default;

  virtual std::uint64_t size() const = 0;        // bytes
  virtual std::uint32_t block_size() const = 0;  // bytes
  virtual sio::task<sio::result<void>> read(sio::dma_span into, std::uint64_t offset) = 0;
  virtual sio::task<sio::result<void>> write(sio::const_dma_span from, std::uint64_t offset) = 0;
  virtual sio::task<sio::result<void>> flush() = 0;
};

// A device of SPDK's, which must have flush(): malloc and aio do, uring does not.
class bdev_device final : public block_device {
 public:
  explicit bdev_device(sio::bdev_desc open) : desc_(std::move(open)) {}

  std::uint64_t size() const override { return desc_.bdev().size(); }
  std::uint32_t block_size() const override { return desc_.bdev().block_size(); }
  sio::task<sio::result<void>> read(sio::dma_span into, std::uint64_t offset) override {
    co_return co_await desc_.read(into, offset);
  }
  sio::task<sio::result<void>> write(sio::const_dma_span from, std::uint64_t offset) override {
    co_return co_await desc_.write(from, offset);
  }
  sio::task<sio::result<void>> flush() override { co_return co_await desc_.flush(0, size()); }

 private:
  sio::bdev_desc desc_;
};

}  // namespace kv
