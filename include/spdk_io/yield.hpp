// SPDX-License-Identifier: BSD-3-Clause
// co_await yield(): let SPDK and the other coroutines have a turn.
#pragma once

#include <spdk_io/detail/operation.hpp>

namespace spdk_io::inline SPDK_IO_ABI {

namespace detail {
class thread_state;
}

// Resumes at the next poll of the current thread, after SPDK was polled and behind everything
// that was ready before it, whatever executor polls. Without an attached thread it does nothing.
// Destroying the awaiting coroutine on its thread is always safe.
class [[nodiscard]] yield_operation : public detail::operation_base<yield_operation, void> {
 public:
  yield_operation() = default;
  yield_operation(yield_operation&&) = default;
  ~yield_operation();

  bool begin() noexcept;
  void finish() const noexcept {}

 private:
  detail::thread_state* home_ = nullptr;
};

inline yield_operation yield() noexcept { return {}; }

}  // namespace spdk_io::inline SPDK_IO_ABI
