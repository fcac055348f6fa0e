// SPDX-License-Identifier: BSD-3-Clause
// Why an I/O of a thread cannot simply be submitted, or its completion simply be linked, in one
// word: others wait for memory, the thread sleeps and must be woken, or (for completions alone) a
// channel has more to look at, or this is not inside the thread's own poll, which looks for what
// was linked. Own OS thread only.
#pragma once

#include <spdk_io/abi.hpp>

#include <cstdint>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class io_hurdles {
 public:
  bool none_to_submit() const noexcept {
    return (static_cast<std::uint32_t>(word_) & ~outside_poll) == 0;
  }
  bool none_to_complete() const noexcept { return word_ == 0; }

  // One more, or one less, that waits for memory.
  void add_waiter() noexcept { word_ += waiter; }
  void remove_waiter() noexcept { word_ -= waiter; }
  bool any_waiter() const noexcept { return static_cast<std::uint32_t>(word_) >= waiter; }

  // Of a channel: see channel_state::attention.
  void add_attention() noexcept { word_ += attention; }
  void remove_attention() noexcept { word_ -= attention; }

  // From before the thread announces its sleep until it is up again; others may have woken it
  // meanwhile (thread_state::asleep says so).
  void set_sleep(bool sleeps) noexcept {
    word_ = (word_ & ~std::uint64_t{asleep}) | (sleeps ? asleep : 0);
  }

  // Around spdk_thread_poll() of the thread, where the library itself calls it.
  void enter_poll() noexcept { word_ &= ~std::uint64_t{outside_poll}; }
  void leave_poll() noexcept { word_ |= outside_poll; }
  bool in_poll() const noexcept { return (word_ & outside_poll) == 0; }

 private:
  static constexpr std::uint32_t asleep = 1;
  static constexpr std::uint32_t outside_poll = 2;
  static constexpr std::uint32_t waiter = 4;  // 2^30 of them at most
  static constexpr std::uint64_t attention = std::uint64_t{1} << 32;

  std::uint64_t word_ = outside_poll;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
