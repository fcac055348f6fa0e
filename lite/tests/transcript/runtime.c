/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime.h"

#include "spdk/bdev.h"
#include "spdk/env.h"
#include "spdk/init.h"
#include "spdk/log.h"
#include "spdk/rpc.h"

struct spdk_thread* threads[runtime_threads];

static void no_log(int level, const char* file, const int line, const char* func,
                   const char* format, va_list args) {
  (void)level, (void)file, (void)line, (void)func;
  if (getenv("TRANSCRIPT_LOG") != NULL) {
    vfprintf(stderr, format, args);
  }
}

static void require(bool condition, const char* what) {
  if (!condition) {
    fprintf(stderr, "transcript: %s failed\n", what);
    exit(2);
  }
}

void runtime_silence(void) { spdk_log_open(no_log); }

void runtime_start_env(void) {
  struct spdk_env_opts opts;
  memset(&opts, 0, sizeof opts);
  opts.opts_size = sizeof opts;
  spdk_env_opts_init(&opts);
  opts.name = "transcript";
  opts.no_huge = true;
  opts.no_pci = true;
  opts.mem_size = 512;
  require(spdk_env_init(&opts) == 0, "spdk_env_init");
  runtime_silence();
}

void runtime_start_threads(void) {
  runtime_start_env();
  require(spdk_thread_lib_init(NULL, 0) == 0, "spdk_thread_lib_init");
  threads[0] = spdk_thread_create("app", NULL);
  require(threads[0] != NULL, "spdk_thread_create");
  spdk_set_thread(threads[0]);
}

static void end_thread(struct spdk_thread* thread) {
  spdk_set_thread(thread);
  spdk_thread_exit(thread);
  while (!spdk_thread_is_exited(thread)) {
    spdk_thread_poll(thread, 0, 0);
  }
  spdk_thread_destroy(thread);
}

void runtime_stop_threads(void) {
  for (int i = runtime_threads - 1; i >= 0; i--) {
    if (threads[i] != NULL) {
      end_thread(threads[i]);
    }
  }
  spdk_set_thread(NULL);
  spdk_thread_lib_fini();
  spdk_env_fini();
}

int poll_threads(void) {
  int busy = 0;
  for (int i = 0; i < runtime_threads; i++) {
    if (threads[i] != NULL && spdk_thread_poll(threads[i], 0, 0) > 0) {
      busy = 1;
    }
  }
  return busy;
}

static void save_result(int rc, void* ctx) { *(int*)ctx = rc; }
static void save_done(void* ctx) { *(int*)ctx = 0; }

/* SPDK takes milliseconds for a method. */
enum { most_polls = 50000000 };

static bool wait_for_result(const int* result) {
  for (long i = 0; i < most_polls && *result == 1; i++) {
    poll_threads();
  }
  return *result != 1;
}

int load_config(const char* json, bool stop_on_error) {
  static int result; /* what comes too late is written somewhere */
  char* const copy = strdup(json);
  result = 1;
  spdk_subsystem_load_config(copy, (ssize_t)strlen(copy), save_result, &result, stop_on_error);
  free(copy);
  wait_for_result(&result);
  return result;
}

/* How many polls a method takes is the provider's affair: what else is under way ends first. */
static void quiesce(void) {
  for (int i = 0; i < 40; i++) {
    poll_threads();
  }
}

int call_method(const char* method, const char* params) {
  char json[2048];
  quiesce();
  if (params == NULL) {
    snprintf(json, sizeof json,
             "{\"subsystems\":[{\"subsystem\":\"bdev\",\"config\":[{\"method\":\"%s\"}]}]}",
             method);
  } else {
    snprintf(json, sizeof json,
             "{\"subsystems\":[{\"subsystem\":\"bdev\",\"config\":[{\"method\":\"%s\","
             "\"params\":%s}]}]}",
             method, params);
  }
  const int rc = load_config(json, true);
  quiesce();
  return rc;
}

void runtime_start_bdevs(const char* config) {
  static int result;
  runtime_start_threads();
  for (int i = 1; i < runtime_threads; i++) {
    threads[i] = spdk_thread_create(i == 1 ? "one" : "two", NULL);
    require(threads[i] != NULL, "spdk_thread_create");
  }
  require(load_config(config, true) == 0, "the configuration");
  result = 1;
  spdk_subsystem_init(save_result, &result);
  require(wait_for_result(&result) && result == 0, "spdk_subsystem_init");
  spdk_rpc_set_state(SPDK_RPC_RUNTIME);
}

void runtime_stop_bdevs(void) {
  static int result;
  result = 1;
  spdk_set_thread(threads[0]);
  spdk_subsystem_fini(save_done, &result);
  require(wait_for_result(&result), "spdk_subsystem_fini");
  runtime_stop_threads();
}
