/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration in JSON, good and bad, and the states in which its methods run. The first
 * sequence happens before the subsystems have been started.
 */
#include "runtime.h"
#include "transcript.h"

#include "spdk/bdev.h"
#include "spdk/bdev_module.h"
#include "spdk/init.h"
#include "spdk/rpc.h"

enum { steps = 110 };

struct parameter {
  const char* name;
  const char* values[8]; /* what is usual, several times what is so most often */
};

struct method {
  const char* name;
  struct parameter parameters[6];
  bool at_startup;
};

#define NAMES "\"a\"", "\"b\"", "\"c\"", "\"d\""
#define FILES "\"transcript_1.bin\"", "\"transcript_2.bin\"", "\"/nowhere/file\"", "\"/\""
#define UUIDS "\"01234567-89ab-cdef-0123-456789abcdef\"", "\"x\"", "\"\""

static const struct method methods[] = {
    {"bdev_malloc_create",
     {{"name", {NAMES}},
      {"num_blocks", {"64", "64", "64", "1000", "1"}},
      {"block_size", {"512", "512", "4096", "520", "0"}},
      {"uuid", {UUIDS}},
      {"physical_block_size", {"512", "4096", "100", "0"}},
      {"optimal_io_boundary", {"0", "8", "3"}}},
     false},
    {"bdev_malloc_delete", {{"name", {NAMES}}}, false},
    {"bdev_null_create",
     {{"name", {NAMES}},
      {"num_blocks", {"64", "64", "64", "1000", "0"}},
      {"block_size", {"512", "512", "4096", "520", "1024"}},
      {"uuid", {UUIDS}},
      {"physical_block_size", {"512", "4096", "100", "0"}}},
     false},
    {"bdev_null_delete", {{"name", {NAMES}}}, false},
    {"bdev_null_resize", {{"name", {NAMES}}, {"new_size", {"1", "2", "0", "64"}}}, false},
    {"bdev_aio_create",
     {{"name", {NAMES}},
      {"filename", {FILES}},
      {"block_size", {"512", "512", "4096", "0", "100", "256", "1048576"}},
      {"readonly", {"true", "false"}},
      {"fallocate", {"true", "false"}},
      {"uuid", {UUIDS}}},
     false},
    {"bdev_aio_delete", {{"name", {NAMES}}}, false},
    {"bdev_aio_rescan", {{"name", {NAMES}}}, false},
    {"bdev_uring_create",
     {{"name", {NAMES}},
      {"filename", {FILES}},
      {"block_size", {"512", "512", "4096", "0", "100", "256", "1048576"}},
      {"uuid", {UUIDS}}},
     false},
    {"bdev_uring_delete", {{"name", {NAMES}}}, false},
    {"bdev_uring_rescan", {{"name", {NAMES}}}, false},
    {"bdev_wait_for_examine", {{NULL, {NULL}}}, false},
    {"bdev_set_options",
     {{"bdev_io_pool_size", {"1024", "10", "65535"}},
      {"bdev_io_cache_size", {"64", "1000", "0"}},
      {"bdev_auto_examine", {"true", "false"}},
      {"iobuf_small_cache_size", {"32", "128"}},
      {"iobuf_large_cache_size", {"8", "16"}}},
     true},
    {"iobuf_set_options",
     {{"small_pool_count", {"1024", "63", "8192"}},
      {"large_pool_count", {"64", "7", "1024"}},
      {"small_bufsize", {"8192", "4095", "4096"}},
      {"large_bufsize", {"65536", "8191", "135168"}}},
     true},
};

static bool started;

static const char* choose_value(const struct parameter* p) {
  static const char* const strange[] = {"0",          "-1",
                                        "1.5",        "64.0",
                                        "1e3",        "true",
                                        "null",       "[]",
                                        "{}",         "\"\"",
                                        "\"64\"",     "4294967295",
                                        "4294967296", "18446744073709551616",
                                        "[\"a\"]",    "\"\\u0000\"",
                                        "6.4e1",      "640e-1",
                                        "-0"};
  if (chance(10)) {
    return strange[pick(SPDK_COUNTOF(strange))];
  }
  unsigned count = 0;
  while (count < SPDK_COUNTOF(p->values) && p->values[count] != NULL) {
    count++;
  }
  return p->values[pick(count)];
}

