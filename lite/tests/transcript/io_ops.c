/* SPDX-License-Identifier: BSD-3-Clause */
/* Comparisons, copies, zero copy, metadata, and the calls that take options. */
#include "io_private.h"
#include "transcript.h"

#include "spdk/bdev_module.h"
#include "spdk/util.h"

static uint32_t separate_md_size(const struct handle* h) {
  struct spdk_bdev* const bdev = spdk_bdev_desc_get_bdev(h->desc);
  return spdk_bdev_is_md_separate(bdev) ? spdk_bdev_get_md_size(bdev) : 0;
}

static void place_md(struct io* io, const struct range* r) {
  const uint32_t size = separate_md_size(io->handle);
  io->md = io->memory + md_at;
  io->md_length = r->good ? r->count * (size != 0 ? size : 8) : 8;
  fill(io->number + 1000, io->md, io->md_length);
}

/* --- metadata --- */

static int with_md(struct io* io, const struct range* r, const char** form) {
  struct handle* const h = io->handle;
  const bool vectored = io->iovcnt > 0;
  const uint64_t at = r->offset;
  const uint64_t n = r->count;
  *form = vectored ? "v_md" : "_md";
  if (io->kind == io_compare_md) {
    return vectored ? spdk_bdev_comparev_blocks_with_md(h->desc, h->ch, io->iovs, io->iovcnt,
                                                        io->md, at, n, on_completed, io)
                    : spdk_bdev_compare_blocks_with_md(h->desc, h->ch, io->buffer, io->md, at, n,
                                                       on_completed, io);
  }
  if (io->kind == io_read_md) {
    return vectored ? spdk_bdev_readv_blocks_with_md(h->desc, h->ch, io->iovs, io->iovcnt, io->md,
                                                     at, n, on_completed, io)
                    : spdk_bdev_read_blocks_with_md(h->desc, h->ch, io->buffer, io->md, at, n,
                                                    on_completed, io);
  }
  return vectored ? spdk_bdev_writev_blocks_with_md(h->desc, h->ch, io->iovs, io->iovcnt, io->md,
                                                    at, n, on_completed, io)
                  : spdk_bdev_write_blocks_with_md(h->desc, h->ch, io->buffer, io->md, at, n,
                                                   on_completed, io);
}

/* --- options --- */

/* 40 bytes is what releases since v24.05 have in common. */
static int with_options(struct io* io, const struct range* r, const char** form) {
  static const size_t sizes[] = {40, 40, 40, sizeof(struct spdk_bdev_ext_io_opts), 0, 24};
  static char text[32];
  struct handle* const h = io->handle;
  struct spdk_bdev_ext_io_opts opts;
  memset(&opts, 0, sizeof opts);
  opts.size = sizes[pick(SPDK_COUNTOF(sizes))];
  opts.metadata = io->md;
  const bool none = chance(15);
  struct spdk_bdev_ext_io_opts* const given = none ? NULL : &opts;
  if (none || opts.size < 32) {
    io->md = NULL; /* not seen */
  }
  snprintf(text, sizeof text, "_ext%d:%zu", !none, none ? 0 : opts.size);
  *form = text;
  return io->kind == io_read_ext
             ? spdk_bdev_readv_blocks_ext(h->desc, h->ch, io->iovs, io->iovcnt, r->offset, r->count,
                                          on_completed, io, given)
             : spdk_bdev_writev_blocks_ext(h->desc, h->ch, io->iovs, io->iovcnt, r->offset,
                                           r->count, on_completed, io, given);
}

/* --- comparisons --- */

static int compare(struct io* io, const struct range* r, const char** form) {
  struct handle* const h = io->handle;
  *form = io->iovcnt > 0 ? "v" : "";
  return io->iovcnt > 0 ? spdk_bdev_comparev_blocks(h->desc, h->ch, io->iovs, io->iovcnt, r->offset,
                                                    r->count, on_completed, io)
                        : spdk_bdev_compare_blocks(h->desc, h->ch, io->buffer, r->offset, r->count,
                                                   on_completed, io);
}

