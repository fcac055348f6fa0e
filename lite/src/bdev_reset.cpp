// SPDX-License-Identifier: BSD-3-Clause
// spdk_bdev_reset(): freezes all channels of the device, resets it, thaws them. Resets that
// come meanwhile share the result of the one that runs.
#include "bdev_internal.hpp"
#include "spdk/env.h"

#include <cerrno>

namespace spdk_lite {
namespace {

void freeze(spdk_io_channel_iter* i) {
  bdev_channel* ch = to_bdev_channel(spdk_io_channel_iter_get_channel(i));
  ch->set_reset_in_progress(true);
  abort_queued_ios(ch);
  if (ch->rate_limited) {
    abort_rate_queue(ch);
  }
  spdk_for_each_channel_continue(i, 0);
}

void thaw(spdk_io_channel_iter* i) {
  to_bdev_channel(spdk_io_channel_iter_get_channel(i))->set_reset_in_progress(false);
  spdk_for_each_channel_continue(i, 0);
}

void all_frozen(spdk_io_channel_iter* i, int /*status*/) {
  auto* io = static_cast<spdk_bdev_io*>(spdk_io_channel_iter_get_ctx(i));
  io->in_submit = true;
  io->bdev->submit(io->ch->module_channel, io);
  io->in_submit = false;
}

void deliver_reset(void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  spdk_put_io_channel(io->reset_ch_ref);
  bdev_io_deliver(io);
}

void all_thawed(spdk_io_channel_iter* i, int /*status*/) {
  auto* io = static_cast<spdk_bdev_io*>(spdk_io_channel_iter_get_ctx(i));
  spdk_bdev* bdev = io->bdev;
  bdev_io_queue queued;
  {
    const std::lock_guard lock(bdev->mutex);
    queued = bdev->queued_resets.take();
    bdev->reset_in_progress = nullptr;
  }
  while (spdk_bdev_io* other = queued.pop_front()) {
    other->status = io->status;
    spdk_thread_send_msg(spdk_bdev_io_get_thread(other), deliver_reset, other);
  }
  deliver_reset(io);
  bool gone = false;
  {
    const std::lock_guard lock(bdev->mutex);
    gone = bdev->state == spdk_bdev::phase::removing && bdev->open_descs == nullptr;
  }
  if (gone) {
    spdk_io_device_unregister(&bdev->handle, bdev_destroy);
  }
}

void start_reset(spdk_bdev_io* io) {
  io->ch->submitted.push_back(io);
  // The channel must outlive the reset even if the user puts it.
  io->reset_ch_ref = spdk_io_channel_ref(spdk_io_channel_from_ctx(io->ch));
  {
    const std::lock_guard lock(io->bdev->mutex);
    if (io->bdev->reset_in_progress != nullptr) {
      io->bdev->queued_resets.push_back(io);
      return;
    }
    io->bdev->reset_in_progress = io;
  }
  spdk_for_each_channel(&io->bdev->handle, freeze, io, all_frozen);
}

}  // namespace

void bdev_reset_finish(spdk_bdev_io* io) {
  spdk_for_each_channel(&io->bdev->handle, thaw, io, all_thawed);
}

}  // namespace spdk_lite

using namespace spdk_lite;

int spdk_bdev_reset(spdk_bdev_desc* desc, spdk_io_channel* ch, spdk_bdev_io_completion_cb cb,
                    void* cb_arg) {
  bdev_channel* channel = to_bdev_channel(ch);
  spdk_bdev_io* io = channel_get_io(channel);
  if (io == nullptr) {
    return -ENOMEM;
  }
  bdev_io_init(io, desc, channel, SPDK_BDEV_IO_TYPE_RESET, cb, cb_arg);
  io->submit_ticks = spdk_get_ticks();
  start_reset(io);
  return 0;
}
