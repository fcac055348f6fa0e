// SPDX-License-Identifier: BSD-3-Clause
// A function that an SPDK thread calls again and again.
#pragma once

#include <spdk_io/abi.hpp>
#include <spdk_io/error.hpp>

#include <chrono>
#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

struct spdk_poller;

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {
struct poller_state;
}

// An SPDK poller that lives as long as this object. The function runs from thread::poll(), not
// inside SPDK, so it may do whatever a coroutine may: destroy this poller, too. It returns true
// if it did work; false (nothing to do) lets the thread go to sleep; one that returns nothing
// counts as having worked. It does not run again before its previous run has ended.
//
// Thread: it is made, paused, resumed and destroyed on its own thread. When the thread ends it
// stops, and the object becomes empty.
class poller {
 public:
  // Runs f at each poll of the current thread, or, with a period, as often as that. The period
  // counts from the start of one turn to the start of the next, in whole microseconds.
  // Errors: no thread is attached here; a negative period; SPDK refuses (the thread is ending).
  template <class F>
    requires std::invocable<F&>
  static result<poller> start(F f) {
    return start(std::chrono::microseconds(0), std::move(f));
  }
  template <class F>
    requires std::invocable<F&>
  static result<poller> start(std::chrono::microseconds period, F f) {
    return make(period, [f = std::move(f)]() mutable {
      if constexpr (std::convertible_to<std::invoke_result_t<F&>, bool>) {
        return static_cast<bool>(std::invoke(f));
      } else {
        std::invoke(f);
        return true;
      }
    });
  }

  poller(poller&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  poller& operator=(poller&& other) noexcept;
  ~poller();

  // Takes effect at once: a run that is already due is dropped as well.
  void pause() noexcept;
  void resume() noexcept;
  bool paused() const noexcept;

  // SPDK's handle; null once the thread has ended.
  spdk_poller* native_handle() const noexcept;

 private:
  using function = std::move_only_function<bool()>;
  explicit poller(detail::poller_state* state) noexcept : state_(state) {}
  static result<poller> make(std::chrono::microseconds period, function f);
  void stop() noexcept;

  detail::poller_state* state_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
