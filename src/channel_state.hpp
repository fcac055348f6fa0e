// SPDX-License-Identifier: BSD-3-Clause
// The shared state behind bdev_desc and io_channel: an open descriptor, and one channel for each
// thread that does I/O through it.
//
// Closing goes in one direction. When the last user handle drops, or the opening thread ends,
// each thread's channel is asked by message to retire: it is put once nothing is in flight on it.
// The last channel that goes sends the descriptor home to the thread that opened it, which
// closes it. Every message node is embedded, so that closing cannot fail for want of memory.
//
// A device that is removed is still open, but each channel is told, by message, to take no more.
#pragma once

#include "default_timeout.hpp"

#include <spdk_io/detail/inbox.hpp>
#include <spdk_io/detail/node_ring.hpp>
#include <spdk_io/device_event.hpp>
#include <spdk_io/error.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

struct spdk_bdev;
struct spdk_bdev_desc;
struct spdk_io_channel;

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;
struct desc_state;

struct channel_state {
  channel_state(thread_state& home, desc_state& desc, spdk_io_channel* native);
  channel_state(const channel_state&) = delete;
  channel_state& operator=(const channel_state&) = delete;

  // The same as `accepts` while there is nothing to note about each I/O (no default timeout), else
  // this channel itself, which is nobody's thread: one look is enough for nearly all.
  std::atomic<const void*> plainly_accepts;
  // The thread whose operations it takes; null once it takes no more. Other threads may read it.
  std::atomic<thread_state*> accepts;
  thread_state* const home;
  spdk_io_channel* native;
  spdk_bdev_desc* const native_desc;
  spdk_bdev* const bdev;  // valid while `native` is, as is desc
  desc_state* const desc;
  const std::uint32_t name;  // of the device, interned
  const std::uint32_t block_size;
  node_ring in_flight;       // I/O at SPDK
  node_ring parked;          // complete, but the abort that was asked for it is at SPDK
  std::size_t waiting = 0;   // I/O that waits for memory, in the thread's memory_wait
  node_ring held;            // zcopy_buffers
  std::size_t lent = 0;      // zcopies between start and end; see zcopy.cpp
  std::size_t ending = 0;    // of these, ends at SPDK that nobody awaits
  std::size_t aborting = 0;  // aborts at SPDK, wanted, or to be asked for again
  // Not 0 where the completion of an I/O has more to look at: `aborting`, and one more while it is
  // retiring. The thread's hurdles have the sum of all channels.
  std::uint32_t attention = 0;
  bool retiring = false;          // takes no more; goes when it is unused
  const bool can_abort;           // the device can abort, and SPDK's way there works
  bool retire_requested = false;  // with desc's mutex
  bool has_slept = false;         // its thread did, in interrupt mode, with this device open
  default_timeout timeout;
  owned_message<channel_state> retire;
  owned_message<channel_state> remove;  // the device is going; never sent after `retire`

  void add_attention() noexcept;
  void remove_attention() noexcept;
  void stop_accepting() noexcept {
    plainly_accepts.store(this, std::memory_order_relaxed);
    accepts.store(nullptr, std::memory_order_relaxed);
  }

  // Handles (io_channel) and the thread's cache. Any thread.
  void acquire() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;

  // An operation ended and is off the ring: the last one of a retiring channel lets it go.
  void completed() noexcept {
    if (retiring && unused()) [[unlikely]]
      retire_later();
  }
  bool unused() const noexcept {
    return in_flight.empty() && parked.empty() && aborting == 0 && waiting == 0 && lent == 0;
  }
  bool io_at_spdk() const noexcept { return !in_flight.empty() || ending > 0 || aborting > 0; }

 private:
  ~channel_state() = default;
  void retire_later() noexcept;
  static void on_retire(ready_node& node);
  static void on_remove(ready_node& node);
  void put() noexcept;

  std::atomic<std::uint32_t> references_{1};
};

struct desc_state {
  desc_state(std::shared_ptr<thread_state> owner, std::string_view name);
  desc_state(const desc_state&) = delete;
  desc_state& operator=(const desc_state&) = delete;

  // A user's handle was copied, or dropped: with the last one, closing begins. Any thread.
  void acquire() noexcept {
    handles_.fetch_add(1, std::memory_order_relaxed);
    references_.fetch_add(1, std::memory_order_relaxed);
  }
  void release() noexcept;

  // Opened: the descriptor itself keeps this state until it is closed.
  void opened() noexcept { reference(); }
  void reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void unreference() noexcept;

  // This thread's channel, made at the first call; the result is not referenced for the caller.
  result<channel_state*> channel();

  // Asks all channels to retire, then closes. Any thread; more than once is harmless.
  void close() noexcept;
  void retire(channel_state& channel) noexcept;  // the same for one channel
  bool owned() noexcept;
  bool disown() noexcept;   // closing leaves `native` open; false if too late
  bool closing() noexcept;  // closed, or on the way
  bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }

  // Events; see device_event.cpp. Something happened to the device: any thread.
  void tell(device_event::kind what) noexcept;
  // The next one that nobody had yet.
  std::optional<device_event> take_event() noexcept;
  void end_event_wait(std::errc code, fault why) noexcept;  // on the owner's OS thread

  spdk_bdev_desc* native = nullptr;
  spdk_bdev* bdev = nullptr;
  const std::shared_ptr<thread_state> owner;
  const std::uint32_t name;      // interned
  std::uint32_t block_size = 1;  // bytes
  bool writable = false;
  std::chrono::nanoseconds timeout{0};             // of each I/O; zero: none
  bool from_native = false;                        // opened by the program, which gets its events
  std::atomic<bool> removed{false};                // the device is going; set with mutex_
  device_event_operation* event_waiter = nullptr;  // the owner's OS thread only

 private:
  friend struct channel_state;

  ~desc_state() = default;
  void channel_gone(channel_state& channel) noexcept;
  void retire_locked(channel_state& channel) noexcept;
  static void on_close(ready_node& node);
  void post_events_locked() noexcept;
  static void on_events(ready_node& node);

  struct kept_event {
    bool pending = false;
    device_event event;
  };

  std::atomic<std::uint32_t> handles_{1};     // users' handles
  std::atomic<std::uint32_t> references_{1};  // those, and the open descriptor
  std::atomic<bool> closed_{false};
  std::mutex mutex_;
  bool owned_ = true;     // with mutex_: closing closes `native`
  bool closing_ = false;  // with mutex_, as the list
  std::vector<channel_state*> channels_;
  owned_message<desc_state> close_;
  kept_event resize_;  // with mutex_, as the next two
  kept_event removal_;
  bool events_posted_ = false;  // `events_` is on its way
  owned_message<desc_state> events_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
