// SPDX-License-Identifier: BSD-3-Clause
// A block I/O that can be awaited or started with a callback: what io_channel::read() and its
// like return.
#pragma once

#include <spdk_io/detail/operation.hpp>
#include <spdk_io/error.hpp>

#include <cstdint>
#include <limits>
#include <string>

struct iovec;
struct spdk_bdev_io;

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {
struct channel_state;
struct desc_state;
class memory_wait;
}  // namespace detail

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
// Destroying one in flight (its coroutine, usually) blocks until SPDK has let go of the buffer:
// the destructor polls every SPDK thread of this OS thread, without running user code. On
// another OS thread that is impossible, and the program ends with a message.
class [[nodiscard]] io_operation : public detail::operation_base<io_operation, result<void>> {
 public:
  // In bytes or in blocks, as `unit` says; a vectored one takes its length from the buffers.
  enum class unit : std::uint8_t { bytes, blocks };

  struct request {
    operation_kind kind = operation_kind::read;
    unit in = unit::bytes;
    bool vectored = false;
    void* buffer = nullptr;   // vectored: the array of iovec
    std::uint32_t count = 0;  // vectored: its length
    std::uint64_t capacity = std::numeric_limits<std::uint64_t>::max();  // of the buffer, bytes
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };

  io_operation(detail::channel_state* channel, const request& r) noexcept
      : io_operation(channel, r, false) {}
  // Takes the channel of the thread that starts it.
  io_operation(detail::desc_state* desc, const request& r) noexcept : io_operation(desc, r, true) {}

  io_operation(io_operation&&) = default;
  io_operation& operator=(io_operation&&) = delete;
  ~io_operation() {
    if (state_ > state::done) [[unlikely]]
      abandon();
  }

  bool begin() noexcept;
  result<void> finish() noexcept {
    state_ = state::done;
    if (code_ == 0) [[likely]]
      return {};
    return std::unexpected(make_error());
  }

 private:
  friend class detail::memory_wait;
  enum class state : std::uint8_t { fresh, done, waiting, in_flight, ready };

  io_operation(void* target, const request& r, bool by_desc) noexcept
      : target_(target),
        buffer_(r.buffer),
        offset_(r.offset),
        length_(r.length),
        capacity_(r.vectored ? r.count : r.capacity),
        kind_(r.kind),
        unit_(r.in),
        vectored_(r.vectored),
        by_desc_(by_desc) {}

  detail::channel_state& channel() const noexcept {
    return *static_cast<detail::channel_state*>(target_);
  }
  bool use_channel_of_this_thread() noexcept;
  bool refuse() noexcept;
  bool refuse(std::errc code, fault why) noexcept;
  bool refuse_invalid(fault why) noexcept;
  int submit() noexcept;
  int submit_bytes() noexcept;
  int submit_blocks() noexcept;
  int submit_vector() noexcept;
  bool check_vector() noexcept;
  bool check_capacity() noexcept;
  void describe_failure(int code) noexcept;
  void become_ready() noexcept;
  error make_error() const noexcept;
  std::string description() const;
  void abandon() noexcept;
  void wait_until_ready() noexcept;
  static void on_complete(spdk_bdev_io* io, bool success, void* self);

  // The channel_state, or the desc_state until it is started (by_desc_); the thread_state once
  // it is ready, since the channel may be gone before its result is taken.
  void* target_;
  union {
    void* buffer_;
    std::uint64_t device_size_;  // after a failure: bytes
  };
  std::uint64_t offset_;  // in unit_; after a failure: bytes, as is length_
  std::uint64_t length_;
  union {
    std::uint64_t capacity_;    // of the buffer, bytes; vectored: how many buffers there are
    std::uint64_t block_size_;  // after a failure: bytes
  };
  operation_kind kind_;
  unit unit_;
  bool vectored_;
  bool by_desc_;
  state state_ = state::fresh;
  fault why_ = fault::none;
  nvme_status status_;
  int code_ = 0;              // errno, positive
  std::uint32_t device_ = 0;  // after a failure: its interned name
};

}  // namespace spdk_io::inline SPDK_IO_ABI
