// SPDX-License-Identifier: BSD-3-Clause
// Statistics of devices and channels.
#include <spdk_io/statistics.hpp>

#include "callback_wait.hpp"
#include "device_use.hpp"
#include "ticks.hpp"

#include <spdk/bdev.h>

#include <limits>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

spdk_bdev_reset_stat_mode native_mode(statistics_reset reset) {
  switch (reset) {
    case statistics_reset::extremes: return SPDK_BDEV_RESET_STAT_MAXMIN;
    case statistics_reset::all: return SPDK_BDEV_RESET_STAT_ALL;
    case statistics_reset::none: break;
  }
  return SPDK_BDEV_RESET_STAT_NONE;
}

operation_statistics operations(std::uint64_t count, std::uint64_t bytes, std::uint64_t total,
                                std::uint64_t least, std::uint64_t most) {
  // SPDK's smallest latency is the largest number until there is one.
  if (least == std::numeric_limits<std::uint64_t>::max()) least = 0;
  return {.count = count,
          .bytes = bytes,
          .total_latency = detail::from_ticks(total),
          .min_latency = detail::from_ticks(least),
          .max_latency = detail::from_ticks(most)};
}

io_statistics converted(const spdk_bdev_io_stat& s) {
  return {
      .read = operations(s.num_read_ops, s.bytes_read, s.read_latency_ticks,
                         s.min_read_latency_ticks, s.max_read_latency_ticks),
      .write = operations(s.num_write_ops, s.bytes_written, s.write_latency_ticks,
                          s.min_write_latency_ticks, s.max_write_latency_ticks),
      .unmap = operations(s.num_unmap_ops, s.bytes_unmapped, s.unmap_latency_ticks,
                          s.min_unmap_latency_ticks, s.max_unmap_latency_ticks),
      .copy = operations(s.num_copy_ops, s.bytes_copied, s.copy_latency_ticks,
                         s.min_copy_latency_ticks, s.max_copy_latency_ticks),
  };
}

}  // namespace

task<result<io_statistics>> device_statistics(bdev_desc device, statistics_reset reset) {
  auto use = detail::device_use::of(device, operation_kind::statistics);
  if (!use) co_return std::unexpected(use.error());
  spdk_bdev_io_stat native = {};  // SPDK fills it until the callback
  detail::callback_wait done("the statistics of a device");
  spdk_bdev_get_device_stat(
      use->device(), &native, native_mode(reset),
      [](spdk_bdev*, spdk_bdev_io_stat*, void* context, int rc) {
        detail::callback_wait::on_done(rc, context);
      },
      &done);
  const int rc = co_await done;
  if (rc != 0) co_return use->failure(-rc);
  co_return converted(native);
}

result<io_statistics> channel_statistics(const io_channel& channel, statistics_reset reset) {
  auto use = detail::device_use::of(channel, operation_kind::statistics);
  if (!use) return std::unexpected(use.error());
  spdk_bdev_io_stat native = {};
  spdk_bdev_get_io_stat(use->device(), use->channel(), &native, native_mode(reset));
  return converted(native);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
