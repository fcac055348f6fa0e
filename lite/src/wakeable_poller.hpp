// SPDX-License-Identifier: BSD-3-Clause
// A poller without a period that need not be polled in interrupt mode: there it is called when
// somebody has said that there is something for it, or will be. SPDK's own modules of that kind
// keep their thread awake instead.
#pragma once

#include "spdk/thread.h"

#include <cstdint>

namespace spdk_lite {

/// Used on one SPDK thread, with which it is registered and unregistered.
class wakeable_poller {
 public:
  /// How it is woken: by wake() alone, or by wake_in() alone.
  enum class by : std::uint8_t { call, time };

  /// False: out of memory or file descriptors.
  bool start(spdk_poller_fn fn, void* arg, const char* name, by how = by::call);
  void stop();
  [[nodiscard]] bool started() const { return poller_ != nullptr; }

  /// There is something to do. Does nothing where it is polled anyway.
  void wake() {
    if (interrupts_) [[unlikely]] {
      make_readable(0);
    }
  }
  /// There will be, so many ticks from now; replaces what was said before.
  void wake_in(std::uint64_t ticks) {
    if (interrupts_) [[unlikely]] {
      make_readable(ticks);
    }
  }

 private:
  static int on_readable(void* self);
  static void set_mode(spdk_poller* poller, void* self, bool interrupts);
  void make_readable(std::uint64_t ticks) const;
  void register_file(const char* name);

  spdk_poller_fn fn_ = nullptr;
  void* arg_ = nullptr;
  spdk_poller* poller_ = nullptr;
  spdk_interrupt* interrupt_ = nullptr;
  int file_ = -1;
  by how_ = by::call;
  bool interrupts_ = false;  ///< the thread is in interrupt mode
};

}  // namespace spdk_lite
