// SPDX-License-Identifier: BSD-3-Clause
// What a poller task does when there is nothing to do, and how long it may work in one go.
#pragma once

#include <spdk_io/abi.hpp>

#include <chrono>
#include <cstddef>
#include <variant>

namespace spdk_io::inline SPDK_IO_ABI {

namespace idle {

// Polls again at once: the lowest latency, and one core fully busy.
struct spin {};

// Spins for `spin_for` after the last work, then sleeps on the executor's own timer: 1/16 of
// `max_sleep` at first, twice as long each time, up to `max_sleep`. Whatever goes through a
// thread_ref, or is submitted on the thread itself, wakes it at once; SPDK's own messages are
// seen within `max_sleep`. While I/O is in flight it sleeps no longer than `in_flight_sleep`
// (zero: not at all). Its own timers and SPDK's timed pollers end a sleep on time.
struct backoff {
  std::chrono::nanoseconds spin_for = std::chrono::microseconds(50);
  std::chrono::nanoseconds max_sleep = std::chrono::milliseconds(2);
  std::chrono::nanoseconds in_flight_sleep = std::chrono::nanoseconds(0);
};

// Sleeps until SPDK's interrupt file descriptor of the thread is readable, with I/O in flight too,
// for as long as there is nothing to do: no poll in between, and no timer unless the library's own
// timers need one. Messages of SPDK's own, its timed pollers, completions of devices that announce
// them, whatever goes through a thread_ref or is submitted on the thread: each ends the sleep at
// once. Needs env_options.interrupt, and an executor that can watch a file (watching_executor).
//
// Some devices must be polled: of SPDK's own malloc, null, uring, delay, and whatever has an active
// poller without a file descriptor. SPDK keeps a thread that has one always ready. Such a thread is
// noticed after some milliseconds in which it was woken for nothing, its pollers and devices are
// named on stderr, once, and it polls as by `otherwise` until one of them has gone.
struct interrupt {
  // After the last work, before it sleeps: a sleep costs some system calls.
  std::chrono::nanoseconds spin_for = std::chrono::microseconds(10);
  backoff otherwise = {};
};

}  // namespace idle

// One of them, where a program chooses when it runs.
using idle_policy = std::variant<idle::backoff, idle::spin, idle::interrupt>;

// How much a poller task does before it lets the executor run something else: it yields when
// either bound is reached, and whenever there was nothing to do.
struct poll_budget {
  std::size_t entries = 256;
  std::chrono::nanoseconds time = std::chrono::microseconds(100);
};

}  // namespace spdk_io::inline SPDK_IO_ABI
