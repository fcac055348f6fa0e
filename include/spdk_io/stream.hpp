// SPDX-License-Identifier: BSD-3-Clause
// What a stream is, and what a sink is.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/error.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {

template <class R>
struct next_result;
template <class T>
struct next_result<result<std::optional<T>>> {
  using value = T;
};

template <class A>
concept awaitable_done = awaitable<A> && std::same_as<await_result_t<A>, result<void>>;

}  // namespace detail

// Gives one element after another: `co_await s.next()` is a result<std::optional<T>>, an element,
// or nothing at the end, or an error. After the end there is nothing again; what comes after an
// error, each stream says. One next() at a time.
template <class S>
concept stream = requires(S& s) {
  { s.next() } -> awaitable;
  typename detail::next_result<await_result_t<decltype(s.next())>>::value;
};

template <stream S>
using stream_value_t =
    typename detail::next_result<await_result_t<decltype(std::declval<S&>().next())>>::value;

// Takes one element after another: `co_await s.send(v)` waits for room and is a result<void>.
// flush() is done when nothing of what was sent is kept back; close() is the last call, and
// flushes. Each says what an error means for what was sent before. One call at a time, unless the
// sink permits more.
template <class S, class T>
concept sink = requires(S& s, T&& value) {
  { s.send(std::forward<T>(value)) } -> detail::awaitable_done;
  { s.flush() } -> detail::awaitable_done;
  { s.close() } -> detail::awaitable_done;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
