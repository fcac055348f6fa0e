// SPDX-License-Identifier: BSD-3-Clause
// Gives a thread its turns where a reactor of SPDK's application framework polls it.
//
// Under the framework every SPDK thread that is created goes to a reactor, which polls it: the
// thread library tells the framework of each, and nothing in the C API takes one back. So the
// library cannot poll a thread of its own there; it need not either. What it needs is that user
// code runs outside the poll of the thread that it acts for. A reactor runs its events between
// the polls of its threads, with no SPDK thread current, and there one may poll any of them. So:
//
//   - SPDK's callbacks run in the reactor's poll of the thread and link, as everywhere;
//   - the first to link while the driver sleeps has it post one event to the thread's reactor;
//   - the event is the thread's turn: deliveries, timers, user code, with the thread as the
//     current one. block_on, draining and destruction poll it there, nested.
//
// A driver that had something to do posts its next event at once; one that had not sleeps. So an
// idle reactor pays nothing, and reactors in interrupt mode can sleep. A thread has to stay on
// its core: it is bound.
#pragma once

#include "thread_state.hpp"

#include <spdk_io/detail/waker.hpp>

#include <cstdint>
#include <exception>
#include <memory>

struct spdk_poller;

namespace spdk_io::inline SPDK_IO_ABI::detail {

// Whether SPDK's application framework has reactors in this process. Any thread.
bool reactors_run() noexcept;

// The library's thread on the reactor of a core; the first if there are several. Any thread.
std::shared_ptr<thread_state> thread_of_core(std::uint32_t core);

// Used on its thread's reactor, except where a member says otherwise.
class reactor_driver : private waker {
 public:
  using exception_handler = void (*)(void* context, std::exception_ptr);

  // Called in a callback of the thread, on the reactor. What leaves a continuation that nobody
  // awaits goes to the handler. The driver frees itself at its end.
  static reactor_driver& start(std::shared_ptr<thread_state> state, exception_handler handler,
                               void* context);

  reactor_driver(const reactor_driver&) = delete;
  reactor_driver& operator=(const reactor_driver&) = delete;

  // At the end of the current or next turn, calls then(argument) in the event, where the thread
  // must be destroyed.
  void stop(void (*then)(void*), void* argument) noexcept;

 private:
  reactor_driver(std::shared_ptr<thread_state> state, exception_handler handler, void* context);
  ~reactor_driver();

  static bool on_wake(waker& self) noexcept;
  static void on_event(void* self, void*);
  static int on_timer(void* self);

  void post() noexcept;
  std::size_t run_turn();
  void arm_timer();
  void disarm_timer() noexcept;
  void sleep_unless(bool busy) noexcept;
  void end();

  std::shared_ptr<thread_state> state_;
  const std::uint32_t core_;
  const bool was_bound_;
  const exception_handler handler_;
  void* const context_;
  spdk_poller* timer_ = nullptr;
  std::uint64_t timer_due_ = 0;
  void (*then_)(void*) = nullptr;
  void* then_argument_ = nullptr;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
