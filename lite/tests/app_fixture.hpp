// SPDX-License-Identifier: BSD-3-Clause
// For the tests of the application framework: options that run anywhere, and a start function
// that may be a lambda. Only public API, so that the tests run on SPDK as well.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "spdk/env.h"
#include "spdk/event.h"
#include "spdk/thread.h"

/// No hugepages, no PCI, no RPC server, and cores that may be shared.
inline spdk_app_opts app_options() {
  spdk_app_opts opts{};
  spdk_app_opts_init(&opts, sizeof opts);
  opts.name = "app_test";
  opts.rpc_addr = nullptr;
  opts.no_huge = true;
  opts.no_pci = true;
  opts.mem_size = 512;
  opts.enable_coredump = false;
  opts.disable_cpumask_locks = true;
  return opts;
}

/// Runs an application; `start` is its start function.
inline int run_app(spdk_app_opts opts, std::function<void()> start) {
  return spdk_app_start(
      &opts, [](void* ctx) { (*static_cast<std::function<void()>*>(ctx))(); }, &start);
}

/// One application per process, taken down at the end whatever became of it.
class app_test : public testing::Test {
 protected:
  void TearDown() override { spdk_app_fini(); }
};
