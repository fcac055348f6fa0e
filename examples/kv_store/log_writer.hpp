// SPDX-License-Identifier: BSD-3-Clause
// Appends records to a log.
#pragma once

#include "block_device.hpp"
#include "format.hpp"

#include <cstdint>

namespace kv {

class log_writer {
 public:
  // At the beginning of the area that `super` says. `buffer` holds the longest record.
  log_writer(block_device& device, const superblock& super, sio::dma_span buffer) noexcept
      : device_(&device),
        super_(super),
        buffer_(buffer),
        record_(buffer),
        position_(super.area_begin(super.area)) {}

  void continue_at(std::uint64_t position, std::uint64_t sequence) noexcept {
    position_ = position;
    sequence_ = sequence;
  }

  // For one more record, the longest.
  bool has_room() const noexcept {
    return super_.area_end(super_.area) - position_ >= super_.record_size;
  }

  // What append() is to write. It stays there until it is cleared.
  record_builder& record() noexcept { return record_; }

  // Not durable before the device was flushed. Requires: has_room(); one call at a time.
  sio::task<sio::result<void>> append() {
    const record_header header{.store = super_.store, .epoch = super_.epoch, .sequence = sequence_};
    const std::size_t length = record_.finish(header, super_.block_size);
    if (auto r = co_await device_->write(buffer_.first(length), position_); !r) co_return r;
    position_ += length;
    ++sequence_;
    co_return sio::result<void>();
  }

  std::uint64_t position() const noexcept { return position_; }  // of the next record

 private:
  block_device* device_;
  superblock super_;
  sio::dma_span buffer_;
  record_builder record_;
  std::uint64_t position_;
  std::uint64_t sequence_ = 0;
};

}  // namespace kv
