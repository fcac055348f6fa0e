/* SPDX-License-Identifier: BSD-3-Clause */
#include "io_private.h"
#include "transcript.h"

#include "spdk/bdev_module.h"
#include "spdk/env.h"
#include "spdk/string.h"

struct disk disks[max_disks];
struct handle handles[max_handles];
unsigned disk_count;
unsigned handle_count;

struct io ios[slots];
bool simple_data;
bool quiet_polls;
bool sorted_polls;
static unsigned last_number;
static unsigned in_flight;

/* Completions in the kernel's order are noted in the order of their numbers. */
struct remark {
  unsigned number;
  char text[160];
};
static struct remark remarks[slots];
static unsigned remark_count;
static bool sorting;

/* --- devices --- */

void io_start(void) {
  for (int i = 0; i < slots; i++) {
    ios[i].memory = spdk_dma_malloc(space, 4096, NULL);
    if (ios[i].memory == NULL) {
      exit(2);
    }
  }
}

void io_stop(void) {
  for (int i = 0; i < slots; i++) {
    spdk_dma_free(ios[i].memory);
  }
}

int disk_method(const char* method, const char* params) {
  about_to_call();
  const int rc = call_method(method, params);
  said("%s %s: %d", method, params == NULL ? "-" : params, rc);
  return rc;
}

static void on_event(enum spdk_bdev_event_type type, struct spdk_bdev* bdev, void* ctx) {
  (void)bdev;
  const struct handle* const h = ctx;
  noted("event %d of %s on %s", type, h->disk->name, spdk_thread_get_name(spdk_get_thread()));
}

struct disk* disk_add(const char* name, bool in_kernel) {
  struct spdk_bdev* const bdev = spdk_bdev_get_by_name(name);
  if (bdev == NULL || disk_count == max_disks) {
    return NULL;
  }
  struct disk* const d = &disks[disk_count++];
  snprintf(d->name, sizeof d->name, "%s", name);
  d->block_size = spdk_bdev_get_block_size(bdev);
  d->blocks = spdk_bdev_get_num_blocks(bdev);
  d->in_kernel = in_kernel;
  d->splits = spdk_bdev_get_optimal_io_boundary(bdev) != 0;
  said("disk %s: %u x %u align %u boundary %u cache %d", name, (unsigned)d->blocks, d->block_size,
       (unsigned)spdk_bdev_get_buf_align(bdev), spdk_bdev_get_optimal_io_boundary(bdev),
       spdk_bdev_has_write_cache(bdev));
  return d;
}

struct handle* handle_open(struct disk* disk, int thread, bool writable) {
  if (disk == NULL || handle_count == max_handles) {
    return NULL;
  }
  struct handle* const h = &handles[handle_count];
  memset(h, 0, sizeof *h);
  h->disk = disk;
  h->thread = thread;
  h->writable = writable;
  spdk_set_thread(threads[thread]);
  about_to_call();
  const int rc = spdk_bdev_open_ext(disk->name, writable, on_event, h, &h->desc);
  said("open %s on %d writable %d: %d", disk->name, thread, writable, rc);
  if (rc == 0) {
    about_to_call();
    h->ch = spdk_bdev_get_io_channel(h->desc);
    said("channel: %d", h->ch != NULL);
    if (h->ch == NULL) {
      spdk_bdev_close(h->desc);
    } else {
      handle_count++;
    }
  }
  spdk_set_thread(threads[0]);
  return rc == 0 && h->ch != NULL ? h : NULL;
}

void handles_close(void) {
  io_drain();
  for (unsigned i = 0; i < handle_count; i++) {
    spdk_set_thread(threads[handles[i].thread]);
    about_to_call();
    spdk_put_io_channel(handles[i].ch);
    spdk_bdev_close(handles[i].desc);
    said("close %s on %d", handles[i].disk->name, handles[i].thread);
  }
  spdk_set_thread(threads[0]);
  for (int i = 0; i < 20; i++) {
    poll_threads();
  }
  handle_count = 0;
  disk_count = 0;
  last_number = 0;
}

