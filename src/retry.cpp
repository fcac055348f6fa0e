// SPDX-License-Identifier: BSD-3-Clause
// Which failures pass, and how long to wait for that.
#include <spdk_io/retry.hpp>

#include <algorithm>
#include <cmath>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

// SplitMix64: any seed will do, and one number of state.
class jitter_sequence {
 public:
  void seed(std::uint64_t s) noexcept {
    state_ = s;
    seeded_ = true;
  }
  // From 0 to below 1.
  double next() noexcept {
    if (!seeded_) {
      const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
      seed(static_cast<std::uint64_t>(now) ^ reinterpret_cast<std::uintptr_t>(this));
    }
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    return static_cast<double>(z >> 11) * 0x1p-53;
  }

 private:
  std::uint64_t state_ = 0;
  bool seeded_ = false;
};

constinit thread_local jitter_sequence jitter;

bool passes(nvme_status status) noexcept {
  switch (status.type) {
    case 0:  // generic
      switch (status.code) {
        case 0x04:  // data transfer error
        case 0x06:  // internal device error
        case 0x21:  // command interrupted
        case 0x22:  // transient transport error
        case 0x82:  // namespace not ready
        case 0x84:  // format in progress
          return true;
        default: return false;
      }
    case 3:  // path related
      switch (status.code) {
        case 0x00:  // internal path error
        case 0x03:  // asymmetric access transition
        case 0x60:  // controller pathing error
        case 0x70:  // host pathing error
          return true;
        default: return false;
      }
    default: return false;
  }
}

}  // namespace

bool is_transient(const error& e) noexcept {
  switch (e.why()) {
    case fault::none: break;
    case fault::timed_out:
    case fault::change_under_way: return true;
    default: return false;
  }
  switch (e.code()) {
    case std::errc::resource_unavailable_try_again:
    case std::errc::device_or_resource_busy:
    case std::errc::not_enough_memory:
    case std::errc::interrupted:
    case std::errc::timed_out: return true;
    case std::errc::io_error: return passes(e.status());
    default: return false;
  }
}

void seed_retry_jitter(std::uint64_t seed) noexcept { jitter.seed(seed); }

result<void> detail::check(const retry_policy& policy) {
  const char* wrong = nullptr;
  if (policy.attempts == 0) {
    wrong = "retry: attempts is 0 (all are counted, the first one too)";
  } else if (policy.first_delay.count() < 0) {
    wrong = "retry: first_delay is negative";
  } else if (policy.max_delay < policy.first_delay) {
    wrong = "retry: max_delay is shorter than first_delay";
  } else if (!std::isfinite(policy.factor) || policy.factor < 1) {
    wrong = "retry: factor must be a number from 1 on";
  } else if (!(policy.jitter >= 0 && policy.jitter <= 1)) {
    wrong = "retry: jitter must be a number from 0 to 1";
  }
  if (!wrong) return {};
  return std::unexpected(error(std::errc::invalid_argument, operation_kind::retry, wrong));
}

std::chrono::nanoseconds detail::retry_delays::next() noexcept {
  using std::chrono::nanoseconds;
  const nanoseconds delay = next_;
  // In floating point, and back only where that has a number: it cannot overflow.
  const double longer = static_cast<double>(delay.count()) * policy_.factor;
  next_ = longer < static_cast<double>(policy_.max_delay.count())
              ? nanoseconds(static_cast<nanoseconds::rep>(longer))
              : policy_.max_delay;
  const double cut = static_cast<double>(delay.count()) * policy_.jitter * jitter.next();
  return std::max(nanoseconds(0), delay - nanoseconds(static_cast<nanoseconds::rep>(cut)));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
