/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory, zones, pools, rings, registration of memory, cores. */
#include "runtime.h"
#include "transcript.h"

#include "spdk/env.h"

#include <sys/mman.h>

enum { steps = 120, slots = 6, page = 4096, region_pages = 1536 };

static void* memory[slots];
static size_t memory_size[slots];
static struct spdk_mempool* pools[slots];
static size_t element_size[slots];
static void* elements[slots][64];
static unsigned element_count[slots];
static struct spdk_ring* rings[slots];
static uintptr_t last_value;
static unsigned char* region; /* of our own: 4 MiB at a 2 MiB boundary */

static void start(void) {
  runtime_start_env();
  unsigned char* const mapped = mmap(NULL, (size_t)region_pages * page, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const uintptr_t mask = 2 * 1024 * 1024 - 1;
  region = (unsigned char*)(((uintptr_t)mapped + mask) & ~mask);
}

static void stop(void) { spdk_env_fini(); }

/* --- memory --- */

static bool filled(const void* data, size_t from, size_t to, unsigned char value) {
  const unsigned char* const bytes = data;
  for (size_t i = from; i < to; i++) {
    if (bytes[i] != value) {
      return false;
    }
  }
  return true;
}

static void allocate(int i) {
  static const size_t sizes[] = {1, 64, 100, 4096, 10000, 1 << 20, 0};
  static const size_t alignments[] = {0, 1, 8, 64, 512, 4096, 2 << 20, 96, 3};
  static const uint32_t flag_sets[] = {SPDK_MALLOC_DMA, SPDK_MALLOC_DMA, SPDK_MALLOC_SHARE,
                                       SPDK_MALLOC_DMA | SPDK_MALLOC_SHARE, 0};
  static const int nodes[] = {SPDK_ENV_NUMA_ID_ANY, SPDK_ENV_NUMA_ID_ANY, 0};
  const size_t size = sizes[pick(SPDK_COUNTOF(sizes))];
  const size_t align = alignments[pick(SPDK_COUNTOF(alignments))];
  const uint32_t flags = flag_sets[pick(SPDK_COUNTOF(flag_sets))];
  const int node = nodes[pick(SPDK_COUNTOF(nodes))];
  const bool zeroed = chance(50);
  uint64_t unused = 0;
  uint64_t* const old_argument = chance(4) ? &unused : NULL;
  if (memory[i] != NULL) {
    return;
  }
  memory[i] = zeroed ? spdk_zmalloc(size, align, old_argument, node, flags)
                     : spdk_malloc(size, align, old_argument, node, flags);
  memory_size[i] = size;
  const size_t at_least = spdk_max(align, (size_t)64);
  said("%s %zu align %zu flags %u node %d old %d: %d aligned %d zero %d",
       zeroed ? "zmalloc" : "malloc", size, align, flags, node, old_argument != NULL,
       memory[i] != NULL, memory[i] != NULL && (uintptr_t)memory[i] % at_least == 0,
       memory[i] != NULL && zeroed && filled(memory[i], 0, size, 0));
  if (memory[i] != NULL) {
    memset(memory[i], 0x5a, size);
  }
}

static void reallocate(int i) {
  static const size_t sizes[] = {1, 64, 5000, 1 << 20};
  static const size_t alignments[] = {0, 64, 4096};
  const size_t size = sizes[pick(SPDK_COUNTOF(sizes))];
  const size_t align = alignments[pick(SPDK_COUNTOF(alignments))];
  const bool dma = chance(50);
  if (memory[i] == NULL) {
    memory_size[i] = 0;
  }
  void* const now =
      dma ? spdk_dma_realloc(memory[i], size, align, NULL) : spdk_realloc(memory[i], size, align);
  const size_t kept = spdk_min(size, memory_size[i]);
  said("realloc %d to %zu align %zu dma %d: %d kept %d", memory[i] != NULL, size, align, dma,
       now != NULL, now != NULL && filled(now, 0, kept, 0x5a));
  if (now != NULL) {
    memory[i] = now;
    memory_size[i] = size;
    memset(now, 0x5a, size);
  }
}

static void release(int i) {
  spdk_free(memory[i]);
  said("free %d", memory[i] != NULL);
  memory[i] = NULL;
}

enum { shortest_long = 23, longest_long = 34 };

static void name_of_length(char* name, int i, int length) {
  memset(name, '-', (size_t)length);
  name[0] = (char)('0' + i);
  name[1] = (char)('A' + length - shortest_long);
  name[length] = '\0';
}

/* Of a length about what is allowed. */
static void long_name(char* name, int i) {
  const int length = shortest_long + (int)pick(longest_long - shortest_long + 1);
  name_of_length(name, i, length);
}

static void zones(int i) {
  char name[40];
  snprintf(name, sizeof name, "zone%d", i);
  if (chance(12)) {
    long_name(name, i);
  }
  static const unsigned alignments[] = {0, 64, 4096, 96};
  const uint32_t kind = pick(4);
  const size_t size = 64 * (1 + pick(100));
  const unsigned align = alignments[pick(SPDK_COUNTOF(alignments))];
  if (kind == 0) {
    void* const found = spdk_memzone_lookup(name);
    said("lookup %s: %d", name, found != NULL);
  } else if (kind == 1) {
    const int rc = spdk_memzone_free(name);
    said("free %s: %d", name, rc);
  } else {
    void* const zone =
        kind == 2 ? spdk_memzone_reserve(name, size, SPDK_ENV_NUMA_ID_ANY, 0)
                  : spdk_memzone_reserve_aligned(name, size, SPDK_ENV_NUMA_ID_ANY, 0, align);
    said("reserve %s %zu align %u: %d zero %d same %d", name, size, kind == 2 ? 0 : align,
         zone != NULL, zone != NULL && filled(zone, 0, size, 0),
         zone != NULL && spdk_memzone_lookup(name) == zone);
  }
}

/* --- pools --- */

static void on_element(struct spdk_mempool* pool, void* arg, void* element, unsigned index) {
  (void)pool;
  unsigned* const count = arg;
  *count += index + 1;
  memset(element, (int)index, 4);
}

static void create_pool(int i) {
  static const size_t counts[] = {1, 7, 8, 31, 64, 0};
  static const size_t sizes[] = {8, 24, 100, 4096};
  static const size_t caches[] = {0, 0, 4, SPDK_MEMPOOL_DEFAULT_CACHE_SIZE};
  char name[40];
  const size_t count = counts[pick(SPDK_COUNTOF(counts))];
  const size_t size = sizes[pick(SPDK_COUNTOF(sizes))];
  const size_t cache = caches[pick(SPDK_COUNTOF(caches))];
  const bool constructed = chance(40);
  snprintf(name, sizeof name, "pool%d", i);
  if (chance(12)) {
    long_name(name, i);
  }
  unsigned sum = 0;
  struct spdk_mempool* const pool =
      constructed ? spdk_mempool_create_ctor(name, count, size, cache, SPDK_ENV_NUMA_ID_ANY,
                                             on_element, &sum)
                  : spdk_mempool_create(name, count, size, cache, SPDK_ENV_NUMA_ID_ANY);
  said("pool %s %zu x %zu cache %zu: %d constructed %u", name, count, size, cache % 1000,
       pool != NULL, sum);
  if (pool != NULL) {
    pools[i] = pool;
    element_size[i] = size;
    element_count[i] = 0;
    said("pool is %s, count %zu, found %d", spdk_mempool_get_name(pool), spdk_mempool_count(pool),
         spdk_mempool_lookup(name) == pool);
  }
}

static void get_elements(int i) {
  const unsigned want = 1 + pick(9);
  if (pools[i] == NULL || element_count[i] + want > 64) {
    return;
  }
  if (want == 1) {
    void* const element = spdk_mempool_get(pools[i]);
    said("get of %d: %d, count %zu", i, element != NULL, spdk_mempool_count(pools[i]));
    if (element != NULL) {
      elements[i][element_count[i]++] = element;
    }
    return;
  }
  const int rc = spdk_mempool_get_bulk(pools[i], &elements[i][element_count[i]], want);
  said("get %u of %d: %d, count %zu", want, i, rc, spdk_mempool_count(pools[i]));
  element_count[i] += rc == 0 ? want : 0;
  for (unsigned e = 0; e < element_count[i]; e++) {
    memset(elements[i][e], 0xee, element_size[i]);
  }
}

static void put_elements(int i) {
  if (pools[i] == NULL || element_count[i] == 0) {
    return;
  }
  const unsigned count = 1 + pick(element_count[i]);
  element_count[i] -= count;
  if (count == 1) {
    spdk_mempool_put(pools[i], elements[i][element_count[i]]);
  } else {
    spdk_mempool_put_bulk(pools[i], &elements[i][element_count[i]], count);
  }
  said("put %u of %d: count %zu", count, i, spdk_mempool_count(pools[i]));
}

static void visit_elements(int i) {
  if (pools[i] != NULL && element_count[i] == 0) {
    unsigned sum = 0;
    const uint32_t visited = spdk_mempool_obj_iter(pools[i], on_element, &sum);
    said("visit %d: %u, sum %u", i, visited, sum);
  }
}

static void free_pool(int i) {
  if (pools[i] == NULL) {
    return;
  }
  if (element_count[i] > 0) {
    spdk_mempool_put_bulk(pools[i], elements[i], element_count[i]);
  }
  spdk_mempool_free(pools[i]);
  said("free pool %d: count of none %d", i, spdk_mempool_lookup("nobody's") != NULL);
  pools[i] = NULL;
  element_count[i] = 0;
}

/* --- rings --- */

static void create_ring(int i) {
  static const size_t counts[] = {1, 2, 7, 8, 100, 0};
  const size_t count = counts[pick(SPDK_COUNTOF(counts))];
  const unsigned type = pick(4);
  rings[i] = spdk_ring_create((enum spdk_ring_type)type, count, SPDK_ENV_NUMA_ID_ANY);
  said("ring %d of %zu type %u: %d", i, count, type, rings[i] != NULL);
}

static void use_ring(int i) {
  void* values[16];
  const unsigned count = pick(10);
  if (chance(55)) {
    for (unsigned v = 0; v < count; v++) {
      values[v] = (void*)++last_value;
    }
    size_t space = 9999;
    const bool ask = chance(50);
    const size_t taken = spdk_ring_enqueue(rings[i], values, count, ask ? &space : NULL);
    said("enqueue %u into %d: %zu, space %zu, count %zu", count, i, taken, space,
         spdk_ring_count(rings[i]));
    return;
  }
  memset(values, 0, sizeof values);
  const size_t got = spdk_ring_dequeue(rings[i], values, count);
  said("dequeue %u of %d: %zu, from %zu, count %zu", count, i, got, (size_t)(uintptr_t)values[0],
       spdk_ring_count(rings[i]));
}

static void ring_step(int i) {
  if (rings[i] == NULL) {
    create_ring(i);
  } else if (chance(10)) {
    spdk_ring_free(rings[i]);
    said("free ring %d", i);
    rings[i] = NULL;
  } else {
    use_ring(i);
  }
}

/* --- registration --- */

static bool registered[64]; /* by units of 16 pages, as this driver knows */

static void registration(void) {
  const unsigned first = pick(16);
  const unsigned count = pick(5);
  unsigned char* const at = region + (size_t)first * 16 * page;
  const size_t length = (size_t)count * 16 * page;
  const uint32_t kind = pick(10);
  int rc = 0;
  if (kind == 0) {
    rc = spdk_mem_register(at + 1 + pick(4000), length);
    said("register misaligned at %u+%u: %d", first, count, rc);
  } else if (kind == 1) {
    rc = spdk_mem_register(at, length + 100);
    said("register an odd length at %u+%u: %d", first, count, rc);
  } else if (kind < 6) {
    rc = spdk_mem_register(at, length);
    said("register %u+%u: %d", first, count, rc);
    for (unsigned i = first; rc == 0 && i < first + count; i++) {
      registered[i] = true;
    }
  } else if (count > 0) {
    rc = spdk_mem_unregister(at, length);
    said("unregister %u+%u: %d", first, count, rc);
    for (unsigned i = first; rc == 0 && i < first + count; i++) {
      registered[i] = false;
    }
  }
}

static void unregister_all(void) {
  for (unsigned from = 0; from < 24; from++) {
    for (unsigned count = 24 - from; registered[from] && count > 0; count--) {
      if (spdk_mem_unregister(region + (size_t)from * 16 * page, (size_t)count * 16 * page) == 0) {
        memset(&registered[from], 0, count * sizeof registered[0]);
      }
    }
  }
}

static void ask(int i) {
  uint64_t size = 100;
  const uint64_t address = spdk_vtophys(memory[i] != NULL ? memory[i] : region, &size);
  said("vtophys: %d, cores %u current %u main %u first %u last %u next %d numa %d primary %d",
       address == SPDK_VTOPHYS_ERROR, spdk_env_get_core_count(), spdk_env_get_current_core(),
       spdk_env_get_main_core(), spdk_env_get_first_core(), spdk_env_get_last_core(),
       spdk_env_get_next_core(spdk_env_get_last_core()) == UINT32_MAX,
       spdk_env_get_numa_id(400) == SPDK_ENV_NUMA_ID_ANY, spdk_process_is_primary());
}

static void step(void) {
  const int i = (int)pick(slots);
  const uint32_t kind = pick(100);
  if (kind < 18) {
    allocate(i);
  } else if (kind < 23) {
    reallocate(i);
  } else if (kind < 33) {
    release(i);
  } else if (kind < 43) {
    zones(i);
  } else if (kind < 67) {
    if (pools[i] == NULL) {
      create_pool(i);
    } else if (kind < 55) {
      get_elements(i);
    } else if (kind < 63) {
      put_elements(i);
    } else if (kind < 65) {
      visit_elements(i);
    } else {
      free_pool(i);
    }
  } else if (kind < 85) {
    ring_step(i);
  } else if (kind < 98) {
    registration();
  } else {
    ask(i);
  }
}

static void sequence(unsigned number) {
  (void)number;
  last_value = 0;
  for (int i = 0; i < steps; i++) {
    step();
  }
  for (int i = 0; i < slots; i++) {
    char name[40];
    release(i);
    free_pool(i);
    spdk_ring_free(rings[i]);
    rings[i] = NULL;
    snprintf(name, sizeof name, "zone%d", i);
    spdk_memzone_free(name);
    for (int length = shortest_long; length <= longest_long; length++) {
      name_of_length(name, i, length);
      spdk_memzone_free(name);
    }
  }
  unregister_all();
}

const struct family family_env = {"env", 20, start, sequence, stop, NULL};
