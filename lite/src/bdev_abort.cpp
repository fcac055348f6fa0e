// SPDX-License-Identifier: BSD-3-Clause
// spdk_bdev_abort(): finds the I/O of a channel with a given callback argument, and has the
// layer or the module abort each. A split target is aborted by aborting its children.
#include "bdev_internal.hpp"
#include "spdk/env.h"

#include <cerrno>

namespace spdk_lite {
namespace {

void abort_again(void* arg);
void start_abort(spdk_bdev_io* parent);

void one_done(spdk_bdev_io* io, bool success, void* arg) {
  auto* parent = static_cast<spdk_bdev_io*>(arg);
  const spdk_bdev_io* target = io->abort_target;
  bdev_channel* ch = io->ch;
  spdk_bdev_free_io(io);
  // A target that has meanwhile completed by itself needed no abort any more.
  if (!success && ch->submitted.contains(target)) {
    parent->status = io_status::failed;
  }
  if (--parent->children != 0) {
    return;
  }
  if (parent->status == io_status::nomem) {
    abort_again(parent);
  } else {
    bdev_io_deliver(parent);
  }
}

int abort_one(spdk_bdev_io* parent, spdk_bdev_io* target) {
  if (target->type == SPDK_BDEV_IO_TYPE_ABORT || target->type == SPDK_BDEV_IO_TYPE_RESET) {
    return -ENOTSUP;
  }
  spdk_bdev_io* io = channel_get_io(parent->ch);
  if (io == nullptr) {
    return -ENOMEM;
  }
  bdev_io_init(io, parent->desc, parent->ch, SPDK_BDEV_IO_TYPE_ABORT, one_done, parent);
  io->abort_target = target;
  if (target->split) {
    io->abort_cb_arg = target;  // the callback argument of its children
    io->submit_ticks = spdk_get_ticks();
    io->ch->submitted.push_back(io);
    start_abort(io);
  } else {
    bdev_io_submit(io);
  }
  return 0;
}

/// The aborts complete later than this returns, so the caller may count them afterwards.
std::uint32_t abort_matching(spdk_bdev_io* parent) {
  using queue = decltype(parent->ch->submitted);
  std::uint32_t matched = 0;
  parent->status = io_status::success;
  for (spdk_bdev_io* it = parent->ch->submitted.front(); it != nullptr;) {
    spdk_bdev_io* target = it;
    it = queue::next(it);
    if (target->cb_arg != parent->abort_cb_arg || target->submit_ticks > parent->submit_ticks) {
      continue;
    }
    if (const int rc = abort_one(parent, target); rc != 0) {
      parent->status = rc == -ENOMEM ? io_status::nomem : io_status::failed;
      break;
    }
    ++matched;
  }
  return matched;
}

void abort_again(void* arg) {
  auto* parent = static_cast<spdk_bdev_io*>(arg);
  parent->children = abort_matching(parent);
  if (parent->children != 0) {
    return;
  }
  if (parent->status == io_status::nomem) {
    bdev_io_wait(parent, abort_again);
  } else {
    bdev_io_deliver(parent);  // what is not there any more has completed meanwhile
  }
}

void start_abort(spdk_bdev_io* parent) {
  parent->children = abort_matching(parent);
  if (parent->children != 0) {
    return;
  }
  if (parent->status == io_status::nomem) {
    bdev_io_wait(parent, abort_again);
    return;
  }
  const bool found =
      abort_waiting_for_buffer(parent->ch->shared->mgmt, parent->abort_cb_arg) != nullptr;
  parent->status = found ? io_status::success : io_status::failed;
  bdev_io_deliver(parent);
}

}  // namespace
}  // namespace spdk_lite

using namespace spdk_lite;

int spdk_bdev_abort(spdk_bdev_desc* desc, spdk_io_channel* ch, void* bio_cb_arg,
                    spdk_bdev_io_completion_cb cb, void* cb_arg) {
  if (bio_cb_arg == nullptr) {
    return -EINVAL;
  }
  if (!desc->bdev->supports(SPDK_BDEV_IO_TYPE_ABORT)) {
    return -ENOTSUP;
  }
  bdev_channel* channel = to_bdev_channel(ch);
  spdk_bdev_io* io = channel_get_io(channel);
  if (io == nullptr) {
    return -ENOMEM;
  }
  bdev_io_init(io, desc, channel, SPDK_BDEV_IO_TYPE_ABORT, cb, cb_arg);
  io->abort_cb_arg = bio_cb_arg;
  io->submit_ticks = spdk_get_ticks();
  channel->submitted.push_back(io);
  start_abort(io);
  return 0;
}