static int compare_and_write(struct io* io, const struct range* r, const char** form) {
  struct handle* const h = io->handle;
  static struct iovec write_iovs[slots];
  struct iovec* const iov = &write_iovs[io - ios];
  iov->iov_base = io->memory + second_at;
  iov->iov_len = io->length;
  fill(io->number + 2000, iov->iov_base, io->length);
  *form = "";
  return spdk_bdev_comparev_and_writev_blocks(h->desc, h->ch, io->iovs, io->iovcnt, iov, 1,
                                              r->offset, r->count, on_completed, io);
}

static const char* const kind_names[] = {"read", "write", "compare", "compare_md",
                                         "caw",  "copy",  "zcopy"};

static const char* kind_name(enum io_kind kind) {
  switch (kind) {
    case io_read_md:
    case io_read_ext: return kind_names[0];
    case io_write_md:
    case io_write_ext: return kind_names[1];
    default: return kind_names[kind - io_compare + 2];
  }
}

static void data_step(struct io* io) {
  struct handle* const h = io->handle;
  struct disk* const d = h->disk;
  const bool caw = io->kind == io_compare_and_write;
  const bool compares = caw || io->kind == io_compare || io->kind == io_compare_md;
  const uint64_t longest = caw && chance(85) ? 1 : caw ? 3 : max_length / 4 / d->block_size;
  const struct range r = choose_range(d, false, longest);
  io->offset = r.good ? r.offset * r.unit : 0;
  io->length = r.good ? r.count * r.unit : d->block_size;
  const char* const placed = place_buffer(io);
  const bool vectored = caw || io->kind == io_read_ext || io->kind == io_write_ext || chance(50);
  if (vectored) {
    cut_buffer(io, d->block_size);
  }
  if ((io->kind != io_compare && !caw) && chance(85)) {
    place_md(io, &r);
  }
  io->keep = chance(8);
  if (d->in_kernel && conflicts(io, !compares && !io_reads(io->kind))) {
    settle();
  }
  const unsigned iovcnt = (unsigned)io->iovcnt;
  const unsigned number = io->number;
  const enum io_kind kind = io->kind;
  const bool md = io->md != NULL;
  const char* form = "";
  int rc = 0;
  spdk_set_thread(threads[h->thread]);
  about_to_call();
  submitting(io);
  switch (kind) {
    case io_compare: rc = compare(io, &r, &form); break;
    case io_compare_and_write: rc = compare_and_write(io, &r, &form); break;
    case io_read_ext:
    case io_write_ext: rc = with_options(io, &r, &form); break;
    default: rc = with_md(io, &r, &form);
  }
  if (rc != 0) {
    refused(io);
  }
  said("#%u %s%s %u:%s%d %" PRIx64 "+%" PRIx64 " %s/%u md %d: %d", number, kind_name(kind), form,
       (unsigned)(h - handles), d->name, h->thread, r.offset, r.count, placed, iovcnt, md, rc);
  spdk_set_thread(threads[0]);
}

/* --- copies --- */

static void copy_step(struct io* io) {
  struct handle* const h = io->handle;
  struct disk* const d = h->disk;
  const uint64_t longest = max_length / 4 / d->block_size;
  struct range to = choose_range(d, false, longest);
  uint64_t from = to.offset;
  if (to.good && chance(90)) {
    /* The ranges do not overlap, but may be the same. */
    from = pick((uint32_t)(d->blocks - to.count + 1));
    if (from < to.offset + to.count && to.offset < from + to.count) {
      from = to.offset;
    }
  } else if (chance(50)) {
    from = d->blocks - to.count + 1;
  }
  io->offset = 0;
  io->length = d->blocks * d->block_size;
  io->keep = chance(8);
  if (d->in_kernel && conflicts(io, true)) {
    settle();
  }
  const unsigned number = io->number;
  spdk_set_thread(threads[h->thread]);
  about_to_call();
  submitting(io);
  const int rc = spdk_bdev_copy_blocks(h->desc, h->ch, to.offset, from, to.count, on_completed, io);
  if (rc != 0) {
    refused(io);
  }
  said("#%u copy %u:%s%d %" PRIx64 "+%" PRIx64 " from %" PRIx64 ": %d", number,
       (unsigned)(h - handles), d->name, h->thread, to.offset, to.count, from, rc);
  spdk_set_thread(threads[0]);
}

/* --- zero copy --- */

