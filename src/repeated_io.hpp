// SPDX-License-Identifier: BSD-3-Clause
// The I/O of a place in a stream or a sink: a read or write of bytes, made once and started again
// with another range after each success.
//
// Where its owner, which is the library's, has nothing to do but note a success, it is told inside
// spdk_thread_poll(). So there is no turn on the ready list for each I/O, and who waits finds all
// that has come with one poll.
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

  // As begin() does. Requires: it is the first time, or the last one was a success.
  bool begin_read(channel_state* channel, std::byte* data, std::uint64_t offset,
                  std::uint64_t length) noexcept {
    prepare(operation_kind::read, channel, data, offset, length);
    return begin_plain<spdk_bdev_read, on_complete>(*this, channel, data, offset, length);
  }

  // The same, but a success is mostly told to Note, inside spdk_thread_poll(), with the argument;
  // that starts nothing and resumes nobody. It is the same kind each time, on the same channel, but
  // for begin_read() in between.
  template <void (*Note)(void* argument)>
  bool begin_noted_read(channel_state* channel, std::byte* data, std::uint64_t offset,
                        std::uint64_t length) noexcept {
    prepare_again(operation_kind::read, channel, data, offset, length);
    return begin_plain<spdk_bdev_read, noted<Note>>(*this, channel, data, offset, length);
  }
  template <void (*Note)(void* argument)>
  bool begin_noted_write(channel_state* channel, std::byte* data, std::uint64_t offset,
                         std::uint64_t length) noexcept {
    prepare_again(operation_kind::write, channel, data, offset, length);
    return begin_plain<spdk_bdev_write, noted<Note>>(*this, channel, data, offset, length);
  }

  // What finish() looks at first. False: it may have failed.
  bool succeeded() const noexcept { return io_stage == stage_succeeded; }

 private:
  template <void (*Note)(void* argument)>
  static void noted(spdk_bdev_io* io, bool success, void* argument) {
    auto& self = static_cast<repeated_io&>(*static_cast<io_core*>(argument));
    if (!success || !self.channel().home->hurdles.none_to_complete()) [[unlikely]]
      return complete_with_checks(io, success, self);
    node_ring::erase(self);
    self.io_stage = stage_succeeded;
    self.unchanged_ = true;
    Note(self.context);
    spdk_bdev_free_io(io);
  }

  // What a successful one has changed. (Its errno is 0, and its status is looked at after that.)
  void prepare(operation_kind kind, channel_state* channel, std::byte* data, std::uint64_t offset,
               std::uint64_t length) noexcept {
    unchanged_ = false;
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
  void prepare_again(operation_kind kind, channel_state* channel, std::byte* data,
                     std::uint64_t offset, std::uint64_t length) noexcept {
    if (!unchanged_) [[unlikely]]
      return prepare(kind, channel, data, offset, length);
    unchanged_ = false;
    buffer_ = data;
    store_alone(buffer_);
    offset_ = offset;
    store_alone(offset_);
    length_ = length;
  }

  bool unchanged_ = false;  // since it was noted, which changes nothing
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
