// SPDX-License-Identifier: BSD-3-Clause
// Everything the library keeps for one SPDK thread: the lists of what is ready, its inbox, its
// timers, what waits for memory, and what it must give back before it ends.
#pragma once

#include "abort_retries.hpp"
#include "channel_state.hpp"
#include "memory_wait.hpp"

#include <spdk_io/detail/inbox.hpp>
#include <spdk_io/detail/node_ring.hpp>
#include <spdk_io/detail/poll_driver.hpp>
#include <spdk_io/detail/timer_queue.hpp>
#include <spdk_io/detail/waker.hpp>
#include <spdk_io/operation_info.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

struct spdk_thread;

namespace spdk_io::inline SPDK_IO_ABI::detail {

struct poller_state;

enum class thread_phase { running, exiting, exited };

// What becomes of the SPDK thread when the library is done with it.
enum class native_end {
  destroy,  // it exits, is polled until it has, and is destroyed: the library's own, or adopted
  exit,     // it is told to exit; a reactor polls and destroys it
  leave,    // borrowed: it goes on, the program's
};

// Linking to it wakes the thread's poller task if that is asleep: where a reactor polls the
// thread, callbacks link outside any poll() of ours. (Inside it, poll() sees what was linked.)
class waking_list : public node_ring {
 public:
  explicit waking_list(thread_state& owner) noexcept : owner_(owner) {}
  void push_back(ready_node& node) noexcept;

 private:
  thread_state& owner_;
};

// Set while this OS thread runs a reactor's event, and so is not inside spdk_thread_poll().
extern constinit thread_local bool in_reactor_event;

// Owned by the spdk_io::thread and by every thread_ref. Except where a member says "any thread",
// only the OS thread that created it may touch it.
class thread_state : public std::enable_shared_from_this<thread_state> {
 public:
  thread_state(spdk_thread* native, std::string_view name);
  thread_state(const thread_state&) = delete;
  thread_state& operator=(const thread_state&) = delete;

  // Polls SPDK once, then runs what is ready: at most as many entries as there were when it
  // looked, and at most `max_messages` if that is not 0. Returns how much was done. May be
  // nested from what it runs, never from inside spdk_thread_poll().
  std::size_t poll(std::uint32_t max_messages);

  // The part that runs no user code: SPDK, deliveries, timers, the library's own continuations.
  std::size_t poll_without_user_code(std::uint32_t max_messages);

  // What poll() does after SPDK's part, for a thread that a reactor polls; see reactor_driver.hpp.
  std::size_t run_without_polling();

  // Links what has come into the inbox.
  void deliver_messages() noexcept;

  // Links a continuation of user code. Wakes the thread's poller task if that is asleep.
  void make_ready(ready_node& node) noexcept { ready.push_back(node); }

  // I/O that was completed in poll() holds its bdev_io until it goes on, so that the next one finds
  // that bdev_io warm, as in a raw callback. This gives them back at once: for whoever finds that
  // memory is short, waits without running user code, or puts a channel. False if there were none.
  bool give_back_held() noexcept;

  // Delivers a node through the inbox. Any thread. False if the thread has gone.
  bool deliver(message_node& node) noexcept;

  // Called whenever something was linked or submitted, perhaps outside poll(). Any thread.
  void wake_if_asleep() noexcept {
    if (asleep.load(std::memory_order_seq_cst)) [[unlikely]]
      wake();
  }
  void wake() noexcept;
  // Own OS thread only: it is about to sleep, and whoever delivers something wakes it; it is up.
  void announce_sleep() noexcept {
    hurdles.set_sleep(true);
    asleep.store(true, std::memory_order_seq_cst);
  }
  void end_sleep() noexcept {
    asleep.store(false, std::memory_order_seq_cst);
    hurdles.set_sleep(false);
  }
  void set_waker(waker* w) noexcept;

  bool on_own_os_thread() const noexcept;
  bool inside_spdk() const noexcept {
    return in_own_poll() || (reactor_polls && !in_reactor_event);
  }
  // Inside its own poll, so that what is linked now need not wake it.
  bool in_own_poll() const noexcept { return hurdles.in_poll(); }
  bool nothing_ready() const noexcept {
    return ready.empty() && internal.empty() && messages.empty() && returns.empty();
  }
  bool io_at_spdk() const noexcept;  // whether a completion is to come
  bool any_io() const noexcept { return io_at_spdk() || !waiting.empty(); }
  std::size_t io_in_flight() const noexcept;  // counts them: for statistics

