// SPDX-License-Identifier: BSD-3-Clause
// Histograms of the latency: one for each channel while they are switched on.
#include "bdev_internal.hpp"
#include "spdk/env.h"
#include "spdk/log.h"

#include <cassert>
#include <cerrno>
#include <cstring>

namespace spdk_lite {
namespace {

struct change {
  spdk_bdev* bdev;
  spdk_bdev_histogram_status_cb cb;
  void* arg;
  int status;
};

void finish(change* c) {
  {
    const std::lock_guard lock(c->bdev->mutex);
    c->bdev->histogram.change_in_progress = false;
  }
  c->cb(c->arg, c->status);
  delete c;
}

void disable_channel(spdk_io_channel_iter* i) {
  bdev_channel* ch = to_bdev_channel(spdk_io_channel_iter_get_channel(i));
  spdk_histogram_data_free(ch->histogram);
  ch->histogram = nullptr;
  spdk_for_each_channel_continue(i, 0);
}

void disabled(spdk_io_channel_iter* i, int /*status*/) {
  finish(static_cast<change*>(spdk_io_channel_iter_get_ctx(i)));
}

void enable_channel(spdk_io_channel_iter* i) {
  bdev_channel* ch = to_bdev_channel(spdk_io_channel_iter_get_channel(i));
  const histogram_settings& wanted = ch->bdev->histogram;
  int status = 0;
  if (ch->histogram == nullptr) {
    ch->histogram = spdk_histogram_data_alloc_sized_ext(wanted.granularity, wanted.min, wanted.max);
    status = ch->histogram != nullptr ? 0 : -ENOMEM;
  }
  spdk_for_each_channel_continue(i, status);
}

void enabled(spdk_io_channel_iter* i, int status) {
  auto* c = static_cast<change*>(spdk_io_channel_iter_get_ctx(i));
  if (status == 0) {
    finish(c);
    return;
  }
  c->status = status;
  c->bdev->histogram.enabled = false;
  spdk_for_each_channel(&c->bdev->handle, disable_channel, c, disabled);
}

struct collection {
  spdk_histogram_data* histogram;
  spdk_bdev_histogram_data_cb cb;
  void* arg;
};

void collect_channel(spdk_io_channel_iter* i) {
  const auto* get = static_cast<collection*>(spdk_io_channel_iter_get_ctx(i));
  const bdev_channel* ch = to_bdev_channel(spdk_io_channel_iter_get_channel(i));
  if (ch->histogram != nullptr) {
    spdk_histogram_data_merge(get->histogram, ch->histogram);
  }
  spdk_for_each_channel_continue(i, ch->histogram != nullptr ? 0 : -EFAULT);
}

void collected(spdk_io_channel_iter* i, int status) {
  const auto* get = static_cast<collection*>(spdk_io_channel_iter_get_ctx(i));
  get->cb(get->arg, status, get->histogram);
  delete get;
}

std::uint64_t to_ticks(std::uint64_t nsec) {
  return nsec * spdk_get_ticks_hz() / 1'000'000'000;  // wraps around early, as SPDK's
}

}  // namespace

// With the default size, whatever was asked for, as in SPDK.
void histogram_for_new_channel(bdev_channel* ch) {
  if (ch->bdev->histogram.enabled) {
    ch->histogram = spdk_histogram_data_alloc();
  }
}

}  // namespace spdk_lite

using namespace spdk_lite;

void spdk_bdev_enable_histogram_opts_init(spdk_bdev_enable_histogram_opts* opts, size_t size) {
  if (opts == nullptr || size == 0) {
    SPDK_ERRLOG("no options structure, or no size of it\n");
    assert(false);
    return;
  }
  spdk_bdev_enable_histogram_opts defaults{};
  defaults.size = size;
  defaults.max_nsec = UINT64_MAX;
  defaults.granularity = SPDK_HISTOGRAM_GRANULARITY_DEFAULT;
  std::memset(opts, 0, size);
  // Whole fields only.
  constexpr std::size_t ends[] = {8, 16, 24, 25, 26};
  std::size_t known = 0;
  for (const std::size_t end : ends) {
    known = end <= size ? end : known;
  }
  std::memcpy(opts, &defaults, known);
}

void spdk_bdev_histogram_enable_ext(spdk_bdev* bdev, spdk_bdev_histogram_status_cb cb_fn,
                                    void* cb_arg, bool enable,
                                    spdk_bdev_enable_histogram_opts* opts) {
  bool busy = false;
  {
    const std::lock_guard lock(bdev->mutex);
    busy = bdev->histogram.change_in_progress;
    bdev->histogram.change_in_progress = true;
  }
  if (busy) {
    cb_fn(cb_arg, -EAGAIN);
    return;
  }
  bdev->histogram.enabled = enable;
  bdev->histogram.io_type = opts->io_type;
  bdev->histogram.granularity = opts->granularity;
  bdev->histogram.min = to_ticks(opts->min_nsec);
  bdev->histogram.max = opts->max_nsec == UINT64_MAX ? UINT64_MAX : to_ticks(opts->max_nsec);
  spdk_for_each_channel(&bdev->handle, enable ? enable_channel : disable_channel,
                        new change{bdev, cb_fn, cb_arg, 0}, enable ? enabled : disabled);
}

void spdk_bdev_histogram_enable(spdk_bdev* bdev, spdk_bdev_histogram_status_cb cb_fn, void* cb_arg,
                                bool enable) {
  spdk_bdev_enable_histogram_opts opts;
  spdk_bdev_enable_histogram_opts_init(&opts, sizeof(opts));
  spdk_bdev_histogram_enable_ext(bdev, cb_fn, cb_arg, enable, &opts);
}

void spdk_bdev_histogram_get(spdk_bdev* bdev, spdk_histogram_data* histogram,
                             spdk_bdev_histogram_data_cb cb_fn, void* cb_arg) {
  spdk_for_each_channel(&bdev->handle, collect_channel, new collection{histogram, cb_fn, cb_arg},
                        collected);
}

void spdk_bdev_channel_get_histogram(spdk_io_channel* ch, spdk_bdev_histogram_data_cb cb_fn,
                                     void* cb_arg) {
  spdk_histogram_data* histogram = to_bdev_channel(ch)->histogram;
  cb_fn(cb_arg, histogram != nullptr ? 0 : -EFAULT, histogram);
}
