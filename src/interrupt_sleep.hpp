// SPDX-License-Identifier: BSD-3-Clause
// How a poller task with idle::interrupt sleeps, and whether its thread can: in interrupt mode it
// does until a file is readable; where that always is, the thread is polled instead until that may
// have changed.
#pragma once

#include "restless.hpp"
#include "wake_files.hpp"

#include <cstddef>
#include <cstdint>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;

// Puts SPDK's thread into interrupt mode, which is how SPDK makes it, or has it polled. Where SPDK is
// in interrupt mode at all.
void set_interrupt_mode(thread_state& t, bool interrupts) noexcept;

class interrupt_sleep {
 public:
  explicit interrupt_sleep(thread_state& t) noexcept : files(t), thread_(t), suspects_(t) {}

  // In interrupt mode; else the thread is polled.
  bool on() const noexcept { return on_; }
  void turn_on() noexcept;

  // What each poll did, in interrupt mode. SPDK calls it work when a descriptor was readable: true
  // where there was more to it.
  bool useful(std::size_t done) noexcept;
  // After some polls: turns it off where it was woken for nothing too often.
  void give_up_if_useless();

  // The last look has found nothing. False: a file is readable all the same.
  bool may_sleep();

  // While it is off and the thread is idle: whether it may be worth another try.
  bool try_again(std::uint64_t now) const noexcept {
    return now >= next_try_ || suspects_.one_has_gone();
  }

  wake_files files;
  bool poll_first = false;  // it has been woken, and something is there

 private:
  void note_useless() noexcept;

  thread_state& thread_;
  restless suspects_;
  bool on_ = true;
  unsigned useless_ = 0;             // polls in a row
  std::uint64_t useless_since_ = 0;  // in ticks
  std::uint64_t next_try_ = 0;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
