// SPDX-License-Identifier: BSD-3-Clause
// What can be awaited, and what comes out of it.
#pragma once

#include <spdk_io/error.hpp>

#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {

template <class T>
concept awaiter = requires(T& t) {
  t.await_ready() ? true : false;
  t.await_resume();
};

template <class T>
decltype(auto) get_awaiter(T&& value) {
  if constexpr (requires { std::forward<T>(value).operator co_await(); }) {
    return std::forward<T>(value).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<T>(value)); }) {
    return operator co_await(std::forward<T>(value));
  } else {
    return std::forward<T>(value);
  }
}

template <class T>
struct is_result : std::false_type {};
template <class T>
struct is_result<result<T>> : std::true_type {};

}  // namespace detail

// Accepted by co_await in a coroutine whose promise transforms nothing.
template <class T>
concept awaitable = requires(T&& value) {
  { detail::get_awaiter(std::forward<T>(value)) } -> detail::awaiter;
};

template <awaitable T>
using await_result_t =
    decltype(std::declval<
                 std::remove_reference_t<decltype(detail::get_awaiter(std::declval<T>()))>&>()
                 .await_resume());

}  // namespace spdk_io::inline SPDK_IO_ABI
