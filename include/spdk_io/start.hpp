// SPDX-License-Identifier: BSD-3-Clause
// Operations without coroutines: started with a callback.
#pragma once

#include <spdk_io/detail/deferred.hpp>
#include <spdk_io/detail/operation.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

// An operation and the callback that takes its result, kept by the caller: nothing is
// allocated. Pinned from start() to the callback, which may destroy it. Destroying it in between
// cancels the callback and behaves as destroying the operation does.
template <detail::operation Op, std::invocable<typename Op::value_type> F>
class pending {
 public:
  pending(Op&& op, F callback) : operation_(std::move(op)), callback_(std::move(callback)) {}
  pending(const pending&) = delete;
  pending& operator=(const pending&) = delete;

  // The callback runs from thread::poll(), never from here, also if the operation fails at
  // once; only where no SPDK thread is attached at all is there nobody to run it later, and it
  // runs (with the error that says so) before start() returns. An exception that leaves the
  // callback leaves thread::poll(). At most once.
  void start() {
    operation_.continue_with(finished, this);
    if (operation_.begin()) return;
    if (!failed_.defer(failed, this)) finish();
  }

  // Asks the operation to end early: I/O is aborted where the device can, and leaves the queue for
  // memory. The callback comes all the same, from a later poll(), once SPDK has let go of the
  // buffer: with errc::operation_canceled, or with the real result. No effect before start(), and
  // on what is complete already. Thread: the operation's OS thread. Allocates nothing.
  void request_stop() noexcept
    requires detail::stoppable_operation<Op>
  {
    operation_.request_stop();
  }

 private:
  static void finished(detail::ready_node& node) { static_cast<pending*>(node.context)->finish(); }
  static void failed(detail::ready_node& node) { static_cast<pending*>(node.context)->finish(); }

  void finish() {
    // Moved out first: the callback may destroy this object.
    F callback = std::move(callback_);
    std::invoke(callback, operation_.finish());
  }

  Op operation_;
  F callback_;
  detail::deferred failed_;
};

// Starts an operation whose state is allocated here, and freed before the callback runs.
//   start(disk.read(buffer, 0), [](result<void> r) { … });
template <detail::operation Op, std::invocable<typename Op::value_type> F>
void start(Op op, F callback) {
  struct owned {
    // Owns the state that it is kept in, so that this is freed too where the result is an
    // exception and nobody is called.
    struct forward {
      F callback;
      std::unique_ptr<owned> self;
      void operator()(typename Op::value_type value) {
        self = nullptr;
        std::invoke(callback, std::move(value));
      }
    };
    owned(Op&& o, F&& f)
        : state(std::move(o), forward{std::move(f), std::unique_ptr<owned>(this)}) {}
    pending<Op, forward> state;
  };
  (new owned(std::move(op), std::move(callback)))->state.start();
}

}  // namespace spdk_io::inline SPDK_IO_ABI
