// SPDX-License-Identifier: BSD-3-Clause
// spdk_bdev_open_async(): opens a device that may appear later.
#include "bdev_internal.hpp"
#include "spdk/env.h"
#include "spdk/log.h"

#include <cerrno>

namespace spdk_lite {
namespace {

constexpr std::uint64_t retry_us = 100 * 1000;

struct async_open {
  std::string name;
  bool write;
  spdk_bdev_event_cb_t event_cb;
  void* event_arg;
  spdk_bdev_open_async_cb_t cb;
  void* arg;
  std::uint64_t timeout_ms;
  std::uint64_t start;
  spdk_thread* thread;
  spdk_bdev_desc* desc = nullptr;
  int rc = 0;
  spdk_poller* poller = nullptr;
  tail_link<async_open> link{};
};

struct {
  std::mutex mutex;
  tail_queue<async_open, &async_open::link> list;
} opens;

void done(void* arg) {
  auto* open = static_cast<async_open*>(arg);
  open->cb(open->desc, open->rc, open->arg);
  delete open;
}

void cancelled(void* arg) {
  spdk_poller_unregister(&static_cast<async_open*>(arg)->poller);
  done(arg);
}

int attempt(void* arg) {
  auto* open = static_cast<async_open*>(arg);
  const std::lock_guard lock(opens.mutex);
  if (open->rc == -ESHUTDOWN) {
    return SPDK_POLLER_BUSY;  // a message about that is under way
  }
  open->rc = spdk_bdev_open_ext(open->name.c_str(), open->write, open->event_cb, open->event_arg,
                                &open->desc);
  if (open->rc != 0 && open->timeout_ms != 0) {
    if (spdk_get_ticks() < open->start + open->timeout_ms * spdk_get_ticks_hz() / 1000) {
      return SPDK_POLLER_BUSY;
    }
    SPDK_ERRLOG("the bdev %s did not appear in time\n", open->name.c_str());
    open->rc = -ETIMEDOUT;
  }
  spdk_poller_unregister(&open->poller);
  opens.list.remove(open);
  spdk_thread_send_msg(open->thread, done, open);
  return SPDK_POLLER_BUSY;
}

}  // namespace

void cancel_async_opens() {
  const std::lock_guard lock(opens.mutex);
  while (async_open* open = opens.list.pop_front()) {
    open->rc = -ESHUTDOWN;
    spdk_thread_send_msg(open->thread, cancelled, open);
  }
}

}  // namespace spdk_lite

using namespace spdk_lite;

int spdk_bdev_open_async(const char* bdev_name, bool write, spdk_bdev_event_cb_t event_cb,
                         void* event_ctx, spdk_bdev_open_async_opts* opts,
                         spdk_bdev_open_async_cb_t open_cb, void* open_cb_arg) {
  if (event_cb == nullptr || open_cb == nullptr) {
    SPDK_ERRLOG("opening a bdev takes an event callback and one for the end\n");
    return -EINVAL;
  }
  if (opts != nullptr && opts->size == 0) {
    SPDK_ERRLOG("the size of the options structure is missing\n");
    return -EINVAL;
  }
  const bool timeout =
      opts != nullptr && opts->size >= offsetof(spdk_bdev_open_async_opts, timeout_ms) + 8;
  auto* open = new async_open{.name = bdev_name,
                              .write = write,
                              .event_cb = event_cb,
                              .event_arg = event_ctx,
                              .cb = open_cb,
                              .arg = open_cb_arg,
                              .timeout_ms = timeout ? opts->timeout_ms : 0,
                              .start = spdk_get_ticks(),
                              .thread = spdk_get_thread()};
  open->poller = spdk_poller_register(attempt, open, retry_us);
  if (open->poller == nullptr) {
    SPDK_ERRLOG("no poller to open a bdev with\n");
    delete open;
    return -ENOMEM;
  }
  {
    const std::lock_guard lock(opens.mutex);
    opens.list.push_back(open);
  }
  attempt(open);
  return 0;
}
