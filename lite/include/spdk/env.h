// SPDX-License-Identifier: BSD-3-Clause
// The environment: start-up, DMA-able memory, cores, time. Here memory is ordinary process memory
// within the limit of `mem_size`, since nothing in this implementation does DMA.
#pragma once

#include "spdk/assert.h"
#include "spdk/queue.h"
#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPDK_ENV_NUMA_ID_ANY (-1)
#define SPDK_ENV_SOCKET_ID_ANY (-1)
#define SPDK_ENV_LCORE_ID_ANY (UINT32_MAX)

/** Flags of spdk_malloc(): usable for DMA; shareable between processes. */
#define SPDK_MALLOC_DMA 0x01
#define SPDK_MALLOC_SHARE 0x02

#define SPDK_MAX_MEMZONE_NAME_LEN 32
#define SPDK_MAX_MEMPOOL_NAME_LEN 29
#define SPDK_MEMZONE_NO_IOVA_CONTIG 0x00100000

struct spdk_pci_addr {
  uint32_t domain;
  uint8_t bus;
  uint8_t dev;
  uint8_t func;
};

/** Set `opts_size` first, then call spdk_env_opts_init(), then change what should differ. */
struct spdk_env_opts {
  const char* name;
  /** Hexadecimal mask or "[list]" of the CPUs to use. */
  const char* core_mask;
  const char* lcore_map;
  int shm_id;
  int mem_channel;
  /** One of the CPUs used; -1 is the lowest. */
  int main_core;
  /** MiB; -1 is as much as there is. */
  int mem_size;
  bool no_pci;
  bool hugepage_single_segments;
  bool unlink_hugepage;
  bool no_huge;
  uint32_t reserved;
  size_t num_pci_addr;
  const char* hugedir;
  struct spdk_pci_addr* pci_blocked;
  struct spdk_pci_addr* pci_allowed;
  const char* iova_mode;
  uint64_t base_virtaddr;
  void* env_context;
  const char* vf_token;
  size_t opts_size;
  bool enforce_numa;
  uint8_t reserved2[7];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_env_opts) == 128, "the ABI's size");

/** Defaults for everything but `opts_size`. */
void spdk_env_opts_init(struct spdk_env_opts* opts);

/** Starts the environment and pins the calling thread to the main core. Once it has started,
 * only NULL is accepted (start again after spdk_env_fini()); before, NULL is an error. 0 or
 * negative errno. */
int spdk_env_init(const struct spdk_env_opts* opts);
void spdk_env_fini(void);

/** `size` bytes aligned to `align` (0 or a power of two; at least a cache line). `unused` must be
 * NULL and `flags` not 0. NULL when the memory of the environment is used up. */
void* spdk_malloc(size_t size, size_t align, uint64_t* unused, int numa_id, uint32_t flags);
void* spdk_zmalloc(size_t size, size_t align, uint64_t* unused, int numa_id, uint32_t flags);
/** Keeps the contents; on NULL the old buffer stays valid. */
void* spdk_realloc(void* buf, size_t size, size_t align);
void spdk_free(void* buf);

/** The same with both flags set. */
void* spdk_dma_malloc(size_t size, size_t align, uint64_t* unused);
void* spdk_dma_malloc_socket(size_t size, size_t align, uint64_t* unused, int numa_id);
void* spdk_dma_zmalloc(size_t size, size_t align, uint64_t* unused);
void* spdk_dma_zmalloc_socket(size_t size, size_t align, uint64_t* unused, int numa_id);
void* spdk_dma_realloc(void* buf, size_t size, size_t align, uint64_t* unused);
void spdk_dma_free(void* buf);

/** Named, zeroed memory. */
void* spdk_memzone_reserve(const char* name, size_t len, int numa_id, unsigned flags);
void* spdk_memzone_reserve_aligned(const char* name, size_t len, int numa_id, unsigned flags,
                                   unsigned align);
void* spdk_memzone_lookup(const char* name);
/** 0, or -1 if there is no such zone. */
int spdk_memzone_free(const char* name);

/** A thread-safe pool of `count` elements of one size. */
struct spdk_mempool;
#define SPDK_MEMPOOL_DEFAULT_CACHE_SIZE SIZE_MAX

typedef void(spdk_mempool_obj_cb_t)(struct spdk_mempool* mp, void* opaque, void* obj,
                                    unsigned obj_idx);

struct spdk_mempool* spdk_mempool_create(const char* name, size_t count, size_t ele_size,
                                         size_t cache_size, int numa_id);
struct spdk_mempool* spdk_mempool_create_ctor(const char* name, size_t count, size_t ele_size,
                                              size_t cache_size, int numa_id,
                                              spdk_mempool_obj_cb_t* obj_init, void* obj_init_arg);
