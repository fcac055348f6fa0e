// SPDX-License-Identifier: BSD-3-Clause
// merge: the elements of several streams, as they come.
#pragma once

#include <spdk_io/detail/operation.hpp>
#include <spdk_io/detail/root.hpp>
#include <spdk_io/detail/wait_point.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/stream.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {

// What has come, and who waits for it. Each stream has a coroutine that awaits its next element,
// offers it here, and sleeps until somebody has taken it and asks for more.
template <class T>
class merge_core {
 public:
  using element = result<std::optional<T>>;

  merge_core() = default;
  merge_core(const merge_core&) = delete;
  merge_core& operator=(const merge_core&) = delete;

  wait_point& point() noexcept { return point_; }

  // Asks the stream for more whose element was taken last. True: something is there.
  bool prepare() {
    if (auto more = std::exchange(taken_, nullptr)) more.resume();
    return !offers_.empty() || error_ || exception_ || running_ == 0;
  }

  element take() {
    if (exception_) std::rethrow_exception(exception_);
    if (error_) return std::unexpected(*error_);
    if (offers_.empty()) return std::optional<T>();
    auto& first = static_cast<offer&>(offers_.pop_front());
    element value = std::move(first.value);
    if (value && *value) {
      taken_ = first.coroutine;
    } else {
      error_ = value.error();
    }
    return value;
  }

  template <class S>
  owned_coroutine pump(S& from) {
    ++running_;
    return pump_from(*this, from);
  }

 private:
  // An element (or an error) in the frame of its stream's coroutine, until that is resumed.
  struct offer : ready_node {
    offer(merge_core& c, element v) : core(c), value(std::move(v)) {}
    offer(const offer&) = delete;
    offer& operator=(const offer&) = delete;
    ~offer() {
      if (linked()) node_ring::erase(*this);
    }
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> me) noexcept {
      coroutine = me;
      core.offers_.push_back(*this);
      core.wake();
    }
    void await_resume() const noexcept {}

    merge_core& core;
    element value;
    std::coroutine_handle<> coroutine;
  };

  // Not from here: whoever goes on may destroy the coroutine that this is called from.
  void wake() noexcept {
    if (point_.waited_for()) point_.wake_later();
  }

  template <class S>
  static owned_coroutine pump_from(merge_core& self, S& from) {
    try {
      for (;;) {
        element each = co_await from.next();
        if (each && !*each) break;
        co_await offer(self, std::move(each));
      }
    } catch (...) {
      if (!self.exception_) self.exception_ = std::current_exception();
    }
    if (--self.running_ == 0 || self.exception_) self.wake();
  }

  wait_point point_;
  node_ring offers_;
  std::size_t running_ = 0;
  std::coroutine_handle<> taken_;
  std::optional<error> error_;
  std::exception_ptr exception_;
};

template <class T, class... S>
struct merge_state : merge_core<T> {
  explicit merge_state(S&&... s) : streams(std::forward<S>(s)...) {}

  bool prepare() {
    if (!std::exchange(started, true)) {
      start(std::index_sequence_for<S...>());
    }
    return merge_core<T>::prepare();
  }
  template <std::size_t... I>
  void start(std::index_sequence<I...>) {
    ((pumps[I] = this->pump(std::get<I>(streams))), ...);
    for (auto& each : pumps) each.start();
  }

  std::tuple<S...> streams;
  owned_coroutine pumps[sizeof...(S)];
  bool started = false;
};

}  // namespace detail

// What merge_stream::next() returns.
template <class State, class T>
class [[nodiscard]] merge_next_operation
    : public detail::operation_base<merge_next_operation<State, T>, result<std::optional<T>>,
                                    detail::point_wait> {
  using base =
      detail::operation_base<merge_next_operation, result<std::optional<T>>, detail::point_wait>;

 public:
  explicit merge_next_operation(State* state) noexcept
      : base(std::in_place, state ? &state->point() : nullptr), state_(state) {}
  merge_next_operation(merge_next_operation&&) = default;
  merge_next_operation& operator=(merge_next_operation&&) = delete;
  ~merge_next_operation() {
    detail::leave_promise(*this);
    this->settle("a stream");
  }

  bool begin() noexcept {
    if (!this->claim() || state_->prepare()) return false;
    this->suspend();
    return true;
  }
  result<std::optional<T>> finish() {
    if (this->failed()) return std::unexpected(this->failure(operation_kind::next, "stream"));
    this->release();
    return state_->take();
  }

 private:
  State* state_;
};

// Made by merge().
template <class... S>
class merge_stream {
  using value = stream_value_t<std::remove_reference_t<std::tuple_element_t<0, std::tuple<S...>>>>;
  using state = detail::merge_state<value, S...>;

 public:
  explicit merge_stream(S&&... streams)
      : state_(std::make_unique<state>(std::forward<S>(streams)...)) {}

  // co_await gives a result<std::optional<T>>: what came first, of any of them; nothing when all
  // have ended. An error of one ends all: it comes when its turn does, and with every later call.
  // What the others had by then is lost. Errors besides theirs, and cancellation: as of
  // read_stream::next(); a wait that is stopped loses nothing. Exceptions leave the co_await.
  [[nodiscard]] merge_next_operation<state, value> next() noexcept {
    return merge_next_operation<state, value>(state_.get());
  }

 private:
  std::unique_ptr<state> state_;
};

// Two or more streams of the same elements as one, in the order in which these come. Of each stream
// one element is asked for ahead; the next one when that has been taken, and next() is called
// again.
//   auto all = merge(from_network, from_disk);
// Streams given as lvalues are used where they are, and have to outlive it; nobody else awaits
// them. Allocates its state, and one frame for each stream; nothing for an element. Thread: the
// SPDK thread of the first next(). Destroying it destroys what awaits the streams; an element that
// has come and was not taken is lost.
template <class First, class... S>
  requires(sizeof...(S) > 0 && stream<std::remove_reference_t<First>> &&
           (stream<std::remove_reference_t<S>> && ...) &&
           (std::same_as<stream_value_t<std::remove_reference_t<S>>,
                         stream_value_t<std::remove_reference_t<First>>> &&
            ...))
[[nodiscard]] auto merge(First&& first, S&&... streams) {
  return merge_stream<First, S...>(std::forward<First>(first), std::forward<S>(streams)...);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
