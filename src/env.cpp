// SPDX-License-Identifier: BSD-3-Clause
// Start and end of SPDK's environment.
#include <spdk_io/env.hpp>

#include "affinity.hpp"
#include "concat.hpp"
#include "env_state.hpp"
#include "log_capture.hpp"
#include "thread_registry.hpp"

#include <spdk/cpuset.h>
#include <spdk/env.h>
#include <spdk/thread.h>
#include <spdk/version.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <memory>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

using detail::env_phase;
std::atomic<env_phase> current_phase{env_phase::fresh};

std::unexpected<error> refuse(std::errc code, std::string_view why) {
  return std::unexpected(error(code, operation_kind::start_env, detail::concat("env: ", why)));
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Checks what SPDK would answer with a bare -EINVAL.
result<void> check(const env_options& o) {
  auto invalid = [](std::string_view why) { return refuse(std::errc::invalid_argument, why); };
  if (o.name.empty() || o.name.size() > 64 || o.name.find('\0') != o.name.npos)
    return invalid("the name must have 1 to 64 characters and no NUL");
  if (o.memory_mib < 0)
    return invalid(detail::concat("memory_mib is ", o.memory_mib,
                                  "; use 0 for the default, or a number of MiB above 0"));
  if (o.shm_id < -1) return invalid("shm_id must be -1 (none) or a number from 0");
  if (o.main_core < -1) return invalid("main_core must be -1 (the first) or a core's number");
  if (o.core_mask.find('\0') != o.core_mask.npos) return invalid("core_mask contains a NUL");
  for (const auto& argument : o.extra_args) {
    if (argument.find('\0') != argument.npos) return invalid("extra_args contains a NUL");
  }
  return {};
}

std::string join(const std::vector<std::string>& arguments) {
  std::string out;
  for (const auto& a : arguments) out += (out.empty() ? "" : " ") + a;
  return out;
}

result<void> start_environment(const env_options& o) {
  if (auto ok = detail::check_core_mask(o.core_mask, "env"); !ok) return ok;
  std::string extra = join(o.extra_args);
  spdk_env_opts opts = {};
  opts.opts_size = sizeof(opts);
  spdk_env_opts_init(&opts);
  opts.name = o.name.c_str();
  if (!o.core_mask.empty()) opts.core_mask = o.core_mask.c_str();
  if (o.memory_mib > 0) opts.mem_size = o.memory_mib;
  if (!o.hugepages && o.memory_mib == 0) opts.mem_size = 512;
  opts.no_huge = !o.hugepages;
  opts.no_pci = !o.pci;
  if (o.shm_id >= 0) opts.shm_id = o.shm_id;
  if (o.main_core >= 0) opts.main_core = o.main_core;
  if (!extra.empty()) opts.env_context = extra.data();

  detail::log_capture log;
  if (int rc = spdk_env_init(&opts); rc != 0) {
    std::string why = "SPDK's environment did not start";
    if (auto text = first_line(log.text()); !text.empty()) why += ": " + text;
    if (!o.core_mask.empty()) why += "; check core_mask \"" + o.core_mask + "\"";
    if (o.main_core >= 0)
      why += detail::concat("; check that core_mask holds main_core ", o.main_core);
    if (o.hugepages) why += "; without hugepages on this machine set .hugepages = false";
    if (o.memory_mib > 0) why += detail::concat("; check memory_mib ", o.memory_mib);
    if (!extra.empty()) why += "; check extra_args \"" + extra + "\"";
    return refuse(std::errc::invalid_argument, why);
  }
  return {};
}

result<void> start_threads(bool interrupt) {
  if (interrupt && spdk_interrupt_mode_enable() != 0) {
    return refuse(std::errc::not_supported,
                  "interrupt mode is not available here; set .interrupt = false");
  }
  int rc = spdk_thread_lib_init_ext(detail::on_thread_operation, detail::supports_thread_operation,
                                    0, SPDK_DEFAULT_MSG_MEMPOOL_SIZE);
  if (rc != 0)
    return refuse(std::errc{-rc}, "SPDK's thread library did not start: more memory_mib?");
  return {};
}

}  // namespace

