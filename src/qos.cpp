// SPDX-License-Identifier: BSD-3-Clause
// Limits on the rate of I/O.
#include <spdk_io/qos.hpp>

#include "callback_wait.hpp"
#include "device_use.hpp"

#include <spdk/bdev.h>

#include <cerrno>
#include <limits>
#include <optional>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

constexpr std::uint64_t iops_step = 1000;
constexpr std::uint64_t bytes_step = 1 << 20;

// SPDK counts bytes in MiB, and has one number each for "leave it" and "no limit".
struct native_limits {
  std::uint64_t values[SPDK_BDEV_QOS_NUM_RATE_LIMIT_TYPES] = {};
};

bool too_large(std::uint64_t value, std::uint64_t step) {
  return value > std::numeric_limits<std::uint64_t>::max() / step * step;
}

std::uint64_t steps(std::uint64_t value, std::uint64_t step) {
  return value / step + (value % step != 0);
}

std::optional<native_limits> to_native(const qos_limits& l) {
  if (too_large(l.iops, iops_step) || too_large(l.bytes_per_second, bytes_step) ||
      too_large(l.read_bytes_per_second, bytes_step) ||
      too_large(l.write_bytes_per_second, bytes_step)) {
    return std::nullopt;
  }
  native_limits out;
  out.values[SPDK_BDEV_QOS_RW_IOPS_RATE_LIMIT] = steps(l.iops, iops_step) * iops_step;
  out.values[SPDK_BDEV_QOS_RW_BPS_RATE_LIMIT] = steps(l.bytes_per_second, bytes_step);
  out.values[SPDK_BDEV_QOS_R_BPS_RATE_LIMIT] = steps(l.read_bytes_per_second, bytes_step);
  out.values[SPDK_BDEV_QOS_W_BPS_RATE_LIMIT] = steps(l.write_bytes_per_second, bytes_step);
  return out;
}

qos_limits current(spdk_bdev* device) {
  native_limits l;
  spdk_bdev_get_qos_rate_limits(device, l.values);
  return {.iops = l.values[SPDK_BDEV_QOS_RW_IOPS_RATE_LIMIT],
          .bytes_per_second = l.values[SPDK_BDEV_QOS_RW_BPS_RATE_LIMIT] * bytes_step,
          .read_bytes_per_second = l.values[SPDK_BDEV_QOS_R_BPS_RATE_LIMIT] * bytes_step,
          .write_bytes_per_second = l.values[SPDK_BDEV_QOS_W_BPS_RATE_LIMIT] * bytes_step};
}

}  // namespace

task<result<qos_limits>> set_qos(bdev_desc device, qos_limits limits) {
  auto use = detail::device_use::of(device, operation_kind::qos);
  if (!use) co_return std::unexpected(use.error());
  auto native = to_native(limits);
  if (!native) co_return use->failure(EINVAL, fault::limit_too_large);
  detail::callback_wait done("the QoS limits of a device");
  spdk_bdev_set_qos_rate_limits(
      use->device(), native->values,
      [](void* context, int rc) { detail::callback_wait::on_done(rc, context); }, &done);
  const int rc = co_await done;
  if (rc != 0) co_return use->failure(-rc, rc == -EAGAIN ? fault::change_under_way : fault::none);
  co_return current(use->device());
}

result<qos_limits> get_qos(const bdev_desc& device) {
  auto use = detail::device_use::of(device, operation_kind::qos);
  if (!use) return std::unexpected(use.error());
  return current(use->device());
}

}  // namespace spdk_io::inline SPDK_IO_ABI
