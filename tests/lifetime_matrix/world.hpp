// SPDX-License-Identifier: BSD-3-Clause
// The threads of a case and how they are polled: the same code of a case runs between polls by
// hand, in a coroutine on a run_loop, and on a reactor.
#pragma once

#include "dimensions.hpp"

#include <spdk_io/spdk_io.hpp>

#include "started.hpp"

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace lifetimes {

namespace sio = spdk_io;

// What a case cannot go on without.
template <class T>
T need(sio::result<T> r) {
  if (!r) throw std::runtime_error(r.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

class world {
 public:
  world(driver how, sio::thread& first) : how_(how), first_(first) {}

  sio::thread& first() noexcept { return first_; }
  std::optional<sio::thread>& second() noexcept { return second_; }

  // All threads get a turn. Polled by hand, it does not suspend.
  sio::task<void> turn() {
    if (second_) second_->poll();
    if (how_ == driver::polled) {
      first_.poll();
    } else {
      co_await sio::yield();
    }
  }
  sio::task<void> turns(int count) {
    for (int i = 0; i < count; ++i) co_await turn();
  }
  template <class Done>
  sio::task<void> turn_until(Done done) {
    while (!done()) co_await turn();
  }

  template <class A>
  sio::task<std::remove_cvref_t<sio::await_result_t<A>>> complete(A what) {
    spdk_io_test::started<A> running(std::move(what));
    while (!running.done()) co_await turn();
    co_return running.take();
  }

  // Runs f on that thread, without a poll after it.
  template <class F>
  void on(sio::thread& t, F f) {
    if (&t == &first_) return f();
    bool done = false;
    need(t.ref().send([&] {
      f();
      done = true;
    }));
    while (!done) t.poll();
  }

 private:
  driver how_;
  sio::thread& first_;
  std::optional<sio::thread> second_;
};

}  // namespace lifetimes
