// SPDX-License-Identifier: BSD-3-Clause
// What happens to an open device: it goes away, or gets another size.
#pragma once

#include <spdk_io/detail/operation.hpp>
#include <spdk_io/error.hpp>

#include <cstdint>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

namespace detail {
struct desc_state;
}  // namespace detail

struct device_event {
  enum class kind : std::uint8_t {
    removed,  // it goes as soon as the handles are dropped; new I/O fails
    resized,  // `size` is the new one; I/O is checked against it already
  };

  kind what = kind::removed;
  std::uint64_t size = 0;    // bytes, when it happened
  std::uint64_t blocks = 0;  // the same in blocks

  friend bool operator==(const device_event&, const device_event&) = default;
};

// From bdev_desc::next_event(). It does not keep the device open.
//
// What happens while nobody waits is kept: several changes of size as one, with the last size, and
// handed out before a removal. After a removal nothing more comes.
//
// Thread: awaited on the thread that opened the device, by one coroutine at a time.
// Errors, when it starts: no_such_device (the removal was handed out already, or the device is
// closed); device_or_resource_busy (somebody waits already); operation_not_permitted (another
// thread than the one that opened the device, or none is attached); bad_file_descriptor (the
// handle is empty).
// Errors, while it waits: operation_canceled (the last handle was dropped, the thread ends, or it
// was asked to stop: at once).
// Destroying the awaiting coroutine on its thread is always safe, and loses no event.
class [[nodiscard]] device_event_operation
    : public detail::operation_base<device_event_operation, result<device_event>> {
 public:
  explicit device_event_operation(detail::desc_state* desc) noexcept;
  device_event_operation(device_event_operation&& other) noexcept
      : operation_base(std::move(other)),              // which takes the base's part only
        desc_(std::exchange(other.desc_, nullptr)) {}  // NOLINT(bugprone-use-after-move)
  device_event_operation& operator=(device_event_operation&&) = delete;
  ~device_event_operation();

  bool begin() noexcept;
  result<device_event> finish() noexcept;
  void request_stop() noexcept;  // see stop_aware_promise.hpp
  void refuse_stopped() noexcept { refuse(std::errc::operation_canceled, fault::stopped); }

 private:
  friend struct detail::desc_state;

  enum class stage : std::uint8_t { fresh, waiting, done };

  bool take() noexcept;
  bool refuse(std::errc code, fault why) noexcept;
  void told() noexcept;                            // an event is there
  void leave(std::errc code, fault why) noexcept;  // ends the wait, at once, with this error

  detail::desc_state* desc_;
  device_event event_;
  int code_ = 0;
  fault why_ = fault::none;
  stage stage_ = stage::fresh;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
