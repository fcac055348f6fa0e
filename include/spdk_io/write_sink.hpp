// SPDX-License-Identifier: BSD-3-Clause
// write_sink: bytes in pieces of any size, written in whole blocks, with several writes behind.
#pragma once

#include <spdk_io/bdev_desc.hpp>
#include <spdk_io/detail/operation.hpp>
#include <spdk_io/detail/wait_point.hpp>
#include <spdk_io/dma_buffer.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/io_channel.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

class send_bytes_operation;
class flush_sink_operation;

namespace detail {
class write_behind;
}

struct write_sink_options {
  static constexpr std::uint64_t to_the_end = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t offset = 0;           // bytes, any
  std::uint64_t length = to_the_end;  // bytes, any: at most as many are taken
  std::size_t chunk = 128 << 10;      // bytes of each write, rounded up to whole blocks; at least 1
  std::uint32_t depth = 8;            // how many chunks there are: filled, and in flight
  int numa = -1;                      // the node to allocate on, -1 for any
};

// A sink of bytes, which lie one after another on the device:
//   write_sink out(disk, {.offset = 100, .chunk = 128 << 10, .depth = 16});
//   if (auto r = co_await out.send(header); !r) co_return r;
//   if (auto r = co_await out.send(body); !r) co_return r;
//   co_return co_await out.close();                    // all of it is on the device
//
// What is sent is copied into a chunk; full chunks are written while the next ones are filled.
// Where the range begins or ends within a block, that block is read first, and what belongs to
// others in it is written back as it was. The memory is one DMA allocation, made at the first use,
// of `depth` chunks (rounded up to the device's alignment of buffers) and two blocks; nothing is
// allocated for a send.
//
// Within one sink, writes of the same block keep their order: one that goes on with a block that
// flush() has written begins when that has completed. Others must not write to its blocks
// meanwhile, the ones at the ends included: two sinks whose ranges meet within a block would each
// put back what the other has just written there.
//
// Errors: those of a read or a write. They come with the next send(), flush() or close(), and with
// every later one; nothing more is written then, and what follows the place of the error may be on
// the device, or not. Before anything is written: invalid_argument (no chunk size, no depth; an
// offset past the device's end; more than that given as the length), not_enough_memory, and those
// of bdev_desc::channel().
//
// Thread: the SPDK thread of its first use, from then on; elsewhere it is an error, and in debug
// builds ends the program with a message. It keeps its device open.
// Destroying it without close(): what is not yet in flight is lost, and in debug builds a line on
// stderr says how much; writes in flight are asked to abort and waited for, as destroying an I/O
// does (see io_operation); who awaits it goes on with operation_canceled.
class write_sink {
 public:
  // For the calling thread's channel, taken at its first use, or for that channel.
  explicit write_sink(const bdev_desc& disk, const write_sink_options& options = {});
  explicit write_sink(const io_channel& disk, const write_sink_options& options = {});
  write_sink(write_sink&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  write_sink& operator=(write_sink&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~write_sink();

  // co_await gives a result<void>: all of it was taken, and `bytes` may be used again; without
  // suspending where there is room.
  // Errors besides the sink's: no_space_on_device (more than the range, or the device, has left:
  // nothing of it was taken), bad_file_descriptor (closed, or moved from), device_or_resource_busy
  // (somebody awaits the sink already), operation_not_permitted (another thread, or none).
  // Cancellation: a stop request, or the end of with_timeout(), ends the wait for room at once with
  // operation_canceled; position() says how much was taken. The same when the thread ends.
  // Destroying the awaiting coroutine on its thread is always safe. Requires: the sink lives until
  // it is awaited, and the bytes until it has completed.
  [[nodiscard]] inline send_bytes_operation send(std::span<const std::byte> bytes) noexcept;

  // co_await gives a result<void>: all that was sent is on the device, and there on stable storage
  // where the device can flush. Errors and cancellation as for send(); writes go on in any case.
  [[nodiscard]] inline flush_sink_operation flush() noexcept;

  // The same, and nothing more is taken. What comes after it, and a further close() but for its
  // result, which is the same: bad_file_descriptor. One that was stopped may be called again.
  [[nodiscard]] inline flush_sink_operation close() noexcept;

  std::uint64_t position() const noexcept;  // bytes: where on the device the next byte goes
  // Bytes: up to here, from where the range begins, all of it has been written; what follows is
  // held back, on its way, or has failed. It goes back within a block that is written once more.
  // Once flush() or close() has given the error of a write, nothing is on its way any more, and
  // this is where the first of the writes that failed begins: what lies before is on the device,
  // though not flushed.
  std::uint64_t written() const noexcept;
  std::size_t memory() const noexcept;  // bytes of DMA memory; 0 before the first use

 private:
  detail::write_behind* state_;  // null: moved from
};

// What send() returns.
class [[nodiscard]] send_bytes_operation
    : public detail::operation_base<send_bytes_operation, result<void>, detail::point_wait> {
 public:
  send_bytes_operation(send_bytes_operation&&) = default;
  send_bytes_operation& operator=(send_bytes_operation&&) = delete;
  ~send_bytes_operation() {
    detail::leave_promise(*this);
    settle("a sink");
  }

  bool begin() noexcept;
  result<void> finish();

 private:
  friend class write_sink;
  send_bytes_operation(detail::write_behind* state, std::span<const std::byte> bytes) noexcept
      : state_(state), bytes_(bytes) {}

  detail::write_behind* state_;
  std::span<const std::byte> bytes_;
};

// What flush() and close() return.
class [[nodiscard]] flush_sink_operation
    : public detail::operation_base<flush_sink_operation, result<void>, detail::point_wait> {
 public:
  flush_sink_operation(flush_sink_operation&&) = default;
  flush_sink_operation& operator=(flush_sink_operation&&) = delete;
  ~flush_sink_operation() {
    detail::leave_promise(*this);
    settle("a sink");
  }

  bool begin() noexcept;
  result<void> finish();

 private:
  friend class write_sink;
  flush_sink_operation(detail::write_behind* state, bool closes) noexcept
      : state_(state), closes_(closes) {}

  detail::write_behind* state_;
  bool closes_;
};

inline send_bytes_operation write_sink::send(std::span<const std::byte> bytes) noexcept {
  return send_bytes_operation(state_, bytes);
}
inline flush_sink_operation write_sink::flush() noexcept {
  return flush_sink_operation(state_, false);
}
inline flush_sink_operation write_sink::close() noexcept {
  return flush_sink_operation(state_, true);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
