// SPDX-License-Identifier: BSD-3-Clause
// co_await sleep_for(duration): on the SPDK thread's own timers.
#pragma once

#include <spdk_io/detail/operation.hpp>
#include <spdk_io/detail/timer_queue.hpp>
#include <spdk_io/error.hpp>

#include <chrono>

namespace spdk_io::inline SPDK_IO_ABI {

namespace detail {
class thread_state;
}

// Resumes from thread::poll() once `duration` has passed, never earlier; how much later depends
// on how often the thread is polled. Zero or less resumes at the next poll.
// Errors: no thread is attached here; errc::operation_canceled when the thread ends meanwhile, or
// at once when a stop is requested.
// Destroying the awaiting coroutine on its thread is always safe.
class [[nodiscard]] sleep_operation : public detail::operation_base<sleep_operation, result<void>>,
                                      private detail::timer_node {
 public:
  explicit sleep_operation(std::chrono::nanoseconds duration) noexcept : duration_(duration) {}
  sleep_operation(sleep_operation&& other) noexcept
      : operation_base(std::move(other)),  // which takes the base's part only
        duration_(other.duration_) {}      // NOLINT(bugprone-use-after-move)
  ~sleep_operation();

  bool begin() noexcept;
  result<void> finish() const noexcept;

  void request_stop() noexcept;
  void refuse_stopped() noexcept { stopped_ = true; }

 private:
  static void on_expire(detail::timer_node& node);

  std::chrono::nanoseconds duration_;
  detail::thread_state* home_ = nullptr;
  bool stopped_ = false;
};

template <class Rep, class Period>
sleep_operation sleep_for(std::chrono::duration<Rep, Period> duration) noexcept {
  return sleep_operation(std::chrono::ceil<std::chrono::nanoseconds>(duration));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
