// SPDX-License-Identifier: BSD-3-Clause
// Defaults of the application's options, and how options of an older, shorter struct are read.
#include "app_internal.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>

#include "spdk/init.h"
#include "spdk/log.h"

namespace {

/// The end of each field. A shorter struct has the fields that it holds completely.
constexpr std::size_t field_ends[] = {
#define END_OF(field) offsetof(spdk_app_opts, field) + sizeof(spdk_app_opts::field)
    END_OF(name),
    END_OF(json_config_file),
    END_OF(json_config_ignore_errors),
    END_OF(rpc_addr),
    END_OF(reactor_mask),
    END_OF(tpoint_group_mask),
    END_OF(shm_id),
    END_OF(shutdown_cb),
    END_OF(enable_coredump),
    END_OF(mem_channel),
    END_OF(main_core),
    END_OF(mem_size),
    END_OF(no_pci),
    END_OF(hugepage_single_segments),
    END_OF(unlink_hugepage),
    END_OF(no_huge),
    END_OF(hugedir),
    END_OF(print_level),
    END_OF(num_pci_addr),
    END_OF(pci_blocked),
    END_OF(pci_allowed),
    END_OF(iova_mode),
    END_OF(delay_subsystem_init),
    END_OF(num_entries),
    END_OF(env_context),
    END_OF(log),
    END_OF(base_virtaddr),
    END_OF(opts_size),
    END_OF(disable_signal_handlers),
    END_OF(interrupt_mode),
    END_OF(enforce_numa),
    END_OF(num_trace_threads),
    END_OF(msg_mempool_size),
    END_OF(rpc_allowlist),
    END_OF(vf_token),
    END_OF(lcore_map),
    END_OF(rpc_log_level),
    END_OF(rpc_log_file),
    END_OF(json_data),
    END_OF(json_data_size),
    END_OF(disable_cpumask_locks),
#undef END_OF
};
static_assert(field_ends[std::size(field_ends) - 1] == sizeof(spdk_app_opts));

/// How many of the first `size` bytes belong to complete fields.
std::size_t complete_fields(std::size_t size) {
  const auto* const next = std::upper_bound(std::begin(field_ends), std::end(field_ends), size);
  return next == std::begin(field_ends) ? 0 : *(next - 1);
}

spdk_app_opts default_options() {
  spdk_app_opts opts{};
  opts.enable_coredump = true;
  opts.shm_id = -1;
  opts.mem_size = -1;
  opts.main_core = -1;
  opts.mem_channel = -1;
  opts.base_virtaddr = 0x200000000000;
  opts.print_level = SPDK_LOG_INFO;
  opts.rpc_addr = SPDK_DEFAULT_RPC_ADDR;
  opts.num_entries = 32 * 1024;
  opts.rpc_log_level = SPDK_LOG_DISABLED;
  return opts;
}

}  // namespace

namespace spdk_lite {

spdk_app_opts copy_options(const spdk_app_opts& user) {
  spdk_app_opts opts = default_options();
  std::memcpy(&opts, &user, complete_fields(std::min(user.opts_size, sizeof opts)));
  return opts;
}

}  // namespace spdk_lite

void spdk_app_opts_init(spdk_app_opts* opts, size_t opts_size) {
  if (opts == nullptr) {
    SPDK_ERRLOG("options are needed\n");
    return;
  }
  if (opts_size == 0) {
    SPDK_ERRLOG("the options' size must not be 0\n");
    return;
  }
  spdk_app_opts defaults = default_options();
  defaults.opts_size = opts_size;
  std::memset(opts, 0, opts_size);
  std::memcpy(opts, &defaults, complete_fields(std::min(opts_size, sizeof defaults)));
}