/* --- completions --- */

static void remark(unsigned number, const char* text) {
  if (!sorting) {
    noted("%s", text);
    return;
  }
  unsigned at = remark_count++;
  for (; at > 0 && remarks[at - 1].number > number; at--) {
    remarks[at] = remarks[at - 1];
  }
  remarks[at].number = number;
  snprintf(remarks[at].text, sizeof remarks[at].text, "%s", text);
}

static bool guard_is_whole(const struct io* io) {
  if (io->buffer == NULL) {
    return true;
  }
  const char* const end = io->buffer + io->length;
  for (int i = 0; i < guard; i++) {
    if (end[i] != (char)0xa5) {
      return false;
    }
  }
  return true;
}

static uint32_t iovs_checksum(struct spdk_bdev_io* bdev_io) {
  struct iovec* iovs = NULL;
  int count = 0;
  spdk_bdev_io_get_iovec(bdev_io, &iovs, &count);
  uint32_t sum = (uint32_t)count;
  for (int i = 0; i < count; i++) {
    sum = sum * 31 + checksum(iovs[i].iov_base, iovs[i].iov_len);
  }
  return sum;
}

static struct io* free_slot(void) {
  for (int i = 0; i < slots; i++) {
    if (!ios[i].active && ios[i].kept == NULL) {
      return &ios[i];
    }
  }
  return NULL;
}

struct io* new_io(enum io_kind kind, struct handle* h) {
  struct io* const io = free_slot();
  if (io == NULL) {
    return NULL;
  }
  char* const memory = io->memory;
  memset(io, 0, sizeof *io);
  io->memory = memory;
  io->kind = kind;
  io->handle = h;
  io->number = ++last_number;
  return io;
}

void submitting(struct io* io) {
  io->active = true;
  io->handle->in_flight++;
  in_flight++;
}

void refused(struct io* io) {
  io->active = false;
  io->handle->in_flight--;
  in_flight--;
}

/* A read of the device's first block, submitted inside a completion. */
static void chain(struct handle* h) {
  struct io* const io = new_io(io_read, h);
  if (io == NULL) {
    return;
  }
  io->length = h->disk->block_size;
  io->buffer = io->memory;
  memset(io->buffer, 0xa5, io->length + guard);
  const unsigned number = io->number;
  submitting(io);
  const int rc = spdk_bdev_read_blocks(h->desc, h->ch, io->buffer, 0, 1, on_completed, io);
  if (rc != 0) {
    refused(io);
  }
  noted("#%u chained: %d", number, rc);
}

bool io_reads(enum io_kind kind) {
  return kind == io_read || kind == io_read_md || kind == io_read_ext;
}

void on_completed(struct spdk_bdev_io* bdev_io, bool success, void* arg) {
  struct io* const io = arg;
  char text[160];
  int sct = -1;
  int sc = -1;
  uint32_t cdw0 = 0;
  spdk_bdev_io_get_nvme_status(bdev_io, &cdw0, &sct, &sc);
  int length = snprintf(text, sizeof text, "#%u %s %d/%02x", io->number, success ? "ok" : "failed",
                        (unsigned)sct, (unsigned)sc);
  if (cdw0 != 0) {
    length += snprintf(text + length, sizeof text - (size_t)length, " cdw0 %x", cdw0);
  }
  if (io_reads(io->kind) && io->buffer != NULL) {
    length += snprintf(text + length, sizeof text - (size_t)length, " %08x",
                       checksum(io->buffer, io->length));
  } else if (io->kind == io_read && success && io->length > 0) {
    length +=
        snprintf(text + length, sizeof text - (size_t)length, " own %08x", iovs_checksum(bdev_io));
  }
  if (io_reads(io->kind) && io->md != NULL) {
    length += snprintf(text + length, sizeof text - (size_t)length, " md %08x",
                       checksum(io->md, io->md_length));
  }
  const bool in_place = spdk_get_thread() == threads[io->handle->thread] &&
                        spdk_bdev_io_get_thread(bdev_io) == spdk_get_thread() &&
                        spdk_bdev_io_get_cb_arg(bdev_io) == io;
  snprintf(text + length, sizeof text - (size_t)length, "%s%s", in_place ? "" : " misplaced",
           guard_is_whole(io) ? "" : " overrun");
  remark(io->number, text);

  io->active = false;
  io->handle->in_flight--;
  in_flight--;
  struct handle* const h = io->handle;
  const bool chained = io->chain;
  if (io->keep) {
    io->kept = bdev_io;
  } else {
    spdk_bdev_free_io(bdev_io);
  }
  if (chained) {
    chain(h);
  }
}

