// SPDX-License-Identifier: BSD-3-Clause
// I/O without a copy: the device lends its own memory. A zcopy_operation starts it, a
// zcopy_buffer is what was lent, a zcopy_end_operation gives it back.
#pragma once

#include <spdk_io/detail/io_core.hpp>
#include <spdk_io/detail/operation.hpp>
#include <spdk_io/dma_buffer.hpp>
#include <spdk_io/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

struct iovec;
struct spdk_bdev_io;

namespace spdk_io::inline SPDK_IO_ABI {

class zcopy_end_operation;

namespace detail {
class zcopy_core;
class zcopy_end_core;
}  // namespace detail

// Memory of a device, lent for a range of it: what zcopy_read() and zcopy_write() give.
//   auto z = co_await disk.zcopy_write(0, 4096);
//   if (!z) co_return std::unexpected(z.error());
//   for (dma_span part : z->parts()) fill(part);
//   auto r = co_await z->commit();
//
// Move-only. The device stays open while one of its buffers is held, whatever becomes of the
// handles. Each holds one of SPDK's bdev_ios.
// Thread: that of the channel it came through, whoever moves or drops it. When that thread ends it
// is released, and empty from then on.
// The destructor releases it without commit, and does not wait for that. On another OS thread the
// program ends with a message.
class zcopy_buffer {
 public:
  zcopy_buffer() = default;  // empty
  zcopy_buffer(zcopy_buffer&& other) noexcept { take(other); }
  zcopy_buffer& operator=(zcopy_buffer&& other) noexcept {
    if (this != &other) {
      drop();
      take(other);
    }
    return *this;
  }
  ~zcopy_buffer() { drop(); }

  // The memory; in turn the parts make up the range. Empty once it has ended.
  std::span<const dma_span> parts() const noexcept;

  std::uint64_t offset() const noexcept { return offset_; }  // bytes, on the device
  std::uint64_t size() const noexcept { return length_; }    // bytes; 0 if empty
  bool empty() const noexcept { return io_ == nullptr; }

  // SPDK's I/O, borrowed while this holds it; null if empty.
  spdk_bdev_io* native_handle() const noexcept { return io_; }

  // Gives the memory back: with commit() the device keeps what was written there, with release()
  // it need not (memory that is the device's storage itself, as a malloc device's, is changed
  // anyway). This buffer is empty at once: the operation holds the memory now. Dropped before it
  // is started, it releases.
  // Errors: invalid_argument (it had ended); of the completion as for a write.
  [[nodiscard]] zcopy_end_operation commit() noexcept;
  [[nodiscard]] zcopy_end_operation release() noexcept;

 private:
  friend class detail::zcopy_core;
  friend class detail::zcopy_end_core;
  friend class detail::thread_state;
  zcopy_buffer(detail::channel_state& channel, spdk_bdev_io* io, operation_kind kind,
               std::uint64_t offset, std::uint64_t length) noexcept;
  void take(zcopy_buffer& other) noexcept;
  operation_info info() const noexcept;
  void drop() noexcept {
    if (io_) [[unlikely]]
      end_unawaited();
  }
  spdk_bdev_io* let_go() noexcept;
  void end_unawaited() noexcept;

  // In the channel's list of those that are held, so that an ending thread finds it.
  struct link : detail::ready_node {
    explicit link(zcopy_buffer& b) noexcept : buffer(&b) {}
    zcopy_buffer* buffer;
  };
  link link_{*this};
  detail::channel_state* channel_ = nullptr;
  spdk_bdev_io* io_ = nullptr;
  std::uint64_t offset_ = 0;
  std::uint64_t length_ = 0;
  operation_kind kind_ = operation_kind::none;
};

namespace detail {

class zcopy_core : public io_core {
 public:
  result<zcopy_buffer> finish() noexcept;

 protected:
  zcopy_core(void* target, io_request r, bool by_desc) noexcept
      : io_core(target, special(r), by_desc) {}
  zcopy_core(zcopy_core&&) = default;
  ~zcopy_core() = default;
  void settle() noexcept;

 private:
  friend class io_core;
  static io_request special(io_request r) noexcept {
    r.form = io_form::special;
    return r;
  }
  int submit() noexcept;
  static void on_started(spdk_bdev_io* io, bool success, void* self);

  channel_state* lender_ = nullptr;  // of memory that nobody has taken yet
  spdk_bdev_io* io_ = nullptr;
};

class zcopy_end_core : public io_core {
 public:
  bool begin() noexcept;

 protected:
  zcopy_end_core(zcopy_buffer&& buffer, operation_kind how) noexcept;
  zcopy_end_core(zcopy_end_core&&) = default;
  ~zcopy_end_core() = default;

 private:
  zcopy_buffer buffer_;
};

}  // namespace detail

// As io_operation. Dropped when the memory was lent already, it gives that back without commit.
class [[nodiscard]] zcopy_operation
    : public detail::operation_base<zcopy_operation, result<zcopy_buffer>, detail::zcopy_core> {
 public:
  zcopy_operation(detail::channel_state* channel, const detail::io_request& r) noexcept
      : operation_base(std::in_place, channel, r, false) {}
  zcopy_operation(detail::desc_state* desc, const detail::io_request& r) noexcept
      : operation_base(std::in_place, desc, r, true) {}

  zcopy_operation(zcopy_operation&&) = default;
  zcopy_operation& operator=(zcopy_operation&&) = delete;
  ~zcopy_operation() { settle(); }
};

// As io_operation.
class [[nodiscard]] zcopy_end_operation
    : public detail::operation_base<zcopy_end_operation, result<void>, detail::zcopy_end_core> {
 public:
  zcopy_end_operation(zcopy_end_operation&&) = default;
  zcopy_end_operation& operator=(zcopy_end_operation&&) = delete;
  ~zcopy_end_operation() { settle(); }

 private:
  friend class zcopy_buffer;
  zcopy_end_operation(zcopy_buffer&& buffer, operation_kind how) noexcept
      : operation_base(std::in_place, std::move(buffer), how) {}
};

}  // namespace spdk_io::inline SPDK_IO_ABI
