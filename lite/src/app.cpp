// SPDX-License-Identifier: BSD-3-Clause
// The life of an application: environment, reactors, app thread, configuration and subsystems up,
// the program's start function, and all down again on request or by signal.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "app_internal.hpp"
#include "core_locks.hpp"
#include "env_internal.hpp"
#include "reactor.hpp"
#include "spdk/env.h"
#include "spdk/event.h"
#include "spdk/log.h"
#include "spdk/rpc.h"
#include "spdk/string.h"

using spdk_lite::die;

namespace {

constexpr rlim_t core_dump_limit = rlim_t{5} << 30;
constexpr std::size_t messages_per_core = std::size_t{4} * SPDK_MSG_MEMPOOL_CACHE_SIZE;

/// Used on the app thread, once that runs.
struct application {
  std::optional<std::string> config;
  bool ignore_config_errors = false;
  bool stopped = false;
  int shm_id = 0;
  spdk_app_shutdown_cb shutdown_cb = nullptr;
  spdk_msg_fn start_fn = nullptr;
  void* start_arg = nullptr;
  int rc = 0;
};

application the_app;
/// The environment cannot be set up twice: the next application takes it as it is.
bool ran_before = false;

std::atomic<bool> signal_received{false};
static_assert(std::atomic<bool>::is_always_lock_free);

// ---- the steps of the start on the app thread ----

void start_program(int rc, void*) {
  if (rc != 0) {
    SPDK_ERRLOG("the configuration failed in state RUNTIME: %d\n", rc);
    spdk_app_stop(rc);
    return;
  }
  the_app.start_fn(the_app.start_arg);
}

/// Both loads copy the text.
void load_config(spdk_subsystem_init_fn then) {
  if (!the_app.config) {
    then(0, nullptr);
    return;
  }
  spdk_subsystem_load_config(the_app.config->data(), static_cast<ssize_t>(the_app.config->size()),
                             then, nullptr, !the_app.ignore_config_errors);
}

void subsystems_started(int rc, void*) {
  if (rc != 0) {
    SPDK_ERRLOG("the subsystems failed to start: %d\n", rc);
    spdk_app_stop(rc);
    return;
  }
  spdk_rpc_set_state(SPDK_RPC_RUNTIME);
  load_config(start_program);
}

void start_subsystems(int rc, void*) {
  if (rc != 0) {
    spdk_app_stop(rc);
    return;
  }
  spdk_subsystem_init(subsystems_started, nullptr);
}

void start_configuration(void*) {
  // An application before this one has left it at RUNTIME.
  spdk_rpc_set_state(SPDK_RPC_STARTUP);
  load_config(start_subsystems);
}

// ---- the end ----

void stop_on_app_thread(void* arg) {
  if (the_app.rc == 0) {
    the_app.rc = static_cast<int>(reinterpret_cast<std::intptr_t>(arg));
  }
  if (the_app.stopped) {
    SPDK_NOTICELOG("spdk_app_stop called twice\n");
    return;
  }
  the_app.stopped = true;
  the_app.config.reset();
  spdk_subsystem_fini([](void*) { spdk_lite::reactors_stop(); }, nullptr);
}

void shut_down(void*) {
  if (const spdk_app_shutdown_cb shutdown = std::exchange(the_app.shutdown_cb, nullptr);
      shutdown != nullptr) {
    shutdown();
  } else {
    spdk_app_stop(0);
  }
}

// ---- signals ----

/// Only the first signal counts: a critical message must not be sent while one waits.
void handle_signal(int number) {
  if (spdk_thread_get_app_thread() == nullptr) {
    // Nothing is left that could stop gracefully.
    std::signal(number, SIG_DFL);
    std::raise(number);
  } else if (!signal_received.exchange(true)) {
    spdk_app_start_shutdown();
  }
}

bool set_signal_handlers() {
  struct sigaction action{};
  sigemptyset(&action.sa_mask);
  action.sa_handler = SIG_IGN;
  if (sigaction(SIGPIPE, &action, nullptr) != 0) {
    return false;
  }
  signal_received = false;
  action.sa_handler = handle_signal;
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM}) {
    if (sigaction(number, &action, nullptr) != 0) {
      return false;
    }
    sigaddset(&signals, number);
  }
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  return true;
}

// ---- the steps of the start before the reactors run ----

