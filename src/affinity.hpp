// SPDX-License-Identifier: BSD-3-Clause
// The cores that the calling OS thread may run on: kept over SPDK's start, which narrows them to
// one; listed; narrowed on purpose.
#pragma once

#include <spdk_io/abi.hpp>

#include <sched.h>

#include <cerrno>
#include <cstdint>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class affinity {
 public:
  affinity() noexcept { known_ = sched_getaffinity(0, sizeof(set_), &set_) == 0; }
  void restore() const noexcept {
    if (known_) sched_setaffinity(0, sizeof(set_), &set_);
  }

  // Ascending; none if the system does not say.
  std::vector<std::uint32_t> cores() const {
    std::vector<std::uint32_t> out;
    for (std::uint32_t core = 0; known_ && core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &set_)) out.push_back(core);
    }
    return out;
  }

  // To these; all if there are none. Returns an errno, or 0.
  static int narrow(const std::vector<std::uint32_t>& to) noexcept {
    if (to.empty()) return 0;
    cpu_set_t set;
    CPU_ZERO(&set);
    for (std::uint32_t core : to) {
      if (core >= CPU_SETSIZE) return EINVAL;
      CPU_SET(core, &set);
    }
    return sched_setaffinity(0, sizeof(set), &set) == 0 ? 0 : errno;
  }

 private:
  cpu_set_t set_;
  bool known_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
