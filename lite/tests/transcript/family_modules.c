/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices on top of others: passthru, split, error and delay. */
#include "io.h"

#include "transcript.h"

#include "spdk/bdev_module.h"

/* No aborts: SPDK does not always complete those that a device passes on to its base. */
static const unsigned usual[io_kinds] = {20, 20, 3, 3, 2, 2, 0, 0, 0, 0, 0, 3, 0, 3, 3};

static void start(void) {
  runtime_start_bdevs(
      "{\"subsystems\":[{\"subsystem\":\"iobuf\",\"config\":[{\"method\":\"iobuf_set_options\","
      "\"params\":{\"small_pool_count\":2048,\"large_pool_count\":256}}]},{\"subsystem\":\"bdev\","
      "\"config\":[{\"method\":\"bdev_set_options\",\"params\":{\"bdev_io_pool_size\":1024,"
      "\"bdev_io_cache_size\":64,\"iobuf_small_cache_size\":32,\"iobuf_large_cache_size\":8}}]}]}");
  io_start();
  quiet_polls = true;
}

static void stop(void) {
  io_stop();
  runtime_stop_bdevs();
}

/* Not a null device: what a read brings that has no buffer of its own is whatever was there. */
static void create_base(void) {
  char params[128];
  const unsigned blocks = 100 + pick(100);
  snprintf(params, sizeof params, "{\"name\":\"m\",\"num_blocks\":%u,\"block_size\":512}", blocks);
  disk_method("bdev_malloc_create", params);
}

static void list(void) {
  char text[200];
  int length = 0;
  text[0] = '\0';
  for (struct spdk_bdev* b = spdk_bdev_first(); b != NULL; b = spdk_bdev_next(b)) {
    length +=
        snprintf(text + length, sizeof text - (size_t)length, " %s:%s:%u", spdk_bdev_get_name(b),
                 spdk_bdev_get_module_name(b), (unsigned)spdk_bdev_get_num_blocks(b));
  }
  length += snprintf(text + length, sizeof text - (size_t)length, " |");
  for (struct spdk_bdev* b = spdk_bdev_first_leaf(); b != NULL; b = spdk_bdev_next_leaf(b)) {
    length += snprintf(text + length, sizeof text - (size_t)length, " %s", spdk_bdev_get_name(b));
  }
  said("list:%s", text);
}

/* Calls that are refused, some of them, or do nothing. */
static void odd_methods(const char* const (*calls)[2], unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    if (chance(40)) {
      disk_method(calls[i][0], calls[i][1]);
    }
  }
}

static void on_removed(void* arg, int rc) { noted("%s is gone: %d", (const char*)arg, rc); }

/* Some bases go while what is on top of them is open. */
static void end(const char* method, const char* params, struct handle* on_base) {
  static char name[] = "m";
  if (on_base != NULL) {
    said("the base was opened, too");
  }
  if (chance(40)) {
    io_drain();
    about_to_call();
    spdk_bdev_unregister(spdk_bdev_get_by_name("m"), on_removed, name);
    for (int i = 0; i < 40; i++) {
      poll_threads();
    }
    said("the base is unregistered");
    list();
    handles_close();
    about_to_call();
    for (int i = 0; i < 40; i++) {
      poll_threads();
    }
    said("all is closed");
    list();
    create_base(); /* what was on top comes back with it */
    list();
  } else {
    handles_close();
  }
  disk_method(method, params);
  disk_method("bdev_malloc_delete", "{\"name\":\"m\"}");
  list();
}

/* A base that is claimed cannot be opened for writing. */
static struct handle* open_base(void) {
  struct disk* const m = disk_add("m", false);
  handle_open(m, 0, true);
  return chance(50) ? handle_open(m, 2, false) : NULL;
}

/* --- passthru --- */

static void passthru_sequence(void) {
  static const char* const odd[][2] = {
      {"bdev_passthru_create", "{\"base_bdev_name\":\"m\",\"name\":\"p\"}"},
      {"bdev_passthru_create", "{\"base_bdev_name\":\"m\"}"},
      {"bdev_passthru_create", "{\"name\":\"q\"}"},
      {"bdev_passthru_delete", "{\"name\":\"m\"}"},
      {"bdev_passthru_delete", "{\"name\":\"nobody\"}"},
      {"bdev_malloc_delete", "{\"name\":\"p\"}"},
  };
  if (chance(30)) { /* it waits for its base */
    disk_method("bdev_passthru_create", "{\"base_bdev_name\":\"m\",\"name\":\"p\"}");
    list();
    create_base();
  } else {
    create_base();
    disk_method("bdev_passthru_create", "{\"base_bdev_name\":\"m\",\"name\":\"p\"}");
  }
  odd_methods(odd, SPDK_COUNTOF(odd));
  list();
  struct disk* const p = disk_add("p", false);
  handle_open(p, 0, true);
  handle_open(p, 1, true);
  handle_open(p, 1, false);
  struct handle* const base = open_base();
  io_steps(usual, 40, 110);
  end("bdev_passthru_delete", "{\"name\":\"p\"}", base);
}

