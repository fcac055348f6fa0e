// SPDX-License-Identifier: BSD-3-Clause
// A block device in ordinary memory, for the store alone.
#pragma once

#include "block_device.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kv_test {

namespace sio = spdk_io;

class ram_device final : public kv::block_device {
 public:
  explicit ram_device(std::size_t size, std::uint32_t block_size = 512)
      : content(size), block_size_(block_size) {}

  std::uint64_t size() const override { return content.size(); }
  std::uint32_t block_size() const override { return block_size_; }
  sio::task<sio::result<void>> read(sio::dma_span into, std::uint64_t offset) override {
    if (auto r = check(offset, into.size()); !r) co_return r;
    co_await sio::yield();
    std::ranges::copy(std::span(content).subspan(offset, into.size()), into.begin());
    co_return sio::result<void>();
  }
  sio::task<sio::result<void>> write(sio::const_dma_span from, std::uint64_t offset) override {
    if (auto r = check(offset, from.size()); !r) co_return r;
    co_await sio::yield();
    std::ranges::copy(from, std::span(content).subspan(offset).begin());
    co_return sio::result<void>();
  }
  sio::task<sio::result<void>> flush() override {
    co_await sio::yield();
    co_return sio::result<void>();
  }

  std::vector<std::byte> content;

 private:
  sio::result<void> check(std::uint64_t offset, std::uint64_t length) const {
    if (offset % block_size_ == 0 && length % block_size_ == 0 && length != 0 &&
        length <= content.size() && offset <= content.size() - length) {
      return {};
    }
    return std::unexpected(sio::error(std::errc::invalid_argument, sio::operation_kind::none,
                                      "ram_device: no such blocks"));
  }

  std::uint32_t block_size_;
};

}  // namespace kv_test
