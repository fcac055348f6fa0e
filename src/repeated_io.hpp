// SPDX-License-Identifier: BSD-3-Clause
// The I/O of a place in a stream or a sink: a read or write of bytes, made once and started again
// with another range after each success.
#pragma once

#include "plain_io.hpp"

#include <spdk_io/io_operation.hpp>

#include <spdk/bdev.h>

#include <cstddef>
#include <cstdint>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class repeated_io final : public io_operation {
 public:
  // Where it goes on, each time: see operation_base.
  repeated_io(channel_state* channel, ready_node::run_function f, void* argument) noexcept
      : io_operation(channel, io_request{}) {
    continue_with(f, argument);
  }

  // As begin() does. Requires: it is the first time, or finish() gave success.
  bool begin_read(channel_state* channel, std::byte* data, std::uint64_t offset,
                  std::uint64_t length) noexcept {
    prepare(operation_kind::read, channel, data, offset, length);
    return begin_plain<spdk_bdev_read>(*this, channel, data, offset, length);
  }
  bool begin_write(channel_state* channel, std::byte* data, std::uint64_t offset,
                   std::uint64_t length) noexcept {
    prepare(operation_kind::write, channel, data, offset, length);
    return begin_plain<spdk_bdev_write>(*this, channel, data, offset, length);
  }

  // What finish() looks at first. False: it may have failed.
  bool succeeded() const noexcept { return io_stage == stage_succeeded; }

 private:
  // What a successful one has changed. (Its errno is 0, and its status is looked at after that.)
  void prepare(operation_kind kind, channel_state* channel, std::byte* data, std::uint64_t offset,
               std::uint64_t length) noexcept {
    shape_ = {kind, io_unit::bytes, io_form::single, false};
    why_ = fault::none;
    stop_flags_ = 0;
    target_ = channel;
    store_alone(target_);
    buffer_ = data;
    store_alone(buffer_);
    offset_ = offset;
    store_alone(offset_);
    length_ = length;
  }
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
