// SPDX-License-Identifier: BSD-3-Clause
// Trying again: how often, after which errors, with which delays, and stopped in between.
#include "devices.hpp"
#include "started.hpp"

#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace spdk_io_test {
namespace {

using namespace std::chrono_literals;
using sio::retry_policy;
using std::chrono::nanoseconds;

constexpr retry_policy at_once = {
    .attempts = 4, .first_delay = 0ns, .max_delay = 0ns, .factor = 1, .jitter = 0};

sio::error failure(std::errc code, sio::nvme_status status = {}) {
  return sio::error({.code = code, .what = sio::operation_kind::read, .status = status});
}

// Fails so often, then succeeds with the number of its attempt.
class failing {
 public:
  explicit failing(int times, sio::error e = failure(std::errc::device_or_resource_busy))
      : times_(times), error_(e) {}
  sio::task<sio::result<int>> operator()() {
    if (++called_ > times_) co_return called_;
    co_return std::unexpected(error_);
  }
  int called() const { return called_; }

 private:
  int times_;
  sio::error error_;
  int called_ = 0;
};

TEST(retry, gives_the_first_success) {
  for (int times : {0, 1, 3}) {
    failing op(times);
    auto r = run(sio::retry(std::ref(op), at_once));
    ASSERT_TRUE(r);
    EXPECT_EQ(*r, times + 1);
    EXPECT_EQ(op.called(), times + 1);
  }
}

TEST(retry, gives_the_last_error_and_says_how_often) {
  failing op(100);
  auto r = run(sio::retry(std::ref(op), at_once));
  ASSERT_FALSE(r);
  EXPECT_EQ(op.called(), 4);
  EXPECT_EQ(r.error(), std::errc::device_or_resource_busy);
  EXPECT_EQ(r.error().attempts(), 4u);
  EXPECT_EQ(r.error().message(), "read of 0 bytes at 0: Device or resource busy, after 4 attempts");
  retry_policy once = at_once;
  once.attempts = 1;
  r = run(sio::retry(std::ref(op), once));
  EXPECT_EQ(message_of(r), "read of 0 bytes at 0: Device or resource busy");
  EXPECT_EQ(op.called(), 5);
}

TEST(retry, of_a_device_that_fails_twice) {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20})));
  must(run(sio::create_bdev(sio::error_bdev{.base = "m0"})));
  auto disk = must(sio::bdev_desc::open("EE_m0"));
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  must(run(sio::inject_error("EE_m0", {.on = sio::inject_on::write, .count = 2})));
  fill_pattern(buffer, 3);
  int attempts = 0;
  auto write = [&] {
    ++attempts;
    return disk.write(buffer, 8192);
  };
  must(run(sio::retry(write, at_once)));
  EXPECT_EQ(attempts, 3);
  std::ranges::fill(buffer, std::byte{0});
  must(run(disk.read(buffer, 8192)));
  EXPECT_TRUE(has_pattern(buffer.bytes(), 3));

  must(run(sio::inject_error("EE_m0", {.on = sio::inject_on::read, .count = 100})));
  auto r = run(sio::retry([&] { return disk.read(buffer, 512); }, at_once));
  EXPECT_EQ(message_of(r),
            "read of 4096 bytes at 512 from EE_m0: internal device error (NVMe 0/06h), after 4 "
            "attempts");
  // What was never right is not tried again.
  r = run(sio::retry([&] { return disk.read(buffer, 1); }, at_once));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().attempts(), 1u);
  EXPECT_EQ(message_of(r),
            "read of 4096 bytes at 1 from EE_m0: the offset is not a multiple of the block size "
            "(512 bytes)");
}

