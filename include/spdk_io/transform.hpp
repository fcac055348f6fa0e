// SPDX-License-Identifier: BSD-3-Clause
// transform: a stream of what a function makes of each element.
#pragma once

#include <spdk_io/detail/mapped_awaitable.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/stream.hpp>

#include <concepts>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

// Made by transform().
template <class S, class F>
class transform_stream {
  using element = stream_value_t<std::remove_reference_t<S>>;
  using value = std::remove_cvref_t<std::invoke_result_t<F&, element>>;

 public:
  transform_stream(S&& from, F function)
      : from_(std::forward<S>(from)), function_(std::move(function)) {}

  // co_await gives a result<std::optional<what the function returns>>. Errors, the end, and
  // cancellation are those of the stream; exceptions of the function leave the co_await.
  // Requires: this stays where it is until the element has come.
  auto next() {
    return detail::mapped_awaitable<decltype(from_.next()), map>(from_.next(), map{&function_});
  }

 private:
  struct map {
    F* function;
    using result_type = result<std::optional<value>>;
    bool skip() const noexcept { return false; }
    result_type operator()() const { return std::optional<value>(); }
    result_type operator()(result<std::optional<element>> r) const {
      if (!r) return std::unexpected(r.error());
      if (!*r) return std::optional<value>();
      return std::optional<value>(std::invoke(*function, std::move(**r)));
    }
  };

  S from_;  // a reference, if it was given an lvalue
  F function_;
};

// `function` is called with each element, moved, on the thread that awaits it.
//   auto sums = transform(read_stream(disk), [](read_chunk chunk) { return crc32(chunk.bytes());
//   });
// A stream given as an lvalue is used where it is, and has to outlive what this returns. Allocates
// nothing.
template <class S, class F>
  requires stream<std::remove_reference_t<S>>
[[nodiscard]] auto transform(S&& from, F function) {
  return transform_stream<S, F>(std::forward<S>(from), std::move(function));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