/* --- split --- */

static void split_sequence(void) {
  static const char* const odd[][2] = {
      {"bdev_split_create", "{\"base_bdev\":\"m\",\"split_count\":2}"},
      {"bdev_split_create", "{\"base_bdev\":\"nobody2\"}"},
      {"bdev_split_create", "{\"base_bdev\":\"m\"}"},
      {"bdev_split_create", "{\"split_count\":2}"},
      {"bdev_split_delete", "{\"base_bdev\":\"mp0\"}"},
      {"bdev_split_delete", "{\"base_bdev\":\"nobody\"}"},
      {"bdev_malloc_delete", "{\"name\":\"mp0\"}"},
  };
  static const char* const creations[] = {"{\"base_bdev\":\"m\",\"split_count\":2}",
                                          "{\"base_bdev\":\"m\",\"split_count\":3}",
                                          "{\"base_bdev\":\"m\",\"split_count\":7}"};
  create_base();
  disk_method("bdev_split_create", creations[pick(3)]);
  odd_methods(odd, SPDK_COUNTOF(odd));
  list();
  struct disk* const first = disk_add("mp0", false);
  struct disk* const second = disk_add("mp1", false);
  handle_open(first, 0, true);
  handle_open(second, 0, true);
  handle_open(second, 1, true);
  struct handle* const base = open_base();
  io_steps(usual, 40, 110);
  end("bdev_split_delete", "{\"base_bdev\":\"m\"}", base);
}

/* --- error --- */

static void inject(bool with_pending) {
  static const char* const types[] = {"read",         "write",   "flush", "unmap",
                                      "write_zeroes", "reset",   "all",   "clear",
                                      "nonsense",     "compare", "abort"};
  static const char* const errors[] = {"failure", "failure", "corrupt_data", "pending", "nonsense"};
  static const char* const wrong[] = {
      "{\"name\":\"m\",\"io_type\":\"read\",\"error_type\":\"failure\"}",
      "{\"name\":\"nobody\",\"io_type\":\"read\",\"error_type\":\"failure\"}",
      "{\"name\":\"EE_m\",\"io_type\":\"read\"}",
      "{\"name\":\"EE_m\",\"error_type\":\"failure\"}",
      "{\"name\":\"EE_m\",\"io_type\":\"write\",\"error_type\":\"corrupt_data\"}",
      "{\"name\":\"EE_m\",\"io_type\":\"flush\",\"error_type\":\"corrupt_data\"}"};
  char params[256];
  if (chance(15)) {
    disk_method("bdev_error_inject_error", wrong[pick(SPDK_COUNTOF(wrong))]);
    return;
  }
  const char* const type = types[pick(SPDK_COUNTOF(types))];
  const char* error = errors[pick(SPDK_COUNTOF(errors))];
  if (!with_pending && strcmp(error, "pending") == 0) {
    error = "nomem";
  }
  const unsigned count = pick(5);
  char more[80] = "";
  if (strcmp(error, "corrupt_data") == 0) {
    const unsigned offset = pick(1000);
    const unsigned value = pick(260);
    snprintf(more, sizeof more, ",\"corrupt_offset\":%u,\"corrupt_value\":%u", offset, value);
  }
  snprintf(params, sizeof params,
           "{\"name\":\"EE_m\",\"io_type\":\"%s\",\"error_type\":\"%s\",\"num\":%u%s}", type, error,
           count, more);
  disk_method("bdev_error_inject_error", params);
}

/*
 * Without resources the layer tries again after a while of real time: such sequences wait for all
 * I/O. What is held up would not end then.
 */
