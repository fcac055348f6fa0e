// SPDX-License-Identifier: BSD-3-Clause
// Histograms of latencies.
#include <spdk_io/histogram.hpp>

#include "callback_wait.hpp"
#include "device_use.hpp"
#include "io_kinds.hpp"
#include "ticks.hpp"

#include <spdk/bdev.h>
#include <spdk/histogram_data.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <limits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

using std::chrono::nanoseconds;

constexpr unsigned most_granularity = 14;

// In ticks, the end not included.
struct tick_bucket {
  std::uint64_t from;
  std::uint64_t to;
  std::uint64_t count;
};

void add(std::vector<tick_bucket>& to, const spdk_histogram_data& native) {
  spdk_histogram_data_iterate(
      &native,
      [](void* out, std::uint64_t start, std::uint64_t end, std::uint64_t count, std::uint64_t,
         std::uint64_t) {
        if (count == 0) return;
        if (end == 0) end = std::numeric_limits<std::uint64_t>::max();  // 2^64
        static_cast<std::vector<tick_bucket>*>(out)->push_back({start, end, count});
      },
      &to);
}

latency_histogram converted(std::vector<tick_bucket> all) {
  std::ranges::sort(all, {}, [](const tick_bucket& b) { return std::pair(b.to, b.from); });
  std::vector<latency_histogram::bucket> out;
  const tick_bucket* last = nullptr;
  for (const auto& each : all) {
    if (last && last->from == each.from && last->to == each.to) {
      out.back().count += each.count;
    } else {
      out.push_back({detail::from_ticks(each.from), detail::from_ticks(each.to), each.count});
    }
    last = &each;
  }
  return latency_histogram(std::move(out));
}

struct channel_answer {
  int rc = 0;
  const spdk_histogram_data* data = nullptr;
};

// SPDK calls back at once; what it gives is valid until the channel's thread goes on.
channel_answer ask_channel(spdk_io_channel* channel) {
  channel_answer answer;
  spdk_bdev_channel_get_histogram(
      channel,
      [](void* out, int rc, spdk_histogram_data* data) {
        *static_cast<channel_answer*>(out) = {rc, data};
      },
      &answer);
  return answer;
}

// Not with spdk_bdev_histogram_get(): that leaves out channels whose histogram is laid out
// otherwise, and those made after it was enabled have SPDK's default layout, whatever was asked
// for.
struct walk {
  std::vector<tick_bucket> buckets;
  detail::callback_wait* done = nullptr;
};

// On the channel's thread, one after the other.
void add_channel(spdk_bdev_channel_iter* i, spdk_bdev*, spdk_io_channel* channel,
                 void* context) noexcept {
  const channel_answer answer = ask_channel(channel);
  if (answer.rc == 0) add(static_cast<walk*>(context)->buckets, *answer.data);
  spdk_bdev_for_each_channel_continue(i, answer.rc);
}

// Back on the thread that asked.
void walked(spdk_bdev*, void* context, int rc) {
  detail::callback_wait::on_done(rc, static_cast<walk*>(context)->done);
}

std::unexpected<error> failure(const detail::device_use& use, int rc) {
  return use.failure(-rc, rc == -EFAULT   ? fault::no_histogram
                          : rc == -EAGAIN ? fault::change_under_way
                                          : fault::none);
}

bool valid(const histogram_options& o) {
  return o.granularity >= 1 && o.granularity <= most_granularity && o.min >= nanoseconds(0) &&
         detail::to_ticks(o.min) < detail::to_ticks(o.max);
}

spdk_bdev_enable_histogram_opts to_native(const histogram_options& o) {
  spdk_bdev_enable_histogram_opts out = {};
  spdk_bdev_enable_histogram_opts_init(&out, sizeof(out));
  if (o.kind) out.io_type = static_cast<std::uint8_t>(detail::native_type(*o.kind));
  out.granularity = static_cast<std::uint8_t>(o.granularity);
  out.min_nsec = static_cast<std::uint64_t>(o.min.count());
  // SPDK multiplies nanoseconds by ticks in 64 bits: what would overflow is no limit.
  const auto max = static_cast<std::uint64_t>(o.max.count());
  const bool fits = max <= std::numeric_limits<std::uint64_t>::max() / spdk_get_ticks_hz();
  out.max_nsec = fits ? max : std::numeric_limits<std::uint64_t>::max();
  return out;
}

task<result<void>> change(bdev_desc device, bool enable, histogram_options options) {
  auto use = detail::device_use::of(device, operation_kind::histogram);
  if (!use) co_return std::unexpected(use.error());
  if (!valid(options)) co_return use->failure(EINVAL, fault::bad_histogram_options);
  auto native = to_native(options);
  detail::callback_wait done("the histogram of a device");
  spdk_bdev_histogram_enable_ext(
      use->device(), [](void* context, int rc) { detail::callback_wait::on_done(rc, context); },
      &done, enable, &native);
  const int rc = co_await done;
  if (rc != 0) co_return failure(*use, rc);
  co_return result<void>();
}

}  // namespace

latency_histogram::latency_histogram(std::vector<bucket> buckets) : buckets_(std::move(buckets)) {
  for (const auto& each : buckets_) count_ += each.count;
}

nanoseconds latency_histogram::percentile(double part) const noexcept {
  if (empty()) return nanoseconds(0);
  const double wanted = std::ceil(std::clamp(part, 0.0, 1.0) * static_cast<double>(count_));
  double so_far = 0;
  for (const auto& each : buckets_) {
    so_far += static_cast<double>(each.count);
    if (so_far >= wanted) return each.to;
  }
  return max();
}

nanoseconds latency_histogram::min() const noexcept {
  if (empty()) return nanoseconds(0);
  return std::ranges::min(buckets_, {}, &bucket::from).from;
}
nanoseconds latency_histogram::max() const noexcept {
  return empty() ? nanoseconds(0) : buckets_.back().to;
}
nanoseconds latency_histogram::mean() const noexcept {
  if (empty()) return nanoseconds(0);
  double sum = 0;
  for (const auto& each : buckets_) {
    const double middle =
        (static_cast<double>(each.from.count()) + static_cast<double>(each.to.count())) / 2;
    sum += middle * static_cast<double>(each.count);
  }
  return nanoseconds(static_cast<std::int64_t>(sum / static_cast<double>(count_)));
}

task<result<void>> enable_histogram(bdev_desc device, histogram_options options) {
  return change(std::move(device), true, options);
}

task<result<void>> disable_histogram(bdev_desc device) {
  return change(std::move(device), false, {});
}

task<result<latency_histogram>> device_histogram(bdev_desc device) {
  auto use = detail::device_use::of(device, operation_kind::histogram);
  if (!use) co_return std::unexpected(use.error());
  walk all;
  detail::callback_wait done("the histogram of a device");
  all.done = &done;
  spdk_bdev_for_each_channel(use->device(), add_channel, &all, walked);
  const int rc = co_await done;
  if (rc != 0) co_return failure(*use, rc);
  co_return converted(std::move(all.buckets));
}

result<latency_histogram> channel_histogram(const io_channel& channel) {
  auto use = detail::device_use::of(channel, operation_kind::histogram);
  if (!use) return std::unexpected(use.error());
  const channel_answer answer = ask_channel(use->channel());
  if (answer.rc != 0) return failure(*use, answer.rc);
  std::vector<tick_bucket> buckets;
  add(buckets, *answer.data);
  return converted(std::move(buckets));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