  // Every I/O that was started here and not resumed yet. Own OS thread only.
  std::vector<operation_info> operations() const;

  // Ends the SPDK thread: refuses new work, drains, gives everything back. Own OS thread only.
  void shut_down() noexcept;

  spdk_thread* native;
  // What other threads come to for a message, among what nobody writes: at each poll this one
  // writes to much of the rest.
  inbox messages;  // users'; closed when the thread ends
  // The library's own, not refused before the thread has ended: calls that come home, channels to
  // put.
  inbox returns;
  std::atomic<bool> asleep{false};
  const std::string name;
  const std::uint64_t id;
  const void* const os_thread;
  thread_phase phase = thread_phase::running;

  waking_list ready{*this};     // user code
  waking_list internal{*this};  // the library's own continuations
  timer_queue timers;
  io_hurdles hurdles;
  memory_wait waiting{*this, hurdles};
  abort_retries retries{*this};

  std::unordered_map<desc_state*, channel_state*> channels;
  std::vector<desc_state*> opened;    // descriptors that must be closed here
  std::vector<spdk_thread*> adopted;  // made by SPDK's modules on this OS thread, polled along
  poller_state* pollers = nullptr;    // head of a list
  // Where somebody waits for something of this thread. Each one's run() tells them that it ends,
  // and takes it out.
  node_ring waits;
  std::size_t calls_out = 0;  // calls that have not come back: to threads, of SPDK
  std::size_t idle_runs = 0;  // entries of this poll that said they had nothing to do
  native_end at_end = native_end::destroy;
  bool reactor_polls = false;  // calls spdk_thread_poll(); see reactor_driver.hpp
  // Any thread: see poll_driver::leave().
  std::atomic<bool> has_poller_task = false;
  std::string poller_task_executor;              // for the message of a second one
  std::vector<std::string> said_to_be_restless;  // see restless.hpp

 private:
  friend class waking_list;
  void expire_timers() noexcept;
  std::size_t run_internal() noexcept;
  class end_of_run;
  std::size_t run_ready(std::uint32_t most);
  void run_first();
  void poll_adopted(std::uint32_t max_messages);
  bool lends() const noexcept;
  void take_back_lent() noexcept;
  bool drained() const noexcept;
  void cancel_timers() noexcept;
  void end_event_waits() noexcept;
  void end_waits() noexcept;
  void drain_user_code() noexcept;
  void close_opened() noexcept;
  void give_back() noexcept;
  void exit_native() noexcept;
  class turn;
  std::size_t poll_native(std::uint32_t max_messages);
  std::size_t after_native_poll();

  unsigned turns_ = 0;                  // nesting of poll()
  bool takes_own_messages_ = false;     // `messages` is closed, but not yet to this OS thread
  bool may_hold_ = false;               // completed I/O in `ready` may hold bdev_ios
  std::shared_ptr<thread_state> keep_;  // while poll() is on the stack of its own destruction
  std::mutex waker_mutex_;
  waker* waker_ = nullptr;
};

inline void waking_list::push_back(ready_node& node) noexcept {
  node_ring::push_back(node);
  if (!owner_.in_own_poll()) owner_.wake_if_asleep();
}

// While it lives, that SPDK thread is the current one of this OS thread.
class native_turn {
 public:
  explicit native_turn(spdk_thread* next) noexcept;
  ~native_turn();
  native_turn(const native_turn&) = delete;
  native_turn& operator=(const native_turn&) = delete;

 private:
  spdk_thread* const before_;
  spdk_thread* const next_;
};

// The SPDK thread that this OS thread acts for now; null if none.
extern constinit thread_local thread_state* current_thread;

// The library's thread on the SPDK thread that is current, when its program polls it itself and
// this is called from one of its raw callbacks; null if there is none.
thread_state* thread_of_callback() noexcept;

// The thread that acts here, for what may be called from a program's own callbacks too.
inline thread_state* acting_thread() noexcept {
  thread_state* here = current_thread;
  return here ? here : thread_of_callback();
}

// Polls all SPDK threads of this OS thread, without running user code, until `done(argument)`.
// After some seconds it says on stderr what it waits for. Ends the program if `whose` can make
// no progress because this is called from inside its spdk_thread_poll().
void pump_until(thread_state& whose, bool (*done)(const void*), const void* argument,
                std::string_view what) noexcept;

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
