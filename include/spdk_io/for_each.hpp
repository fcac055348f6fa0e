// SPDX-License-Identifier: BSD-3-Clause
// for_each: a function for each element of a stream, one after another.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/stream.hpp>
#include <spdk_io/task.hpp>

#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {

template <class R>
constexpr bool may_fail = std::same_as<std::remove_cvref_t<R>, result<void>>;

template <class S, class F>
task<result<void>> for_each_of(S from, F function) {
  using value = stream_value_t<std::remove_reference_t<S>>;
  using returned = std::invoke_result_t<F&, value>;
  for (;;) {
    auto each = co_await from.next();
    if (!each) co_return std::unexpected(each.error());
    if (!*each) co_return result<void>();
    if constexpr (may_fail<returned>) {
      if (auto r = std::invoke(function, std::move(**each)); !r) co_return r;
    } else if constexpr (!awaitable<returned>) {
      std::invoke(function, std::move(**each));
    } else if constexpr (may_fail<await_result_t<returned>>) {
      if (auto r = co_await std::invoke(function, std::move(**each)); !r) co_return r;
    } else {
      co_await std::invoke(function, std::move(**each));
    }
  }
}

}  // namespace detail

// Calls `function` with each element, moved; where it returns something awaitable, that is awaited
// before the next element is asked for. It may return, or give, a result<void>, whose error ends
// it.
//   auto r = co_await for_each(in, [&](read_chunk chunk) { return disk.write(chunk, where); });
// Gives the first error, of the stream or of the function; exceptions of the function leave it.
// A stream given as an lvalue has to outlive it. One frame is allocated.
// Cancellation: what it awaits is stopped, the stream's next() or what the function returned.
template <class S, class F>
  requires stream<std::remove_reference_t<S>> &&
           std::invocable<F&, stream_value_t<std::remove_reference_t<S>>>
task<result<void>> for_each(S&& from, F function) {
  return detail::for_each_of<S, F>(std::forward<S>(from), std::move(function));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