/* --- arguments --- */

static struct range good_range(const struct disk* d, uint64_t longest) {
  struct range r = {.unit = d->block_size, .good = true};
  const uint64_t most = spdk_min(d->blocks, longest);
  r.count = 1 + pick((uint32_t)(chance(70) ? spdk_min(most, 8u) : most));
  r.offset = pick((uint32_t)(d->blocks - r.count + 1));
  if (chance(10)) {
    r.offset = d->blocks - r.count;
  }
  return r;
}

static struct range in_bytes(struct range r, const struct disk* d) {
  r.offset *= d->block_size;
  r.count *= d->block_size;
  r.unit = 1;
  return r;
}

/* Beyond the device, or misaligned; nothing of it is ever transferred. */
static void spoil(struct range* r, const struct disk* d) {
  const uint64_t end = d->blocks * (d->block_size / r->unit);
  const uint64_t block = d->block_size / r->unit;
  r->good = false;
  switch (pick(r->unit == 1 ? 9 : 6)) {
    case 0: r->offset = end - r->count + block; break;
    case 1: r->offset = end; break;
    case 2: r->offset = end + 16 * block; break;
    case 3: r->count = end - r->offset + block; break;
    case 4: r->offset = UINT64_MAX - block + 1; break; /* wraps to the device's begin */
    case 5: r->count = UINT64_MAX - r->offset / block * block - block + 1; break;
    case 6: r->offset += 1 + pick((uint32_t)block - 1); break;
    case 7: r->count += 1 + pick((uint32_t)block - 1); break;
    default: r->offset += block / 2; r->count += block / 2;
  }
}

struct range choose_range(const struct disk* d, bool bytes, uint64_t longest) {
  struct range r = good_range(d, longest);
  if (!d->splits && chance(4)) {
    r.count = 0;
  }
  if (bytes) {
    r = in_bytes(r, d);
  }
  if (chance(12)) {
    spoil(&r, d);
  }
  return r;
}

void fill(unsigned number, char* buffer, uint64_t length) {
  static const char simple[] = {0, 0, 0x11, 0x22};
  if (simple_data) {
    memset(buffer, simple[pick(sizeof simple)], length);
    if (length > 0 && chance(10)) {
      buffer[pick((uint32_t)length)] ^= 1;
    }
    return;
  }
  uint32_t value = number * 2654435761u;
  for (uint64_t i = 0; i < length; i++) {
    buffer[i] = (char)(value >> 24);
    value = value * 1664525u + 1013904223u;
  }
}

const char* place_buffer(struct io* io) {
  static const unsigned shifts[] = {1, 4, 64, 512, 1000};
  unsigned shift = 0;
  if (chance(25)) {
    shift = shifts[pick(SPDK_COUNTOF(shifts))];
  }
  io->buffer = io->memory + shift;
  fill(io->number, io->buffer, io->length);
  memset(io->buffer + io->length, 0xa5, guard);
  static char text[24];
  snprintf(text, sizeof text, "+%u", shift);
  return text;
}