/* SPDK divides by the block size of a null device before it looks at it. */
static bool would_divide_by_zero(const struct method* m, const char* parameter, const char* value) {
  return strcmp(m->name, "bdev_null_create") == 0 && strcmp(parameter, "block_size") == 0 &&
         (strcmp(value, "0") == 0 || strcmp(value, "-0") == 0);
}

/* What a method without a name would call its device depends on how many there were. */
static bool may_be_left_out(const char* parameter) { return strcmp(parameter, "name") != 0; }

static void choose_parameters(char* out, size_t space, const struct method* m) {
  size_t length = (size_t)snprintf(out, space, "{");
  const char* separator = "";
  for (size_t i = 0; i < SPDK_COUNTOF(m->parameters); i++) {
    const struct parameter* const p = &m->parameters[i];
    if (p->name == NULL) {
      break;
    }
    const bool required = i < 3;
    if (may_be_left_out(p->name) && chance(required ? 4 : 60)) {
      continue;
    }
    const char* value = choose_value(p);
    if (would_divide_by_zero(m, p->name, value)) {
      value = "512";
    }
    length +=
        (size_t)snprintf(out + length, space - length, "%s\"%s\":%s", separator, p->name, value);
    separator = ",";
  }
  if (chance(3)) {
    length += (size_t)snprintf(out + length, space - length, "%s\"unknown\":1", separator);
  }
  snprintf(out + length, space - length, "}");
}

static void call_step(void) {
  const struct method* m = &methods[pick(SPDK_COUNTOF(methods))];
  char params[512];
  char json[1024];
  choose_parameters(params, sizeof params, m);
  const bool stop = chance(80);
  const bool with_params = !chance(3);
  const char* const subsystem = chance(4) ? "unknown" : "bdev";
  snprintf(json, sizeof json,
           "{\"subsystems\":[{\"subsystem\":\"%s\",\"config\":[{\"method\":\"%s\"%s%s}]}]}",
           subsystem, m->name, with_params ? ",\"params\":" : "", with_params ? params : "");
  about_to_call();
  const int rc = load_config(json, stop);
  said("%s %s %s stop %d: %d", subsystem, m->name, with_params ? params : "-", stop, rc);
}

/* Several, of which one fails: what came before it stays, what comes after it depends. */
static void several_step(void) {
  static const char* const texts[] = {
      "{\"subsystems\":[{\"subsystem\":\"bdev\",\"config\":["
      "{\"method\":\"bdev_null_create\",\"params\":{\"name\":\"s1\",\"num_blocks\":8,\"block_"
      "size\":512}},"
      "{\"method\":\"bdev_null_create\",\"params\":{\"name\":\"s1\",\"num_blocks\":8,\"block_"
      "size\":512}},"
      "{\"method\":\"bdev_null_create\",\"params\":{\"name\":\"s2\",\"num_blocks\":8,\"block_"
      "size\":512}}]}]}",
      "{\"subsystems\":[{\"subsystem\":\"bdev\",\"config\":["
      "{\"method\":\"no_such_method\",\"params\":{}},"
      "{\"method\":\"bdev_null_create\",\"params\":{\"name\":\"s3\",\"num_blocks\":8,\"block_"
      "size\":512}}]}]}",
      "{\"subsystems\":[{\"subsystem\":\"no_such_subsystem\",\"config\":["
      "{\"method\":\"no_such_method\",\"params\":{}}]},"
      "{\"subsystem\":\"bdev\",\"config\":["
      "{\"method\":\"bdev_null_create\",\"params\":{\"name\":\"s4\",\"num_blocks\":8,\"block_"
      "size\":512}}]}]}",
      "{\"subsystems\":[{\"subsystem\":\"bdev\",\"config\":[["
      "{\"method\":\"bdev_null_create\",\"params\":{\"name\":\"s5\",\"num_blocks\":8,\"block_"
      "size\":512}},"
      "{\"method\":\"bdev_null_create\",\"params\":{\"name\":\"s6\",\"num_blocks\":8,\"block_"
      "size\":512}}]]}]}",
  };
  const unsigned which = pick(SPDK_COUNTOF(texts));
  const bool stop = chance(50);
  about_to_call();
  const int rc = load_config(texts[which], stop);
  said("several %u stop %d: %d", which, stop, rc);
}

