// SPDX-License-Identifier: BSD-3-Clause
// retry(): an operation is tried again, after growing delays, while its errors are such as may
// pass.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/sleep_for.hpp>
#include <spdk_io/stop_aware_promise.hpp>
#include <spdk_io/task.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

// How often, and how long between. The first delay is `first_delay`, each further one `factor`
// times as long, up to `max_delay`; each is then shortened by a random part of it, up to the
// fraction `jitter`, so that many who failed together do not come back together.
struct retry_policy {
  std::uint32_t attempts = 4;                         // in all; at least 1
  std::chrono::nanoseconds first_delay{1'000'000};    // not negative
  std::chrono::nanoseconds max_delay{1'000'000'000};  // not below first_delay
  double factor = 2;                                  // at least 1
  double jitter = 0.25;                               // from 0 to 1
};

// May be written inside a co_await expression: GCC 12 copies aggregates bit by bit there.
static_assert(std::is_trivially_copyable_v<retry_policy>);

// Whether trying again may help: after a want of resources or of a turn (EAGAIN, EBUSY, ENOMEM,
// EINTR), after a time limit of this attempt alone (with_timeout() inside), and where a device was
// not ready, was interrupted, or failed without saying that its media or the request is at fault:
// NVMe 0/04h, 0/06h, 0/21h, 0/22h, 0/82h, 0/84h, 3/00h, 3/03h, 3/60h, 3/70h. (Devices that are not
// NVMe report nearly every failure as 0/06h; where the system gave them an errno other than EIO,
// that one decides.) Not after what the library refused (an invalid request, a device that was
// closed or removed), media errors, reservations, miscompares, or what was cancelled or aborted.
// SPDK does not hand on a device's "do not retry" bit, so it is the status that counts.
bool is_transient(const error& e) noexcept;

// Starts this OS thread's sequence of jitter anew, so that the delays that follow are known. Until
// it is called, the sequence differs from thread to thread and from run to run.
void seed_retry_jitter(std::uint64_t seed) noexcept;

namespace detail {

result<void> check(const retry_policy& policy);

// The delays of one retry().
class retry_delays {
 public:
  explicit retry_delays(const retry_policy& policy) noexcept
      : policy_(policy), next_(policy.first_delay) {}  // Requires: check(policy)
  std::chrono::nanoseconds next() noexcept;

 private:
  retry_policy policy_;
  std::chrono::nanoseconds next_;
};

template <class T>
concept retryable = awaitable<T> && is_result<std::remove_cvref_t<await_result_t<T>>>::value;

}  // namespace detail

// Awaits what make() gives, and again what it gives then, until one succeeds, fails in a way that
// `again` says does not pass, or there were policy.attempts:
//   auto r = co_await retry([&] { return disk.read(buffer, 0); }, {.attempts = 5});
// make() returns an operation, a task, or anything awaitable that gives a result<T>; it is called
// once for each attempt. Give it what may be done twice: a write at an offset is, an append is not.
//
// Between attempts it sleeps on the timers of the thread's polling. Nothing is remembered between
// calls. One frame is allocated for a call (it is a task), none for an attempt.
//
// Errors: of a policy that cannot be, invalid_argument, and make() is not called. Otherwise the
// last attempt's, whose attempts() and message say how many there were. Where the delay cannot be
// waited for (no thread is attached, or it is ending), there is no further attempt. An exception of
// make() or of what it gives is not caught.
// Cancellation: a stop request ends the attempt as it ends any, or the delay at once; the error is
// operation_canceled, also where the attempt had failed by itself and was to be made again.
// with_timeout() around it limits all attempts together, inside make() each of them.
//
// Thread: it starts, sleeps and resumes on the awaiting thread.
template <std::move_constructible F, std::predicate<const error&> Again>
  requires detail::retryable<std::invoke_result_t<F&>>
auto retry(F make, retry_policy policy, Again again)
    -> task<std::remove_cvref_t<await_result_t<std::invoke_result_t<F&>>>> {
  if (auto valid = detail::check(policy); !valid) co_return std::unexpected(valid.error());
  detail::retry_delays delays(policy);
  for (std::uint32_t attempt = 1;; ++attempt) {
    auto r = co_await std::invoke(make);
    if (r) co_return std::move(r);
    const error failed = r.error().after_attempts(attempt);
    const bool last = attempt == policy.attempts || !std::invoke(again, failed);
    if (last) co_return std::unexpected(failed);
    auto slept = co_await sleep_for(delays.next());
    if (!slept) {
      const local_stop_token token = co_await current_stop_token();
      co_return std::unexpected(token.stop_requested() ? failed.as_stopped() : failed);
    }
  }
}

template <std::move_constructible F>
  requires detail::retryable<std::invoke_result_t<F&>>
auto retry(F make, retry_policy policy = {}) {
  return retry(std::move(make), policy, is_transient);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