/* Cuts the buffer into up to max_iovs parts. */
void cut_buffer(struct io* io, uint32_t block_size) {
  const uint64_t unit = chance(60) ? block_size : 1;
  const int parts = 1 + (int)pick(max_iovs);
  uint64_t at = 0;
  io->iovcnt = 0;
  for (int i = 0; i < parts && at < io->length; i++) {
    uint64_t length = io->length - at;
    if (i + 1 < parts) {
      const uint64_t cut = (1 + pick((uint32_t)(length / unit > 0 ? length / unit : 1))) * unit;
      length = spdk_min(length, cut);
    }
    io->iovs[io->iovcnt].iov_base = io->buffer + at;
    io->iovs[io->iovcnt++].iov_len = length;
    at += length;
  }
  if (io->iovcnt == 0) {
    io->iovs[0].iov_base = io->buffer;
    io->iovs[0].iov_len = 0;
    io->iovcnt = 1;
  }
}

/* --- submission --- */

/* What is on its way in the kernel and what is added must not depend on each other. */
bool conflicts(const struct io* io, bool exclusive) {
  for (int i = 0; i < slots; i++) {
    const struct io* const other = &ios[i];
    if (!other->active || other == io || other->handle->disk != io->handle->disk) {
      continue;
    }
    if (other->kind == io_reset) {
      return true; /* what is submitted meanwhile is aborted, or not */
    }
    const bool apart =
        other->offset + other->length <= io->offset || io->offset + io->length <= other->offset;
    if (exclusive || (!apart && !(io_reads(other->kind) && io_reads(io->kind)))) {
      return true;
    }
  }
  return false;
}

static void begin_sorting(void) {
  sorting = true;
  remark_count = 0;
}

static void end_sorting(void) {
  sorting = false;
  for (unsigned i = 0; i < remark_count; i++) {
    noted("%s", remarks[i].text);
  }
  remark_count = 0;
}

/* So many polls are minutes: a disk that is busy with something else may take long. */
void settle(void) {
  about_to_call();
  begin_sorting();
  for (long i = 0; i < 200000000 && in_flight > 0; i++) {
    poll_threads();
  }
  end_sorting();
  said("settle: %u left", in_flight);
}

bool any_in_kernel(void) {
  for (unsigned i = 0; i < disk_count; i++) {
    if (disks[i].in_kernel) {
      return true;
    }
  }
  return false;
}

static int transfer(struct io* io, const struct range* r, bool blocks, const char** form) {
  struct handle* const h = io->handle;
  const bool reads = io->kind == io_read;
  if (io->iovcnt > 0) {
    *form = blocks ? "v_blocks" : "v";
    if (reads) {
      return blocks ? spdk_bdev_readv_blocks(h->desc, h->ch, io->iovs, io->iovcnt, r->offset,
                                             r->count, on_completed, io)
                    : spdk_bdev_readv(h->desc, h->ch, io->iovs, io->iovcnt, r->offset, r->count,
                                      on_completed, io);
    }
    return blocks ? spdk_bdev_writev_blocks(h->desc, h->ch, io->iovs, io->iovcnt, r->offset,
                                            r->count, on_completed, io)
                  : spdk_bdev_writev(h->desc, h->ch, io->iovs, io->iovcnt, r->offset, r->count,
                                     on_completed, io);
  }
  *form = blocks ? "_blocks" : "";
  if (reads) {
    return blocks
               ? spdk_bdev_read_blocks(h->desc, h->ch, io->buffer, r->offset, r->count,
                                       on_completed, io)
               : spdk_bdev_read(h->desc, h->ch, io->buffer, r->offset, r->count, on_completed, io);
  }
  return blocks
             ? spdk_bdev_write_blocks(h->desc, h->ch, io->buffer, r->offset, r->count, on_completed,
                                      io)
             : spdk_bdev_write(h->desc, h->ch, io->buffer, r->offset, r->count, on_completed, io);
}