bool options_are_usable(const spdk_app_opts* opts, spdk_msg_fn start_fn) {
  if (opts == nullptr) {
    SPDK_ERRLOG("options are needed\n");
  } else if (opts->opts_size == 0) {
    SPDK_ERRLOG("opts_size is 0: fill the options with spdk_app_opts_init()\n");
  } else if (opts->name == nullptr) {
    SPDK_ERRLOG("the application needs a name\n");
  } else if (start_fn == nullptr) {
    SPDK_ERRLOG("the application needs a start function\n");
  } else {
    return true;
  }
  return false;
}

/// What cannot be had here is said once, before anything is taken.
bool report_what_is_missing(const spdk_app_opts& opts) {
  if (opts.delay_subsystem_init) {
    SPDK_ERRLOG("%s\n", opts.rpc_addr == nullptr
                            ? "cannot wait for an RPC (delay_subsystem_init, --wait-for-rpc) "
                              "without an RPC server"
                            : "cannot wait for an RPC (delay_subsystem_init, --wait-for-rpc): "
                              "lite, which stands in for SPDK here, has no RPC server");
    return false;
  }
  if (opts.rpc_addr != nullptr) {
    SPDK_NOTICELOG(
        "lite, which stands in for SPDK here, has no RPC server: nothing listens on %s\n",
        opts.rpc_addr);
  }
  if (opts.tpoint_group_mask != nullptr) {
    SPDK_WARNLOG("lite, which stands in for SPDK here, has no tracepoints: '%s' is ignored\n",
                 opts.tpoint_group_mask);
  }
  return true;
}

spdk_env_opts make_env_options(const spdk_app_opts& opts) {
  spdk_env_opts env{};
  env.opts_size = sizeof env;
  spdk_env_opts_init(&env);
  env.name = opts.name;
  const bool default_cores = opts.lcore_map == nullptr && opts.reactor_mask == nullptr;
  env.core_mask = default_cores ? "0x1" : opts.reactor_mask;
  env.lcore_map = opts.lcore_map;
  env.shm_id = opts.shm_id;
  env.mem_channel = opts.mem_channel;
  env.main_core = opts.main_core;
  env.mem_size = opts.mem_size;
  env.no_pci = opts.no_pci;
  env.hugepage_single_segments = opts.hugepage_single_segments;
  env.unlink_hugepage = opts.unlink_hugepage;
  env.no_huge = opts.no_huge;
  env.num_pci_addr = opts.num_pci_addr;
  env.hugedir = opts.hugedir;
  env.pci_blocked = opts.pci_blocked;
  env.pci_allowed = opts.pci_allowed;
  env.iova_mode = opts.iova_mode;
  env.base_virtaddr = opts.base_virtaddr;
  env.env_context = opts.env_context;
  env.vf_token = opts.vf_token;
  env.enforce_numa = opts.enforce_numa;
  return env;
}

bool start_environment(const spdk_app_opts& opts) {
  if (ran_before) {
    return spdk_env_init(nullptr) == 0;
  }
  const spdk_env_opts env = make_env_options(opts);
  const int rc = spdk_env_init(&env);
  std::free(opts.pci_blocked);
  std::free(opts.pci_allowed);
  if (rc != 0) {
    SPDK_ERRLOG("the environment cannot be started\n");
  }
  return rc == 0;
}

bool take_cores(const spdk_app_opts& opts) {
  if (opts.disable_cpumask_locks) {
    SPDK_NOTICELOG("CPU core locks deactivated.\n");
    return true;
  }
  if (!spdk_lite::lock_cores()) {
    SPDK_ERRLOG("not all cores of the application can be locked\n");
    return false;
  }
  return true;
}

std::size_t message_pool_size(const spdk_app_opts& opts) {
  if (opts.msg_mempool_size != 0) {
    return opts.msg_mempool_size;
  }
  return std::max<std::size_t>(SPDK_DEFAULT_MSG_MEMPOOL_SIZE,
                               spdk_env_get_core_count() * messages_per_core);
}

/// On the core of the calling OS thread. The first thread is the app thread.
bool create_app_thread() {
  spdk_cpuset mask{};
  spdk_cpuset_set_cpu(&mask, spdk_env_get_current_core(), true);
  spdk_thread_create("app_thread", &mask);
  if (spdk_thread_get_app_thread() == nullptr) {
    SPDK_ERRLOG("the app thread cannot be created\n");
    return false;
  }
  return true;
}

