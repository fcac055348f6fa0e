// SPDX-License-Identifier: BSD-3-Clause
// Small arithmetic helpers, structure-size helpers for growing option structs, and iovec copies.
#pragma once

#include "spdk/fd.h"
#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPDK_CACHE_LINE_SIZE 64

#define spdk_min(a, b) (((a) < (b)) ? (a) : (b))
#define spdk_max(a, b) (((a) > (b)) ? (a) : (b))

#define SPDK_COUNTOF(arr) (sizeof(arr) / sizeof((arr)[0]))
#define SPDK_CONTAINEROF(ptr, type, member) ((type*)((uintptr_t)(ptr) - offsetof(type, member)))

/** Bytes of `*ptr` up to and including `member`. */
#define SPDK_SIZEOF(ptr, member) (offsetof(__typeof__(*(ptr)), member) + sizeof((ptr)->member))
#define SPDK_SIZEOF_MEMBER(type, member) (sizeof(((type*)0)->member))
#define SPDK_COUNTOF_MEMBER(type, member) (SPDK_COUNTOF(((type*)0)->member))

#define SPDK_SEC_TO_MSEC 1000ULL
#define SPDK_SEC_TO_USEC 1000000ULL
#define SPDK_SEC_TO_NSEC 1000000000ULL
#define SPDK_MSEC_TO_USEC 1000ULL

#define SPDK_CEIL_DIV(x, y) (((x) + (y) - 1) / (y))

/** `align` is a power of two; the result has the type of `val`. */
#define SPDK_ALIGN_FLOOR(val, align) ((__typeof__(val))((val) & ~((__typeof__(val))((align) - 1))))
#define SPDK_ALIGN_CEIL(val, align) \
  SPDK_ALIGN_FLOOR(((val) + ((__typeof__(val))((align) - 1))), align)

#define SPDK_BIT(n) (UINT64_C(1) << (n))

/** Whether a struct whose filled size is `(obj)->size`, or the optional third argument, reaches
 * as far as `field`. */
#define SPDK_FIELD_VALID(obj, ...) SPDK_FIELD_VALID_IMPL_(obj, __VA_ARGS__, (obj)->size, 0)
#define SPDK_FIELD_VALID_IMPL_(obj, field, filled, ...) \
  ((filled) >= offsetof(__typeof__(*(obj)), field) + sizeof((obj)->field))
/** `(obj)->field` where SPDK_FIELD_VALID() holds, else the default given. */
#define SPDK_GET_FIELD(obj, field, ...) \
  SPDK_GET_FIELD_IMPL_(obj, field, __VA_ARGS__, (obj)->size, 0)
#define SPDK_GET_FIELD_IMPL_(obj, field, defval, filled, ...)                              \
  (((filled) >= offsetof(__typeof__(*(obj)), field) + sizeof((obj)->field)) ? (obj)->field \
                                                                            : (defval))

/** Floor of the binary logarithm; 0 for 0. */
uint32_t spdk_u32log2(uint32_t x);
uint64_t spdk_u64log2(uint64_t x);

static inline bool spdk_u32_is_pow2(uint32_t x) { return x != 0 && (x & (x - 1)) == 0; }
static inline bool spdk_u64_is_pow2(uint64_t x) { return x != 0 && (x & (x - 1)) == 0; }

/** Smallest power of two that is at least `x` (x > 1). */
static inline uint32_t spdk_align32pow2(uint32_t x) { return 1u << (1 + spdk_u32log2(x - 1)); }
static inline uint64_t spdk_align64pow2(uint64_t x) { return 1ULL << (1 + spdk_u64log2(x - 1)); }

static inline uint64_t spdk_divide_round_up(uint64_t num, uint64_t divisor) {
  return num / divisor + (num % divisor != 0 ? 1 : 0);
}
static inline uint64_t spdk_round_up(uint64_t num, uint64_t divisor) {
  return divisor * spdk_divide_round_up(num, divisor);
}

/** Marsaglia's xorshift64 generator; `*state` must not be zero. */
static inline uint64_t spdk_rand_xorshift64(uint64_t* state) {
  uint64_t word = *state;
  word ^= word << 13;
  word ^= word >> 7;
  word ^= word << 17;
  return *state = word;
}

/** Copy over as many bytes as both lists hold; returns how many. The second form allows the
 * memory to overlap. */
size_t spdk_iovcpy(struct iovec* siov, size_t siovcnt, struct iovec* diov, size_t diovcnt);
size_t spdk_iovmove(struct iovec* siov, size_t siovcnt, struct iovec* diov, size_t diovcnt);
void spdk_iov_memset(struct iovec* iovs, int iovcnt, int c);
void spdk_copy_iovs_to_buf(void* buf, size_t buf_len, struct iovec* iovs, int iovcnt);
void spdk_copy_buf_to_iovs(struct iovec* iovs, int iovcnt, void* buf, size_t buf_len);

#define SPDK_IOV_ONE(piov, piovcnt, buf, buflen) \
  do {                                           \
    (piov)->iov_base = (buf);                    \
    (piov)->iov_len = (buflen);                  \
    *(piovcnt) = 1;                              \
  } while (0)

/** Position in an iovec list for copying piece by piece. */
struct spdk_iov_xfer {
  struct iovec* iovs;
  int iovcnt;
  int cur_iov_idx;
  size_t cur_iov_offset;
};

void spdk_iov_xfer_init(struct spdk_iov_xfer* ix, struct iovec* iovs, int iovcnt);
/** Copy up to `buf_len` bytes at the current position and move on; return how many. */
size_t spdk_iov_xfer_from_buf(struct spdk_iov_xfer* ix, const void* buf, size_t buf_len);
size_t spdk_iov_xfer_to_buf(struct spdk_iov_xfer* ix, const void* buf, size_t buf_len);

/** memset that the compiler may not drop, bounded by `data_size`. */
static inline void spdk_memset_s(void* data, size_t data_size, int ch, size_t count) {
  volatile unsigned char* bytes = (volatile unsigned char*)data;
  for (size_t i = 0; bytes != NULL && i < count && i < data_size; i++) {
    bytes[i] = (unsigned char)ch;
  }
}

#ifdef __cplusplus
}
#endif
