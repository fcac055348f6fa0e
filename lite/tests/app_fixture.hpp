// SPDX-License-Identifier: BSD-3-Clause
// For the tests of the application framework: options that run anywhere, and callables as start
// functions, events and messages. Only public API, so that the tests run on SPDK as well.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "spdk/env.h"
#include "spdk/event.h"
#include "spdk/thread.h"
#include "spdk/version.h"

using action = std::function<void()>;

/// For what SPDK itself cannot do.
inline bool provider_is_lite() {
  return std::string_view{SPDK_VERSION_STRING}.find("lite") != std::string_view::npos;
}

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
inline int run_app(spdk_app_opts opts, action start) {
  return spdk_app_start(&opts, [](void* ctx) { (*static_cast<action*>(ctx))(); }, &start);
}

/// Runs what was moved to the heap for an event or a message.
inline void run_and_delete(void* ctx) {
  const std::unique_ptr<action> f{static_cast<action*>(ctx)};
  (*f)();
}

/// An event.
inline void on_core(std::uint32_t core, action f) {
  auto* const event = spdk_event_allocate(
      core, [](void* ctx, void*) { run_and_delete(ctx); }, new action{std::move(f)}, nullptr);
  ASSERT_NE(event, nullptr);
  spdk_event_call(event);
}

/// A message.
inline void on_thread(spdk_thread* thread, action f) {
  spdk_thread_send_msg(thread, run_and_delete, new action{std::move(f)});
}

inline spdk_cpuset only_core(std::uint32_t core) {
  spdk_cpuset set{};
  spdk_cpuset_set_cpu(&set, core, true);
  return set;
}

/// One application per process, taken down at the end whatever became of it.
class app_test : public testing::Test {
 protected:
  void TearDown() override { spdk_app_fini(); }
};
