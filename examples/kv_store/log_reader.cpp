// SPDX-License-Identifier: BSD-3-Clause
#include "log_reader.hpp"

#include <algorithm>
#include <string>
#include <system_error>

namespace kv {

sio::task<sio::result<std::optional<log_record>>> log_reader::next() {
  const std::uint64_t left = super_.area_end(super_.area) - position_;
  if (left == 0) co_return std::nullopt;
  if (!is_in_window(position_, record_header_bytes)) {
    if (auto r = co_await fill_window(position_); !r) co_return std::unexpected(r.error());
  }
  const auto header = header_at(position_);
  if (!header || header->sequence != sequence_ || header->length > left) {
    co_return co_await end_or_damage();
  }
  if (!is_in_window(position_, header->length)) {
    if (auto r = co_await fill_window(position_); !r) co_return std::unexpected(r.error());
  }
  const log_record record{position_,
                          bytes_view(window_).subspan(position_ - window_begin_, header->length)};
  if (!record_is_whole(record.content)) co_return co_await end_or_damage();
  position_ += round_up(header->length, super_.block_size);
  ++sequence_;
  co_return record;
}

// Only one record is ever on its way: none with a higher number lies behind one that is torn.
sio::task<sio::result<std::optional<log_record>>> log_reader::end_or_damage() {
  if (auto r = co_await fill_window(position_); !r) co_return std::unexpected(r.error());
  for (std::uint64_t at = 0; at < window_size_; at += super_.block_size) {
    const auto header = header_at(window_begin_ + at);
    if (header && header->sequence > sequence_) {
      co_return std::unexpected(sio::error(
          std::errc::io_error, sio::operation_kind::read,
          "kv: the record at " + std::to_string(position_) +
              " is damaged, since later ones are there: what is stored is not complete"));
    }
  }
  co_return std::nullopt;
}

std::optional<record_header> log_reader::header_at(std::uint64_t position) const noexcept {
  const auto header = decode_header(bytes_view(window_).subspan(position - window_begin_));
  if (!header || header->store != super_.store || header->epoch != super_.epoch)
    return std::nullopt;
  if (header->length < record_header_bytes || header->length > super_.record_size) {
    return std::nullopt;
  }
  return header;
}

bool log_reader::is_in_window(std::uint64_t position, std::uint64_t length) const noexcept {
  return position >= window_begin_ && position + length <= window_begin_ + window_size_;
}

sio::task<sio::result<void>> log_reader::fill_window(std::uint64_t from) {
  window_begin_ = from;
  window_size_ = std::min<std::uint64_t>(window_.size(), super_.area_end(super_.area) - from);
  co_return co_await device_.read(window_.first(window_size_), from);
}

}  // namespace kv
