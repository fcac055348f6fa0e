// SPDX-License-Identifier: BSD-3-Clause
// read_stream: a range of a device in chunks, in order, with several reads ahead.
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
#include <optional>
#include <span>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

class next_chunk_operation;
class read_stream;

namespace detail {
class read_ahead;
struct read_place;
}  // namespace detail

struct read_stream_options {
  static constexpr std::uint64_t to_the_end = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t offset = 0;  // bytes, any
  std::uint64_t length =
      to_the_end;                 // bytes, any; the device's end is looked up at the first next()
  std::size_t chunk = 128 << 10;  // bytes of each read, rounded up to whole blocks; at least 1
  std::uint32_t depth = 8;        // how many chunks there are: reads ahead and chunks held
  int numa = -1;                  // the node to allocate on, -1 for any
};

// A part of the range, in the memory that the device has read it to: nothing is copied. It is the
// holder's, who may also write into it, until it is destroyed; then the stream reads into it again.
// It may outlive the stream.
// Thread: the stream's OS thread; destroyed on another one it ends the program with a message,
// unless the thread has ended. Views of it may be used anywhere while it lives.
class read_chunk {
 public:
  read_chunk() = default;  // empty
  read_chunk(read_chunk&& other) noexcept
      : place_(std::exchange(other.place_, nullptr)),
        offset_(other.offset_),
        memory_(std::exchange(other.memory_, {})) {}
  read_chunk& operator=(read_chunk&& other) noexcept {
    if (this != &other) {
      reset();
      place_ = std::exchange(other.place_, nullptr);
      offset_ = other.offset_;
      memory_ = std::exchange(other.memory_, {});
    }
    return *this;
  }
  ~read_chunk() {
    if (place_) give_back(*place_);
  }

  // Gives it back early. Afterwards it is empty.
  void reset() noexcept {
    if (!place_) return;
    memory_ = {};
    give_back(*std::exchange(place_, nullptr));
  }

  std::uint64_t offset() const noexcept { return offset_; }  // of its first byte on the device
  std::byte* data() noexcept { return memory_.data(); }
  const std::byte* data() const noexcept { return memory_.data(); }
  std::size_t size() const noexcept { return memory_.size(); }  // bytes
  bool empty() const noexcept { return memory_.empty(); }
  std::byte* begin() noexcept { return memory_.begin(); }
  std::byte* end() noexcept { return memory_.end(); }
  const std::byte* begin() const noexcept { return memory_.begin(); }
  const std::byte* end() const noexcept { return memory_.end(); }
  std::span<std::byte> bytes() noexcept { return memory_; }
  std::span<const std::byte> bytes() const noexcept { return {data(), size()}; }

  // For writing it to another device: aligned as a whole chunk is, but for the first and last one
  // of a range that is not.
  operator dma_span() noexcept { return memory_; }
  operator const_dma_span() const noexcept { return memory_; }

 private:
  friend class detail::read_ahead;
  static void give_back(detail::read_place& place) noexcept;

  detail::read_place* place_ = nullptr;
  std::uint64_t offset_ = 0;
  dma_span memory_;
};

// A stream of chunks:
//   read_stream in(disk, {.offset = 100, .length = 1 << 30, .chunk = 128 << 10, .depth = 16});
//   for (;;) {
//     auto chunk = co_await in.next();
//     if (!chunk) co_return std::unexpected(chunk.error());
//     if (!*chunk) break;                                       // the end
//     use((*chunk)->bytes());
//   }                                                           // the chunk goes back
//
// Offset and length may be any: whole blocks are read, and the first and last chunk show what was
// asked for. Each chunk but these is options.chunk bytes, and begins at a multiple of that from the
// block in which the range begins.
//
// Reading begins with the first next(), and goes on at each further one. The memory is one DMA
// allocation made then, of `depth` chunks (rounded up to the device's alignment of buffers), or of
// fewer where the range is smaller; nothing is allocated for a chunk. A chunk that is held is one
// that is not read ahead. While all are held, next() waits until one is given back: who holds them
// all himself, and asks for more, waits for ever.
//
// Errors are next()'s, in place of the chunk that could not be read, after all that come before it:
// those of a read. What is read ahead of it is asked to abort; every further next() gives the same
// error. Before anything is read: invalid_argument (no chunk size, no depth; a range past the
// device's end, fault::past_end), not_enough_memory, and those of bdev_desc::channel().
//
// Thread: the SPDK thread of the first next(), from then on. next() elsewhere is an error, and in
// debug builds ends the program with a message. It keeps its device open.
// Destroying it asks all reads in flight to abort, and waits, as destroying an I/O does (see
// io_operation), until SPDK has let go; who awaits next() goes on with operation_canceled. Chunks
// that are held keep the memory.
class read_stream {
 public:
  // For the calling thread's channel, taken at the first next(), or for that channel.
  explicit read_stream(const bdev_desc& disk, const read_stream_options& options = {});
  explicit read_stream(const io_channel& disk, const read_stream_options& options = {});
  read_stream(read_stream&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  read_stream& operator=(read_stream&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~read_stream();

  // co_await gives a result<std::optional<read_chunk>>: the next chunk, nothing at the end (and
  // ever after), or an error; without suspending where it has been read.
  // Errors besides the stream's own: device_or_resource_busy (somebody awaits it already),
  // operation_not_permitted (another thread, or none), bad_file_descriptor (moved from).
  // Cancellation: a stop request, or the end of with_timeout(), ends the wait at once with
  // operation_canceled. Nothing is lost: what is being read goes on, and comes with the next call.
  // The same when the thread ends. Destroying the awaiting coroutine on its thread is always safe,
  // and loses nothing either. Requires: the stream lives until it is awaited.
  [[nodiscard]] inline next_chunk_operation next() noexcept;

  // Reads in flight or complete, and not handed out.
  std::size_t ahead() const noexcept;
  // The DMA memory that it has allocated: 0 before the first next().
  std::size_t memory() const noexcept;  // bytes

 private:
  detail::read_ahead* state_;  // null: moved from
};

// What next() returns.
class [[nodiscard]] next_chunk_operation
    : public detail::operation_base<next_chunk_operation, result<std::optional<read_chunk>>,
                                    detail::point_wait> {
 public:
  next_chunk_operation(next_chunk_operation&&) = default;
  next_chunk_operation& operator=(next_chunk_operation&&) = delete;
  ~next_chunk_operation() {
    detail::leave_promise(*this);
    settle("a stream");
  }

  bool begin() noexcept;
  result<std::optional<read_chunk>> finish();

 private:
  friend class read_stream;
  explicit next_chunk_operation(detail::read_ahead* state) noexcept : state_(state) {}

  detail::read_ahead* state_;
};

inline next_chunk_operation read_stream::next() noexcept { return next_chunk_operation(state_); }

}  // namespace spdk_io::inline SPDK_IO_ABI
