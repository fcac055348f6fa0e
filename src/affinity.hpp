// SPDX-License-Identifier: BSD-3-Clause
// The CPUs that the calling thread may run on, kept over SPDK's start, which narrows them to one.
#pragma once

#include <spdk_io/abi.hpp>

#include <sched.h>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class affinity {
 public:
  affinity() noexcept { known_ = sched_getaffinity(0, sizeof(set_), &set_) == 0; }
  void restore() const noexcept {
    if (known_) sched_setaffinity(0, sizeof(set_), &set_);
  }

 private:
  cpu_set_t set_;
  bool known_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
