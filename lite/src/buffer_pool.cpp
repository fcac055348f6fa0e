// SPDX-License-Identifier: BSD-3-Clause
// The process-wide pool behind the buffer channels. Buffers are allocated when they are first
// needed, up to the configured number, and kept until the pool stops.
#include "buffer_pool.hpp"

#include "spdk/env.h"
#include "spdk/log.h"

#include <cerrno>
#include <mutex>
#include <vector>

namespace spdk_lite {
namespace {

constexpr std::size_t buffer_alignment = 4096;

struct size_class {
  std::uint64_t unallocated = 0;  ///< neither made yet nor set aside by a channel
  std::vector<void*> free;
  std::vector<void*> all;
  std::size_t size = 0;

  void start(std::uint64_t count, std::uint32_t bytes) {
    unallocated = count;
    size = (bytes + buffer_alignment - 1) / buffer_alignment * buffer_alignment;
  }

  void* allocate() {
    void* buf = spdk_malloc(size, buffer_alignment, nullptr, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA);
    if (buf != nullptr) {
      all.push_back(buf);
    }
    return buf;
  }

  void stop() {
    for (void* buf : all) {
      spdk_free(buf);
    }
    all.clear();
    free.clear();
    unallocated = 0;
  }
};

struct pool {
  std::mutex mutex;
  buffer_pool_options options;
  size_class small;
  size_class large;
};

pool& the_pool() {
  static auto& instance = *new pool;
  return instance;
}

size_class& class_of(std::size_t size) {
  pool& p = the_pool();
  return size == p.small.size ? p.small : p.large;
}

void* pool_get(std::size_t size) {
  const std::lock_guard lock(the_pool().mutex);
  size_class& c = class_of(size);
  if (!c.free.empty()) {
    void* buf = c.free.back();
    c.free.pop_back();
    return buf;
  }
  if (c.unallocated == 0) {
    return nullptr;
  }
  void* buf = c.allocate();
  c.unallocated -= buf != nullptr ? 1 : 0;
  return buf;
}

void pool_put(void* buf, std::size_t size) {
  const std::lock_guard lock(the_pool().mutex);
  class_of(size).free.push_back(buf);
}

void* pool_allocate_reserved(std::size_t size) {
  const std::lock_guard lock(the_pool().mutex);
  return class_of(size).allocate();
}

}  // namespace

int buffer_pool_set_options(const buffer_pool_options& options) {
  struct minimum {
    const char* name;
    std::uint64_t value;
    std::uint64_t least;
  };
  for (const minimum& m : {minimum{"small_pool_count", options.small_count, 64},
                           minimum{"large_pool_count", options.large_count, 8},
                           minimum{"small_bufsize", options.small_size, 4096},
                           minimum{"large_bufsize", options.large_size, 8192}}) {
    if (m.value < m.least) {
      SPDK_ERRLOG("%s must be at least %llu\n", m.name, static_cast<unsigned long long>(m.least));
      return -EINVAL;
    }
  }
  the_pool().options = options;
  return 0;
}

const buffer_pool_options& buffer_pool_get_options() { return the_pool().options; }

void buffer_pool_start() {
  pool& p = the_pool();
  const std::lock_guard lock(p.mutex);
  p.small.start(p.options.small_count, p.options.small_size);
  p.large.start(p.options.large_count, p.options.large_size);
}

void buffer_pool_stop() {
  pool& p = the_pool();
  const std::lock_guard lock(p.mutex);
  p.small.stop();
  p.large.stop();
}

bool buffer_channel::start(std::uint32_t small_cache, std::uint32_t large_cache) {
  pool& p = the_pool();
  const std::lock_guard lock(p.mutex);
  const auto spare = [](const size_class& c) { return c.unallocated + c.free.size(); };
  if (spare(p.small) < small_cache || spare(p.large) < large_cache) {
    SPDK_ERRLOG(
        "too few buffers for the cache of another thread: small_pool_count or "
        "large_pool_count is too small\n");
    return false;
  }
  const auto set_up = [](cache& c, size_class& from, std::uint32_t count) {
    c.size = from.size;
    c.limit = count;
    while (c.reserved + c.free_count < count) {
      if (from.unallocated != 0) {
        --from.unallocated;
        ++c.reserved;
        continue;
      }
      auto* buf = static_cast<free_buffer*>(from.free.back());
      from.free.pop_back();
      buf->next = c.free;
      c.free = buf;
      ++c.free_count;
    }
  };
  set_up(small_, p.small, small_cache);
  set_up(large_, p.large, large_cache);
  return true;
}

void buffer_channel::stop() {
  pool& p = the_pool();
  const std::lock_guard lock(p.mutex);
  for (cache* c : {&small_, &large_}) {
    size_class& to = class_of(c->size);
    to.unallocated += c->reserved;
    while (c->free != nullptr) {
      to.free.push_back(c->free);
      c->free = c->free->next;
    }
    *c = cache{};
  }
}

std::size_t buffer_channel::max_size() const { return large_.size; }

void* buffer_channel::get(std::size_t len, spdk_bdev_io* io, ready_fn ready) {
  cache& c = fitting(len);
  // Who comes later must not overtake those who wait already.
  if (c.waiting.empty()) {
    if (c.free != nullptr) {
      void* buf = c.free;
      c.free = c.free->next;
      --c.free_count;
      return buf;
    }
    void* buf = nullptr;
    if (c.reserved != 0) {
      buf = pool_allocate_reserved(c.size);
      c.reserved -= buf != nullptr ? 1 : 0;
    } else {
      buf = pool_get(c.size);
    }
    if (buf != nullptr) {
      return buf;
    }
  }
  c.ready = ready;
  c.waiting.push_back(io);
  return nullptr;
}

void buffer_channel::put(void* buf, std::size_t len) {
  cache& c = fitting(len);
  if (spdk_bdev_io* io = c.waiting.pop_front(); io != nullptr) {
    c.ready(io, buf);
  } else if (c.free_count + c.reserved < c.limit) {
    auto* node = static_cast<free_buffer*>(buf);
    node->next = c.free;
    c.free = node;
    ++c.free_count;
  } else {
    pool_put(buf, c.size);
  }
}

}  // namespace spdk_lite
