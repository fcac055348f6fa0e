// SPDX-License-Identifier: BSD-3-Clause
// An SPDK thread that this OS thread drives by polling it.
#pragma once

#include <spdk_io/error.hpp>
#include <spdk_io/idle.hpp>
#include <spdk_io/operation_info.hpp>
#include <spdk_io/ownership.hpp>
#include <spdk_io/thread_ref.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

struct spdk_thread;

namespace spdk_io::inline SPDK_IO_ABI {

class spawned_thread;

struct thread_statistics {
  std::uint64_t memory_waits = 0;  // operations that waited for a bdev_io (SPDK said -ENOMEM)
  std::size_t io_in_flight = 0;    // operations started and not completed
};

// An SPDK thread: a queue of messages and a set of pollers, run by whoever calls poll().
//
// Thread: it belongs to the OS thread that made it; only a thread_ref may cross. Moving one
// keeps everything that refers to it valid; what was moved from is nothing: it has no name, does
// nothing, and only takes another one (block_on() and others need a real one).
//
// The destructor drains: I/O in flight completes and what awaits it is resumed (new I/O is
// refused), accepted messages run (other OS threads send no more), pollers stop, sleeping
// coroutines wake with errc::operation_canceled, the channels of this thread and the descriptors
// opened on it are closed. The first thread of the process also stops SPDK's subsystems, so destroy
// it last. Destroying one on another OS thread, or inside a raw SPDK callback, ends the program.
class thread {
 public:
  // Makes an SPDK thread and attaches it: until it is destroyed, this OS thread acts for it.
  // Errors: no env yet; this OS thread has one already; SPDK is out of memory.
  static result<thread> attach(std::string_view name);

  // Makes a further SPDK thread that this OS thread polls without acting for it in between.
  // Errors: no env yet; SPDK is out of memory.
  static result<thread> create(std::string_view name);

  // Takes a thread that the program made with SPDK's C API and polls on this OS thread. From now
  // on the program calls poll() where it called spdk_thread_poll(); what it has registered there
  // goes on. If it is this OS thread's current SPDK thread (spdk_set_thread()), it is attached.
  // The destructor gives back what this library opened; then it ends an adopted thread as its
  // own, and leaves a borrowed one running, for spdk_thread_poll() as before.
  // Requires: not called inside its poll, nor for a thread that an SPDK reactor polls (see
  // reactor_thread).
  // Errors: null, or exited; this library has it already.
  static result<thread> from_native(spdk_thread* native, ownership whose);

  // Starts an OS thread with an SPDK thread and a loop of its own; see spawned_thread.hpp,
  // which must be included.
  template <class F>
    requires(!std::convertible_to<F, idle_policy>)
  static result<spawned_thread> spawn(std::string_view name, F&& main, idle_policy policy = {});
  static result<spawned_thread> spawn(std::string_view name, idle_policy policy = {});

  // The thread for which this OS thread acts now. Error: none.
  static result<thread_ref> current();

  // SPDK threads in this process, those of SPDK's own modules included.
  static std::uint32_t count() noexcept;

  thread(thread&&) noexcept = default;
  thread& operator=(thread&& other) noexcept;
  ~thread();

  // Polls SPDK once, then runs continuations that are ready: resumed coroutines, messages,
  // pollers, timers. At most as many as were ready when it looked; with `max_messages` not 0 at
  // most that many, and at most that many of SPDK's own messages. Returns how much was done; 0
  // means that there was nothing to do. May be called from what it runs (block_on does); not
  // from raw SPDK callbacks. An exception of a continuation that nobody awaits leaves it; the
  // rest stays ready for the next call.
  std::size_t poll(std::uint32_t max_messages = 0);

  std::string_view name() const noexcept;
  std::uint64_t id() const noexcept;  // SPDK's, unique in the process

  // No messages, pollers or channels at SPDK, and nothing ready.
  bool idle() const noexcept;
  bool running() const noexcept;
  bool has_pollers() const noexcept;  // SPDK's own and devices' count too
  thread_statistics statistics() const noexcept;

  // For debugging: every I/O started here whose awaiter or callback has not gone on, oldest
  // first within each state. Costs nothing but when it is called. On the thread's OS thread; for
  // others there is thread_ref::operations().
  std::vector<operation_info> operations() const;

  // For other threads: stays valid, and says so, after this thread has gone.
  thread_ref ref() const noexcept { return thread_ref(state_); }

  // SPDK's own handle. Valid while this object is.
  spdk_thread* native_handle() const noexcept;

  // For the library's own parts.
  detail::thread_state& state() const noexcept { return *state_; }
  const std::shared_ptr<detail::thread_state>& shared_state() const noexcept { return state_; }
  static thread from_state(std::shared_ptr<detail::thread_state> state) noexcept {
    return thread(std::move(state));
  }

 private:
  explicit thread(std::shared_ptr<detail::thread_state> state) noexcept
      : state_(std::move(state)) {}

  std::shared_ptr<detail::thread_state> state_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