TEST(retry, which_errors_pass) {
  auto passes = [](std::errc code, sio::nvme_status status = {}) {
    return sio::is_transient(failure(code, status));
  };
  using enum std::errc;
  for (auto code : {resource_unavailable_try_again, device_or_resource_busy, not_enough_memory,
                    interrupted, timed_out}) {
    EXPECT_TRUE(passes(code)) << static_cast<int>(code);
  }
  for (auto code : {invalid_argument, no_such_device, no_such_device_or_address, operation_canceled,
                    bad_file_descriptor, not_supported, operation_not_permitted, permission_denied,
                    illegal_byte_sequence, no_space_on_device, io_error, std::errc{}}) {
    EXPECT_FALSE(passes(code)) << static_cast<int>(code);
  }
  const std::array<sio::nvme_status, 10> transient = {{{0, 0x04},
                                                       {0, 0x06},
                                                       {0, 0x21},
                                                       {0, 0x22},
                                                       {0, 0x82},
                                                       {0, 0x84},
                                                       {3, 0x00},
                                                       {3, 0x03},
                                                       {3, 0x60},
                                                       {3, 0x70}}};
  for (unsigned type = 0; type < 8; ++type) {
    for (unsigned code = 0; code < 256; ++code) {
      const sio::nvme_status status = {static_cast<std::uint8_t>(type),
                                       static_cast<std::uint8_t>(code)};
      const bool want = std::ranges::find(transient, status) != transient.end();
      EXPECT_EQ(passes(io_error, status), want) << type << '/' << code;
      EXPECT_FALSE(passes(operation_canceled, status));
    }
  }
  // The system's own word for a device's failure counts more than the status.
  EXPECT_FALSE(passes(no_space_on_device, {0, 0x06}));
  // Refused by the library: the request is what is wrong, whatever its errno.
  EXPECT_FALSE(sio::is_transient(
      sio::error({.code = not_enough_memory, .why = sio::fault::no_buffer, .status = {0, 6}})));
  EXPECT_TRUE(sio::is_transient(failure(operation_canceled).as_timed_out()));
  EXPECT_FALSE(sio::is_transient(failure(device_or_resource_busy).as_stopped()));
  EXPECT_TRUE(sio::is_transient(
      sio::error({.code = resource_unavailable_try_again, .why = sio::fault::change_under_way})));
}

TEST(retry, a_predicate_of_ones_own) {
  failing op(2, failure(std::errc::no_space_on_device));
  std::vector<std::uint32_t> seen;
  auto again = [&](const sio::error& e) {
    seen.push_back(e.attempts());
    return e == std::errc::no_space_on_device;
  };
  EXPECT_TRUE(run(sio::retry(std::ref(op), at_once, again)));
  EXPECT_EQ(seen, (std::vector<std::uint32_t>{1, 2}));
  failing other(2);
  EXPECT_FALSE(run(sio::retry(std::ref(other), at_once, again)));
  EXPECT_EQ(other.called(), 1);
}

TEST(retry, what_it_awaits_is_anything_with_a_result) {
  struct not_copied {
    explicit not_copied(int v) : value(std::make_unique<int>(v)) {}
    std::unique_ptr<int> value;
  };
  int calls = 0;
  auto make = [&]() -> sio::task<sio::result<not_copied>> {
    if (++calls < 2) co_return std::unexpected(failure(std::errc::interrupted));
    co_return not_copied(7);
  };
  auto r = run(sio::retry(make, at_once));
  ASSERT_TRUE(r);
  EXPECT_EQ(*r->value, 7);
  must(run(sio::retry([] { return sio::sleep_for(0ns); })));
}

TEST(retry, an_exception_is_not_caught) {
  int calls = 0;
  auto make = [&]() -> sio::task<sio::result<void>> {
    ++calls;
    throw std::runtime_error("no result");
    co_return sio::result<void>();
  };
  EXPECT_THROW((void)run(sio::retry(make, at_once)), std::runtime_error);
  EXPECT_EQ(calls, 1);
}

TEST(retry, nothing_happens_before_it_is_awaited) {
  failing op(0);
  {
    auto never = sio::retry(std::ref(op), at_once);
  }
  EXPECT_EQ(op.called(), 0);
}

// Each attempt but the first is made by a poll: others have their turn even without a delay.
TEST(retry, polls_between_attempts) {
  failing op(2);
  started trying(sio::retry(std::ref(op), at_once));
  EXPECT_EQ(op.called(), 1);
  main_thread().poll();
  EXPECT_EQ(op.called(), 2);
  EXPECT_FALSE(trying.done());
  main_thread().poll();
  EXPECT_EQ(op.called(), 3);
  EXPECT_TRUE(trying.done());
}

constexpr retry_policy for_ever = {
    .attempts = 10, .first_delay = 24h, .max_delay = 24h * 365, .factor = 2, .jitter = 0};

TEST(retry, waits_for_the_delay) {
  failing op(1);
  started trying(sio::retry(std::ref(op), for_ever));
  poll_times(100);
  EXPECT_EQ(op.called(), 1);
  EXPECT_FALSE(trying.done());
}

