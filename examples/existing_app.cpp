// SPDX-License-Identifier: BSD-3-Clause
// An existing program with a main of its own around spdk_app_start(), which gets coroutines.
#include "shared_work.hpp"

#include <spdk/event.h>

#include <iostream>
#include <optional>

// [program]
struct program {
  std::optional<sio::reactor_thread> coroutines;
  int rc = 1;
};

// Called by the framework, as before. Callbacks, pollers and messages go on beside coroutines.
void start(void* argument) {
  auto& self = *static_cast<program*>(argument);
  auto taken = sio::reactor_thread::start();  // of the SPDK thread that calls this
  if (!taken) {
    std::cerr << taken.error() << '\n';
    return spdk_app_stop(1);
  }
  self.coroutines.emplace(std::move(*taken));
  auto done = [&self](sio::result<void> r) {
    if (!r) std::cerr << r.error() << '\n';
    self.rc = r ? 0 : 1;
    // First the coroutines end, then the application.
    self.coroutines->stop([&self](sio::result<void>) { spdk_app_stop(self.rc); });
  };
  if (auto spawned = self.coroutines->spawn(work(), done); !spawned) spdk_app_stop(1);
}

int main() {
  spdk_app_opts opts = {};
  spdk_app_opts_init(&opts, sizeof(opts));
  opts.name = "existing_app";
  opts.rpc_addr = nullptr;
  opts.no_huge = true;
  opts.no_pci = true;
  opts.mem_size = 512;
  opts.disable_cpumask_locks = true;
  opts.print_level = SPDK_LOG_ERROR;
  program self;
  int rc = spdk_app_start(&opts, start, &self);
  spdk_app_fini();
  return rc;
}
// [/program]
