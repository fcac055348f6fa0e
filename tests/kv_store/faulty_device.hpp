// SPDX-License-Identifier: BSD-3-Clause
// A device between the store and another one that fails when told to.
#pragma once

#include "block_device.hpp"

#include <cstdint>
#include <limits>
#include <system_error>

namespace kv_test {

namespace sio = spdk_io;

class faulty_device final : public kv::block_device {
 public:
  static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

  // How many of the kind succeed before one fails. A write that fails has been done, or not.
  struct plan {
    std::uint64_t reads = never;
    std::uint64_t writes = never;
    std::uint64_t flushes = never;
    bool write_is_done = false;
  };

  explicit faulty_device(kv::block_device& below) : below_(below) {}

  std::uint64_t size() const override { return below_.size(); }
  std::uint32_t block_size() const override { return below_.block_size(); }
  sio::task<sio::result<void>> read(sio::dma_span into, std::uint64_t offset) override {
    if (fails(next.reads)) co_return failed(sio::operation_kind::read);
    co_return co_await below_.read(into, offset);
  }
  sio::task<sio::result<void>> write(sio::const_dma_span from, std::uint64_t offset) override {
    const bool now = fails(next.writes);
    if (now && !next.write_is_done) co_return failed(sio::operation_kind::write);
    auto r = co_await below_.write(from, offset);
    co_return now ? failed(sio::operation_kind::write) : r;
  }
  sio::task<sio::result<void>> flush() override {
    if (fails(next.flushes)) co_return failed(sio::operation_kind::flush);
    co_return co_await below_.flush();
  }

  plan next;
  std::uint64_t faults = 0;

 private:
  bool fails(std::uint64_t& left) {
    if (left == never || left-- != 0) return false;
    left = never;
    ++faults;
    return true;
  }
  static sio::result<void> failed(sio::operation_kind what) {
    return std::unexpected(sio::error(std::errc::io_error, what, "an injected error"));
  }

  kv::block_device& below_;
};

}  // namespace kv_test
