// SPDX-License-Identifier: BSD-3-Clause
// Why an I/O of a thread cannot simply be submitted, in one word that is nearly always zero: others
// wait for memory, behind whom it has to queue, or the thread sleeps and must be woken for it.
// Own OS thread only.
#pragma once

#include <spdk_io/abi.hpp>

#include <cstddef>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class io_hurdles {
 public:
  bool none() const noexcept { return word_ == 0; }

  // One more, or one less, that waits for memory.
  void add_waiter() noexcept { word_ += waiter; }
  void remove_waiter() noexcept { word_ -= waiter; }
  bool any_waiter() const noexcept { return word_ >= waiter; }

  // From before the thread announces its sleep until it is up again; others may have woken it
  // meanwhile (thread_state::asleep says so).
  void set_sleep(bool sleeps) noexcept { word_ = (word_ & ~asleep) | (sleeps ? asleep : 0); }

 private:
  static constexpr std::size_t asleep = 1;
  static constexpr std::size_t waiter = 2;

  std::size_t word_ = 0;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
