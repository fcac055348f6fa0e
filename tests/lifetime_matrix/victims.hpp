// SPDX-License-Identifier: BSD-3-Clause
// What holds the I/O of a case, with every kind of stop token around it, and can be destroyed.
#pragma once

#include "target.hpp"
#include "witness.hpp"

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

namespace lifetimes {

class victims {
 public:
  victims(const combination& c, witness& seen) : c_(c), seen_(seen) {}

  std::size_t count() const noexcept { return c_.victim == victim::scope ? 3 : 1; }

  // Starts them on the I/O's thread, which is acting. Io: a channel or descriptor.
  template <class Io>
  void start(const Io& io) {
    switch (c_.victim) {
      case victim::callback:
        buffers_.emplace_back();
        return asked(operation(io, buffers_.back().span()),
                     [&](auto op) { call_back(std::move(op)); });
      case victim::scope:
        scope_.emplace();
        for (std::size_t i = 0; i < count(); ++i) {
          buffers_.emplace_back();
          asked(operation(io, buffers_.back().span()),
                [&](auto op) { scope_->spawn(await(std::move(op), seen_)); });
        }
        return;
      default: tasks_.emplace_back(main_task(io)); return;
    }
  }
  // The coroutine of those that are one, for a loop to run.
  template <class Io>
  sio::task<void> main_task(const Io& io) {
    std::optional<sio::task<void>> made;
    if (c_.victim == victim::owner) {
      auto buffer = need(sio::dma_buffer::zeroed(io_size));
      asked(operation(io, buffer),
            [&](auto op) { made.emplace(own(std::move(buffer), await(std::move(op), seen_))); });
    } else {
      buffers_.emplace_back();
      auto op = operation(io, buffers_.back().span());
      if (c_.victim == victim::wrapped_task) {
        asked(give(std::move(op)),
              [&](auto wrapped) { made.emplace(await(std::move(wrapped), seen_)); });
      } else {
        asked(std::move(op), [&](auto wrapped) { made.emplace(await(std::move(wrapped), seen_)); });
      }
    }
    return std::move(*made);
  }

  void request_local() {
    if (c_.victim == victim::scope) {
      scope_->request_stop();
    } else {
      local_.request_stop();
    }
  }
  void request_standard() { standard_.request_stop(); }

  bool done() const noexcept { return seen_.results().size() == count(); }

  // With their buffers: half of them are ours again, the others freed at once.
  void destroy() {
    tasks_.clear();
    scope_.reset();
    pending_.reset();
    if (c_.victim == victim::callback) buffers_.clear();
    for (auto& each : buffers_) each.clear();
  }
  bool untouched() {
    return std::ranges::all_of(buffers_, [](auto& each) { return each.is_clear(); });
  }

 private:
  template <class Io, class Buffer>
  sio::io_operation operation(const Io& io, Buffer&& buffer) {
    return c_.direction == direction::read ? io.read(buffer, 0) : io.write(buffer, 0);
  }

  // f(what), with the token of the case around it.
  template <class A, class F>
  void asked(A what, F f) {
    switch (c_.request) {
      case request::none:
        // For its own sake: there is something around it.
        if (c_.victim == victim::wrapped_task) break;
        return f(std::move(what));
      case request::local:
      case request::late_local:
        if (c_.victim == victim::scope) return f(std::move(what));
        break;
      case request::standard:
        return f(sio::with_stop_token(standard_.get_token(), std::move(what)));
      case request::timeout:
        return f(sio::with_timeout(std::move(what), std::chrono::nanoseconds(0)));
    }
    return f(sio::with_stop_token(local_.get_token(), std::move(what)));
  }

  template <class A>
  static sio::task<void> await(A what, witness& seen) {
    auto r = co_await std::move(what);
    seen.result(std::move(r));
  }
  static sio::task<sio::result<void>> give(sio::io_operation op) {
    co_return co_await std::move(op);
  }
  static sio::task<void> own(sio::dma_buffer buffer, sio::task<void> user) {
    auto first_to_go = std::move(user);
    co_await std::move(first_to_go);
    std::ranges::fill(buffer, std::byte{0});
  }

  struct any_pending {
    virtual ~any_pending() = default;
  };
  template <class Op>
  void call_back(Op op) {
    auto callback = [&seen = seen_](sio::result<void> r) { seen.result(std::move(r)); };
    struct held final : any_pending {
      held(Op o, decltype(callback) f) : it(std::move(o), f) {}
      sio::pending<Op, decltype(callback)> it;
    };
    auto made = std::make_unique<held>(std::move(op), callback);
    auto& starting = made->it;
    pending_ = std::move(made);
    starting.start();
  }

  const combination& c_;
  witness& seen_;
  std::list<plain_buffer> buffers_;
  sio::local_stop_source local_;
  std::stop_source standard_;
  std::list<spdk_io_test::started<sio::task<void>>> tasks_;
  std::optional<sio::task_scope> scope_;
  std::unique_ptr<any_pending> pending_;
};

}  // namespace lifetimes
