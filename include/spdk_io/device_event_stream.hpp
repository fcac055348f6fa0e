// SPDX-License-Identifier: BSD-3-Clause
// What happens to an open device, as a stream.
#pragma once

#include <spdk_io/detail/operation.hpp>
#include <spdk_io/device_event.hpp>
#include <spdk_io/error.hpp>

#include <optional>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

// What device_event_stream::next() returns: a device_event_operation, for which the removal that
// was handed out is the end.
class [[nodiscard]] next_device_event_operation
    : public detail::operation_base<next_device_event_operation,
                                    result<std::optional<device_event>>> {
 public:
  explicit next_device_event_operation(detail::desc_state* desc) noexcept : event_(desc) {}
  next_device_event_operation(next_device_event_operation&&) = default;
  next_device_event_operation& operator=(next_device_event_operation&&) = delete;
  ~next_device_event_operation() { detail::leave_promise(*this); }

  bool begin() noexcept {
    event_.continue_with(
        [](detail::ready_node& node) {
          auto& self = *static_cast<next_device_event_operation*>(node.context);
          self.run(self);
        },
        this);
    return event_.begin();
  }
  result<std::optional<device_event>> finish() noexcept {
    auto r = event_.finish();
    if (r) return std::optional<device_event>(*r);
    if (r.error().why() == fault::device_removed) return std::optional<device_event>();
    return std::unexpected(r.error());
  }
  void request_stop() noexcept { event_.request_stop(); }
  void refuse_stopped() noexcept { event_.refuse_stopped(); }

 private:
  device_event_operation event_;
};

// From bdev_desc::events(): what next_event() gives, one after another, and the end after the
// removal. Any number of these share the events of a descriptor: each event comes to one of them.
// Thread, errors, cancellation, and what keeps the device open (this does not): as of next_event();
// after an error, next() may be called again.
class device_event_stream {
 public:
  explicit device_event_stream(detail::desc_state* desc) noexcept;
  device_event_stream(device_event_stream&& other) noexcept
      : desc_(std::exchange(other.desc_, nullptr)) {}
  device_event_stream& operator=(device_event_stream&& other) noexcept {
    std::swap(desc_, other.desc_);
    return *this;
  }
  ~device_event_stream();

  // co_await gives a result<std::optional<device_event>>.
  next_device_event_operation next() noexcept { return next_device_event_operation(desc_); }

 private:
  detail::desc_state* desc_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
