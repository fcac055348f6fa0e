// SPDX-License-Identifier: BSD-3-Clause
// The subsystems, iobuf and bdev: their start, their end, and that there are no others.
#include "bdev_internal.hpp"
#include "spdk/init.h"

#include <algorithm>
#include <array>
#include <string_view>

using namespace spdk_lite;

namespace {

struct {
  spdk_subsystem_init_fn init_cb;
  void* init_arg;
  spdk_subsystem_fini_fn fini_cb;
  void* fini_arg;
  bool started;
} subsystems;

void started(void* /*arg*/, int rc) {
  subsystems.started = rc == 0;
  subsystems.init_cb(rc, subsystems.init_arg);
}

void stopped(void* /*arg*/) {
  buffer_pool_stop();
  subsystems.started = false;
  subsystems.fini_cb(subsystems.fini_arg);
}

}  // namespace

bool spdk_subsystem_exists(const char* name) {
  constexpr std::array<std::string_view, 2> names{"iobuf", "bdev"};
  return std::ranges::find(names, std::string_view(name)) != names.end();
}

void spdk_subsystem_init(spdk_subsystem_init_fn cb_fn, void* cb_arg) {
  subsystems.init_cb = cb_fn;
  subsystems.init_arg = cb_arg;
  buffer_pool_start();
  spdk_bdev_initialize(started, nullptr);
}

void spdk_subsystem_fini(spdk_subsystem_fini_fn cb_fn, void* cb_arg) {
  subsystems.fini_cb = cb_fn;
  subsystems.fini_arg = cb_arg;
  if (subsystems.started) {
    spdk_bdev_finish(stopped, nullptr);
  } else {
    cb_fn(cb_arg);  // nothing has been started
  }
}
