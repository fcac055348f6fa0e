// SPDX-License-Identifier: BSD-3-Clause
// Asio's cancellation slots, for Asios that have them. See asio_adapter.hpp.

namespace spdk_io::inline SPDK_IO_ABI::adapters::SPDK_IO_ASIO_ADAPTER {

// Whether this Asio has cancellation slots, so that a handler's slot stops its operation.
inline constexpr bool has_cancellation_slots = SPDK_IO_ASIO_HAS_CANCELLATION_SLOTS != 0;

namespace detail {

#if SPDK_IO_ASIO_HAS_CANCELLATION_SLOTS

// In the cancellation slot of a handler whose operation is in flight. The slot may be emptied, by
// its signal's end, before the operation is complete: `place` tells which.
template <class Pending>
class slot_request {
 public:
  slot_request(Pending* operation, const slot_request** place) noexcept
      : operation_(operation), place_(place) {
    *place_ = this;
  }
  slot_request(const slot_request&) = delete;
  slot_request& operator=(const slot_request&) = delete;
  ~slot_request() { *place_ = nullptr; }

  // An aborted write may be done in part: "total" is more than can be promised.
  void operator()(net::cancellation_type_t type) const noexcept {
    constexpr auto honoured = net::cancellation_type::terminal | net::cancellation_type::partial;
    if (!!(type & honoured)) operation_->request_stop();
  }

 private:
  Pending* operation_;
  const slot_request** place_;
};

// From the handler's slot to its operation, both of which are where they stay.
template <class Handler, class Pending>
class slot_connection {
 public:
  void connect(const Handler& handler, Pending& operation) {
    auto slot = net::get_associated_cancellation_slot(handler);
    if (!slot.is_connected()) return;
    slot.template emplace<slot_request<Pending>>(&operation, &in_slot_);
  }
  void disconnect(const Handler& handler) noexcept {
    if (in_slot_) net::get_associated_cancellation_slot(handler).clear();
  }

 private:
  const slot_request<Pending>* in_slot_ = nullptr;
};

#else

template <class Handler, class Pending>
class slot_connection {
 public:
  void connect(const Handler&, Pending&) noexcept {}
  void disconnect(const Handler&) noexcept {}
};

#endif

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI::adapters::SPDK_IO_ASIO_ADAPTER
