// SPDX-License-Identifier: BSD-3-Clause
// What failed, on what, why: the error that every operation returns, and result<T>.
#pragma once

#include <spdk_io/abi.hpp>

#include <cstdint>
#include <expected>
#include <iosfwd>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace spdk_io::inline SPDK_IO_ABI {

// Which call an error comes from.
enum class operation_kind : std::uint8_t {
  none,
  start_env,
  attach_thread,
  use_thread,
  open_bdev,
  release_bdev,
  next_event,
  find_bdev,
  get_channel,
  read,
  write,
  flush,
  write_zeroes,
  unmap,
  reset,
  compare,
  compare_and_write,
  copy,
  zcopy_read,
  zcopy_write,
  zcopy_commit,
  zcopy_release,
  create_bdev,
  delete_bdev,
  change_bdev,
  resize_bdev,
  load_config,
  call,
  sleep,
  allocate,
  take_buffer,  // from a dma_pool
  acquire,      // a permit of an in_flight_limiter
  lock,
  acquire_semaphore,
  wait_for_event,  // an async_event
  spawn,
  retry,
  register_memory,
  statistics,
  histogram,
  qos,
  poller,
  run,
  next,  // of a stream
  send,  // into a sink
  flush_sink,
};

// Why an I/O failed, beyond what an errno can say: it was refused before the device saw it, or
// (miscompare, unsupported) the device answered so.
enum class fault : std::uint8_t {
  none,
  past_end,
  misaligned_offset,
  misaligned_length,
  read_only,
  no_buffer,
  short_buffer,
  small_bounce_buffer,
  bad_vector,
  no_channel,
  wrong_thread,
  no_thread,
  thread_exiting,
  device_closed,
  device_removed,
  handles_dropped,   // the last one was, and with it the device is closed
  events_elsewhere,  // they come to the thread that opened the device
  events_awaited,    // by somebody else
  opened_by_library,
  change_under_way,
  no_histogram,
  bad_histogram_options,
  limit_too_large,
  unsupported,
  miscompare,         // what the device holds differs from what it was compared with
  source_past_end,    // of a copy
  source_misaligned,  // of a copy
  lengths_differ,     // of the buffers to compare with and to write
  beyond_atomic_unit,
  no_metadata,      // the device has none, or none apart from its blocks
  short_metadata,   // the buffer is smaller than the blocks' metadata
  stopped,          // by request: before it was started, or while it waited for memory
  timed_out,        // its time was up, and it ended early for that
  zcopy_ended,      // committed, released, moved from, or its thread has ended
  channel_refused,  // SPDK could make none for this thread
};

// The completion status of an NVMe command: status code type and status code. Devices that are
// not NVMe report theirs in the same form (SPDK maps it); {0, 0} where there is none.
struct nvme_status {
  std::uint8_t type = 0;
  std::uint8_t code = 0;

  friend bool operator==(nvme_status, nvme_status) = default;
};

// One failure. Small and trivially copyable; it stays valid after the device has gone, since
// it holds the device's name by number. Any thread.
class error {
 public:
  error() = default;

  // A failure described by `text`, which message() returns, with control characters written as
  // \x0a. The most recent 1024 texts are kept; the message of an older error falls back to
  // operation and errno.
  error(std::errc code, operation_kind what, std::string_view text);

  // A failed I/O on `device`; `offset`, `length`, `source` and `device_size` in bytes.
  struct io {
    std::errc code = std::errc::io_error;
    operation_kind what = operation_kind::none;
    fault why = fault::none;
    nvme_status status = {};
    std::uint32_t device = 0;  // from intern_device_name()
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::uint64_t source = 0;  // of a copy: where it reads
    std::uint64_t device_size = 0;
    std::uint32_t block_size = 0;
  };
  explicit error(const io& failed) noexcept;

  std::errc code() const noexcept { return static_cast<std::errc>(code_); }
  operation_kind what() const noexcept { return what_; }
  fault why() const noexcept { return why_; }
  nvme_status status() const noexcept { return status_; }
  std::string_view device() const noexcept;                  // empty where none is concerned
  std::uint64_t offset() const noexcept { return offset_; }  // bytes; of a copy: to where
  std::uint64_t source() const noexcept;                     // bytes; of a copy: from where
  std::uint64_t length() const noexcept { return length_; }  // bytes

  // How often it was tried until this failure, by retry(); 1 otherwise. 65535 stands for more, too.
  std::uint32_t attempts() const noexcept { return attempts_; }

  // The same failure, with the reason that its time was up: errc::timed_out.
  error as_timed_out() const noexcept;
  // The same, with the reason that it was asked to stop: errc::operation_canceled.
  error as_stopped() const noexcept;
  // The same, after that many attempts.
  error after_attempts(std::uint32_t attempts) const noexcept;

  // One line for people, without a newline or other control characters, never empty:
  //   read of 4096 bytes at 8192 from Nvme0n1: unrecovered read error (NVMe 2/81h)
  std::string message() const;

  std::error_code error_code() const noexcept { return std::make_error_code(code()); }
  operator std::error_code() const noexcept { return error_code(); }

  friend bool operator==(const error& e, std::errc code) noexcept { return e.code() == code; }
  friend std::ostream& operator<<(std::ostream& out, const error& e);

 private:
  std::string reason() const;

  std::int16_t code_ = 0;  // an errno
  std::uint16_t attempts_ = 1;
  operation_kind what_ = operation_kind::none;
  fault why_ : 7 = fault::none;
  bool described_ : 1 = false;  // text_or_source_ is a text
  nvme_status status_;
  std::uint32_t device_ = 0;
  std::uint32_t block_size_ = 0;
  std::uint64_t text_or_source_ = 0;  // the number of a text, or where a copy reads
  std::uint64_t offset_ = 0;
  std::uint64_t length_ = 0;
  std::uint64_t device_size_ = 0;
};

static_assert(std::is_trivially_copyable_v<error>);

template <class T>
using result = std::expected<T, error>;

// Gives a device's name a number for the life of the process. Any thread.
std::uint32_t intern_device_name(std::string_view name);

namespace detail {
std::string_view device_name(std::uint32_t number) noexcept;  // lives as long as the process
}  // namespace detail

}  // namespace spdk_io::inline SPDK_IO_ABI

// result<T>::value() on a failure throws a std::system_error whose what() is the message,
// instead of the standard's text, which says nothing about the error it carries. (The price: it
// is not caught as std::bad_expected_access<void>.)
template <>
class std::bad_expected_access<spdk_io::error> : public std::system_error {
 public:
  explicit bad_expected_access(spdk_io::error e)
      : system_error(e.error_code()), error_(e), message_(e.message()) {}

  const char* what() const noexcept override { return message_.c_str(); }
  const spdk_io::error& error() const& noexcept { return error_; }

 private:
  spdk_io::error error_;
  std::string message_;
};
