// SPDX-License-Identifier: BSD-3-Clause
// SPDK's environment (memory, cores, devices) as a guard object: one per process.
#pragma once

#include <spdk_io/error.hpp>
#include <spdk_io/log.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI {

struct env_options {
  std::string name = "spdk_io";  // of the process, in SPDK's and DPDK's files and logs
  std::string core_mask = {};    // hex ("0x3") or list ("[0-1]"); empty: the first core
  int memory_mib = 0;            // 0: all hugepages, or 512 MiB without hugepages
  bool hugepages = true;         // false: ordinary memory, no set-up of the machine needed
  bool pci = true;               // false: leave PCI devices alone
  bool interrupt = false;        // let idle threads sleep in interrupt mode (see idle.hpp)
  int shm_id = -1;               // shared memory group of several processes; -1: none
  int main_core = -1;            // of core_mask; -1: its first
  std::vector<std::string> extra_args = {};  // passed on to DPDK's EAL
  bool keep_affinity = false;                // keep the calling thread pinned, as SPDK leaves it
  log_callback log = {};                     // empty: quiet
  log_level most_logged = log_level::notice;
};

// Keeps SPDK's environment and thread library up while it lives.
//
// start() may be called on any OS thread, once per process: SPDK cannot start a second time,
// not even after the first has ended. It narrows the calling thread's CPU affinity to one core;
// unless keep_affinity is set, that is undone, so that threads made later run anywhere.
//
// The destructor stops everything. Requires: every spdk_io::thread has gone by then; if one is
// left, it is named on stderr and SPDK is left running, since stopping it under a live thread
// would corrupt memory.
class env {
 public:
  // Errors: already started, or started before; an option that cannot be met (the message says
  // which and what to do); SPDK's own failures with what it logged.
  static result<env> start(const env_options& options = {});

  env(env&& other) noexcept : owner_(std::exchange(other.owner_, false)) {}
  env& operator=(env&&) = delete;
  ~env();

 private:
  explicit env(bool owner) noexcept : owner_(owner) {}
  bool owner_;
};

// "spdk" or "lite": who provides SPDK's C API in this build.
std::string_view provider_name() noexcept;

// The provider's own words for its version, e.g. "SPDK v26.05".
std::string_view provider_version() noexcept;

}  // namespace spdk_io::inline SPDK_IO_ABI
