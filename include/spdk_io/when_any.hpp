// SPDX-License-Identifier: BSD-3-Clause
// when_any, when_any_success: run several awaitables side by side until one has ended, or
// succeeded.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/awaitable_range.hpp>
#include <spdk_io/detail/linked_stop_source.hpp>
#include <spdk_io/detail/root.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/stop_aware_promise.hpp>

#include <coroutine>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI {

// What when_any() gives: which part won, and what that gave.
template <class T>
struct when_any_result {
  std::size_t index;
  T value;
  // The first failure, in their order, of the parts that did not win, other than
  // operation_canceled.
  std::optional<error> other_failure;
};

namespace detail {

// Who is first, how many run, and who is resumed when none does. Movable until it is awaited.
class race {
 public:
  explicit race(bool success_wins) noexcept : success_wins_(success_wins) {}
  race(race&& other) noexcept : success_wins_(other.success_wins_) {}
  race& operator=(race&&) = delete;

  void follow(local_stop_token token) noexcept { source_.follow(token); }
  local_stop_token get_token() noexcept { return source_.get_token(); }
  bool won() const noexcept { return winner_ != nobody; }
  // If nobody has succeeded: who failed first.
  std::size_t winner() const noexcept { return won() ? winner_ : first_; }

  void part_starts() noexcept { ++left_; }
  void part_ended(std::size_t index, bool failed) {
    if (first_ == nobody) first_ = index;
    // While this part counts as running, nobody can resume the parent, which may destroy the
    // source.
    if (!won() && !(failed && success_wins_)) {
      winner_ = index;
      source_.request_stop();
    }
    if (--left_ != 0) return;
    source_.unlink();
    parent_.resume();
  }
  // True if the parent must stay suspended.
  bool wait(std::coroutine_handle<> parent) noexcept {
    parent_ = parent;
    if (--left_ != 0) return true;
    source_.unlink();
    return false;
  }

 private:
  static constexpr std::size_t nobody = static_cast<std::size_t>(-1);

  linked_stop_source source_;
  std::size_t left_ = 1;  // the parent itself, until it is suspended
  std::size_t winner_ = nobody;
  std::size_t first_ = nobody;
  std::coroutine_handle<> parent_;
  const bool success_wins_;
};

// One part of it. Movable until it is made to run.
template <class A>
class contender {
  using value = await_result_t<A>;

 public:
  explicit contender(kept_t<A>&& what) : what_(std::move(what)) {}

  void make(race& in, std::size_t index) {
    race_ = &in;
    index_ = index;
    coroutine_ = run_into<A>(static_cast<A&&>(what_), outcome_);
    coroutine_.set_stop_token(in.get_token());
  }
  void start() {
    race_->part_starts();
    coroutine_.start(ended, this);
  }
  // It is not started where another one has won before.
  void start_unless_won() {
    if (!race_->won()) start();
  }

  regular_t<value> take() { return outcome_.take_regular(); }

  // Of one that did not win: an exception that is more than a failed result's is thrown. What it
  // gave goes, with what that owns.
  void give_up(std::optional<error>& first) {
    note_failure(first);
    outcome_ = {};
    coroutine_.reset();
  }

 private:
  void note_failure(std::optional<error>& first) const {
    try {
      if (outcome_.exception()) std::rethrow_exception(outcome_.exception());
      if constexpr (is_result<regular_t<value>>::value) {
        if (failed()) note(outcome_.value()->error(), first);
      }
    } catch (const std::bad_expected_access<error>& e) {
      note(e.error(), first);
    } catch (const std::system_error& e) {
      if (e.code() != std::errc::operation_canceled) throw;
    }
  }
  static void ended(void* argument) {
    auto& self = *static_cast<contender*>(argument);
    self.race_->part_ended(self.index_, self.failed());
  }
  bool failed() const noexcept {
    if (outcome_.exception()) return true;
    if constexpr (is_result<regular_t<value>>::value) {
      return outcome_.value() && !outcome_.value()->has_value();
    }
    return false;
  }
  static void note(const error& e, std::optional<error>& first) noexcept {
    if (!first && e != std::errc::operation_canceled) first = e;
  }

  race* race_ = nullptr;
  std::size_t index_ = 0;
  kept_t<A> what_;
  outcome<value> outcome_;
  owned_coroutine coroutine_;
};

template <class... A>
class when_any_tuple {
  static_assert(sizeof...(A) > 0, "of nothing, nothing can be first");
  using value = std::variant<regular_t<await_result_t<A>>...>;

