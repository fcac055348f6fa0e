// SPDX-License-Identifier: BSD-3-Clause
// A block I/O that can be awaited or started with a callback: what io_channel::read() and its
// like return.
#pragma once

#include <spdk_io/detail/io_core.hpp>
#include <spdk_io/detail/operation.hpp>
#include <spdk_io/error.hpp>

#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

// Made by io_channel and bdev_desc. Nothing is submitted before it is awaited or started; until
// then it may be moved. From then on it stays where it is until it has completed, and the
// buffer (and an array of buffers) must live as long.
//
// Requires: the handle that made it lives until it is started.
//
// Thread: it is started and completes on the channel's thread; it resumes whoever awaits from
// thread::poll(), never inside SPDK.
//
// Errors of the submission (a range past the end, a read-only descriptor, the wrong thread, …)
// and of the completion (the device's status) both arrive as its result. -ENOMEM never does: the
// operation waits for memory, in order.
//
// Cancellation: by the stop token of the coroutine that awaits it, by with_stop_token() and
// with_timeout(), by the descriptor's default timeout. The device is asked to abort, and the
// operation completes when SPDK has let go of the buffer and of the abort: with
// operation_canceled (or timed_out), or with its real result where the device cannot abort or was
// done. One that waits for memory leaves the queue at once (fault::stopped).
//
// Destroying one in flight (its coroutine, usually) asks for an abort and blocks until SPDK has
// let go of the buffer: the destructor polls every SPDK thread of this OS thread, without running
// user code. On another OS thread that is impossible, and the program ends with a message.
class [[nodiscard]] io_operation
    : public detail::operation_base<io_operation, result<void>, detail::io_core> {
 public:
  io_operation(detail::channel_state* channel, const detail::io_request& r) noexcept
      : operation_base(std::in_place, channel, r, false) {}
  // Takes the channel of the thread that starts it.
  io_operation(detail::desc_state* desc, const detail::io_request& r) noexcept
      : operation_base(std::in_place, desc, r, true) {}

  io_operation(io_operation&&) = default;
  io_operation& operator=(io_operation&&) = delete;
  ~io_operation() { settle(); }
};

}  // namespace spdk_io::inline SPDK_IO_ABI