char* spdk_mempool_get_name(struct spdk_mempool* mp);
void spdk_mempool_free(struct spdk_mempool* mp);
/** NULL (or a negative errno) when fewer elements are left. */
void* spdk_mempool_get(struct spdk_mempool* mp);
int spdk_mempool_get_bulk(struct spdk_mempool* mp, void** ele_arr, size_t count);
void spdk_mempool_put(struct spdk_mempool* mp, void* ele);
void spdk_mempool_put_bulk(struct spdk_mempool* mp, void** ele_arr, size_t count);
/** How many elements are free. */
size_t spdk_mempool_count(const struct spdk_mempool* pool);
uint32_t spdk_mempool_obj_iter(struct spdk_mempool* mp, spdk_mempool_obj_cb_t obj_cb,
                               void* obj_cb_arg);
struct spdk_mempool* spdk_mempool_lookup(const char* name);

/** A bounded FIFO of pointers. */
struct spdk_ring;

enum spdk_ring_type {
  SPDK_RING_TYPE_SP_SC,
  SPDK_RING_TYPE_MP_SC,
  SPDK_RING_TYPE_MP_MC,
};

struct spdk_ring* spdk_ring_create(enum spdk_ring_type type, size_t count, int numa_id);
void spdk_ring_free(struct spdk_ring* ring);
size_t spdk_ring_count(struct spdk_ring* ring);
/** All `count` or nothing; returns how many. */
size_t spdk_ring_enqueue(struct spdk_ring* ring, void** objs, size_t count, size_t* free_space);
/** Up to `count`; returns how many. */
size_t spdk_ring_dequeue(struct spdk_ring* ring, void** objs, size_t count);

uint32_t spdk_env_get_core_count(void);
/** SPDK_ENV_LCORE_ID_ANY on a thread that the environment did not start. */
uint32_t spdk_env_get_current_core(void);
uint32_t spdk_env_get_main_core(void);
uint32_t spdk_env_get_first_core(void);
uint32_t spdk_env_get_last_core(void);
/** UINT32_MAX after the last. */
uint32_t spdk_env_get_next_core(uint32_t prev_core);

#define SPDK_ENV_FOREACH_CORE(i) \
  for (i = spdk_env_get_first_core(); i < UINT32_MAX; i = spdk_env_get_next_core(i))

int32_t spdk_env_get_numa_id(uint32_t core);
int32_t spdk_env_get_first_numa_id(void);
int32_t spdk_env_get_last_numa_id(void);
/** INT32_MAX after the last. */
int32_t spdk_env_get_next_numa_id(int32_t prev_numa_id);

#define SPDK_ENV_FOREACH_NUMA_ID(i) \
  for (i = spdk_env_get_first_numa_id(); i < INT32_MAX; i = spdk_env_get_next_numa_id(i))

struct spdk_cpuset;
/** All cores of the environment. */
void spdk_env_get_cpuset(struct spdk_cpuset* cpuset);

typedef int (*thread_start_fn)(void*);

/** Runs `fn` on the environment's own OS thread of that core. 0, or -EBUSY if one is running
 * there, or -EINVAL. Not for the main core. */
int spdk_env_thread_launch_pinned(uint32_t core, thread_start_fn fn, void* arg);
/** Waits for all that was launched. */
void spdk_env_thread_wait_all(void);

bool spdk_process_is_primary(void);

/** A fast monotonic clock and its frequency in ticks per second. */
uint64_t spdk_get_ticks(void);
uint64_t spdk_get_ticks_hz(void);
/** Busy-waits. */
void spdk_delay_us(unsigned int us);
/** A hint for spin loops. */
void spdk_pause(void);

/** Lets the calling thread run on every CPU; the second form only during `cb`. */
void spdk_unaffinitize_thread(void);
void* spdk_call_unaffinitized(void* cb(void* arg), void* arg);

int spdk_get_tid(void);

#define SPDK_VTOPHYS_ERROR (0xFFFFFFFFFFFFFFFFULL)

/** The I/O address of `buf`, or SPDK_VTOPHYS_ERROR if it is neither allocated here nor
 * registered, or with `no_pci`. `*size` (may be NULL) goes in with the length asked for and comes
 * out with the contiguous part of it. */
uint64_t spdk_vtophys(const void* buf, uint64_t* size);

/** Declares memory of the caller's own usable for I/O. Both arguments are multiples of 4 KiB.
 * 0; -EINVAL; -EBUSY if part of it is registered (register), -EINVAL if part is not, -ERANGE if
 * it would cut a registration in two (unregister). What spdk_malloc() gave is registered as part
 * of the environment's memory. */
int spdk_mem_register(void* vaddr, size_t len);
int spdk_mem_unregister(void* vaddr, size_t len);
/** Prepares a later registration, so that it needs no memory: nothing to be done here. 0; -EINVAL;
 * -EBUSY if part of it is registered. */
int spdk_mem_reserve(void* vaddr, size_t len);

/** The NUMA node of registered memory, or SPDK_ENV_NUMA_ID_ANY. */
int32_t spdk_mem_get_numa_id(const void* buf, uint64_t* size);

/** "0000:01:00.0" and the like. 0 or negative errno. */
int spdk_pci_addr_parse(struct spdk_pci_addr* addr, const char* bdf);
int spdk_pci_addr_fmt(char* bdf, size_t sz, const struct spdk_pci_addr* addr);
int spdk_pci_addr_compare(const struct spdk_pci_addr* a1, const struct spdk_pci_addr* a2);

#ifdef __cplusplus
}
#endif