#define PARAMS_ARE_AN_ARRAY                               \
  "{\"subsystems\":[{\"subsystem\":\"bdev\",\"config\":[" \
  "{\"method\":\"bdev_null_delete\",\"params\":[]}]}]}"

static void text_step(void) {
  static const char* const texts[] = {
      "{}",
      "[]",
      "",
      " ",
      "null",
      "{\"subsystems\":{}}",
      "{\"subsystems\":[]}",
      "{\"subsystems\":null}",
      "{\"subsystems\":[{}]}",
      "{\"subsystems\":[{\"subsystem\":\"bdev\"}]}",
      "{\"subsystems\":[{\"subsystem\":\"bdev\",\"config\":null}]}",
      "{\"subsystems\":[{\"subsystem\":\"bdev\",\"config\":{}}]}",
      "{\"subsystems\":[{\"subsystem\":\"bdev\",\"config\":[1]}]}",
      "{\"subsystems\":[{\"subsystem\":\"bdev\",\"config\":[{}]}]}",
      "{\"subsystems\":[{\"subsystem\":\"bdev\",\"config\":[{\"method\":7}]}]}",
      PARAMS_ARE_AN_ARRAY,
      "{\"subsystems\":[{\"subsystem\":7,\"config\":[]}]}",
      "{\"subsystems\":[{\"config\":[]}]}",
      "{\"subsystems\":[{\"subsystem\":\"bdev\",\"config\":[],\"more\":1}]}",
      "{\"subsystems\":[],\"more\":[{}]}",
      "{\"subsystems\":[]",
      "{\"subsystems\":[]}}",
      "{'subsystems':[]}",
      "{\"subsystems\":[],}",
      "{\"subsystems\":[] /* a comment */}",
      "// a comment\n{\"subsystems\":[]}",
      "{\"subsystems\":[],\"subsystems\":[]}",
      "{\"subsystems\":[[]]}",
      "7",
      "\"text\"",
  };
  const unsigned which = pick(SPDK_COUNTOF(texts));
  const bool stop = chance(50);
  about_to_call();
  const int rc = load_config(texts[which], stop);
  said("text %u %.60s stop %d: %d", which,
       strchr(texts[which], 10) != NULL ? "(two lines)" : texts[which], stop, rc);
}

static void ask_step(void) {
  const struct method* const m = &methods[pick(SPDK_COUNTOF(methods))];
  const char* const name = chance(10) ? "no_such_method" : m->name;
  const uint32_t state = 1 + pick(3);
  uint32_t mask = 0;
  const int rc = spdk_rpc_get_method_state_mask(name, &mask);
  said("method %s: %d mask %u allowed in %u %d, state %u, subsystems %d %d %d", name, rc,
       rc == 0 ? mask : 0, state, spdk_rpc_is_method_allowed(name, state), spdk_rpc_get_state(),
       spdk_subsystem_exists("bdev"), spdk_subsystem_exists("iobuf"),
       spdk_subsystem_exists("nothing"));
}

static void list_step(void) {
  char text[300];
  int length = 0;
  text[0] = '\0';
  for (struct spdk_bdev* b = spdk_bdev_first(); b != NULL; b = spdk_bdev_next(b)) {
    length += snprintf(text + length, sizeof text - (size_t)length, " %s %ux%u/%u%s",
                       spdk_bdev_get_name(b), (unsigned)spdk_bdev_get_num_blocks(b),
                       spdk_bdev_get_block_size(b), spdk_bdev_get_physical_block_size(b),
                       spdk_bdev_io_type_supported(b, SPDK_BDEV_IO_TYPE_WRITE) ? "" : "ro");
  }
  said("list:%s", text);
}

/* Files change their size behind the devices' back. */
static void file_step(void) {
  static const long sizes[] = {64 * 4096, 64 * 4096, 65536, 1000, 512, 0};
  const unsigned which = 1 + pick(2);
  const long size = sizes[pick(SPDK_COUNTOF(sizes))];
  char name[32];
  snprintf(name, sizeof name, "transcript_%u.bin", which);
  FILE* const file = fopen(name, "a");
  if (file == NULL || ftruncate(fileno(file), size) != 0) {
    perror(name);
    exit(2);
  }
  fclose(file);
  said("file %u: %ld bytes", which, size);
}

