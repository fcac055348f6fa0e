// SPDX-License-Identifier: BSD-3-Clause
// A mutex is a queue for one unit.
#include <spdk_io/async_mutex.hpp>

namespace spdk_io::inline SPDK_IO_ABI {

async_mutex::~async_mutex() {
  if (queue_->close()) delete queue_;
}

std::optional<async_mutex::scoped_lock> async_mutex::try_lock() noexcept {
  if (!queue_->try_take({.units = 1})) return std::nullopt;
  return scoped_lock(*queue_);
}

void async_mutex::scoped_lock::give_back() noexcept {
  detail::waiter_queue* queue = std::exchange(queue_, nullptr);
  if (queue->give_back({.units = 1})) delete queue;
}

lock_operation::~lock_operation() {
  detail::leave_promise(*this);
  delete settle("an async_mutex");
}

result<async_mutex::scoped_lock> lock_operation::finish() {
  if (!granted()) return std::unexpected(failure(operation_kind::lock, "mutex"));
  return async_mutex::scoped_lock(take());
}

}  // namespace spdk_io::inline SPDK_IO_ABI
