// SPDX-License-Identifier: BSD-3-Clause
// take: the first elements of a stream.
#pragma once

#include <spdk_io/detail/mapped_awaitable.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/stream.hpp>

#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

// Made by take().
template <class S>
class take_stream {
  using value = stream_value_t<std::remove_reference_t<S>>;

 public:
  take_stream(S&& from, std::uint64_t count) : from_(std::forward<S>(from)), left_(count) {}

  // As the stream's, until so many elements have come; then the end, without asking the stream.
  // Requires: this stays where it is until the element has come.
  auto next() {
    return detail::mapped_awaitable<decltype(from_.next()), map>(from_.next(), map{&left_});
  }

 private:
  struct map {
    std::uint64_t* left;
    bool skip() const noexcept { return *left == 0; }
    result<std::optional<value>> operator()() const { return std::optional<value>(); }
    result<std::optional<value>> operator()(result<std::optional<value>> r) const {
      if (r && *r) --*left;
      return r;
    }
  };

  S from_;  // a reference, if it was given an lvalue
  std::uint64_t left_;
};

// A stream given as an lvalue is used where it is, has to outlive what this returns, and goes on
// afterwards with the element after these. Allocates nothing.
template <class S>
  requires stream<std::remove_reference_t<S>>
[[nodiscard]] auto take(S&& from, std::uint64_t count) {
  return take_stream<S>(std::forward<S>(from), count);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