static int without_data(struct io* io, const struct range* r, bool blocks, const char** form) {
  struct handle* const h = io->handle;
  *form = blocks ? "_blocks" : "";
  switch (io->kind) {
    case io_write_zeroes:
      return blocks ? spdk_bdev_write_zeroes_blocks(h->desc, h->ch, r->offset, r->count,
                                                    on_completed, io)
                    : spdk_bdev_write_zeroes(h->desc, h->ch, r->offset, r->count, on_completed, io);
    case io_unmap:
      return blocks ? spdk_bdev_unmap_blocks(h->desc, h->ch, r->offset, r->count, on_completed, io)
                    : spdk_bdev_unmap(h->desc, h->ch, r->offset, r->count, on_completed, io);
    default:
      return blocks ? spdk_bdev_flush_blocks(h->desc, h->ch, r->offset, r->count, on_completed, io)
                    : spdk_bdev_flush(h->desc, h->ch, r->offset, r->count, on_completed, io);
  }
}

static const char* const kind_names[] = {"read",  "write", "write_zeroes", "unmap",
                                         "flush", "reset", "abort"};

static void ranged_step(struct io* io) {
  struct disk* const d = io->handle->disk;
  const bool has_data = io->kind == io_read || io->kind == io_write;
  const bool blocks = chance(50);
  const struct range r = choose_range(d, !blocks, max_length / 2 / d->block_size);
  io->offset = r.good ? r.offset * r.unit : 0;
  io->length = r.good ? r.count * r.unit : d->block_size;
  const char* placed = "";
  if (has_data) {
    placed = place_buffer(io);
    if (io->kind == io_read && io->length > 0 && chance(8)) {
      io->buffer = NULL;
      placed = " own";
    } else if (chance(45)) {
      cut_buffer(io, d->block_size);
    }
  }
  io->keep = chance(8);
  io->chain = !any_in_kernel() && !sorted_polls && chance(10);
  if (d->in_kernel && conflicts(io, !has_data)) {
    settle();
  }
  struct handle* const h = io->handle;
  const unsigned iovcnt = (unsigned)io->iovcnt;
  const unsigned number = io->number;
  const char* form = "";
  spdk_set_thread(threads[h->thread]);
  about_to_call();
  submitting(io);
  const int rc = has_data ? transfer(io, &r, blocks, &form) : without_data(io, &r, blocks, &form);
  if (rc != 0) {
    refused(io);
  }
  said("#%u %s%s %u:%s%d %" PRIx64 "+%" PRIx64 " %s/%u: %d", number, kind_names[io->kind], form,
       (unsigned)(h - handles), h->disk->name, h->thread, r.offset, r.count, placed, iovcnt, rc);
  spdk_set_thread(threads[0]);
}

static void reset_step(struct io* io) {
  if (io->handle->disk->in_kernel && conflicts(io, true)) {
    settle();
  }
  struct handle* const h = io->handle;
  const unsigned number = io->number;
  spdk_set_thread(threads[h->thread]);
  about_to_call();
  submitting(io);
  const int rc = spdk_bdev_reset(h->desc, h->ch, on_completed, io);
  if (rc != 0) {
    refused(io);
  }
  said("#%u reset %u:%s%d: %d", number, (unsigned)(h - handles), h->disk->name, h->thread, rc);
  spdk_set_thread(threads[0]);
}

