/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads, writes and the rest on devices of each module: malloc, null, aio and uring. */
#include "io.h"

#include "transcript.h"

static const char* const module_config =
    "{\"subsystems\":[{\"subsystem\":\"iobuf\",\"config\":[{\"method\":\"iobuf_set_options\","
    "\"params\":{\"small_pool_count\":1024,\"large_pool_count\":64}}]},"
    "{\"subsystem\":\"bdev\",\"config\":[{\"method\":\"bdev_set_options\",\"params\":{"
    "\"bdev_io_pool_size\":1024,\"bdev_io_cache_size\":64,\"iobuf_small_cache_size\":32,"
    "\"iobuf_large_cache_size\":8}}]}]}";

static void start(void) {
  runtime_start_bdevs(module_config);
  io_start();
}

static void stop(void) {
  io_stop();
  runtime_stop_bdevs();
}

/* Open for both on two threads, and once for reading only. */
static void open_all(struct disk* a, struct disk* b) {
  handle_open(a, 0, true);
  handle_open(a, 1, true);
  handle_open(b, 0, true);
  handle_open(chance(50) ? a : b, 1, false);
}

/* --- malloc --- */

static void malloc_sequence(unsigned number) {
  static const unsigned weights[io_kinds] = {20, 20, 4, 4, 3, 2, 3};
  static const unsigned sizes[] = {512, 512, 4096};
  char params[256];
  const unsigned size = sizes[pick(3)];
  const unsigned blocks = size == 512 ? 256 : 64;
  snprintf(params, sizeof params, "{\"name\":\"a\",\"num_blocks\":%u,\"block_size\":%u}", blocks,
           size);
  disk_method("bdev_malloc_create", params);
  const unsigned boundary = number % 3 == 0 ? 0 : 1u << pick(4);
  snprintf(params, sizeof params,
           "{\"name\":\"b\",\"num_blocks\":200,\"block_size\":512,\"optimal_io_boundary\":%u}",
           boundary);
  disk_method("bdev_malloc_create", params);
  struct disk* const a = disk_add("a", false);
  struct disk* const b = disk_add("b", false);
  open_all(a, b);
  io_steps(weights, 35, 130);
  handles_close();
  disk_method("bdev_malloc_delete", "{\"name\":\"a\"}");
  disk_method("bdev_malloc_delete", "{\"name\":\"b\"}");
}

const struct family family_malloc = {"malloc", 24, start, malloc_sequence, stop, NULL};

/* --- null --- */

static void null_sequence(unsigned number) {
  static const unsigned weights[io_kinds] = {20, 20, 4, 4, 3, 2, 8};
  char params[256];
  (void)number;
  const unsigned blocks = 32 + pick(1000);
  const unsigned size = chance(50) ? 512 : 4096;
  snprintf(params, sizeof params, "{\"name\":\"a\",\"num_blocks\":%u,\"block_size\":%u}", blocks,
           size);
  disk_method("bdev_null_create", params);
  disk_method("bdev_null_create", "{\"name\":\"b\",\"num_blocks\":100,\"block_size\":512}");
  struct disk* const a = disk_add("a", false);
  struct disk* const b = disk_add("b", false);
  open_all(a, b);
  io_steps(weights, 35, 130);
  handles_close();
  disk_method("bdev_null_delete", "{\"name\":\"a\"}");
  disk_method("bdev_null_delete", "{\"name\":\"b\"}");
}

const struct family family_null = {"null", 16, start, null_sequence, stop, NULL};

/* --- files --- */

static void make_file(const char* name, long size) {
  FILE* const file = fopen(name, "w");
  if (file == NULL || ftruncate(fileno(file), size) != 0 || fclose(file) != 0) {
    perror(name);
    exit(2);
  }
}

static void file_sequence(const char* module, const char* more) {
  static const unsigned weights[io_kinds] = {20, 20, 3, 3, 3, 2, 2};
  char method[64];
  char params[256];
  make_file("transcript_a.bin", 64 * 4096);
  make_file("transcript_b.bin", 200 * 512);
  snprintf(method, sizeof method, "bdev_%s_create", module);
  snprintf(params, sizeof params,
           "{\"name\":\"a\",\"filename\":\"transcript_a.bin\",\"block_size\":%u%s}",
           chance(50) ? 512u : 4096u, more);
  disk_method(method, params);
  disk_method(method, "{\"name\":\"b\",\"filename\":\"transcript_b.bin\",\"block_size\":512}");
  struct disk* const a = disk_add("a", true);
  struct disk* const b = disk_add("b", true);
  open_all(a, b);
  io_steps(weights, 12, 120);
  handles_close();
  snprintf(method, sizeof method, "bdev_%s_delete", module);
  disk_method(method, "{\"name\":\"a\"}");
  disk_method(method, "{\"name\":\"b\"}");
  unlink("transcript_a.bin");
  unlink("transcript_b.bin");
}

static void aio_sequence(unsigned number) {
  file_sequence("aio", number % 3 == 2 ? ",\"fallocate\":true" : "");
}

static void uring_sequence(unsigned number) {
  (void)number;
  file_sequence("uring", "");
}

const struct family family_aio = {"aio", 15, start, aio_sequence, stop, NULL};
const struct family family_uring = {"uring", 12, start, uring_sequence, stop, NULL};
