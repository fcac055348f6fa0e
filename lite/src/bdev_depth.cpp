// SPDX-License-Identifier: BSD-3-Clause
// The queue depth, now or sampled, and the I/Os that make it up.
#include "bdev_internal.hpp"

#include <cassert>
#include <cerrno>

using namespace spdk_lite;

namespace {

void ignore_event(spdk_bdev_event_type /*type*/, spdk_bdev* /*bdev*/, void* /*ctx*/) {}

int sample(void* arg);

// --- sampling, on the thread that switched it on first ---

void apply_period(void* arg) {
  auto* bdev = static_cast<spdk_bdev*>(arg);
  depth_sampling& depth = bdev->depth;
  if (depth.period == depth.new_period || depth.in_progress) {
    return;  // a sample under way applies it at its end
  }
  depth.period = depth.new_period;
  spdk_poller_unregister(&depth.poller);
  if (depth.period != 0) {
    depth.poller = spdk_poller_register(sample, bdev, depth.period);
  } else {
    spdk_bdev_desc* desc = depth.desc;
    depth.desc = nullptr;
    spdk_bdev_close(desc);  // last: it may be what the device's end waits for
  }
}

void add_channel(spdk_io_channel_iter* i) {
  auto* bdev = static_cast<spdk_bdev*>(spdk_io_channel_iter_get_ctx(i));
  bdev->depth.sum += to_bdev_channel(spdk_io_channel_iter_get_channel(i))->io_outstanding;
  spdk_for_each_channel_continue(i, 0);
}

void sampled(spdk_io_channel_iter* i, int /*status*/) {
  auto* bdev = static_cast<spdk_bdev*>(spdk_io_channel_iter_get_ctx(i));
  depth_sampling& depth = bdev->depth;
  depth.measured = depth.sum;
  if (depth.measured != 0) {
    depth.io_time += depth.period;
    depth.weighted_io_time += depth.period * depth.measured;
  }
  depth.in_progress = false;
  apply_period(bdev);
}

int sample(void* arg) {
  auto* bdev = static_cast<spdk_bdev*>(arg);
  bdev->depth.in_progress = true;
  bdev->depth.sum = 0;
  spdk_for_each_channel(&bdev->handle, add_channel, bdev, sampled);
  return SPDK_POLLER_BUSY;
}

// --- the depth now ---

struct current_depth {
  spdk_bdev* bdev;
  std::uint64_t sum;
  spdk_bdev_get_current_qd_cb cb;
  void* arg;
};

// --- each I/O ---

struct io_walk {
  spdk_bdev_io_fn fn;
  spdk_bdev_for_each_io_cb cb;
  void* arg;
};

void walk_channel(spdk_io_channel_iter* i) {
  using queue = bdev_channel::submitted_queue;
  const auto* walk = static_cast<io_walk*>(spdk_io_channel_iter_get_ctx(i));
  const bdev_channel* ch = to_bdev_channel(spdk_io_channel_iter_get_channel(i));
  int rc = 0;
  for (spdk_bdev_io* io = ch->submitted.front(); io != nullptr && rc == 0; io = queue::next(io)) {
    rc = walk->fn(walk->arg, io);
  }
  spdk_for_each_channel_continue(i, rc);
}

}  // namespace

void spdk_bdev_set_qd_sampling_period(spdk_bdev* bdev, uint64_t period) {
  depth_sampling& depth = bdev->depth;
  if (depth.new_period == period) {
    return;
  }
  depth.new_period = period;
  if (depth.desc != nullptr) {
    spdk_thread_send_msg(depth.desc->thread, apply_period, bdev);
    return;
  }
  if (spdk_bdev_open_ext(bdev->name.c_str(), false, ignore_event, nullptr, &depth.desc) != 0) {
    return;
  }
  depth.period = period;
  depth.poller = spdk_poller_register(sample, bdev, period);
}

uint64_t spdk_bdev_get_qd_sampling_period(const spdk_bdev* bdev) { return bdev->depth.period; }
uint64_t spdk_bdev_get_qd(const spdk_bdev* bdev) { return bdev->depth.measured; }
uint64_t spdk_bdev_get_io_time(const spdk_bdev* bdev) { return bdev->depth.io_time; }

uint64_t spdk_bdev_get_weighted_io_time(const spdk_bdev* bdev) {
  return bdev->depth.weighted_io_time;
}

void spdk_bdev_get_current_qd(spdk_bdev* bdev, spdk_bdev_get_current_qd_cb cb_fn, void* cb_arg) {
  spdk_for_each_channel(
      &bdev->handle,
      [](spdk_io_channel_iter* i) {
        auto* depth = static_cast<current_depth*>(spdk_io_channel_iter_get_ctx(i));
        depth->sum += to_bdev_channel(spdk_io_channel_iter_get_channel(i))->io_outstanding;
        spdk_for_each_channel_continue(i, 0);
      },
      new current_depth{bdev, 0, cb_fn, cb_arg},
      [](spdk_io_channel_iter* i, int /*status*/) {
        const auto* depth = static_cast<current_depth*>(spdk_io_channel_iter_get_ctx(i));
        depth->cb(depth->bdev, depth->sum, depth->arg, 0);
        delete depth;
      });
}

void spdk_bdev_for_each_bdev_io(spdk_bdev* bdev, void* ctx, spdk_bdev_io_fn fn,
                                spdk_bdev_for_each_io_cb cb) {
  spdk_for_each_channel(&bdev->handle, walk_channel, new io_walk{fn, cb, ctx},
                        [](spdk_io_channel_iter* i, int status) {
                          const auto* walk = static_cast<io_walk*>(spdk_io_channel_iter_get_ctx(i));
                          walk->cb(walk->arg, status);
                          delete walk;
                        });
}
