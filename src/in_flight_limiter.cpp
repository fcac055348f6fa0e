// SPDX-License-Identifier: BSD-3-Clause
// Permits for I/O: taken from a queue, and given back to it.
#include <spdk_io/in_flight_limiter.hpp>

namespace spdk_io::inline SPDK_IO_ABI {

in_flight_limiter::~in_flight_limiter() {
  if (queue_ && queue_->close()) delete queue_;
}

std::optional<in_flight_limiter::permit> in_flight_limiter::try_acquire(
    std::uint64_t ios, std::uint64_t bytes) noexcept {
  const detail::amount wanted = {.units = ios, .bytes = bytes};
  if (!queue_ || !queue_->try_take(wanted)) return std::nullopt;
  return permit(*queue_, wanted);
}

in_flight_limits in_flight_limiter::limits() const noexcept {
  if (!queue_) return {.ios = 0, .bytes = 0};
  return {.ios = queue_->limit().units, .bytes = queue_->limit().bytes};
}

void in_flight_limiter::permit::give_back() noexcept {
  detail::waiter_queue* queue = std::exchange(queue_, nullptr);
  if (queue->give_back(amount_)) delete queue;
}

acquire_operation::~acquire_operation() {
  detail::leave_promise(*this);
  delete settle("an in_flight_limiter");
}

result<in_flight_limiter::permit> acquire_operation::finish() noexcept {
  if (!granted()) return std::unexpected(failure(operation_kind::acquire, "limiter"));
  return in_flight_limiter::permit(take(), wanted());
}

}  // namespace spdk_io::inline SPDK_IO_ABI
