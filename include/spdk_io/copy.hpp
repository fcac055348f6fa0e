// SPDX-License-Identifier: BSD-3-Clause
// copy: all elements of a stream into a sink.
#pragma once

#include <spdk_io/error.hpp>
#include <spdk_io/stream.hpp>
#include <spdk_io/task.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {

// How much an element counts: its bytes, where it has some.
template <class T>
constexpr bool has_bytes = std::convertible_to<const T&, std::span<const std::byte>>;

template <class From, class To>
task<result<std::uint64_t>> copy_all(From from, To to) {
  using value = stream_value_t<std::remove_reference_t<From>>;
  std::uint64_t copied = 0;
  for (;;) {
    auto each = co_await from.next();
    if (!each) co_return std::unexpected(each.error());
    if (!*each) break;
    std::uint64_t size = 1;
    if constexpr (has_bytes<value>) {
      const std::span<const std::byte> bytes = std::as_const(**each);
      size = bytes.size();
      if constexpr (sink<std::remove_reference_t<To>, std::span<const std::byte>>) {
        if (auto r = co_await to.send(bytes); !r) co_return std::unexpected(r.error());
      } else {
        if (auto r = co_await to.send(std::move(**each)); !r) co_return std::unexpected(r.error());
      }
    } else {
      if (auto r = co_await to.send(std::move(**each)); !r) co_return std::unexpected(r.error());
    }
    copied += size;
  }
  if (auto r = co_await to.flush(); !r) co_return std::unexpected(r.error());
  co_return copied;
}

}  // namespace detail

// Sends each element, waits for room before it asks for the next one, and flushes at the end; it
// does not close.
//   read_stream in(source, {.chunk = 128 << 10, .depth = 16});
//   write_sink out(target, {.depth = 16});
//   auto copied = co_await copy(in, out);              // bytes
// Gives how many bytes were copied (elements, where they are no bytes), or the first error, of the
// stream or of the sink, with its place on the device. After an error the sink may have taken, and
// written, more than what lies before it.
// Streams and sinks given as lvalues have to outlive it. One frame is allocated.
// Cancellation: at once where it waits; the stream and the sink stay usable.
template <class From, class To>
  requires stream<std::remove_reference_t<From>> &&
           (sink<std::remove_reference_t<To>, stream_value_t<std::remove_reference_t<From>>> ||
            (detail::has_bytes<stream_value_t<std::remove_reference_t<From>>> &&
             sink<std::remove_reference_t<To>, std::span<const std::byte>>))
task<result<std::uint64_t>> copy(From&& from, To&& to) {
  return detail::copy_all<From, To>(std::forward<From>(from), std::forward<To>(to));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
