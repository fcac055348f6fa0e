// SPDX-License-Identifier: BSD-3-Clause
// A request to stop that many coroutines, on any threads, can await.
#pragma once

#include <spdk_io/detail/operation.hpp>
#include <spdk_io/error.hpp>

#include <atomic>
#include <memory>
#include <mutex>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;
class stop_wait;

// Outlives what awaits it.
class stop_event {
 public:
  stop_event() = default;
  stop_event(const stop_event&) = delete;
  stop_event& operator=(const stop_event&) = delete;

  // Any thread.
  bool requested() const noexcept { return requested_.load(std::memory_order_acquire); }
  // Any thread; not in a signal handler. Who waits goes on from its own thread's poll().
  void request() noexcept;

 private:
  friend class stop_wait;

  std::atomic<bool> requested_{false};
  std::mutex mutex_;
  stop_wait* first_ = nullptr;  // with the mutex: who waits
};

// co_await: done at once if the stop was requested already. Error: no SPDK thread is attached
// here, or there is no event to wait for.
class [[nodiscard]] stop_wait : public operation_base<stop_wait, result<void>, message_node> {
 public:
  explicit stop_wait(stop_event* event) noexcept : event_(event) {}
  stop_wait(stop_wait&&) = default;
  ~stop_wait();

  bool begin() noexcept;
  result<void> finish() noexcept;

 private:
  friend class stop_event;

  void unlink_waiter() noexcept;  // with the mutex
  static void on_request(ready_node& node);

  enum class place : std::uint8_t { here, waiting, requested };

  stop_event* event_;
  std::shared_ptr<thread_state> home_;
  stop_wait* next_waiter_ = nullptr;
  stop_wait* prev_waiter_ = nullptr;
  ready_node::run_function resume_ = nullptr;
  place place_ = place::here;  // with the mutex
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
