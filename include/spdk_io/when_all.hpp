// SPDX-License-Identifier: BSD-3-Clause
// when_all: runs several awaitables side by side and waits for all of them.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/awaitable_range.hpp>
#include <spdk_io/detail/root.hpp>

#include <array>
#include <coroutine>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {

// Counts down as the parts end; the last one resumes the parent. It starts with one more for
// the parent itself, so that parts that end at once do not resume it before it is suspended.
class join_counter {
 public:
  explicit join_counter(std::size_t parts) noexcept : left_(parts + 1) {}

  // True if the parent must stay suspended.
  bool wait(std::coroutine_handle<> parent) noexcept {
    parent_ = parent;
    return --left_ != 0;
  }
  static void part_ended(void* self) {
    auto& counter = *static_cast<join_counter*>(self);
    if (--counter.left_ == 0) counter.parent_.resume();
  }

 private:
  std::size_t left_;
  std::coroutine_handle<> parent_;
};

// Movable until it is awaited. Parts are destroyed with it, finished or not; declared after the
// outcomes that they fill.
template <class... A>
class when_all_tuple {
 public:
  explicit when_all_tuple(A&&... what) : what_(std::forward<A>(what)...) {}

  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> parent) {
    make_parts(std::index_sequence_for<A...>());
    for (auto& part : parts_) part.set_stop_token(stop_token_of(parent));
    for (auto& part : parts_) part.start(join_counter::part_ended, &counter_);
    return counter_.wait(parent);
  }
  auto await_resume() {
    return std::apply(
        [](auto&... each) {
          // Braces: taken from left to right, so the first exception in order is rethrown.
          return std::tuple<regular_t<await_result_t<A>>...>{each.take_regular()...};
        },
        outcomes_);
  }

 private:
  template <std::size_t... I>
  void make_parts(std::index_sequence<I...>) {
    ((parts_[I] = run_into<A>(std::forward<A>(std::get<I>(what_)), std::get<I>(outcomes_))), ...);
  }

  std::tuple<A...> what_;
  std::tuple<outcome<await_result_t<A>>...> outcomes_;
  std::array<owned_coroutine, sizeof...(A)> parts_;
  join_counter counter_{sizeof...(A)};
};

template <class A>
class when_all_range {
 public:
  explicit when_all_range(std::vector<kept_t<A>>&& all) noexcept : what_(std::move(all)) {}

  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> parent) {
    outcomes_.resize(what_.size());
    parts_.reserve(what_.size());
    for (std::size_t i = 0; i < what_.size(); ++i) {
      parts_.push_back(run_into<A>(static_cast<A&&>(what_[i]), outcomes_[i]));
    }
    counter_ = join_counter(parts_.size());
    for (auto& part : parts_) part.set_stop_token(stop_token_of(parent));
    for (auto& part : parts_) part.start(join_counter::part_ended, &counter_);
    return counter_.wait(parent);
  }
  auto await_resume() {
    std::vector<regular_t<await_result_t<A>>> values;
    values.reserve(outcomes_.size());
    for (auto& each : outcomes_) values.push_back(each.take_regular());
    return values;
  }

 private:
  std::vector<kept_t<A>> what_;
  std::vector<outcome<await_result_t<A>>> outcomes_;
  std::vector<owned_coroutine> parts_;
  join_counter counter_{0};
};

}  // namespace detail

// co_await when_all(a, b, …) starts all, in order, and resumes when the last has ended:
//   auto [ra, rb] = co_await when_all(disk.read(x, 0), disk.read(y, 4096));
// Gives a tuple of what each gives (std::monostate for void). A failed result is a value like
// any other. If some throw, all are waited for, then the first exception in order is rethrown.
// One frame is allocated for each. A stop request to who awaits goes to every part; one that fails
// does not stop the others. Destroying it destroys what has not ended. All parts end on
// the thread that awaits.
template <awaitable... A>
[[nodiscard]] auto when_all(A&&... what) {
  return detail::when_all_tuple<A...>(std::forward<A>(what)...);
}

// The same for any number of one kind; gives a vector in the same order. The range is gone through
// here, once, so that it may be one whose elements are made by that:
//   auto all = co_await when_all(slots | std::views::transform(read_slot));
// A container that is moved in gives up its elements; those of one that is not, or of a view of
// one, are awaited where they are, and live until then.
template <detail::awaitable_range R>
[[nodiscard]] auto when_all(R&& range) {
  return detail::when_all_range<detail::part_t<R>>(detail::take_apart(std::forward<R>(range)));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
