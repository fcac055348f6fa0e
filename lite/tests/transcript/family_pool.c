/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * No I/O object is to be had: who is refused, who waits, and in which order those who wait go
 * on. The pool has 44 objects and each thread keeps up to 8 of them.
 */
#include "runtime.h"
#include "transcript.h"

#include "spdk/bdev.h"
#include "spdk/env.h"
#include "spdk/version.h"

enum { steps = 150, slots = 64, entries = 16, handle_count = 3, block_size = 512 };

static struct handle {
  struct spdk_bdev_desc* desc;
  struct spdk_io_channel* ch;
  int thread;
  const char* name;
} handles[handle_count] = {
    {.name = "m", .thread = 0}, {.name = "n", .thread = 0}, {.name = "m", .thread = 1}};

static struct io {
  unsigned number;
  struct handle* handle;
  bool active;
  bool keep;
  struct spdk_bdev_io* kept;
} ios[slots];

static struct waiter {
  struct spdk_bdev_io_wait_entry entry;
  unsigned number;
  struct handle* handle;
  bool queued;
  unsigned submits; /* so many when its turn comes */
} waiters[entries];

static char* buffer;
static unsigned last_number;
static unsigned last_waiter;
static unsigned in_flight;
static bool keeping; /* most completed I/O is kept, so that the pool runs out */

static void start(void) {
  runtime_start_bdevs(
      "{\"subsystems\":[{\"subsystem\":\"bdev\",\"config\":[{\"method\":\"bdev_set_options\","
      "\"params\":{\"bdev_io_pool_size\":44,\"bdev_io_cache_size\":8}}]}]}");
  buffer = spdk_dma_zmalloc(block_size, 4096, NULL);
}

static void stop(void) {
  spdk_dma_free(buffer);
  runtime_stop_bdevs();
}

static void on_completed(struct spdk_bdev_io* bdev_io, bool success, void* arg) {
  struct io* const io = arg;
  noted("#%u %s", io->number, success ? "ok" : "failed");
  io->active = false;
  in_flight--;
  if (io->keep) {
    io->kept = bdev_io;
  } else {
    spdk_bdev_free_io(bdev_io);
  }
}

/* The result, or 1 if the driver itself has no more. */
static int submit(struct handle* h, bool keep) {
  for (int i = 0; i < slots; i++) {
    struct io* const io = &ios[i];
    if (io->active || io->kept != NULL) {
      continue;
    }
    io->number = ++last_number;
    io->handle = h;
    io->keep = keep;
    io->active = true;
    in_flight++;
    const int rc = spdk_bdev_read_blocks(h->desc, h->ch, buffer, 0, 1, on_completed, io);
    if (rc != 0) {
      io->active = false;
      in_flight--;
    }
    return rc;
  }
  return 1;
}

static void submit_step(struct handle* h, bool keep) {
  spdk_set_thread(threads[h->thread]);
  about_to_call();
  const int rc = submit(h, keep);
  said("#%u read %s%d keep %d: %d", last_number, h->name, h->thread, keep, rc);
  spdk_set_thread(threads[0]);
}

static void reset_step(struct handle* h) {
  for (int i = 0; i < slots; i++) {
    struct io* const io = &ios[i];
    if (io->active || io->kept != NULL) {
      continue;
    }
    io->number = ++last_number;
    io->handle = h;
    io->keep = false;
    io->active = true;
    in_flight++;
    spdk_set_thread(threads[h->thread]);
    about_to_call();
    const int rc = spdk_bdev_reset(h->desc, h->ch, on_completed, io);
    if (rc != 0) {
      io->active = false;
      in_flight--;
    }
    said("#%u reset %s%d: %d", io->number, h->name, h->thread, rc);
    spdk_set_thread(threads[0]);
    return;
  }
}

static void on_turn(void* arg) {
  struct waiter* const w = arg;
  w->queued = false;
  noted("turn of w%u", w->number);
  for (unsigned i = 0; i < w->submits; i++) {
    const int rc = submit(w->handle, false);
    noted("w%u: #%u %d", w->number, last_number, rc);
  }
}

