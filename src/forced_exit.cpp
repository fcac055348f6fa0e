// SPDX-License-Identifier: BSD-3-Clause
// What an SPDK thread that was ended by force still has.
#include "forced_exit.hpp"

#include "concat.hpp"
#include "exported_by_spdk.hpp"

#include <spdk/env.h>
#include <spdk/thread.h>

#include <cstdio>
#include <string>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

constexpr std::uint64_t limit_seconds = 5;  // SPDK's

// Adds the names of what `first` and `next` walk over; nothing where SPDK lacks one of them.
template <class T>
void append_names(std::string& out, spdk_thread* thread, T* (*first)(spdk_thread*), T* (*next)(T*),
                  const char* (*name_of)(T*)) {
  if (!first || !next || !name_of) return;
  for (T* each = first(thread); each; each = next(each)) {
    const char* name = name_of(each);
    out += concat(out.empty() ? "\"" : ", \"", name ? name : "?", '"');
  }
}

std::string pollers_of(spdk_thread* thread) {
  std::string out;
  append_names(out, thread, spdk_thread_get_first_active_poller, spdk_thread_get_next_active_poller,
               spdk_poller_get_name);
  append_names(out, thread, spdk_thread_get_first_timed_poller, spdk_thread_get_next_timed_poller,
               spdk_poller_get_name);
  append_names(out, thread, spdk_thread_get_first_paused_poller, spdk_thread_get_next_paused_poller,
               spdk_poller_get_name);
  return out.empty() && spdk_thread_has_pollers(thread) ? "(without names)" : out;
}

std::string channels_of(spdk_thread* thread) {
  std::string out;
  append_names(out, thread, spdk_thread_get_first_io_channel, spdk_thread_get_next_io_channel,
               spdk_io_channel_get_io_device_name);
  return out;
}

}  // namespace

watched_exit::watched_exit() noexcept
    : by_force_from_(spdk_get_ticks() + limit_seconds * spdk_get_ticks_hz()) {}

void watched_exit::report(spdk_thread* exited, std::string_view name) const noexcept {
  if (spdk_get_ticks() < by_force_from_) return;
  const std::string pollers = pollers_of(exited);
  const std::string channels = channels_of(exited);
  std::string held;
  if (!pollers.empty()) held += concat("pollers that were not unregistered: ", pollers);
  if (!channels.empty()) {
    held += concat(held.empty() ? "" : "; ", "channels that were not put, of: ", channels);
  }
  if (held.empty()) {
    held =
        "neither a poller nor a channel that could be named (an unfinished for_each, or an "
        "io_device whose unregistration waits for channels of other threads)";
  }
  std::fprintf(
      stderr,
      "spdk-io: thread \"%.*s\" did not exit within %u s, and SPDK ended it by force. What "
      "held it: %s\n",
      static_cast<int>(name.size()), name.data(), static_cast<unsigned>(limit_seconds),
      held.c_str());
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