TEST(retry, a_stop_ends_the_delay_at_once) {
  failing op(100);
  sio::local_stop_source stop;
  started trying(sio::with_stop_token(stop.get_token(), sio::retry(std::ref(op), for_ever)));
  poll_times(10);
  EXPECT_FALSE(trying.done());
  stop.request_stop();
  EXPECT_FALSE(trying.done());
  poll_times(2);
  ASSERT_TRUE(trying.done());
  auto r = trying.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::operation_canceled);
  EXPECT_EQ(r.error().why(), sio::fault::stopped);
  EXPECT_EQ(r.error().message(), "read of 0 bytes at 0: stopped on request");
  EXPECT_EQ(op.called(), 1);
}

TEST(retry, a_stop_during_an_attempt_that_fails_by_itself) {
  gate until;
  sio::local_stop_source stop;
  int calls = 0;
  auto make = [&]() -> sio::task<sio::result<void>> {
    ++calls;
    if (calls == 2) co_await until;
    co_return std::unexpected(
        sio::error(std::errc::device_or_resource_busy, sio::operation_kind::none, "it is busy"));
  };
  started trying(sio::with_stop_token(stop.get_token(), sio::retry(make, at_once)));
  poll_times(10);
  EXPECT_EQ(calls, 2);
  stop.request_stop();
  until.open();
  poll_until([&] { return trying.done(); });
  EXPECT_EQ(calls, 2);
  auto r = trying.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::operation_canceled);
  EXPECT_EQ(r.error().message(), "stopped on request: it is busy, after 2 attempts");
}

TEST(retry, a_stop_ends_the_attempt) {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20})));
  must(run(sio::create_bdev(
      sio::delay_bdev{.name = "d0", .base = "m0", .average_read = std::chrono::hours(1)})));
  auto disk = must(sio::bdev_desc::open("d0"));
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  sio::local_stop_source stop;
  int calls = 0;
  auto make = [&] {
    ++calls;
    return disk.read(buffer, 0);
  };
  started trying(sio::with_stop_token(stop.get_token(), sio::retry(make, at_once)));
  poll_times(10);
  EXPECT_FALSE(trying.done());
  stop.request_stop();
  poll_until([&] { return trying.done(); });
  EXPECT_EQ(message_of(trying.take()), "read of 4096 bytes at 0 from d0: aborted (NVMe 0/07h)");
  EXPECT_EQ(calls, 1);

  // A limit for each attempt passes; one for all does not.
  calls = 0;
  auto make_short = [&] {
    ++calls;
    return sio::with_timeout(disk.read(buffer, 0), 0ns);
  };
  auto r = run(sio::retry(make_short, at_once));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::timed_out);
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(message_of(r), "read of 4096 bytes at 0 from d0: timed out, after 4 attempts");
  calls = 0;
  r = run(sio::with_timeout(sio::retry(make, at_once), 0ns));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::timed_out);
  EXPECT_EQ(calls, 1);
}

TEST(retry, a_timeout_ends_the_delay) {
  failing op(100);
  started trying(sio::with_timeout(sio::retry(std::ref(op), for_ever), 0ns));
  EXPECT_FALSE(trying.done());
  poll_until([&] { return trying.done(); });
  auto r = trying.take();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), std::errc::timed_out);
  EXPECT_EQ(message_of(r), "read of 0 bytes at 0: timed out");
}

TEST(retry, destroyed_in_its_delay_and_in_its_attempt) {
  failing op(100);
  std::optional<started<sio::task<sio::result<int>>>> trying;
  trying.emplace(sio::retry(std::ref(op), for_ever));
  poll_times(3);
  trying.reset();
  poll_times(3);
  EXPECT_EQ(op.called(), 1);

  auto disk = open_malloc("m0");
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  auto read = [&] { return disk.read(buffer, 0); };
  {
    started reading(sio::retry(read, at_once));
    EXPECT_EQ(main_thread().statistics().io_in_flight, 1u);
  }
  EXPECT_EQ(main_thread().statistics().io_in_flight, 0u);
}

TEST(retry, where_no_delay_can_be_waited_for) {
  std::jthread([] {
    failing op(100);
    started trying(sio::retry(std::ref(op), at_once));
    ASSERT_TRUE(trying.done());
    EXPECT_EQ(op.called(), 1);
    EXPECT_EQ(trying.take().error(), std::errc::device_or_resource_busy);
  });
  // The thread ends while it waits: no further attempt, and the error is the last one's.
  auto second = std::optional(must(sio::thread::create("second")));
  failing op(100);
  std::optional<started<sio::task<sio::result<int>>>> trying;
  must(second->ref().send([&] { trying.emplace(sio::retry(std::ref(op), for_ever)); }));
  while (!trying) second->poll();
  EXPECT_FALSE(trying->done());
  second.reset();
  ASSERT_TRUE(trying->done());
  EXPECT_EQ(op.called(), 1);
  EXPECT_EQ(trying->take().error(), std::errc::device_or_resource_busy);
}

