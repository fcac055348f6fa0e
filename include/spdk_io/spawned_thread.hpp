// SPDX-License-Identifier: BSD-3-Clause
// thread::spawn(): an OS thread with an SPDK thread and a loop of its own.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/idle.hpp>
#include <spdk_io/task.hpp>
#include <spdk_io/thread.hpp>
#include <spdk_io/thread_ref.hpp>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI {

// A running OS thread, joined on destruction. It attaches an SPDK thread, runs `main` on it if
// there is one, and serves messages and I/O until it is stopped *and* main has ended. An
// exception that leaves main, or a message nobody awaits, ends the program with its text.
class spawned_thread {
 public:
  spawned_thread(spawned_thread&&) = default;
  spawned_thread& operator=(spawned_thread&& other) noexcept {
    join();
    ref_ = std::move(other.ref_);
    ended_ = std::move(other.ended_);
    os_thread_ = std::move(other.os_thread_);
    return *this;
  }
  ~spawned_thread() { join(); }

  const thread_ref& ref() const noexcept { return ref_; }

  // Asks it to stop, without waiting. main sees it through its stop token, if it takes one.
  void request_stop() noexcept;
  // Asks it to stop and waits until it has ended; meanwhile the SPDK threads of this OS thread are
  // polled, without user code: a call to one of them would be waited for in vain. From the thread
  // itself, as its destruction there, it ends the program with a message.
  void join() noexcept;

 private:
  friend class thread;
  friend class thread_pool;
  using main_function = std::move_only_function<task<void>(thread&, std::stop_token)>;
  spawned_thread(thread_ref ref, std::shared_ptr<std::atomic<bool>> ended,
                 std::jthread os_thread) noexcept
      : ref_(std::move(ref)), ended_(std::move(ended)), os_thread_(std::move(os_thread)) {}
  // It may run on `cores` only, as the system numbers them; empty: where its maker may.
  static result<spawned_thread> start(std::string_view name, main_function main, idle_policy policy,
                                      std::vector<std::uint32_t> cores = {});
  bool is_this_os_thread() const noexcept {
    return os_thread_.get_id() == std::this_thread::get_id();
  }

  thread_ref ref_;
  std::shared_ptr<std::atomic<bool>> ended_;
  std::jthread os_thread_;
};

namespace detail {

template <class F>
task<void> run_thread_main(F main, thread& t, std::stop_token stop) {
  if constexpr (std::invocable<F&, thread&, std::stop_token>) {
    if constexpr (awaitable<std::invoke_result_t<F&, thread&, std::stop_token>>) {
      co_await std::invoke(main, t, std::move(stop));
    } else {
      std::invoke(main, t, std::move(stop));
    }
  } else if constexpr (awaitable<std::invoke_result_t<F&, thread&>>) {
    co_await std::invoke(main, t);
  } else {
    std::invoke(main, t);
  }
  co_return;
}

}  // namespace detail

// `main` is called on the new OS thread as main(thread&) or main(thread&, std::stop_token); it
// may be a coroutine. The thread's loop sleeps by `policy` when there is nothing to do. Errors: no
// env; SPDK is out of memory; the system has no thread or no file descriptors for us;
// idle::interrupt without env_options.interrupt.
template <class F>
  requires(!std::convertible_to<F, idle_policy>)
result<spawned_thread> thread::spawn(std::string_view name, F&& main, idle_policy policy) {
  return spawned_thread::start(
      name,
      [f = std::decay_t<F>(std::forward<F>(main))](thread& t, std::stop_token stop) mutable {
        return detail::run_thread_main(std::move(f), t, std::move(stop));
      },
      policy);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
