// SPDX-License-Identifier: BSD-3-Clause
#include "accel.hpp"

#include "wakeable_poller.hpp"

#include <new>

namespace spdk_lite {
namespace {

char framework;  ///< the addresses are the io_devices, as many as SPDK has: each ends by message
char software;

using task_queue = tail_queue<accel_task, &accel_task::link>;

struct software_channel {
  task_queue done;
  wakeable_poller poller;
};

struct framework_channel {
  spdk_io_channel* software = nullptr;
};

int poll(void* arg) {
  task_queue done = static_cast<software_channel*>(arg)->done.take();
  if (done.empty()) {
    return SPDK_POLLER_IDLE;
  }
  while (accel_task* task = done.pop_front()) {
    task->done(task);
  }
  return SPDK_POLLER_BUSY;
}

int software_create(void* /*device*/, void* ctx) {
  new (ctx) software_channel;
  return 0;
}

void software_destroy(void* /*device*/, void* ctx) {
  static_cast<software_channel*>(ctx)->poller.stop();
}

int framework_create(void* /*device*/, void* ctx) {
  auto* ch = new (ctx) framework_channel;
  ch->software = spdk_get_io_channel(&software);
  return ch->software != nullptr ? 0 : -1;
}

void framework_destroy(void* /*device*/, void* ctx) {
  spdk_put_io_channel(static_cast<framework_channel*>(ctx)->software);
}

void (*stopped)() = nullptr;

}  // namespace

void accel_start() {
  spdk_io_device_register(&software, software_create, software_destroy, sizeof(software_channel),
                          "accel_software");
  spdk_io_device_register(&framework, framework_create, framework_destroy,
                          sizeof(framework_channel), "accel");
}

void accel_stop(void (*done)()) {
  stopped = done;
  spdk_io_device_unregister(&framework, [](void* /*device*/) {
    spdk_io_device_unregister(&software, [](void* /*device*/) { stopped(); });
  });
}

spdk_io_channel* accel_get_io_channel() { return spdk_get_io_channel(&framework); }

void accel_complete_later(spdk_io_channel* io_ch, accel_task* task) {
  auto* ch = static_cast<software_channel*>(spdk_io_channel_get_ctx(
      static_cast<framework_channel*>(spdk_io_channel_get_ctx(io_ch))->software));
  if (!ch->poller.started()) {
    ch->poller.start(poll, ch, "accel_comp_poll");
  }
  if (ch->done.empty()) {
    ch->poller.wake();
  }
  ch->done.push_back(task);
}

}  // namespace spdk_lite
