// SPDX-License-Identifier: BSD-3-Clause
// Ranges of awaitables, taken apart to be run side by side.
#pragma once

#include <spdk_io/awaitable.hpp>

#include <functional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// A container that is handed over is moved out of; a view, or a container that its owner keeps,
// gives what it gives: values, or references to awaitables that stay where they are.
template <class R>
inline constexpr bool handed_over =
    !std::is_lvalue_reference_v<R> && !std::ranges::view<std::remove_cvref_t<R>>;

template <std::ranges::input_range R>
using part_t = std::conditional_t<
    std::is_lvalue_reference_v<std::ranges::range_reference_t<R>> && !handed_over<R>,
    std::ranges::range_reference_t<R>, std::remove_cvref_t<std::ranges::range_reference_t<R>>>;

template <class R>
concept awaitable_range = !awaitable<R> && std::ranges::input_range<R> && awaitable<part_t<R>>;

// As an element of a vector. static_cast<A&&>(kept) awaits it.
template <class A>
using kept_t = std::conditional_t<std::is_lvalue_reference_v<A>,
                                  std::reference_wrapper<std::remove_reference_t<A>>, A>;

template <class R>
std::vector<kept_t<part_t<R>>> take_apart(R&& range) {
  std::vector<kept_t<part_t<R>>> out;
  if constexpr (std::ranges::sized_range<R>) out.reserve(std::ranges::size(range));
  auto end = std::ranges::end(range);
  for (auto each = std::ranges::begin(range); each != end; ++each) {
    if constexpr (handed_over<R>) {
      out.push_back(std::ranges::iter_move(each));
    } else {
      out.push_back(*each);
    }
  }
  return out;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
