/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations beyond reads and writes, devices with metadata, statistics and rate limits. */
#include "io.h"

#include "transcript.h"

static void start(void) {
  runtime_start_bdevs(
      "{\"subsystems\":[{\"subsystem\":\"iobuf\",\"config\":[{\"method\":\"iobuf_set_options\","
      "\"params\":{\"small_pool_count\":1024,\"large_pool_count\":64}}]},{\"subsystem\":\"bdev\","
      "\"config\":[{\"method\":\"bdev_set_options\",\"params\":{\"bdev_io_pool_size\":1024,"
      "\"bdev_io_cache_size\":64}}]}]}");
  io_start();
  simple_data = true;
}

static void stop(void) {
  io_stop();
  runtime_stop_bdevs();
}

/* --- statistics and limits --- */

static void note_stat(const struct spdk_bdev_io_stat* s) {
  noted("read %" PRIu64 "/%" PRIu64 " written %" PRIu64 "/%" PRIu64 " unmapped %" PRIu64 "/%" PRIu64
        " copied %" PRIu64 "/%" PRIu64,
        s->num_read_ops, s->bytes_read, s->num_write_ops, s->bytes_written, s->num_unmap_ops,
        s->bytes_unmapped, s->num_copy_ops, s->bytes_copied);
}

static enum spdk_bdev_reset_stat_mode choose_mode(void) {
  static const enum spdk_bdev_reset_stat_mode modes[] = {
      SPDK_BDEV_RESET_STAT_NONE, SPDK_BDEV_RESET_STAT_NONE, SPDK_BDEV_RESET_STAT_MAXMIN,
      SPDK_BDEV_RESET_STAT_ALL};
  return modes[pick(4)];
}

static struct spdk_bdev_io_stat device_stat;
static bool stat_under_way;

static void on_stat(struct spdk_bdev* bdev, struct spdk_bdev_io_stat* stat, void* arg, int rc) {
  (void)arg;
  noted("statistics of %s: %d", spdk_bdev_get_name(bdev), rc);
  note_stat(stat);
  stat_under_way = false;
}

static void stat_step(void) {
  struct handle* const h = &handles[pick(handle_count)];
  struct spdk_bdev* const bdev = spdk_bdev_desc_get_bdev(h->desc);
  const enum spdk_bdev_reset_stat_mode mode = choose_mode();
  if (chance(50)) {
    struct spdk_bdev_io_stat stat;
    memset(&stat, 0, sizeof stat);
    spdk_set_thread(threads[h->thread]);
    spdk_bdev_get_io_stat(bdev, h->ch, &stat, mode);
    spdk_set_thread(threads[0]);
    said("statistics of the channel %s%d mode %d", h->disk->name, h->thread, mode);
    note_stat(&stat);
    return;
  }
  if (stat_under_way) {
    return;
  }
  if (h->disk->in_kernel) {
    io_poll_step(); /* else it is the kernel that says what is counted */
  }
  stat_under_way = true;
  memset(&device_stat, 0, sizeof device_stat);
  about_to_call();
  spdk_bdev_get_device_stat(bdev, &device_stat, mode, on_stat, NULL);
  for (int i = 0; i < 1000 && h->disk->in_kernel && stat_under_way; i++) {
    poll_threads();
  }
  said("statistics of %s mode %d", h->disk->name, mode);
}

static void on_forgotten(struct spdk_bdev* bdev, struct spdk_bdev_io_stat* stat, void* arg,
                         int rc) {
  (void)bdev, (void)stat, (void)arg, (void)rc;
  stat_under_way = false;
}

/* SPDK's modules for partitions and volumes have read each new device. */
static void forget_statistics(const struct disk* d) {
  if (d == NULL) {
    return;
  }
  stat_under_way = true;
  spdk_bdev_get_device_stat(spdk_bdev_get_by_name(d->name), &device_stat, SPDK_BDEV_RESET_STAT_ALL,
                            on_forgotten, NULL);
  for (int i = 0; i < 1000 && stat_under_way; i++) {
    poll_threads();
  }
}

static int limits_under_way;

static void on_limits(void* arg, int status) {
  noted("limits %u: %d", (unsigned)(uintptr_t)arg, status);
  limits_under_way--;
}

static void set_limits(struct spdk_bdev* bdev, const uint64_t* wanted, unsigned number) {
  uint64_t limits[SPDK_BDEV_QOS_NUM_RATE_LIMIT_TYPES];
  memcpy(limits, wanted, sizeof limits);
  limits_under_way++;
  about_to_call();
  spdk_bdev_set_qos_rate_limits(bdev, limits, on_limits, (void*)(uintptr_t)number);
  said("limits %u: %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, number, (int64_t)wanted[0],
       (int64_t)wanted[1], (int64_t)wanted[2], (int64_t)wanted[3]);
}

static void wait_for_limits(struct spdk_bdev* bdev) {
  uint64_t limits[SPDK_BDEV_QOS_NUM_RATE_LIMIT_TYPES];
  about_to_call();
  for (int i = 0; i < 100000 && limits_under_way > 0; i++) {
    poll_threads();
  }
  spdk_bdev_get_qos_rate_limits(bdev, limits);
  said("limits are: %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, (int64_t)limits[0],
       (int64_t)limits[1], (int64_t)limits[2], (int64_t)limits[3]);
}

