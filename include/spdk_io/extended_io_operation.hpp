// SPDX-License-Identifier: BSD-3-Clause
// Block I/O with more arguments than a plain io_operation has room for: metadata, options, two
// buffers, two places. What io_channel::copy() and its like return.
#pragma once

#include <spdk_io/detail/io_core.hpp>
#include <spdk_io/detail/operation.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/io_options.hpp>

#include <sys/uio.h>

#include <cstdint>
#include <limits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

// What to copy where, in bytes; in blocks for copy_blocks(). Named, since two offsets in a row
// would be mixed up one day.
struct copy_range {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::uint64_t length = 0;
};

namespace detail {

// Buffers as the caller gave them: one, kept here as a vector of one, or an array that the caller
// keeps.
struct io_buffers {
  iovec own = {nullptr, 0};
  iovec* array = nullptr;  // null: own
  std::uint32_t count = 1;

  iovec* data() noexcept { return array ? array : &own; }
};

struct extended_request {
  io_request io;  // its buffer and capacity are not used
  io_buffers buffers = {};
  io_buffers second = {};  // compare_and_write: what to write
  std::uint64_t source = 0;
  io_options options = {};
  bool with_options = false;  // SPDK's call that takes options, not that with metadata
};

class extended_io_core : public io_core {
 public:
  result<void> finish() noexcept;

 protected:
  extended_io_core(void* target, const extended_request& r, bool by_desc) noexcept
      : io_core(target, special(r.io), by_desc),
        buffers_(r.buffers),
        second_(r.second),
        source_(r.source),
        options_(r.options),
        with_options_(r.with_options) {}
  extended_io_core(extended_io_core&&) = default;
  ~extended_io_core() = default;

 private:
  friend class io_core;
  static io_request special(io_request r) noexcept {
    r.form = io_form::special;
    return r;
  }
  bool prepare() noexcept;
  bool prepare_buffers() noexcept;
  bool prepare_metadata() noexcept;
  int submit() noexcept;  // in blocks: SPDK has these in no other form
  int submit_compare_and_write(std::uint64_t first, std::uint64_t count) noexcept;
  int submit_copy(std::uint64_t first, std::uint64_t count) noexcept;
  int submit_with_metadata(std::uint64_t first, std::uint64_t count) noexcept;
  int submit_with_options(std::uint64_t first, std::uint64_t count) noexcept;

  io_buffers buffers_;
  io_buffers second_;
  std::uint64_t source_;  // in shape_.unit; once it has failed in bytes
  io_options options_;
  bool with_options_;
};

}  // namespace detail

// As io_operation, in every respect; only larger.
class [[nodiscard]] extended_io_operation
    : public detail::operation_base<extended_io_operation, result<void>, detail::extended_io_core> {
 public:
  extended_io_operation(detail::channel_state* channel, const detail::extended_request& r) noexcept
      : operation_base(std::in_place, channel, r, false) {}
  extended_io_operation(detail::desc_state* desc, const detail::extended_request& r) noexcept
      : operation_base(std::in_place, desc, r, true) {}

  extended_io_operation(extended_io_operation&&) = default;
  extended_io_operation& operator=(extended_io_operation&&) = delete;
  ~extended_io_operation() { settle(); }
};

}  // namespace spdk_io::inline SPDK_IO_ABI
