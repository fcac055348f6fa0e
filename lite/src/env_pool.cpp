// SPDX-License-Identifier: BSD-3-Clause
// Memory zones, memory pools and pointer rings: the environment's named and shared containers.
#include <algorithm>
#include <cstring>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "env_internal.hpp"
#include "spdk/env.h"
#include "spdk/util.h"

struct spdk_mempool {
  std::string name;
  std::vector<void*> elements;
  std::vector<void*> free_elements;
  void* memory = nullptr;
  mutable std::mutex mutex;
};

struct spdk_ring {
  std::deque<void*> objects;
  std::size_t capacity = 0;
  std::mutex mutex;
};

namespace {

/// Zones and pools by name. Never destroyed, like the memory that they stand for.
struct registry {
  std::mutex mutex;
  std::map<std::string, void*, std::less<>> zones;
  std::map<std::string, spdk_mempool*, std::less<>> pools;
};

registry& names() {
  static auto& instance = *new registry;
  return instance;
}

constexpr std::size_t element_alignment = 16;

// What names DPDK takes: it keeps a terminator, and the names of pools lose six bytes to prefixes.
constexpr std::size_t longest_zone_name = 31;
constexpr std::size_t longest_pool_name = 25;

bool fill_pool(spdk_mempool& pool, std::size_t count, std::size_t element_size) {
  const std::size_t stride = SPDK_ALIGN_CEIL(element_size, element_alignment);
  if (count == 0 || (stride != 0 && count > std::numeric_limits<std::size_t>::max() / stride)) {
    return false;
  }
  pool.memory = spdk_dma_zmalloc(std::max(count * stride, element_alignment), 0, nullptr);
  if (pool.memory == nullptr) {
    return false;
  }
  pool.elements.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    pool.elements.push_back(static_cast<std::byte*>(pool.memory) + i * stride);
  }
  pool.free_elements.assign(pool.elements.rbegin(), pool.elements.rend());
  return true;
}

}  // namespace

void* spdk_memzone_reserve_aligned(const char* name, size_t len, int numa_id, unsigned,
                                   unsigned align) {
  auto& all = names();
  const std::lock_guard lock{all.mutex};
  if (std::strlen(name) > longest_zone_name || all.zones.contains(name)) {
    return nullptr;
  }
  void* const zone = spdk_dma_zmalloc_socket(len, align, nullptr, numa_id);
  if (zone != nullptr) {
    all.zones.emplace(name, zone);
  }
  return zone;
}

void* spdk_memzone_reserve(const char* name, size_t len, int numa_id, unsigned flags) {
  return spdk_memzone_reserve_aligned(name, len, numa_id, flags, SPDK_CACHE_LINE_SIZE);
}

void* spdk_memzone_lookup(const char* name) {
  auto& all = names();
  const std::lock_guard lock{all.mutex};
  const auto zone = all.zones.find(name);
  return zone != all.zones.end() ? zone->second : nullptr;
}

int spdk_memzone_free(const char* name) {
  auto& all = names();
  const std::lock_guard lock{all.mutex};
  const auto zone = all.zones.find(name);
  if (zone == all.zones.end()) {
    return -1;
  }
  spdk_dma_free(zone->second);
  all.zones.erase(zone);
  return 0;
}

spdk_mempool* spdk_mempool_create_ctor(const char* name, size_t count, size_t ele_size, size_t, int,
                                       spdk_mempool_obj_cb_t* obj_init, void* obj_init_arg) {
  auto pool = std::make_unique<spdk_mempool>();
  pool->name = name;
  auto& all = names();
  {
    const std::lock_guard lock{all.mutex};
    if (pool->name.size() > longest_pool_name || all.pools.contains(pool->name) ||
        !fill_pool(*pool, count, ele_size)) {
      return nullptr;
    }
    all.pools.emplace(pool->name, pool.get());
  }
  if (obj_init != nullptr) {
    spdk_mempool_obj_iter(pool.get(), obj_init, obj_init_arg);
  }
  return pool.release();
}