static void options_step(void) {
  static const uint32_t pools[] = {65535, 1024, 64, 0, 100};
  static const uint32_t caches[] = {256, 0, 32, 64};
  struct spdk_bdev_opts opts;
  memset(&opts, 0, sizeof opts);
  spdk_bdev_get_opts(&opts, sizeof opts);
  said("options: pool %u cache %u examine %d iobuf %u %u size %zu", opts.bdev_io_pool_size,
       opts.bdev_io_cache_size, opts.bdev_auto_examine, opts.iobuf_small_cache_size,
       opts.iobuf_large_cache_size, opts.opts_size);
  opts.bdev_io_pool_size = pools[pick(SPDK_COUNTOF(pools))];
  opts.bdev_io_cache_size = caches[pick(SPDK_COUNTOF(caches))];
  opts.opts_size = chance(10) ? 0 : chance(20) ? 8 : sizeof opts;
  const int rc = spdk_bdev_set_opts(chance(5) ? NULL : &opts);
  said("set options pool %u cache %u size %zu: %d", opts.bdev_io_pool_size, opts.bdev_io_cache_size,
       opts.opts_size, rc);
}

static void unregister_all(void) {
  for (;;) {
    struct spdk_bdev* const bdev = spdk_bdev_first();
    if (bdev == NULL) {
      return;
    }
    spdk_bdev_unregister(bdev, NULL, NULL);
    for (int i = 0; i < 40; i++) {
      poll_threads();
    }
  }
}

static int started_rc;

static void on_started(int rc, void* ctx) {
  (void)ctx;
  started_rc = rc;
}

/* The options that the devices need, and the end of the start-up. */
static void start_subsystems(bool say) {
  int rc = load_config(
      "{\"subsystems\":[{\"subsystem\":\"iobuf\",\"config\":[{\"method\":\"iobuf_set_options\","
      "\"params\":{\"small_pool_count\":1024,\"large_pool_count\":64}}]},{\"subsystem\":\"bdev\","
      "\"config\":[{\"method\":\"bdev_set_options\",\"params\":{\"bdev_io_pool_size\":1024,"
      "\"bdev_io_cache_size\":64,\"bdev_auto_examine\":true}}]}]}",
      true);
  if (say) {
    said("the last options: %d", rc);
  }
  started_rc = 1;
  spdk_subsystem_init(on_started, NULL);
  for (int i = 0; i < 100000 && started_rc == 1; i++) {
    poll_threads();
  }
  if (say) {
    said("subsystem init: %d, state %u", started_rc, spdk_rpc_get_state());
  }
  spdk_rpc_set_state(SPDK_RPC_RUNTIME);
  started = true;
}

static void startup_sequence(void) {
  for (int i = 0; i < steps; i++) {
    const uint32_t kind = pick(100);
    if (kind < 60) {
      call_step();
    } else if (kind < 75) {
      options_step();
    } else if (kind < 85) {
      text_step();
    } else {
      ask_step();
    }
  }
  start_subsystems(true);
  list_step();
}

static void runtime_sequence(void) {
  for (int i = 0; i < steps; i++) {
    const uint32_t kind = pick(100);
    if (kind < 68) {
      call_step();
    } else if (kind < 73) {
      several_step();
    } else if (kind < 80) {
      text_step();
    } else if (kind < 84) {
      ask_step();
    } else if (kind < 92) {
      list_step();
    } else {
      file_step();
    }
  }
  unregister_all();
}

static void sequence(unsigned number) {
  FILE* const one = fopen("transcript_1.bin", "w");
  FILE* const two = fopen("transcript_2.bin", "w");
  if (one == NULL || two == NULL || ftruncate(fileno(one), 64 * 4096) != 0) {
    exit(2);
  }
  fclose(one);
  fclose(two);
  if (number == 0) {
    startup_sequence();
  } else {
    if (!started) {
      start_subsystems(false);
    }
    runtime_sequence();
  }
  unlink("transcript_1.bin");
  unlink("transcript_2.bin");
}

const struct family family_config = {"config",           24,  runtime_start_threads, sequence,
                                     runtime_stop_bdevs, NULL};
