// SPDX-License-Identifier: BSD-3-Clause
// A device between the store and another one that keeps what is not flushed in memory, as a disk's
// cache does, and loses power when told to.
#pragma once

#include "block_device.hpp"
#include "format.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <random>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace kv_test {

namespace sio = spdk_io;

class power_cut_device final : public kv::block_device {
 public:
  static constexpr std::size_t sector = 512;  // bytes: what a device writes whole, or not
  static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

  struct cached_write {
    std::uint64_t offset = 0;
    std::vector<std::byte> data;
  };

  explicit power_cut_device(kv::block_device& below) : below_(below) {}

  std::uint64_t size() const override { return below_.size(); }
  std::uint32_t block_size() const override { return below_.block_size(); }

  sio::task<sio::result<void>> read(sio::dma_span into, std::uint64_t offset) override {
    if (off_) co_return no_power();
    if (auto r = co_await below_.read(into, offset); !r) co_return r;
    for (const auto& each : lost_later_) overlay(each, into, offset);
    for (const auto& each : cached_) overlay(each, into, offset);
    co_return sio::result<void>();
  }

  sio::task<sio::result<void>> write(sio::const_dma_span from, std::uint64_t offset) override {
    if (off_) co_return no_power();
    co_await sio::yield();
    cached_.push_back({offset, {from.begin(), from.end()}});
    co_return cut_here() ? no_power() : sio::result<void>();
  }

  sio::task<sio::result<void>> flush() override {
    if (off_ || cut_here()) co_return no_power();
    co_await sio::yield();
    auto writes = std::exchange(cached_, {});
    if (std::exchange(fail_flush_, false)) {
      // As Linux does: the error is told once, and what could not be written counts as clean.
      std::ranges::move(writes, std::back_inserter(lost_later_));
      co_return std::unexpected(
          sio::error(std::errc::io_error, sio::operation_kind::flush, "flush failed"));
    }
    for (const auto& each : writes) {
      if (auto r = co_await put_below(each.data, each.offset); !r) co_return r;
    }
    co_return sio::result<void>();
  }

  // Power goes at the so manieth write or flush from now on.
  void cut_at(std::uint64_t call) { left_ = call; }
  void fail_next_flush() { fail_flush_ = true; }
  bool is_off() const { return off_; }
  const std::vector<cached_write>& cached() const { return cached_; }

  // Power comes back: of what was cached, each write is lost, or there, or there in parts, in
  // whatever order.
  template <class Random>
  sio::task<sio::result<void>> come_back(Random& random) {
    auto writes = std::exchange(cached_, {});
    lost_later_.clear();
    std::ranges::shuffle(writes, random);
    for (const auto& each : writes) {
      const auto fate = random() % 3;
      if (fate == 0) continue;
      for (std::size_t at = 0; at < each.data.size(); at += sector) {
        if (fate == 1 && random() % 2 == 0) continue;
        const std::size_t n = std::min(sector, each.data.size() - at);
        if (auto r = co_await put_below(std::span(each.data).subspan(at, n), each.offset + at);
            !r) {
          co_return r;
        }
      }
    }
    off_ = false;
    left_ = never;
    co_return sio::result<void>();
  }

 private:
  static sio::result<void> no_power() {
    return std::unexpected(
        sio::error(std::errc::no_such_device, sio::operation_kind::none, "no power"));
  }
  bool cut_here() {
    if (left_ == never || --left_ != 0) return false;
    off_ = true;
    return true;
  }
  static void overlay(const cached_write& from, sio::dma_span into, std::uint64_t offset) {
    const std::uint64_t begin = std::max(from.offset, offset);
    const std::uint64_t end = std::min(from.offset + from.data.size(), offset + into.size());
    if (begin >= end) return;
    std::ranges::copy(std::span(from.data).subspan(begin - from.offset, end - begin),
                      into.begin() + (begin - offset));
  }
  // Blocks may be larger than a sector.
  sio::task<sio::result<void>> put_below(std::span<const std::byte> data, std::uint64_t offset) {
    const std::uint64_t begin = offset / block_size() * block_size();
    const std::uint64_t end = kv::round_up(offset + data.size(), block_size());
    auto blocks = sio::dma_buffer::allocate(end - begin);
    if (!blocks) co_return std::unexpected(blocks.error());
    if (auto r = co_await below_.read(*blocks, begin); !r) co_return r;
    std::ranges::copy(data, blocks->begin() + (offset - begin));
    co_return co_await below_.write(*blocks, begin);
  }

  kv::block_device& below_;
  std::vector<cached_write> cached_;
  std::vector<cached_write> lost_later_;  // seen by reads until power goes
  std::uint64_t left_ = never;
  bool off_ = false;
  bool fail_flush_ = false;
};

}  // namespace kv_test