/// nullopt, and errno, if it cannot be read.
std::optional<std::string> read_file(const char* name) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file{std::fopen(name, "rb"), std::fclose};
  if (file == nullptr) {
    return std::nullopt;
  }
  std::string content;
  std::array<char, 4096> part{};
  while (const std::size_t count = std::fread(part.data(), 1, part.size(), file.get())) {
    content.append(part.data(), count);
  }
  return std::ferror(file.get()) == 0 ? std::optional{std::move(content)} : std::nullopt;
}

bool read_config(const spdk_app_opts& opts) {
  if (opts.json_config_file == nullptr) {
    if (opts.json_data != nullptr) {
      // No reference to a member: the struct is packed.
      the_app.config = std::string(static_cast<const char*>(opts.json_data), opts.json_data_size);
    }
    return true;
  }
  if (opts.json_data != nullptr) {
    SPDK_ERRLOG("json_config_file and json_data exclude each other\n");
    return false;
  }
  the_app.config = read_file(opts.json_config_file);
  if (!the_app.config) {
    SPDK_ERRLOG("the configuration file %s cannot be read: %s\n", opts.json_config_file,
                spdk_strerror(errno));
  }
  return the_app.config.has_value();
}

void allow_core_dumps() {
  const rlimit limit{core_dump_limit, core_dump_limit};
  setrlimit(RLIMIT_CORE, &limit);
}

bool prepare(const spdk_app_opts& opts) {
  if (!report_what_is_missing(opts) || !start_environment(opts)) {
    return false;
  }
  spdk_log_open(opts.log);
  if (!take_cores(opts)) {
    return false;
  }
  SPDK_NOTICELOG("Total cores available: %u\n", spdk_env_get_core_count());
  if (const int rc = spdk_lite::reactors_init(message_pool_size(opts)); rc != 0) {
    SPDK_ERRLOG("the reactors cannot be started: %d\n", rc);
    return false;
  }
  if (!create_app_thread()) {
    return false;
  }
  if (!opts.disable_signal_handlers && !set_signal_handlers()) {
    SPDK_ERRLOG("the signal handlers cannot be set: %s\n", spdk_strerror(errno));
    return false;
  }
  return read_config(opts);
}

}  // namespace

int spdk_app_start(spdk_app_opts* opts_user, spdk_msg_fn start_fn, void* ctx) {
  if (!options_are_usable(opts_user, start_fn)) {
    return 1;
  }
  const spdk_app_opts opts = spdk_lite::copy_options(*opts_user);
  spdk_log_set_print_level(opts.print_level);
  spdk_log_set_level(SPDK_LOG_NOTICE);
  if (opts.enable_coredump) {
    allow_core_dumps();
  }
  if (opts.interrupt_mode) {
    spdk_interrupt_mode_enable();
  }
  the_app = {};
  the_app.ignore_config_errors = opts.json_config_ignore_errors;
  the_app.shm_id = opts.shm_id;
  the_app.shutdown_cb = opts.shutdown_cb;
  the_app.start_fn = start_fn;
  the_app.start_arg = ctx;
  if (!prepare(opts)) {
    return 1;
  }
  spdk_thread_send_msg(spdk_thread_get_app_thread(), start_configuration, nullptr);
  spdk_lite::reactors_run();
  ran_before = true;
  return the_app.rc;
}

void spdk_app_fini(void) {
  spdk_lite::reactors_fini();
  spdk_env_fini();
  spdk_log_close();
  spdk_lite::unlock_cores();
}

void spdk_app_start_shutdown(void) {
  spdk_thread* const app_thread = spdk_thread_get_app_thread();
  if (app_thread == nullptr) {
    die("spdk_app_start_shutdown() while no application runs");
  }
  spdk_thread_send_critical_msg(app_thread, shut_down);
}

void spdk_app_stop(int rc) {
  if (rc != 0) {
    SPDK_WARNLOG("spdk_app_stop'd on non-zero\n");
  }
  spdk_thread* const app_thread = spdk_thread_get_app_thread();
  if (app_thread == nullptr) {
    die("spdk_app_stop() while no application runs");
  }
  spdk_thread_send_msg(app_thread, stop_on_app_thread,
                       reinterpret_cast<void*>(static_cast<std::intptr_t>(rc)));
}

int spdk_app_get_shm_id(void) { return the_app.shm_id; }
