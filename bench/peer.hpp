// SPDX-License-Identifier: BSD-3-Clause
// An SPDK thread on another OS thread, and SPDK's own messages there and back.
#pragma once

#include "io_world.hpp"

#include <spdk/thread.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>

namespace bench {

enum class polled_by { library, raw_loop, nobody };

// An SPDK thread on an OS thread of its own, which does nothing but poll it.
class peer {
 public:
  peer() : os_thread_([this] { run(); }) { started_.wait(false); }
  peer(const peer&) = delete;
  peer& operator=(const peer&) = delete;
  ~peer() {
    how_ = polled_by::nobody;
    os_thread_.join();
  }

  void poll_as(polled_by how) { how_ = how; }
  spdk_thread* native() const { return native_; }
  const sio::thread_ref& ref() const { return *ref_; }

 private:
  void run() {
    auto thread = must(sio::thread::attach("peer"));
    native_ = thread.native_handle();
    ref_ = thread.ref();
    started_ = true;
    started_.notify_one();
    for (;;) {
      switch (how_.load(std::memory_order_relaxed)) {
        case polled_by::library: thread.poll(); break;
        case polled_by::raw_loop: spdk_thread_poll(native_, 0, 0); break;
        case polled_by::nobody: return;
      }
    }
  }

  std::atomic<polled_by> how_{polled_by::library};
  std::atomic<bool> started_{false};
  spdk_thread* native_ = nullptr;
  std::optional<sio::thread_ref> ref_;
  std::thread os_thread_;
};

struct raw_trips {
  spdk_thread* here;
  spdk_thread* there;
  std::uint64_t left;

  void go() { spdk_thread_send_msg(there, arrived, this); }
  static void arrived(void* argument) {
    spdk_thread_send_msg(static_cast<raw_trips*>(argument)->here, back, argument);
  }
  static void back(void* argument) {
    auto& self = *static_cast<raw_trips*>(argument);
    if (--self.left > 0) self.go();
  }
};

inline void raw_round_trips(io_world& world, peer& other, std::uint64_t count) {
  other.poll_as(polled_by::raw_loop);
  spdk_thread* here = world.thread().native_handle();
  raw_trips trips{here, other.native(), count};
  trips.go();
  while (trips.left > 0) spdk_thread_poll(here, 0, 0);
}

}  // namespace bench
