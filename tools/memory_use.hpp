// SPDX-License-Identifier: BSD-3-Clause
// How much memory this process has, and the system to give.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace spdk_io_tool {

struct memory_use {
  std::uint64_t resident = 0;  // bytes of this process in memory
  std::uint64_t heap = 0;      // bytes given out by malloc; 0 where it does not count
};

memory_use current_memory_use();

// What the kernel can give without swapping, in MiB; a great deal if it does not say.
std::uint64_t available_mib();

// The largest use in each quarter of a run. The first is warm-up; whatever grows by itself grows
// between the second and the last.
class memory_history {
 public:
  // `share` of the run that has passed, 0 to 1.
  void sample(double share, memory_use use) noexcept;

  bool complete() const noexcept;  // each quarter has a sample
  memory_use early() const noexcept { return quarters_[1]; }
  memory_use late() const noexcept { return quarters_[3]; }
  std::int64_t growth() const noexcept;  // bytes resident

 private:
  std::array<memory_use, 4> quarters_;
};

}  // namespace spdk_io_tool
