// SPDX-License-Identifier: BSD-3-Clause
// Statistics: counted by each channel, added to the device's when the channel goes.
#include "bdev_internal.hpp"
#include "spdk/env.h"

#include <algorithm>

namespace spdk_lite {
namespace {

/// The four counters of one kind of I/O.
struct counters {
  std::uint64_t spdk_bdev_io_stat::* bytes;
  std::uint64_t spdk_bdev_io_stat::* ops;
  std::uint64_t spdk_bdev_io_stat::* ticks;
  std::uint64_t spdk_bdev_io_stat::* max;
  std::uint64_t spdk_bdev_io_stat::* min;
};

using stat = spdk_bdev_io_stat;

constexpr counters reads{&stat::bytes_read, &stat::num_read_ops, &stat::read_latency_ticks,
                         &stat::max_read_latency_ticks, &stat::min_read_latency_ticks};
constexpr counters writes{&stat::bytes_written, &stat::num_write_ops, &stat::write_latency_ticks,
                          &stat::max_write_latency_ticks, &stat::min_write_latency_ticks};
constexpr counters unmaps{&stat::bytes_unmapped, &stat::num_unmap_ops, &stat::unmap_latency_ticks,
                          &stat::max_unmap_latency_ticks, &stat::min_unmap_latency_ticks};
constexpr counters copies{&stat::bytes_copied, &stat::num_copy_ops, &stat::copy_latency_ticks,
                          &stat::max_copy_latency_ticks, &stat::min_copy_latency_ticks};
constexpr counters all[] = {reads, writes, unmaps, copies};

const counters* counters_of(const spdk_bdev_io* io) {
  switch (io->type) {
    case SPDK_BDEV_IO_TYPE_READ: return &reads;
    case SPDK_BDEV_IO_TYPE_WRITE: return &writes;
    case SPDK_BDEV_IO_TYPE_UNMAP: return &unmaps;
    case SPDK_BDEV_IO_TYPE_COPY: return &copies;
    case SPDK_BDEV_IO_TYPE_ZCOPY:  // the data counts at the start
      return !io->zcopy.start ? nullptr : io->zcopy.populate ? &reads : &writes;
    default: return nullptr;
  }
}

struct device_stat {
  spdk_bdev* bdev;
  spdk_bdev_io_stat* total;
  spdk_bdev_reset_stat_mode mode;
  spdk_bdev_get_device_stat_cb cb;
  void* arg;
};

void add_channel(spdk_io_channel_iter* i) {
  const auto* get = static_cast<device_stat*>(spdk_io_channel_iter_get_ctx(i));
  bdev_channel* ch = to_bdev_channel(spdk_io_channel_iter_get_channel(i));
  stat_add(*get->total, ch->stat);
  stat_reset(ch->stat, get->mode);
  spdk_for_each_channel_continue(i, 0);
}

void all_added(spdk_io_channel_iter* i, int /*status*/) {
  const auto* get = static_cast<device_stat*>(spdk_io_channel_iter_get_ctx(i));
  get->cb(get->bdev, get->total, get->arg, 0);
  delete get;
}

}  // namespace

void stat_reset(spdk_bdev_io_stat& stat, spdk_bdev_reset_stat_mode mode) {
  if (mode == SPDK_BDEV_RESET_STAT_NONE || mode == SPDK_BDEV_RESET_STAT_ERROR) {
    return;
  }
  for (const counters& c : all) {
    stat.*c.max = 0;
    stat.*c.min = UINT64_MAX;
    if (mode == SPDK_BDEV_RESET_STAT_ALL) {
      stat.*c.bytes = stat.*c.ops = stat.*c.ticks = 0;
    }
  }
}

void stat_add(spdk_bdev_io_stat& total, const spdk_bdev_io_stat& add) {
  for (const counters& c : all) {
    total.*c.bytes += add.*c.bytes;
    total.*c.ops += add.*c.ops;
    total.*c.ticks += add.*c.ticks;
    total.*c.max = std::max(total.*c.max, add.*c.max);
    total.*c.min = std::min(total.*c.min, add.*c.min);
  }
}

void stat_count(spdk_bdev_io* io, std::uint64_t ticks) {
  bdev_channel* ch = io->ch;
  if (ch->histogram != nullptr) [[unlikely]] {
    const std::uint8_t only = ch->bdev->histogram.io_type;
    if (only == 0 || only == io->type) {
      spdk_histogram_data_tally(ch->histogram, ticks);
    }
  }
  const counters* c = io->status == io_status::success ? counters_of(io) : nullptr;
  if (c == nullptr) {
    return;
  }
  ch->stat.*c->bytes += io->num_blocks * io->bdev->block_len;
  ++(ch->stat.*c->ops);
  ch->stat.*c->ticks += ticks;
  ch->stat.*c->max = std::max(ch->stat.*c->max, ticks);
  ch->stat.*c->min = std::min(ch->stat.*c->min, ticks);
}

}  // namespace spdk_lite

using namespace spdk_lite;

void spdk_bdev_get_io_stat(spdk_bdev* /*bdev*/, spdk_io_channel* io_ch, spdk_bdev_io_stat* stat,
                           spdk_bdev_reset_stat_mode reset_mode) {
  bdev_channel* ch = to_bdev_channel(io_ch);
  spdk_bdev_io_error_stat* const errors = stat->io_error;
  *stat = ch->stat;
  stat->io_error = errors;
  stat_reset(ch->stat, reset_mode);
}

void spdk_bdev_get_device_stat(spdk_bdev* bdev, spdk_bdev_io_stat* stat,
                               spdk_bdev_reset_stat_mode reset_mode,
                               spdk_bdev_get_device_stat_cb cb, void* cb_arg) {
  {
    const std::lock_guard lock(bdev->mutex);
    spdk_bdev_io_error_stat* const errors = stat->io_error;
    *stat = bdev->stat;
    stat->io_error = errors;
    stat_reset(bdev->stat, reset_mode);
  }
  spdk_for_each_channel(&bdev->handle, add_channel,
                        new device_stat{bdev, stat, reset_mode, cb, cb_arg}, all_added);
}