static void abort_step(struct io* io) {
  static char nobody;
  struct handle* const h = io->handle;
  void* target = &nobody;
  unsigned target_number = 0;
  const unsigned first = pick(slots);
  for (unsigned i = 0; i < slots; i++) {
    struct io* const other = &ios[(first + i) % slots];
    /* SPDK may never complete the abort of an I/O that it has split. */
    if (other->active && other != io && other->handle->disk == h->disk && !h->disk->splits &&
        other->handle->thread == h->thread) {
      target = other;
      target_number = other->number;
      break;
    }
  }
  if (chance(10)) {
    target = chance(50) ? NULL : &nobody;
    target_number = target == NULL ? 999 : 0;
  }
  /* Whether the kernel has it still is not known. */
  if (target_number != 0 && target != NULL && h->disk->in_kernel) {
    settle();
  }
  const unsigned number = io->number;
  spdk_set_thread(threads[h->thread]);
  about_to_call();
  submitting(io);
  const int rc = spdk_bdev_abort(h->desc, h->ch, target, on_completed, io);
  if (rc != 0) {
    refused(io);
  }
  said("#%u abort #%u %u:%s%d: %d", number, target_number, (unsigned)(h - handles), h->disk->name,
       h->thread, rc);
  spdk_set_thread(threads[0]);
}

void io_step(enum io_kind kind) {
  if (handle_count == 0) {
    return;
  }
  struct handle* const h = &handles[pick(handle_count)];
  struct io* const io = new_io(kind, h);
  if (io == NULL) {
    io_poll_step();
    return;
  }
  switch (kind) {
    case io_reset: reset_step(io); break;
    case io_abort: abort_step(io); break;
    case io_read:
    case io_write:
    case io_write_zeroes:
    case io_unmap:
    case io_flush: ranged_step(io); break;
    default: more_step(io);
  }
}

void io_reset_handle(struct handle* h) {
  struct io* const io = new_io(io_reset, h);
  if (io != NULL) {
    reset_step(io);
  }
}

/* --- going on --- */

void io_poll_step(void) {
  if (any_in_kernel()) {
    settle();
    return;
  }
  const int t = (int)pick(runtime_threads);
  about_to_call();
  if (sorted_polls) {
    begin_sorting();
  }
  const int rc = spdk_thread_poll(threads[t], chance(20) ? 1 : 0, 0);
  end_sorting();
  said("poll %d: %d", t, quiet_polls ? 0 : rc);
}

void io_free_step(void) {
  const unsigned first = pick(slots);
  for (unsigned i = 0; i < slots; i++) {
    struct io* const io = &ios[(first + i) % slots];
    if (io->kept != NULL && !io->lent) {
      struct spdk_bdev_io* const kept = io->kept;
      io->kept = NULL;
      spdk_set_thread(threads[io->handle->thread]);
      about_to_call();
      spdk_bdev_free_io(kept);
      said("free #%u", io->number);
      spdk_set_thread(threads[0]);
      return;
    }
  }
}

static bool any_kept(bool lent) {
  for (int i = 0; i < slots; i++) {
    if (ios[i].kept != NULL && ios[i].lent == lent) {
      return true;
    }
  }
  return false;
}

void io_drain(void) {
  if (any_in_kernel()) {
    settle();
  }
  while (any_kept(true)) {
    io_zcopy_end_step();
  }
  about_to_call();
  if (sorted_polls) {
    begin_sorting();
  }
  for (int i = 0; i < 100000 && in_flight > 0; i++) {
    poll_threads();
  }
  end_sorting();
  said("drain: %u left", in_flight);
  while (any_kept(true)) { /* lent meanwhile */
    io_zcopy_end_step();
    poll_threads();
  }
  for (int i = 0; i < 100000 && in_flight > 0; i++) {
    poll_threads();
  }
  while (any_kept(false)) {
    io_free_step();
  }
}

void io_steps(const unsigned* weights, unsigned polls, unsigned count) {
  unsigned total = polls;
  for (unsigned k = 0; k < io_kinds; k++) {
    total += weights[k];
  }
  for (unsigned i = 0; i < count; i++) {
    unsigned at = pick(total);
    unsigned kind = 0;
    while (kind < io_kinds && at >= weights[kind]) {
      at -= weights[kind++];
    }
    if (kind < io_kinds) {
      io_step((enum io_kind)kind);
    } else if (at == 0) {
      io_free_step();
    } else {
      io_poll_step();
    }
  }
}