TEST(retry, a_policy_that_cannot_be_is_refused) {
  failing op(0);
  auto refused = [&](retry_policy policy, std::string_view message) {
    auto r = run(sio::retry(std::ref(op), policy));
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error(), std::errc::invalid_argument);
    EXPECT_EQ(r.error().what(), sio::operation_kind::retry);
    EXPECT_EQ(r.error().message(), message);
  };
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  constexpr double infinite = std::numeric_limits<double>::infinity();
  refused({.attempts = 0}, "retry: attempts is 0 (all are counted, the first one too)");
  refused({.first_delay = -1ns}, "retry: first_delay is negative");
  refused({.first_delay = 2s}, "retry: max_delay is shorter than first_delay");
  refused({.max_delay = -1ns}, "retry: max_delay is shorter than first_delay");
  for (double factor : {0.5, 0.0, -2.0, nan, infinite})
    refused({.factor = factor}, "retry: factor must be a number from 1 on");
  for (double jitter : {-0.1, 1.1, nan, infinite})
    refused({.jitter = jitter}, "retry: jitter must be a number from 0 to 1");
  EXPECT_EQ(op.called(), 0);
  EXPECT_TRUE(run(sio::retry(std::ref(op))));
}

std::vector<nanoseconds> delays_of(const retry_policy& policy, int count) {
  sio::detail::retry_delays delays(policy);
  std::vector<nanoseconds> out;
  for (int i = 0; i < count; ++i) out.push_back(delays.next());
  return out;
}

TEST(retry, delays_grow_up_to_the_longest) {
  EXPECT_EQ(delays_of({.first_delay = 10ms, .max_delay = 60ms, .factor = 2, .jitter = 0}, 5),
            (std::vector<nanoseconds>{10ms, 20ms, 40ms, 60ms, 60ms}));
  EXPECT_EQ(delays_of({.first_delay = 5ms, .max_delay = 60ms, .factor = 1, .jitter = 0}, 3),
            (std::vector<nanoseconds>{5ms, 5ms, 5ms}));
  // Whatever is multiplied: no overflow.
  for (double factor : {2.0, 1e300}) {
    auto all = delays_of(
        {.first_delay = 1ns, .max_delay = nanoseconds::max(), .factor = factor, .jitter = 0}, 100);
    EXPECT_TRUE(std::ranges::is_sorted(all));
    EXPECT_EQ(all.back(), nanoseconds::max());
  }
  for (auto delay : delays_of({.first_delay = nanoseconds::max(),
                               .max_delay = nanoseconds::max(),
                               .factor = 1e300,
                               .jitter = 1},
                              1000)) {
    EXPECT_GE(delay, 0ns);
  }
}

TEST(retry, jitter_shortens_and_follows_its_seed) {
  const retry_policy policy = {.first_delay = 1s, .max_delay = 1s, .factor = 1, .jitter = 0.5};
  sio::seed_retry_jitter(42);
  const auto first = delays_of(policy, 1000);
  sio::seed_retry_jitter(42);
  EXPECT_EQ(delays_of(policy, 1000), first);
  sio::seed_retry_jitter(43);
  EXPECT_NE(delays_of(policy, 1000), first);
  auto [least, most] = std::ranges::minmax(first);
  EXPECT_GT(least, 500ms);
  EXPECT_LT(least, 510ms);
  EXPECT_LE(most, 1s);
  EXPECT_GT(most, 990ms);
  // Each OS thread has its own.
  sio::seed_retry_jitter(42);
  std::vector<nanoseconds> there;
  std::jthread([&] {
    sio::seed_retry_jitter(42);
    there = delays_of(policy, 1000);
  }).join();
  EXPECT_EQ(there, first);
  EXPECT_EQ(delays_of(policy, 1000), first);
}

TEST(retry, an_error_keeps_its_attempts) {
  auto e = failure(std::errc::io_error, {0, 6});
  EXPECT_EQ(e.attempts(), 1u);
  EXPECT_EQ(e.after_attempts(3).as_timed_out().attempts(), 3u);
  EXPECT_EQ(e.after_attempts(3).as_stopped().attempts(), 3u);
  EXPECT_EQ(e.after_attempts(70'000).attempts(), 65'535u);
}

}  // namespace
}  // namespace spdk_io_test