static void error_sequence(bool with_pending) {
  static const unsigned weights[io_kinds] = {20, 20, 4, 4, 4, 1};
  static const char* const odd[][2] = {
      {"bdev_error_create", "{\"base_name\":\"m\"}"},
      {"bdev_error_create", "{}"},
      {"bdev_error_delete", "{\"name\":\"m\"}"},
      {"bdev_error_delete", "{\"name\":\"nobody\"}"},
      {"bdev_error_resume_pending", "{\"name\":\"EE_m\"}"},
      {"bdev_error_resume_pending", "{\"name\":\"m\"}"},
      {"bdev_malloc_delete", "{\"name\":\"EE_m\"}"},
  };
  create_base();
  disk_method("bdev_error_create", "{\"base_name\":\"m\"}");
  odd_methods(odd, SPDK_COUNTOF(odd));
  list();
  struct disk* const e = disk_add("EE_m", !with_pending);
  handle_open(e, 0, true);
  handle_open(e, 1, true);
  struct handle* const base = open_base();
  for (int i = 0; i < 14; i++) {
    inject(with_pending);
    if (with_pending && chance(15)) {
      disk_method("bdev_error_resume_pending", "{\"name\":\"EE_m\"}");
    }
    io_steps(weights, with_pending ? 30 : 8, 8);
    if (!with_pending) {
      io_drain();
    }
  }
  disk_method("bdev_error_inject_error",
              "{\"name\":\"EE_m\",\"io_type\":\"clear\",\"error_type\":\"failure\"}");
  disk_method("bdev_error_resume_pending", "{\"name\":\"EE_m\"}");
  io_drain();
  end("bdev_error_delete", "{\"name\":\"EE_m\"}", base);
}

/* --- delay --- */

static void set_latencies(void) {
  static const char* const types[] = {"p99_read", "avg_read", "p99_write", "avg_write"};
  for (unsigned i = 0; i < SPDK_COUNTOF(types); i++) {
    char params[128];
    snprintf(params, sizeof params,
             "{\"delay_bdev_name\":\"d\",\"latency_type\":\"%s\",\"latency_us\":3600000000}",
             types[i]);
    disk_method("bdev_delay_update_latency", params);
  }
}

static void delay_sequence(bool for_long) {
  static const unsigned weights[io_kinds] = {20, 20, 4, 4, 3, 2, 10};
  static const char* const odd[][2] = {
      {"bdev_delay_create",
       "{\"base_bdev_name\":\"m\",\"name\":\"d\",\"avg_read_latency\":1,\"p99_read_latency\":1,"
       "\"avg_write_latency\":1,\"p99_write_latency\":1}"},
      {"bdev_delay_create",
       "{\"base_bdev_name\":\"m\",\"name\":\"q\",\"avg_read_latency\":10,\"p99_read_latency\":1,"
       "\"avg_write_latency\":1,\"p99_write_latency\":1}"},
      {"bdev_delay_create", "{\"base_bdev_name\":\"m\",\"name\":\"q\",\"avg_read_latency\":10}"},
      {"bdev_delay_update_latency",
       "{\"delay_bdev_name\":\"d\",\"latency_type\":\"nonsense\",\"latency_us\":1}"},
      {"bdev_delay_update_latency",
       "{\"delay_bdev_name\":\"m\",\"latency_type\":\"avg_read\",\"latency_us\":1}"},
      {"bdev_delay_update_latency",
       "{\"delay_bdev_name\":\"nobody\",\"latency_type\":\"avg_read\",\"latency_us\":1}"},
      {"bdev_delay_update_latency", "{\"delay_bdev_name\":\"d\",\"latency_us\":1}"},
      {"bdev_delay_delete", "{\"name\":\"m\"}"},
      {"bdev_delay_delete", "{\"name\":\"nobody\"}"},
  };
  create_base();
  disk_method("bdev_delay_create",
              "{\"base_bdev_name\":\"m\",\"name\":\"d\",\"avg_read_latency\":20,"
              "\"p99_read_latency\":30,\"avg_write_latency\":0,\"p99_write_latency\":5}");
  odd_methods(odd, SPDK_COUNTOF(odd));
  list();
  if (for_long) {
    /* Only now: SPDK's modules for partitions and volumes have read from it. */
    set_latencies();
    sorted_polls = true; /* some I/O, by chance, has the longest latency, and a queue of its own */
  }
  struct disk* const d = disk_add("d", !for_long);
  handle_open(d, 0, true);
  handle_open(d, 1, true);
  struct handle* const base = open_base();
  for (int i = 0; i < 12; i++) {
    io_steps(weights, for_long ? 30 : 8, 10);
    if (for_long && chance(25) && handle_count > 1) {
      io_reset_handle(&handles[pick(2)]);
    }
  }
  if (for_long) {
    for (int i = 0; i < 12; i++) {
      io_poll_step();
    }
    if (handle_count > 0) {
      io_reset_handle(&handles[0]);
    }
  }
  io_drain();
  sorted_polls = false;
  end("bdev_delay_delete", "{\"name\":\"d\"}", base);
}

static void sequence(unsigned number) {
  switch (number % 6) {
    case 0: passthru_sequence(); break;
    case 1: split_sequence(); break;
    case 2: error_sequence(true); break;
    case 3: error_sequence(false); break;
    case 4: delay_sequence(true); break;
    default: delay_sequence(false);
  }
}

const struct family family_modules = {
    "modules", 36,   start,
    sequence,  stop, "v25.05 does not complete every I/O of devices on devices"};