result<env> env::start(const env_options& options) {
  if (auto ok = check(options); !ok) return std::unexpected(ok.error());
  if (auto ok = detail::claim_env(env_phase::running); !ok) return std::unexpected(ok.error());
  if (options.log) set_log(options.log, options.most_logged);
  detail::open_log();

  detail::affinity before;
  auto started = start_environment(options);
  if (!options.keep_affinity) before.restore();
  if (!started) {
    // DPDK parses its arguments before it takes anything: after such a failure it may try again.
    detail::release_env(env_phase::fresh);
    return std::unexpected(started.error());
  }
  if (auto threads = start_threads(options.interrupt); !threads) {
    spdk_env_fini();
    detail::release_env(env_phase::ended);
    return std::unexpected(threads.error());
  }
  return env(true);
}

env::~env() {
  if (!owner_) return;
  const std::string left = detail::live_thread_names();
  if (left.empty()) {
    detail::subsystems_stopped();
    spdk_thread_lib_fini();
    spdk_env_fini();
  } else {
    std::fprintf(stderr,
                 "spdk-io: env destroyed before thread%s; destroy threads first (declare env "
                 "before them). SPDK is left running.\n",
                 left.c_str());
  }
  detail::release_env(env_phase::ended);
}

namespace detail {

// SPDK writes straight to stderr about a mask that it cannot parse.
result<void> check_core_mask(const std::string& mask, std::string_view whose) {
  if (mask.empty() || mask.front() == '-') return {};  // '-': options of the EAL's own
  log_capture quiet;
  std::unique_ptr<spdk_cpuset, decltype(&spdk_cpuset_free)> set(spdk_cpuset_alloc(),
                                                                spdk_cpuset_free);
  if (set && spdk_cpuset_parse(set.get(), mask.c_str()) == 0 && spdk_cpuset_count(set.get()) > 0) {
    return {};
  }
  return std::unexpected(
      error(std::errc::invalid_argument, operation_kind::start_env,
            concat(whose, ": core_mask \"", mask,
                   "\" names no cores; use a mask in hex (\"0x3\") or a list (\"[0-1]\")")));
}

bool env_running() noexcept {
  const env_phase now = current_phase;
  return now != env_phase::fresh && now != env_phase::ended;
}

bool env_is_foreign() noexcept {
  const env_phase now = current_phase;
  return now == env_phase::foreign || now == env_phase::framework;
}

result<void> claim_env(env_phase as) {
  // The first thread that anybody makes becomes SPDK's app thread.
  const bool others = spdk_thread_get_app_thread() != nullptr;
  env_phase now = env_phase::fresh;
  if (others) {
    now = current_phase;
  } else if (current_phase.compare_exchange_strong(now, as)) {
    return {};
  }
  const bool app = as == env_phase::framework;
  std::string_view why;
  switch (others && now == env_phase::fresh ? env_phase::foreign : now) {
    case env_phase::framework:
      why = app ? "app::run() is running already in this process"
                : "app::run() has started SPDK's environment already, and keeps it";
      break;
    case env_phase::foreign:
      why =
          "other code of this process has started SPDK's environment already; take its threads "
          "with thread::from_native() or reactor_thread";
      break;
    case env_phase::ended:
      why =
          "ended already in this process; SPDK's environment cannot be started again (start it "
          "once in main and keep it)";
      break;
    default:
      why = app ? "an env exists in this process already; app::run() starts SPDK's environment "
                  "itself (leave env::start() out)"
                : "already started in this process; SPDK's environment cannot be started twice";
  }
  return std::unexpected(error(std::errc::already_connected, operation_kind::start_env,
                               concat(app ? "app: " : "env: ", why)));
}

void release_env(env_phase as) noexcept { current_phase = as; }

void note_foreign_env() noexcept {
  env_phase now = env_phase::fresh;
  current_phase.compare_exchange_strong(now, env_phase::foreign);
}

}  // namespace detail

std::string_view provider_name() noexcept { return SPDK_IO_PROVIDER_NAME; }
std::string_view provider_version() noexcept { return SPDK_VERSION_STRING; }

}  // namespace spdk_io::inline SPDK_IO_ABI