static uint32_t lent_checksum(struct spdk_bdev_io* bdev_io, size_t* bytes) {
  struct iovec* iovs = NULL;
  int count = 0;
  uint32_t sum = 0;
  *bytes = 0;
  spdk_bdev_io_get_iovec(bdev_io, &iovs, &count);
  for (int i = 0; i < count; i++) {
    sum = sum * 31 + checksum(iovs[i].iov_base, iovs[i].iov_len);
    *bytes += iovs[i].iov_len;
  }
  return sum;
}

static void on_lent(struct spdk_bdev_io* bdev_io, bool success, void* arg) {
  struct io* const io = arg;
  io->active = false;
  refused(io); /* no more in flight */
  if (!success) {
    noted("#%u not lent", io->number);
    spdk_bdev_free_io(bdev_io);
    return;
  }
  size_t bytes = 0;
  const uint32_t sum = lent_checksum(bdev_io, &bytes);
  noted("#%u lent %zu bytes %08x", io->number, bytes, io->keep ? sum : 0);
  io->kept = bdev_io;
  io->lent = true;
}

static void on_given_back(struct spdk_bdev_io* bdev_io, bool success, void* arg) {
  struct io* const io = arg;
  refused(io);
  noted("#%u given back %s", io->number, success ? "ok" : "failed");
  spdk_bdev_free_io(bdev_io);
}

static void zcopy_step(struct io* io) {
  struct handle* const h = io->handle;
  const struct range r = choose_range(h->disk, false, 8);
  const bool populate = chance(70);
  io->offset = r.good ? r.offset * r.unit : 0;
  io->length = r.good ? r.count * r.unit : h->disk->block_size;
  io->keep = populate; /* else what is there is not defined */
  const unsigned number = io->number;
  spdk_set_thread(threads[h->thread]);
  about_to_call();
  submitting(io);
  const int rc =
      spdk_bdev_zcopy_start(h->desc, h->ch, NULL, 0, r.offset, r.count, populate, on_lent, io);
  if (rc != 0) {
    refused(io);
  }
  said("#%u zcopy %u:%s%d %" PRIx64 "+%" PRIx64 " populate %d: %d", number, (unsigned)(h - handles),
       h->disk->name, h->thread, r.offset, r.count, populate, rc);
  spdk_set_thread(threads[0]);
}

void io_zcopy_end_step(void) {
  const unsigned first = pick(slots);
  for (unsigned i = 0; i < slots; i++) {
    struct io* const io = &ios[(first + i) % slots];
    if (io->kept == NULL || !io->lent) {
      continue;
    }
    struct spdk_bdev_io* const kept = io->kept;
    struct iovec* iovs = NULL;
    int count = 0;
    const bool commit = chance(60);
    spdk_bdev_io_get_iovec(kept, &iovs, &count);
    for (int v = 0; commit && v < count; v++) {
      fill(io->number, iovs[v].iov_base, iovs[v].iov_len);
    }
    const unsigned number = io->number;
    io->kept = NULL;
    io->lent = false;
    spdk_set_thread(threads[io->handle->thread]);
    about_to_call();
    submitting(io);
    const int rc = spdk_bdev_zcopy_end(kept, commit, on_given_back, io);
    if (rc != 0) {
      refused(io);
    }
    said("#%u zcopy end commit %d: %d", number, commit, rc);
    spdk_set_thread(threads[0]);
    return;
  }
}

/*
 * A lock that finds a write under way looks again after 100 µs of real time. So nothing else is
 * under way, and up to three of them run together.
 */
static void compare_and_write_step(struct io* io) {
  io->active = true; /* its place is taken, and what ends meanwhile may start a chain */
  io_drain();
  const unsigned count = 1 + pick(3);
  for (unsigned i = 0; i < count; i++) {
    if (i > 0) {
      struct handle* const h = &handles[pick(handle_count)];
      io = new_io(io_compare_and_write, h);
    }
    data_step(io);
  }
  settle();
}

void more_step(struct io* io) {
  switch (io->kind) {
    case io_copy: copy_step(io); break;
    case io_compare_and_write: compare_and_write_step(io); break;
    case io_zcopy: zcopy_step(io); break;
    default: data_step(io);
  }
}
