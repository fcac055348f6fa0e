// SPDX-License-Identifier: BSD-3-Clause
// The dimensions of the matrix, what each of their values means, and the name of a combination.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace lifetimes {

enum class device {
  null,
  malloc,
  uring,
  aio,
  delay_hours,  // ends by an abort only
  delay_short,  // a few hundred microseconds
  error_fails,  // each I/O with an injected failure
  error_short,  // the device is short of memory at first, and SPDK tries again
  error_holds,  // injected "pending": ends by a reset of the device only
};

// Who polls, and where the code of the case runs.
enum class driver {
  polled,     // by hand; the code runs outside of any poll
  coroutine,  // run_until(): the code runs in a coroutine that a poll resumes
  reactor,    // SPDK's application framework
};

enum class direction { read, write };

// What holds the I/O.
enum class victim {
  task,          // awaits the operation
  wrapped_task,  // a task that with_stop_token() and the like are wrapped around
  owner,         // a task that owns the buffer as well
  scope,         // three tasks in a task_scope
  callback,      // a `pending`
};

// How far the I/O has come.
enum class stage {
  submitted,  // nobody has polled yet
  under_way,  // the device below holds it
  starved,    // submitted, and since then there is no bdev_io left, for an abort for example
  queued,     // waits for a bdev_io
  completed,  // nobody has been resumed yet
};

// Who has asked it to stop, at that stage.
enum class request {
  none,
  local,       // a local_stop_token, or the scope
  late_local,  // the same, after `gone`
  standard,    // a std::stop_token: on its way as a message
  timeout,     // with_timeout(0ns): at the next poll
};

// What goes before the end.
enum class gone {
  nothing,
  channel,          // the io_channel handle
  descriptor,       // all handles of the device
  descriptor_long,  // the same, and all has been polled since then
  loop,             // a poller task that polled the I/O's thread, and its run_loop
  thread,           // the second SPDK thread: it drains
};

enum class ending {
  completion,  // it goes on until it is complete
  destruction,
  left_loop,  // run_until() is left early, and destroys it
};

// SPDK threads, all on one OS thread. The first is the process's and stays.
enum class where {
  first,             // opened there, I/O there
  second,            // opened on the first, I/O on the second
  second_alone,      // opened and I/O on the second
  opened_by_second,  // I/O on the first
};

template <class E>
inline constexpr auto names = nullptr;
template <>
inline constexpr auto names<device> =
    std::to_array<std::string_view>({"null", "malloc", "uring", "aio", "delay_hours", "delay_short",
                                     "error_fails", "error_short", "error_holds"});
template <>
inline constexpr auto names<driver> =
    std::to_array<std::string_view>({"polled", "coroutine", "reactor"});
template <>
inline constexpr auto names<direction> = std::to_array<std::string_view>({"read", "write"});
template <>
inline constexpr auto names<victim> =
    std::to_array<std::string_view>({"task", "wrapped_task", "owner", "scope", "callback"});
template <>
inline constexpr auto names<stage> =
    std::to_array<std::string_view>({"submitted", "under_way", "starved", "queued", "completed"});
template <>
inline constexpr auto names<request> =
    std::to_array<std::string_view>({"none", "local", "late_local", "standard", "timeout"});
template <>
inline constexpr auto names<gone> = std::to_array<std::string_view>(
    {"nothing", "channel", "descriptor", "descriptor_long", "loop", "thread"});
template <>
inline constexpr auto names<ending> =
    std::to_array<std::string_view>({"completion", "destruction", "left_loop"});
template <>
inline constexpr auto names<where> =
    std::to_array<std::string_view>({"first", "second", "second_alone", "opened_by_second"});

template <class E>
std::string_view to_string(E value) {
  return names<E>[static_cast<std::size_t>(value)];
}

struct combination {
  lifetimes::device device{};
  lifetimes::driver driver{};
  lifetimes::direction direction{};
  lifetimes::victim victim{};
  lifetimes::stage stage{};
  lifetimes::request request{};
  lifetimes::gone gone{};
  lifetimes::ending ending{};
  lifetimes::where where{};

  bool two_threads() const { return where != where::first; }
  bool io_on_second() const { return where == where::second || where == where::second_alone; }
};

// "delay_hours/polled/read/task/submitted/asked:local/gone:nothing/end:destruction/on:first": what
// a filter selects by its beginning.
std::string name_of(const combination& c);

}  // namespace lifetimes