spdk_mempool* spdk_mempool_create(const char* name, size_t count, size_t ele_size,
                                  size_t cache_size, int numa_id) {
  return spdk_mempool_create_ctor(name, count, ele_size, cache_size, numa_id, nullptr, nullptr);
}

char* spdk_mempool_get_name(spdk_mempool* mp) { return mp->name.data(); }

void spdk_mempool_free(spdk_mempool* mp) {
  if (mp == nullptr) {
    return;
  }
  auto& all = names();
  {
    const std::lock_guard lock{all.mutex};
    all.pools.erase(mp->name);
  }
  spdk_dma_free(mp->memory);
  delete mp;
}

void* spdk_mempool_get(spdk_mempool* mp) {
  void* element = nullptr;
  return spdk_mempool_get_bulk(mp, &element, 1) == 0 ? element : nullptr;
}

int spdk_mempool_get_bulk(spdk_mempool* mp, void** ele_arr, size_t count) {
  const std::lock_guard lock{mp->mutex};
  if (mp->free_elements.size() < count) {
    return -ENOBUFS;
  }
  for (std::size_t i = 0; i < count; ++i) {
    ele_arr[i] = mp->free_elements.back();
    mp->free_elements.pop_back();
  }
  return 0;
}

void spdk_mempool_put(spdk_mempool* mp, void* ele) { spdk_mempool_put_bulk(mp, &ele, 1); }

void spdk_mempool_put_bulk(spdk_mempool* mp, void** ele_arr, size_t count) {
  const std::lock_guard lock{mp->mutex};
  if (mp->free_elements.size() + count > mp->elements.size()) {
    spdk_lite::die("more elements put into memory pool %s than it has", mp->name.c_str());
  }
  mp->free_elements.insert(mp->free_elements.end(), ele_arr, ele_arr + count);
}

size_t spdk_mempool_count(const spdk_mempool* pool) {
  const std::lock_guard lock{pool->mutex};
  return pool->free_elements.size();
}

uint32_t spdk_mempool_obj_iter(spdk_mempool* mp, spdk_mempool_obj_cb_t obj_cb, void* obj_cb_arg) {
  std::uint32_t index = 0;
  for (void* const element : mp->elements) {
    obj_cb(mp, obj_cb_arg, element, index++);
  }
  return index;
}

spdk_mempool* spdk_mempool_lookup(const char* name) {
  auto& all = names();
  const std::lock_guard lock{all.mutex};
  const auto pool = all.pools.find(name);
  return pool != all.pools.end() ? pool->second : nullptr;
}

spdk_ring* spdk_ring_create(spdk_ring_type type, size_t count, int) {
  if (type > SPDK_RING_TYPE_MP_MC) {
    return nullptr;
  }
  auto ring = std::make_unique<spdk_ring>();
  ring->capacity = count;
  return ring.release();
}

void spdk_ring_free(spdk_ring* ring) { delete ring; }

size_t spdk_ring_count(spdk_ring* ring) {
  const std::lock_guard lock{ring->mutex};
  return ring->objects.size();
}

size_t spdk_ring_enqueue(spdk_ring* ring, void** objs, size_t count, size_t* free_space) {
  const std::lock_guard lock{ring->mutex};
  const bool fits = count <= ring->capacity - ring->objects.size();
  if (fits) {
    ring->objects.insert(ring->objects.end(), objs, objs + count);
  }
  if (free_space != nullptr) {
    *free_space = ring->capacity - ring->objects.size();
  }
  return fits ? count : 0;
}

size_t spdk_ring_dequeue(spdk_ring* ring, void** objs, size_t count) {
  const std::lock_guard lock{ring->mutex};
  const std::size_t taken = std::min(count, ring->objects.size());
  const auto end = ring->objects.begin() + static_cast<std::ptrdiff_t>(taken);
  std::copy(ring->objects.begin(), end, objs);
  ring->objects.erase(ring->objects.begin(), end);
  return taken;
}
