// SPDX-License-Identifier: BSD-3-Clause
// Reads a log from its beginning, record by record, through a window of memory.
#pragma once

#include "block_device.hpp"
#include "format.hpp"

#include <cstdint>
#include <optional>
#include <span>

namespace kv {

struct log_record {
  std::uint64_t offset = 0;  // on the device, bytes
  bytes_view content;        // valid until the next record is asked for
};

class log_reader {
 public:
  // Reads what `super` says is the log. `window` has room for the longest record.
  log_reader(block_device& device, const superblock& super, sio::dma_span window) noexcept
      : device_(device), super_(super), window_(window), position_(super.area_begin(super.area)) {}

  // Nothing at the log's end: the first record that is torn, or remains from another epoch.
  // Errors: the device's; io_error where a record is no longer what it was, since later ones are
  // there (each was written after those before it were safe).
  sio::task<sio::result<std::optional<log_record>>> next();

  std::uint64_t position() const noexcept { return position_; }  // where the next record belongs
  std::uint64_t sequence() const noexcept { return sequence_; }  // and its number

 private:
  sio::task<sio::result<std::optional<log_record>>> end_or_damage();
  std::optional<record_header> header_at(std::uint64_t position) const noexcept;
  bool is_in_window(std::uint64_t position, std::uint64_t length) const noexcept;
  sio::task<sio::result<void>> fill_window(std::uint64_t from);

  block_device& device_;
  const superblock super_;
  sio::dma_span window_;
  std::uint64_t window_begin_ = 0;
  std::uint64_t window_size_ = 0;
  std::uint64_t position_;
  std::uint64_t sequence_ = 0;
};

}  // namespace kv
