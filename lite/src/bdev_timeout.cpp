// SPDX-License-Identifier: BSD-3-Clause
// spdk_bdev_set_timeout(): looks once a second for I/O of the descriptor that is too old.
#include "bdev_internal.hpp"
#include "spdk/env.h"
#include "spdk/log.h"

#include <cassert>

using namespace spdk_lite;

namespace {

constexpr std::uint64_t period_us = 1'000'000;

/// As it was when the walk began.
struct timeout_walk {
  spdk_bdev_desc* desc;
  std::uint64_t ticks;
  spdk_bdev_io_timeout_cb cb;
  void* arg;
};

bool closed(spdk_bdev_desc* desc) {
  const std::lock_guard lock(desc->mutex);
  return desc->closed;
}

void look_at_channel(spdk_io_channel_iter* i) {
  using queue = bdev_channel::submitted_queue;
  const auto* walk = static_cast<timeout_walk*>(spdk_io_channel_iter_get_ctx(i));
  if (closed(walk->desc)) {
    spdk_for_each_channel_continue(i, -1);
    return;
  }
  const bdev_channel* ch = to_bdev_channel(spdk_io_channel_iter_get_channel(i));
  const std::uint64_t now = spdk_get_ticks();
  for (spdk_bdev_io* io = ch->submitted.front(); io != nullptr; io = queue::next(io)) {
    if (io->child) {
      continue;
    }
    if (now < io->submit_ticks + walk->ticks) {
      break;  // and so are all after it
    }
    if (io->desc == walk->desc) {
      walk->cb(walk->arg, io);
    }
  }
  spdk_for_each_channel_continue(i, 0);
}

void looked(spdk_io_channel_iter* i, int /*status*/) {
  const auto* walk = static_cast<timeout_walk*>(spdk_io_channel_iter_get_ctx(i));
  desc_release(walk->desc);
  delete walk;
}

int look(void* arg) {
  auto* desc = static_cast<spdk_bdev_desc*>(arg);
  desc_hold(desc);
  spdk_for_each_channel(&desc->bdev->handle, look_at_channel,
                        new timeout_walk{desc, desc->timeout_s * spdk_get_ticks_hz(),
                                         desc->timeout_cb, desc->timeout_arg},
                        looked);
  return SPDK_POLLER_BUSY;
}

}  // namespace

int spdk_bdev_set_timeout(spdk_bdev_desc* desc, uint64_t timeout_in_sec,
                          spdk_bdev_io_timeout_cb cb_fn, void* cb_arg) {
  assert(desc->thread == spdk_get_thread());
  spdk_poller_unregister(&desc->timeout_poller);
  if (timeout_in_sec != 0) {
    assert(cb_fn != nullptr);
    desc->timeout_poller = spdk_poller_register(look, desc, period_us);
    if (desc->timeout_poller == nullptr) {
      SPDK_ERRLOG("no poller for the timeout of a descriptor\n");
      return -1;
    }
  }
  desc->timeout_cb = cb_fn;
  desc->timeout_arg = cb_arg;
  desc->timeout_s = timeout_in_sec;
  return 0;
}
