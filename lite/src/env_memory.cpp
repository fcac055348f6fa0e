// SPDX-License-Identifier: BSD-3-Clause
// The environment's memory: allocations within a limit, registrations of the caller's own memory,
// and the translation of addresses. Allocations come from the process heap one by one, so that
// sanitizers see every buffer with its exact bounds.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "env_internal.hpp"
#include "spdk/env.h"
#include "spdk/util.h"

namespace {

constexpr std::uintptr_t page_size = 4096;
/// Virtual addresses above this are not user space.
constexpr std::uintptr_t address_space_end = std::uintptr_t{1} << 48;

/// Memory ranges by their first address; they never overlap.
using range_map = std::map<std::uintptr_t, std::size_t>;

struct memory_state {
  std::mutex mutex;
  range_map allocations;
  range_map registrations;
  std::size_t limit = 0;
  std::size_t used = 0;
  bool translate = false;
};

/// Never destroyed: buffers may be freed by destructors of static objects.
memory_state& state() {
  static auto& instance = *new memory_state;
  return instance;
}

std::uintptr_t address_of(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

/// The range that contains `address`, or end().
range_map::const_iterator find_range(const range_map& ranges, std::uintptr_t address) {
  auto next = ranges.upper_bound(address);
  if (next == ranges.begin()) {
    return ranges.end();
  }
  --next;
  return address - next->first < next->second ? next : ranges.end();
}

bool overlaps(const range_map& ranges, std::uintptr_t address, std::size_t length) {
  const auto next = ranges.lower_bound(address);
  return (next != ranges.end() && next->first - address < length) ||
         find_range(ranges, address) != ranges.end();
}

/// What an allocation counts against the limit: whole cache lines plus one for bookkeeping.
std::size_t cost(std::size_t size) {
  return SPDK_ALIGN_CEIL(size, std::size_t{SPDK_CACHE_LINE_SIZE}) + SPDK_CACHE_LINE_SIZE;
}

void* allocate_locked(memory_state& memory, std::size_t size, std::size_t align) {
  align = std::max<std::size_t>(align, SPDK_CACHE_LINE_SIZE);
  if (size == 0 || size > memory.limit || !spdk_u64_is_pow2(align) ||
      cost(size) > memory.limit - memory.used) {
    return nullptr;
  }
  void* buffer = nullptr;
  if (posix_memalign(&buffer, align, size) != 0) {
    return nullptr;
  }
  memory.allocations.emplace(address_of(buffer), size);
  memory.used += cost(size);
  return buffer;
}

void release_locked(memory_state& memory, range_map::const_iterator allocation) {
  void* const buffer = reinterpret_cast<void*>(allocation->first);
  memory.used -= cost(allocation->second);
  memory.allocations.erase(allocation);
  std::free(buffer);
}

range_map::const_iterator find_allocation(memory_state& memory, void* buffer) {
  const auto found = memory.allocations.find(address_of(buffer));
  if (found == memory.allocations.end()) {
    spdk_lite::die("%p is not memory of the environment, or was freed before", buffer);
  }
  return found;
}

bool is_valid_range(std::uintptr_t address, std::size_t length) {
  return address < address_space_end && address % page_size == 0 && length % page_size == 0;
}

/// The environment has registered its own memory.
bool is_allocated(const memory_state& memory, std::uintptr_t address, std::size_t length) {
  const auto allocation = find_range(memory.allocations, address);
  return allocation != memory.allocations.end() &&
         address - allocation->first + length <= allocation->second;
}

bool is_registered(const memory_state& memory, std::uintptr_t address, std::size_t length) {
  return overlaps(memory.registrations, address, length) || is_allocated(memory, address, length);
}

/// Whether registrations cover the range without a gap, from the start of one on.
int check_registered(const range_map& registrations, std::uintptr_t address, std::size_t length) {
  const auto first = find_range(registrations, address);
  if (first != registrations.end() && first->first != address) {
    return -ERANGE;
  }
  std::uintptr_t position = address;
  for (auto range = first; position - address < length; ++range) {
    if (range == registrations.end() || range->first != position) {
      return -EINVAL;
    }
    position += range->second;
  }
  return position - address > length ? -ERANGE : 0;
}

}  // namespace

namespace spdk_lite {

void start_memory(std::size_t limit, bool translate) {
  auto& memory = state();
  const std::lock_guard lock{memory.mutex};
  memory.limit = limit;
  memory.translate = translate;
}

}  // namespace spdk_lite

void* spdk_malloc(size_t size, size_t align, uint64_t* unused, int, uint32_t flags) {
  if (flags == 0 || unused != nullptr) {
    return nullptr;
  }
  auto& memory = state();
  const std::lock_guard lock{memory.mutex};
  return allocate_locked(memory, size, align);
}

void* spdk_zmalloc(size_t size, size_t align, uint64_t* unused, int numa_id, uint32_t flags) {
  void* const buffer = spdk_malloc(size, align, unused, numa_id, flags);
  if (buffer != nullptr) {
    std::memset(buffer, 0, size);
  }
  return buffer;
}

void* spdk_realloc(void* buf, size_t size, size_t align) {
  auto& memory = state();
  const std::lock_guard lock{memory.mutex};
  align = SPDK_ALIGN_CEIL(align, std::size_t{SPDK_CACHE_LINE_SIZE});
  if (buf == nullptr) {
    return allocate_locked(memory, size, align);
  }
  const auto old = find_allocation(memory, buf);
  const bool is_aligned = align == 0 || address_of(buf) % align == 0;
  if (is_aligned && size <= old->second) {
    return buf;
  }
  void* const buffer = allocate_locked(memory, size, align);
  if (buffer != nullptr) {
    std::memcpy(buffer, buf, std::min(size, old->second));
    release_locked(memory, old);
  }
  return buffer;
}

void spdk_free(void* buf) {
  if (buf == nullptr) {
    return;
  }
  auto& memory = state();
  const std::lock_guard lock{memory.mutex};
  release_locked(memory, find_allocation(memory, buf));
}

void* spdk_dma_malloc_socket(size_t size, size_t align, uint64_t* unused, int numa_id) {
  return spdk_malloc(size, align, unused, numa_id, SPDK_MALLOC_DMA | SPDK_MALLOC_SHARE);
}

void* spdk_dma_zmalloc_socket(size_t size, size_t align, uint64_t* unused, int numa_id) {
  return spdk_zmalloc(size, align, unused, numa_id, SPDK_MALLOC_DMA | SPDK_MALLOC_SHARE);
}

void* spdk_dma_malloc(size_t size, size_t align, uint64_t* unused) {
  return spdk_dma_malloc_socket(size, align, unused, SPDK_ENV_NUMA_ID_ANY);
}

void* spdk_dma_zmalloc(size_t size, size_t align, uint64_t* unused) {
  return spdk_dma_zmalloc_socket(size, align, unused, SPDK_ENV_NUMA_ID_ANY);
}

void* spdk_dma_realloc(void* buf, size_t size, size_t align, uint64_t* unused) {
  return unused == nullptr ? spdk_realloc(buf, size, align) : nullptr;
}

void spdk_dma_free(void* buf) { spdk_free(buf); }

int spdk_mem_register(void* vaddr, size_t len) {
  const std::uintptr_t address = address_of(vaddr);
  if (!is_valid_range(address, len)) {
    return -EINVAL;
  }
  if (len == 0) {
    return 0;
  }
  auto& memory = state();
  const std::lock_guard lock{memory.mutex};
  if (is_registered(memory, address, len)) {
    return -EBUSY;
  }
  memory.registrations.emplace(address, len);
  return 0;
}

int spdk_mem_unregister(void* vaddr, size_t len) {
  const std::uintptr_t address = address_of(vaddr);
  if (!is_valid_range(address, len)) {
    return -EINVAL;
  }
  auto& memory = state();
  const std::lock_guard lock{memory.mutex};
  if (is_allocated(memory, address, len)) {
    return -ERANGE;
  }
  const int rc = check_registered(memory.registrations, address, len);
  if (rc == 0) {
    memory.registrations.erase(memory.registrations.lower_bound(address),
                               memory.registrations.lower_bound(address + len));
  }
  return rc;
}

int spdk_mem_reserve(void* vaddr, size_t len) {
  const std::uintptr_t address = address_of(vaddr);
  if (!is_valid_range(address, len)) {
    return -EINVAL;
  }
  auto& memory = state();
  const std::lock_guard lock{memory.mutex};
  // There are no tables that would have to be prepared.
  return len > 0 && is_registered(memory, address, len) ? -EBUSY : 0;
}

uint64_t spdk_vtophys(const void* buf, uint64_t* size) {
  auto& memory = state();
  const std::lock_guard lock{memory.mutex};
  if (!memory.translate) {
    return SPDK_VTOPHYS_ERROR;
  }
  const std::uintptr_t address = address_of(buf);
  for (const range_map* ranges : {&memory.allocations, &memory.registrations}) {
    const auto range = find_range(*ranges, address);
    if (range != ranges->end()) {
      if (size != nullptr) {
        *size = std::min<std::uint64_t>(*size, range->first + range->second - address);
      }
      return address;
    }
  }
  return SPDK_VTOPHYS_ERROR;
}

int32_t spdk_mem_get_numa_id(const void*, uint64_t*) { return SPDK_ENV_NUMA_ID_ANY; }