static void wait_step(struct handle* h) {
  for (int i = 0; i < entries; i++) {
    struct waiter* const w = &waiters[i];
    if (w->queued) {
      continue;
    }
    struct spdk_bdev* const bdev = spdk_bdev_desc_get_bdev(h->desc);
    const bool other_device = chance(5);
    memset(&w->entry, 0, sizeof w->entry);
    w->number = ++last_waiter;
    w->handle = h;
    w->submits = pick(3);
    w->entry.bdev = other_device ? NULL : bdev;
    w->entry.cb_fn = on_turn;
    w->entry.cb_arg = w;
    const bool first = chance(15);
#if SPDK_VERSION >= SPDK_VERSION_NUM(25, 9, 0)
    w->entry.dep_unblock = first;
#endif
    spdk_set_thread(threads[h->thread]);
    w->queued = true;
    about_to_call();
    const int rc = spdk_bdev_queue_io_wait(bdev, h->ch, &w->entry);
    w->queued = rc == 0;
    said("wait w%u %s%d submits %u first %d other %d: %d", w->number, h->name, h->thread,
         w->submits, first, other_device, rc);
    spdk_set_thread(threads[0]);
    return;
  }
}

static bool free_step(void) {
  const unsigned first = pick(slots);
  for (unsigned i = 0; i < slots; i++) {
    struct io* const io = &ios[(first + i) % slots];
    if (io->kept == NULL) {
      continue;
    }
    struct spdk_bdev_io* const kept = io->kept;
    const unsigned number = io->number;
    io->kept = NULL;
    spdk_set_thread(threads[io->handle->thread]);
    about_to_call();
    spdk_bdev_free_io(kept);
    said("free #%u", number);
    spdk_set_thread(threads[0]);
    return true;
  }
  return false;
}

static void poll_step(int t) {
  about_to_call();
  const int rc = spdk_thread_poll(threads[t], 0, 0);
  said("poll %d: %d", t, rc);
}

static void step(void) {
  struct handle* const h = &handles[pick(handle_count)];
  const uint32_t kind = pick(100);
  if (kind < 6) {
    keeping = !keeping;
    const bool keep = keeping;
    for (int i = 0; i < 12; i++) {
      submit_step(h, keep);
    }
  } else if (kind < 50) {
    submit_step(h, keeping);
  } else if (kind < 62) {
    wait_step(h);
  } else if (kind < 65) {
    reset_step(h);
  } else if (kind < 80) {
    free_step();
  } else {
    poll_step((int)pick(2));
  }
}

static void drain(void) {
  about_to_call();
  for (int i = 0; i < 10000 && in_flight > 0; i++) {
    poll_threads();
  }
  said("drain: %u", in_flight);
  while (free_step()) {
  }
}

static void on_event(enum spdk_bdev_event_type type, struct spdk_bdev* bdev, void* ctx) {
  (void)bdev, (void)ctx;
  noted("event %d", type);
}

static void sequence(unsigned number) {
  (void)number;
  last_number = 0;
  last_waiter = 0;
  keeping = true;
  call_method("bdev_malloc_create", "{\"name\":\"m\",\"num_blocks\":64,\"block_size\":512}");
  call_method("bdev_null_create", "{\"name\":\"n\",\"num_blocks\":64,\"block_size\":512}");
  for (int i = 0; i < handle_count; i++) {
    struct handle* const h = &handles[i];
    spdk_set_thread(threads[h->thread]);
    const int rc = spdk_bdev_open_ext(h->name, true, on_event, NULL, &h->desc);
    h->ch = rc == 0 ? spdk_bdev_get_io_channel(h->desc) : NULL;
    said("open %s on %d: %d, channel %d", h->name, h->thread, rc, h->ch != NULL);
  }
  spdk_set_thread(threads[0]);
  for (int i = 0; i < steps; i++) {
    step();
  }
  for (int i = 0; i < 4; i++) { /* a waiter's turn may submit */
    drain();
  }
  for (int i = 0; i < handle_count; i++) {
    spdk_set_thread(threads[handles[i].thread]);
    spdk_put_io_channel(handles[i].ch);
    spdk_bdev_close(handles[i].desc);
  }
  spdk_set_thread(threads[0]);
  const int malloc_rc = call_method("bdev_malloc_delete", "{\"name\":\"m\"}");
  const int null_rc = call_method("bdev_null_delete", "{\"name\":\"n\"}");
  said("deleted: %d %d", malloc_rc, null_rc);
}

const struct family family_pool = {"pool", 20, start, sequence, stop, NULL};
