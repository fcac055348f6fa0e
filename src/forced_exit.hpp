// SPDX-License-Identifier: BSD-3-Clause
// SPDK ends a thread by force when it has not exited within 5 seconds. Who held it is told here.
#pragma once

#include <spdk_io/abi.hpp>

#include <cstdint>
#include <string_view>

struct spdk_thread;

namespace spdk_io::inline SPDK_IO_ABI::detail {

// The exit of an SPDK thread, watched from spdk_thread_exit() on.
class watched_exit {
 public:
  watched_exit() noexcept;
  // Once it has exited, and before it is destroyed: says on stderr, in one line, what it still
  // has, if it was ended by force.
  void report(spdk_thread* exited, std::string_view name) const noexcept;

 private:
  std::uint64_t by_force_from_;  // ticks
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
