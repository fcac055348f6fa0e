// SPDX-License-Identifier: BSD-3-Clause
/*
 * Histograms of 64-bit values with logarithmic ranges: each range covers twice as much as the
 * one before it, in 2^granularity buckets of equal width; the first two ranges have buckets of
 * width 1. A histogram may keep a part of the ranges only: what lies outside counts in its
 * first or its last bucket.
 */
#ifndef _SPDK_HISTOGRAM_DATA_H_
#define _SPDK_HISTOGRAM_DATA_H_

#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPDK_HISTOGRAM_GRANULARITY_DEFAULT 7
#define SPDK_HISTOGRAM_GRANULARITY(h) ((h)->granularity)
#define SPDK_HISTOGRAM_BUCKET_LSB(h) (64 - SPDK_HISTOGRAM_GRANULARITY(h))
#define SPDK_HISTOGRAM_NUM_BUCKETS_PER_RANGE(h) (1ULL << SPDK_HISTOGRAM_GRANULARITY(h))
#define SPDK_HISTOGRAM_BUCKET_MASK(h) (SPDK_HISTOGRAM_NUM_BUCKETS_PER_RANGE(h) - 1)
#define SPDK_HISTOGRAM_NUM_BUCKET_RANGES(h) ((h)->max_range - (h)->min_range + 1)
#define SPDK_HISTOGRAM_NUM_BUCKETS(h) \
  (SPDK_HISTOGRAM_NUM_BUCKETS_PER_RANGE(h) * SPDK_HISTOGRAM_NUM_BUCKET_RANGES(h))

struct spdk_histogram_data {
  uint32_t granularity;
  uint32_t min_range;
  uint32_t max_range;
  uint64_t* bucket;
};

/* The bucket of a range (not counted from min_range) and an index in it. */
static inline uint64_t* __spdk_histogram_get_bucket(const struct spdk_histogram_data* h,
                                                    uint32_t range, uint32_t index) {
  const uint64_t first = (uint64_t)(range - h->min_range) * SPDK_HISTOGRAM_NUM_BUCKETS_PER_RANGE(h);
  return h->bucket + first + index;
}

static inline void spdk_histogram_data_reset(struct spdk_histogram_data* histogram) {
  memset(histogram->bucket, 0, SPDK_HISTOGRAM_NUM_BUCKETS(histogram) * sizeof(uint64_t));
}

static inline uint32_t __spdk_histogram_data_get_bucket_range(struct spdk_histogram_data* h,
                                                              uint64_t datapoint) {
  const uint32_t bits = datapoint != 0 ? 64U - (uint32_t)__builtin_clzll(datapoint) : 0U;
  return bits > h->granularity ? bits - h->granularity : 0U;
}

static inline void spdk_histogram_data_tally(struct spdk_histogram_data* histogram,
                                             uint64_t datapoint) {
  uint32_t range = __spdk_histogram_data_get_bucket_range(histogram, datapoint);
  uint32_t index = 0;
  if (range < histogram->min_range) {
    range = histogram->min_range;
  } else if (range > histogram->max_range) {
    range = histogram->max_range;
    index = (uint32_t)SPDK_HISTOGRAM_BUCKET_MASK(histogram);
  } else {
    const uint64_t buckets = datapoint >> (range > 0 ? range - 1 : 0);
    index = (uint32_t)(buckets & SPDK_HISTOGRAM_BUCKET_MASK(histogram));
  }
  ++*__spdk_histogram_get_bucket(histogram, range, index);
}

/* The end of a bucket, exclusive, which is where the next one starts. */
static inline uint64_t __spdk_histogram_data_get_bucket_start(const struct spdk_histogram_data* h,
                                                              uint32_t range, uint32_t index) {
  const uint64_t buckets = (uint64_t)index + 1;
  if (range == 0) {
    return buckets;
  }
  return (SPDK_HISTOGRAM_NUM_BUCKETS_PER_RANGE(h) + buckets) << (range - 1);
}

/* A bucket's range of values, its count, and the counts of all and of those up to it. */
typedef void (*spdk_histogram_data_fn)(void* ctx, uint64_t start, uint64_t end, uint64_t count,
                                       uint64_t total, uint64_t so_far);

static inline void spdk_histogram_data_iterate(const struct spdk_histogram_data* histogram,
                                               spdk_histogram_data_fn fn, void* ctx) {
  const uint64_t count = SPDK_HISTOGRAM_NUM_BUCKETS(histogram);
  uint64_t total = 0;
  uint64_t so_far = 0;
  uint64_t start = 0;
  uint64_t i;
  for (i = 0; i < count; ++i) {
    total += histogram->bucket[i];
  }
  for (i = 0; i < count; ++i) {
    const uint32_t range = histogram->min_range + (uint32_t)(i >> histogram->granularity);
    const uint32_t index = (uint32_t)(i & SPDK_HISTOGRAM_BUCKET_MASK(histogram));
    const uint64_t end = __spdk_histogram_data_get_bucket_start(histogram, range, index);
    so_far += histogram->bucket[i];
    fn(ctx, start, end, histogram->bucket[i], total, so_far);
    start = end;
  }
}

/* Adds src to dst. -EINVAL if they do not have the same buckets. */
static inline int spdk_histogram_data_merge(const struct spdk_histogram_data* dst,
                                            const struct spdk_histogram_data* src) {
  uint64_t i;
  if (dst->granularity != src->granularity || dst->min_range != src->min_range ||
      dst->max_range != src->max_range) {
    return -EINVAL;
  }
  for (i = 0; i < SPDK_HISTOGRAM_NUM_BUCKETS(dst); ++i) {
    dst->bucket[i] += src->bucket[i];
  }
  return 0;
}

/* For values from min_val to max_val, exclusive. NULL without memory, or if there are none. */
static inline struct spdk_histogram_data* spdk_histogram_data_alloc_sized_ext(uint32_t granularity,
                                                                              uint64_t min_val,
                                                                              uint64_t max_val) {
  struct spdk_histogram_data* h;
  if (min_val >= max_val) {
    return NULL;
  }
  h = (struct spdk_histogram_data*)calloc(1, sizeof(*h));
  if (h == NULL) {
    return NULL;
  }
  h->granularity = granularity;
  h->min_range = __spdk_histogram_data_get_bucket_range(h, min_val);
  h->max_range = __spdk_histogram_data_get_bucket_range(h, max_val - 1);
  h->bucket = (uint64_t*)calloc(SPDK_HISTOGRAM_NUM_BUCKETS(h), sizeof(uint64_t));
  if (h->bucket == NULL) {
    free(h);
    return NULL;
  }
  return h;
}

static inline struct spdk_histogram_data* spdk_histogram_data_alloc_sized(uint32_t granularity) {
  return spdk_histogram_data_alloc_sized_ext(granularity, 0, UINT64_MAX);
}

static inline struct spdk_histogram_data* spdk_histogram_data_alloc(void) {
  return spdk_histogram_data_alloc_sized(SPDK_HISTOGRAM_GRANULARITY_DEFAULT);
}

static inline void spdk_histogram_data_free(struct spdk_histogram_data* h) {
  if (h != NULL) {
    free(h->bucket);
    free(h);
  }
}

#ifdef __cplusplus
}
#endif

#endif
