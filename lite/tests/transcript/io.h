/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I/O on a few open devices, for several families: arguments good and bad, submission, and what
 * a completion says. Each I/O has a number and a buffer of its own.
 */
#ifndef TRANSCRIPT_IO_H
#define TRANSCRIPT_IO_H

#include "runtime.h"

#include "spdk/bdev.h"

struct disk {
  char name[16];
  uint32_t block_size;
  uint64_t blocks;
  bool in_kernel; /* the kernel decides when its I/O completes, and in which order */
  bool splits;
};

struct handle {
  struct disk* disk;
  int thread;
  bool writable;
  struct spdk_bdev_desc* desc;
  struct spdk_io_channel* ch;
  unsigned in_flight;
};

enum { max_disks = 3, max_handles = 5 };
extern struct disk disks[max_disks];
extern struct handle handles[max_handles];
extern unsigned disk_count;
extern unsigned handle_count;

/* Memory for the I/O; once per process, with the environment up. */
void io_start(void);
void io_stop(void);

/* Calls a method, and says so. */
int disk_method(const char* method, const char* params);
/* Enters a device that there is; its size is taken from it. */
struct disk* disk_add(const char* name, bool in_kernel);
/* Opens it on a thread and gets a channel there. */
struct handle* handle_open(struct disk* disk, int thread, bool writable);
/* Ends all I/O, puts the channels, closes, and forgets all. */
void handles_close(void);

/* What an I/O may be. */
enum io_kind {
  io_read,
  io_write,
  io_write_zeroes,
  io_unmap,
  io_flush,
  io_reset,
  io_abort,
  io_read_md,
  io_write_md,
  io_read_ext,
  io_write_ext,
  io_compare,
  io_compare_md,
  io_compare_and_write,
  io_copy,
  io_zcopy,
  io_kinds
};

/* All data is one of a few bytes repeated, most times, so that comparisons may succeed. */
extern bool simple_data;
/* Whether a poll did something depends on time, and is not said. */
extern bool quiet_polls;
/* In which order a poll completes things is not said either. */
extern bool sorted_polls;

/* I/O of the kinds given by weights, polls, and frees of what was kept. */
void io_steps(const unsigned* weights, unsigned polls, unsigned count);

/* One I/O of a kind with arguments of the generator's choice. */
void io_step(enum io_kind kind);
/* One spdk_thread_poll(); or, with devices of the kernel, until all is done. */
void io_poll_step(void);
/* Commits or drops what a zero-copy I/O has lent. */
void io_zcopy_end_step(void);
/* Gives back an I/O that was kept. */
void io_free_step(void);
void io_drain(void);
/* Resets the device of a handle, which ends what it holds up. */
void io_reset_handle(struct handle* h);

#endif