 public:
  explicit when_any_tuple(bool success_wins, A&&... what)
      : race_(success_wins), parts_(std::forward<A>(what)...) {}

  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> parent) {
    for_each([&](std::size_t index, auto& part) { part.make(race_, index); });
    race_.follow(stop_token_of(parent));
    for_each([](std::size_t, auto& part) { part.start_unless_won(); });
    return race_.wait(parent);
  }
  when_any_result<value> await_resume() {
    const std::size_t winner = race_.winner();
    std::optional<value> won;
    take_if(winner, won, std::index_sequence_for<A...>());
    std::optional<error> other;
    for_each([&](std::size_t index, auto& part) {
      if (index != winner) part.give_up(other);
    });
    return {winner, std::move(*won), other};
  }

 private:
  template <class F>
  void for_each(F f) {
    std::apply(
        [&](auto&... part) {
          std::size_t index = 0;
          (f(index++, part), ...);
        },
        parts_);
  }
  template <std::size_t... I>
  void take_if(std::size_t winner, std::optional<value>& into, std::index_sequence<I...>) {
    ((I == winner ? (void)into.emplace(std::in_place_index<I>, std::get<I>(parts_).take())
                  : (void)0),
     ...);
  }

  race race_;
  std::tuple<contender<A>...> parts_;  // go first: their tokens are the race's
};

template <class A>
class when_any_range {
  using value = regular_t<await_result_t<A>>;

 public:
  when_any_range(bool success_wins, std::vector<kept_t<A>>&& all) : race_(success_wins) {
    parts_.reserve(all.size());
    for (auto& each : all) parts_.emplace_back(std::move(each));
  }

  bool await_ready() const {
    if (parts_.empty()) throw std::invalid_argument("when_any of an empty range: nothing is first");
    return false;
  }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> parent) {
    for (std::size_t i = 0; i < parts_.size(); ++i) parts_[i].make(race_, i);
    race_.follow(stop_token_of(parent));
    for (auto& part : parts_) part.start_unless_won();
    return race_.wait(parent);
  }
  when_any_result<value> await_resume() {
    const std::size_t winner = race_.winner();
    value won = parts_[winner].take();
    std::optional<error> other;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (i != winner) parts_[i].give_up(other);
    }
    return {winner, std::move(won), other};
  }

 private:
  race race_;
  std::vector<contender<A>> parts_;
};

}  // namespace detail

// co_await when_any(a, b, …) starts all, in order; the first that ends wins, whatever it gives, a
// failed result or an exception too. The others are then asked to stop, and awaited: SPDK has let
// go of every buffer when this resumes.
//   auto first = co_await when_any(disk.read(x, 0), sleep_for(5ms));
//   if (first.index == 0 && std::get<0>(first.value)) …
// Gives which one it was, and a variant of what each gives, by position (std::monostate for void).
// For a time limit with_timeout() is simpler, and allocates nothing.
//
// Where one ends at once, those behind it are not started.
// What becomes of the others' results: values are dropped (a lock or a permit goes back, what was
// read is in its buffer all the same), operation_canceled too, and the first other error is
// other_failure. An exception is rethrown, in place of the winner's value: the winner's own first,
// then the first in order; but not one that only carries a failed result, as value() throws it,
// which counts as that.
//
// Cancellation: a stop request to who awaits goes to every part, and the first to end wins.
// Destroying it destroys what has not ended. All parts end on the thread that awaits. One frame is
// allocated for each.
template <awaitable... A>
[[nodiscard]] auto when_any(A&&... what) {
  return detail::when_any_tuple<A...>(false, std::forward<A>(what)...);
}

// The same for any number of one kind: index and value, without a variant. The range is gone
// through as by when_all(). An empty one throws std::invalid_argument when it is awaited.
template <detail::awaitable_range R>
[[nodiscard]] auto when_any(R&& range) {
  return detail::when_any_range<detail::part_t<R>>(false,
                                                   detail::take_apart(std::forward<R>(range)));
}

// The first that succeeds wins: one that ends without an exception, and not with a failed result. A
// failure stops nobody; its error is other_failure where one succeeds later.
//   auto r = co_await when_any_success(left.read(x, 0), right.read(y, 0));   // a mirror
// If all fail, it gives the one that failed first.
template <awaitable... A>
[[nodiscard]] auto when_any_success(A&&... what) {
  return detail::when_any_tuple<A...>(true, std::forward<A>(what)...);
}

template <detail::awaitable_range R>
[[nodiscard]] auto when_any_success(R&& range) {
  return detail::when_any_range<detail::part_t<R>>(true,
                                                   detail::take_apart(std::forward<R>(range)));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
