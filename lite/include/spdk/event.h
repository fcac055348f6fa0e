// SPDX-License-Identifier: BSD-3-Clause
// The application framework: one OS thread (a reactor) per core, each polling its SPDK threads
// and its events; start-up from a configuration, and an end by signal or request.
#ifndef SPDK_EVENT_H
#define SPDK_EVENT_H

#include "spdk/assert.h"
#include "spdk/cpuset.h"
#include "spdk/init.h"
#include "spdk/log.h"
#include "spdk/queue.h"
#include "spdk/stdinc.h"
#include "spdk/thread.h"

#ifdef __cplusplus
extern "C" {
#endif

struct spdk_event;
struct spdk_pci_addr;

typedef void (*spdk_event_fn)(void* arg1, void* arg2);
typedef void (*spdk_app_shutdown_cb)(void);
typedef void (*spdk_sighandler_t)(int signal);

/** Fill with spdk_app_opts_init(), then set `name` and what should differ. What this
 * implementation has no use for is accepted and has no effect, unless said otherwise. */
struct spdk_app_opts {
  const char* name;
  /** Run in both RPC states, as spdk_subsystem_load_config() does. Excludes `json_data`. */
  const char* json_config_file;
  /** Go on when a method of the configuration fails. */
  bool json_config_ignore_errors;
  uint8_t reserved17[7];
  /** There is no RPC server here: an address leads to a notice. */
  const char* rpc_addr;
  /** Hexadecimal mask or "[list]" of CPUs; NULL is "0x1". Excludes `lcore_map`. */
  const char* reactor_mask;
  /** There are no tracepoints here: a mask leads to a warning. */
  const char* tpoint_group_mask;
  int shm_id;
  uint8_t reserved52[4];
  /** Called instead of spdk_app_stop(0) on the first signal or spdk_app_start_shutdown(). */
  spdk_app_shutdown_cb shutdown_cb;
  /** Raise the limit for core dumps to 5 GiB. */
  bool enable_coredump;
  uint8_t reserved65[3];
  int mem_channel;
  int main_core;
  /** MiB; -1 is as much as there is. */
  int mem_size;
  bool no_pci;
  bool hugepage_single_segments;
  bool unlink_hugepage;
  bool no_huge;
  uint8_t reserved84[4];
  const char* hugedir;
  /** What is printed to stderr. */
  enum spdk_log_level print_level;
  uint8_t reserved100[4];
  size_t num_pci_addr;
  /** From malloc(): spdk_app_start() frees both. */
  struct spdk_pci_addr* pci_blocked;
  struct spdk_pci_addr* pci_allowed;
  const char* iova_mode;
  /** Wait for an RPC before the subsystems start: refused here. */
  bool delay_subsystem_init;
  uint8_t reserved137[7];
  uint64_t num_entries;
  void* env_context;
  /** As for spdk_log_open(). */
  spdk_log_cb* log;
  uint64_t base_virtaddr;
  /** Size of this struct as the caller knows it. */
  size_t opts_size;
  /** Leave SIGINT, SIGTERM and SIGPIPE alone. */
  bool disable_signal_handlers;
  /** Reactors sleep when there is nothing to do. */
  bool interrupt_mode;
  bool enforce_numa;
  uint8_t reserved187[1];
  uint32_t num_trace_threads;
  /** 0 stands for SPDK_DEFAULT_MSG_MEMPOOL_SIZE, or 4096 per core if that is more. */
  size_t msg_mempool_size;
  const char** rpc_allowlist;
  const char* vf_token;
  /** "core@cpu" and so on, as for spdk_env_opts. */
  const char* lcore_map;
  enum spdk_log_level rpc_log_level;
  FILE* rpc_log_file;
  /** Text of a configuration; copied by spdk_app_start(). */
  void* json_data;
  size_t json_data_size;
  /** Do not lock the files /var/tmp/spdk_cpu_lock_* that keep others off these cores. */
  bool disable_cpumask_locks;
} __attribute__((packed));
SPDK_STATIC_ASSERT(sizeof(struct spdk_app_opts) == 253, "the ABI's size");

/** Defaults for the first `opts_size` bytes. */
void spdk_app_opts_init(struct spdk_app_opts* opts, size_t opts_size);

/** Starts environment, reactors and subsystems, calls `start_fn(ctx)` on the app thread, and
 * returns when spdk_app_stop() has taken all down: its rc, or 1 if the start failed before the
 * reactors ran, or the code of the subsystem or configuration that failed. The calling OS thread
 * becomes the main core's reactor. Call spdk_app_fini() afterwards, in any case. */
int spdk_app_start(struct spdk_app_opts* opts_user, spdk_msg_fn start_fn, void* ctx);
void spdk_app_fini(void);

/** What SIGINT and SIGTERM do. From any OS thread or a signal handler, while the application
 * runs. One request at a time. */
void spdk_app_start_shutdown(void);

/** Begins the end of the application; the first non-zero `rc` is what spdk_app_start() returns.
 * From any OS thread. Threads that the program created should exit before. */
void spdk_app_stop(int rc);

int spdk_app_get_shm_id(void);

/** The part of a mask that is among the reactors' cores. 0 or negative. */
int spdk_app_parse_core_mask(const char* mask, struct spdk_cpuset* cpumask);
/** The reactors' cores; empty before the first start. */
const struct spdk_cpuset* spdk_app_get_core_mask(void);

#define SPDK_APP_GETOPT_STRING "c:de:ghi:m:n:p:r:s:uvA:B:L:RW:"

enum spdk_app_parse_args_rvals {
  SPDK_APP_PARSE_ARGS_HELP = 0,
  SPDK_APP_PARSE_ARGS_SUCCESS = 1,
  SPDK_APP_PARSE_ARGS_FAIL = 2
};
typedef enum spdk_app_parse_args_rvals spdk_app_parse_args_rvals_t;

/** Sets `opts` from the command line. Options of the program's own go to `parse`, which returns 0
 * if it accepts them; `getopt_str` must not repeat letters of SPDK_APP_GETOPT_STRING. Strings in
 * `opts` point into `argv`. `getopt_str`, `app_long_opts` (ended by a zeroed element) and `usage`
 * may be NULL, and without the first two `parse` as well. */
spdk_app_parse_args_rvals_t spdk_app_parse_args(int argc, char** argv, struct spdk_app_opts* opts,
                                                const char* getopt_str,
                                                const struct option* app_long_opts,
                                                int (*parse)(int ch, char* arg),
                                                void (*usage)(void));
/** To stdout. After spdk_app_parse_args() only. */
void spdk_app_usage(void);

/** An event for the reactor of a core, to be passed to spdk_event_call() once. NULL if there is
 * no such reactor or 16,383 events are under way. */
struct spdk_event* spdk_event_allocate(uint32_t lcore, spdk_event_fn fn, void* arg1, void* arg2);
/** Has the reactor call `fn(arg1, arg2)`, with no current SPDK thread. From any OS thread. */
void spdk_event_call(struct spdk_event* event);

/** Once a second each reactor logs its context switches, at level INFO with flag "reactor". */
void spdk_framework_enable_context_switch_monitor(bool enabled);
bool spdk_framework_context_switch_monitor_enabled(void);

#ifdef __cplusplus
}
#endif

#endif
