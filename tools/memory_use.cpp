// SPDX-License-Identifier: BSD-3-Clause
// Linux's numbers, and malloc's.
#include "memory_use.hpp"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace spdk_io_tool {

memory_use current_memory_use() {
  memory_use out;
  std::uint64_t pages = 0;
  if (std::ifstream in("/proc/self/statm"); in >> pages >> pages) {
    out.resident = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  const struct mallinfo2 heap = ::mallinfo2();
  out.heap = heap.uordblks + heap.hblkhd;
  return out;
}

std::uint64_t available_mib() {
  std::ifstream in("/proc/meminfo");
  for (std::string word; in >> word;) {
    std::uint64_t kib = 0;
    if (word == "MemAvailable:" && in >> kib) return kib / 1024;
  }
  return std::numeric_limits<int>::max();
}

void memory_history::sample(double share, memory_use use) noexcept {
  const auto quarter = std::min<std::size_t>(3, static_cast<std::size_t>(std::max(0.0, share) * 4));
  memory_use& most = quarters_[quarter];
  most.resident = std::max(most.resident, use.resident);
  most.heap = std::max(most.heap, use.heap);
}

bool memory_history::complete() const noexcept {
  return std::ranges::all_of(quarters_, [](const memory_use& q) { return q.resident != 0; });
}

std::int64_t memory_history::growth() const noexcept {
  return static_cast<std::int64_t>(late().resident) - static_cast<std::int64_t>(early().resident);
}

}  // namespace spdk_io_tool
