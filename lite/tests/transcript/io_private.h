/* SPDX-License-Identifier: BSD-3-Clause */
/* What io.c and io_ops.c share. */
#ifndef TRANSCRIPT_IO_PRIVATE_H
#define TRANSCRIPT_IO_PRIVATE_H

#include "io.h"

enum {
  slots = 40,
  space = 192 * 1024,
  guard = 64,
  max_iovs = 6,
  max_length = 64 * 1024,
  second_at = 80 * 1024, /* the data that is written after a comparison */
  md_at = 160 * 1024
};

struct io {
  unsigned number;
  enum io_kind kind;
  struct handle* handle;
  bool active;
  struct spdk_bdev_io* kept; /* completed, not given back yet */
  bool keep;
  bool lent;       /* kept until its zcopy ends */
  bool chain;      /* the completion submits another one */
  uint64_t offset; /* in bytes, for finding what overlaps */
  uint64_t length;
  char* memory;
  char* buffer; /* in the memory; NULL: the layer supplies one */
  char* md;     /* or NULL */
  size_t md_length;
  struct iovec iovs[max_iovs];
  int iovcnt;
};

struct range { /* in units of `unit` bytes */
  uint64_t offset;
  uint64_t count;
  uint32_t unit;
  bool good;
};

extern struct io ios[slots];

struct io* new_io(enum io_kind kind, struct handle* h);
struct range choose_range(const struct disk* d, bool bytes, uint64_t longest);
/* Chooses a place for the buffer in the I/O's memory, and fills it; says where. */
const char* place_buffer(struct io* io);
void cut_buffer(struct io* io, uint32_t block_size);
void fill(unsigned number, char* buffer, uint64_t length);
bool io_reads(enum io_kind kind);
bool conflicts(const struct io* io, bool exclusive);
void settle(void);
bool any_in_kernel(void);

/* Counted before the call: a completion may come inside it. */
void submitting(struct io* io);
void refused(struct io* io);
void on_completed(struct spdk_bdev_io* bdev_io, bool success, void* arg);

/* The kinds from io_read_md on. */
void more_step(struct io* io);

#endif