/* Without I/O, which would be delayed by real time; all are off again at the end. */
static void limit_step(void) {
  static const uint64_t values[] = {0, UINT64_MAX, 1000, 1500, 1, 5, 20000, 999};
  static const uint64_t none[SPDK_BDEV_QOS_NUM_RATE_LIMIT_TYPES] = {0};
  struct handle* const h = &handles[pick(handle_count)];
  struct spdk_bdev* const bdev = spdk_bdev_desc_get_bdev(h->desc);
  io_drain();
  const unsigned rounds = 1 + pick(3);
  for (unsigned round = 0; round < rounds; round++) {
    uint64_t limits[SPDK_BDEV_QOS_NUM_RATE_LIMIT_TYPES];
    for (int i = 0; i < SPDK_BDEV_QOS_NUM_RATE_LIMIT_TYPES; i++) {
      limits[i] = values[pick(8)];
    }
    set_limits(bdev, limits, round + 1);
    if (chance(20)) {
      set_limits(bdev, limits, round + 11); /* while the other one is under way */
    }
    wait_for_limits(bdev);
  }
  set_limits(bdev, none, 99);
  wait_for_limits(bdev);
}

/* --- sequences --- */

static void mixed_steps(const unsigned* weights) {
  for (int i = 0; i < 30; i++) {
    io_steps(weights, 40, 4);
    const uint32_t kind = pick(100);
    if (kind < 40) {
      io_zcopy_end_step();
    } else if (kind < 65) {
      stat_step();
    } else if (kind < 70) {
      limit_step();
    }
  }
  for (int i = 0; i < 100 && stat_under_way; i++) {
    poll_threads();
  }
}

static void open_all(struct disk* a, struct disk* b) {
  forget_statistics(a);
  forget_statistics(b);
  handle_open(a, 0, true);
  handle_open(a, 1, true);
  handle_open(b, 0, true);
  handle_open(chance(50) ? a : b, 1, false);
}

static void malloc_sequence(unsigned number) {
  static const unsigned weights[io_kinds] = {6, 6, 2, 2, 1, 1, 0, 6, 6, 6, 6, 10, 5, 10, 8, 8};
  static const unsigned md_sizes[] = {8, 16, 64, 128};
  char params[256];
  const unsigned md = number % 3 == 0 ? 0 : md_sizes[pick(4)];
  snprintf(params, sizeof params,
           "{\"name\":\"a\",\"num_blocks\":128,\"block_size\":512,\"md_size\":%u,"
           "\"md_interleave\":%s}",
           md, number % 3 == 2 ? "true" : "false");
  disk_method("bdev_malloc_create", params);
  const unsigned boundary = chance(50) ? 0 : 4;
  snprintf(params, sizeof params,
           "{\"name\":\"b\",\"num_blocks\":64,\"block_size\":4096,\"optimal_io_boundary\":%u}",
           boundary);
  disk_method("bdev_malloc_create", params);
  struct disk* const a = disk_add("a", false);
  struct disk* const b = disk_add("b", false);
  open_all(a, b);
  mixed_steps(weights);
  handles_close();
  disk_method("bdev_malloc_delete", "{\"name\":\"a\"}");
  disk_method("bdev_malloc_delete", "{\"name\":\"b\"}");
}

const struct family family_malloc_ops = {"malloc_ops", 24, start, malloc_sequence, stop, NULL};

static void null_sequence(unsigned number) {
  static const unsigned weights[io_kinds] = {6, 6, 2, 2, 1, 1, 2, 6, 6, 6, 6, 10, 5, 10, 8, 2};
  static const unsigned md_sizes[] = {0, 8, 16, 128};
  char params[256];
  (void)number;
  const unsigned md = md_sizes[pick(4)];
  snprintf(params, sizeof params,
           "{\"name\":\"a\",\"num_blocks\":128,\"block_size\":%u,\"md_size\":%u}", 512 + md, md);
  disk_method("bdev_null_create", params);
  disk_method("bdev_null_create", "{\"name\":\"b\",\"num_blocks\":100,\"block_size\":512}");
  struct disk* const a = disk_add("a", false);
  struct disk* const b = disk_add("b", false);
  open_all(a, b);
  mixed_steps(weights);
  handles_close();
  disk_method("bdev_null_delete", "{\"name\":\"a\"}");
  disk_method("bdev_null_delete", "{\"name\":\"b\"}");
}

const struct family family_null_ops = {"null_ops", 12, start, null_sequence, stop, NULL};

static void aio_sequence(unsigned number) {
  static const unsigned weights[io_kinds] = {6, 6, 2, 1, 1, 0, 0, 1, 1, 6, 6, 10, 2, 10, 8, 1};
  (void)number;
  FILE* const file = fopen("transcript_ops.bin", "w");
  if (file == NULL || ftruncate(fileno(file), 128 * 512) != 0 || fclose(file) != 0) {
    exit(2);
  }
  disk_method("bdev_aio_create",
              "{\"name\":\"a\",\"filename\":\"transcript_ops.bin\",\"block_size\":512}");
  struct disk* const a = disk_add("a", true);
  open_all(a, a);
  mixed_steps(weights);
  handles_close();
  disk_method("bdev_aio_delete", "{\"name\":\"a\"}");
  unlink("transcript_ops.bin");
}

const struct family family_aio_ops = {"aio_ops", 10, start, aio_sequence, stop, NULL};
