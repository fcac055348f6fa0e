// SPDX-License-Identifier: BSD-3-Clause
// Limits on the rate of I/O: what is set, what is read, and that they limit.
#include "devices.hpp"
#include "started.hpp"

#include <spdk_io/qos.hpp>

#include <limits>

namespace spdk_io_test {
namespace {

using sio::get_qos;
using sio::qos_limits;
using sio::set_qos;

constexpr std::uint64_t mib = 1 << 20;

TEST(qos, what_is_set_is_read_back_rounded_up) {
  auto disk = open_null("n0");
  EXPECT_EQ(must(get_qos(disk)), qos_limits());
  const qos_limits exact = {.iops = 20'000,
                            .bytes_per_second = 100 * mib,
                            .read_bytes_per_second = 60 * mib,
                            .write_bytes_per_second = 50 * mib};
  EXPECT_EQ(must(run(set_qos(disk, exact))), exact);
  EXPECT_EQ(must(get_qos(disk)), exact);

  // All four are set: what is not named is lifted.
  const auto set = must(run(set_qos(disk, {.iops = 1, .write_bytes_per_second = 5 * mib + 1})));
  EXPECT_EQ(set, (qos_limits{.iops = 1000, .write_bytes_per_second = 6 * mib}));
  EXPECT_EQ(must(get_qos(disk)), set);
  EXPECT_EQ(must(run(set_qos(disk, {.iops = 1001}))).iops, 2000u);

  EXPECT_EQ(must(run(set_qos(disk, {}))), qos_limits());
  EXPECT_EQ(must(get_qos(disk)), qos_limits());
  EXPECT_EQ(must(run(set_qos(disk, {}))), qos_limits());  // again is harmless
}

TEST(qos, belongs_to_the_device) {
  auto disk = open_null("n0");
  auto other = open_null("n1");
  must(run(set_qos(disk, {.iops = 3000})));
  EXPECT_EQ(must(get_qos(must(sio::bdev_desc::open("n0")))).iops, 3000u);
  EXPECT_EQ(must(get_qos(other)), qos_limits());
}

// More reads than a second may have: few polls cannot be enough for them, unless they take two
// seconds; and are, once the limit is lifted.
TEST(qos, limits_until_it_is_lifted) {
  auto disk = open_null("n0");
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  constexpr int reads = 2000;  // few enough: SPDK walks the whole queue at each submission
  int done = 0;
  auto one = [&]() -> sio::task<void> {
    auto r = co_await disk.read(buffer, 0);
    EXPECT_TRUE(r) << message_of(r);
    ++done;
  };
  auto all_in_few_polls = [&] {
    done = 0;
    sio::task_scope scope;
    for (int i = 0; i < reads; ++i) scope.spawn(one());
    poll_times(20);
    const bool all = done == reads;
    must(run(set_qos(disk, {})));
    must(run(scope.join()));
    EXPECT_EQ(done, reads);
    return all;
  };
  EXPECT_TRUE(all_in_few_polls());
  must(run(set_qos(disk, {.iops = 1000})));
  EXPECT_FALSE(all_in_few_polls());
  must(run(set_qos(disk, {.read_bytes_per_second = 1})));  // 1 MiB: 256 such reads
  EXPECT_FALSE(all_in_few_polls());
  must(run(set_qos(disk, {.write_bytes_per_second = 1})));
  EXPECT_TRUE(all_in_few_polls());
}

TEST(qos, errors) {
  EXPECT_EQ(message_of(run(set_qos(sio::bdev_desc(), {.iops = 1000}))),
            "QoS limits: the handle is empty (moved from, or never opened)");
  auto disk = open_null("n0");
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  for (qos_limits limits :
       {qos_limits{.iops = most}, qos_limits{.iops = most - 100},
        qos_limits{.bytes_per_second = most}, qos_limits{.read_bytes_per_second = most},
        qos_limits{.write_bytes_per_second = most - mib / 2}}) {
    auto r = run(set_qos(disk, limits));
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::invalid_argument);
    EXPECT_EQ(message_of(r),
              "QoS limits on n0: a limit is too large to be rounded up (0 means none)");
  }
  EXPECT_EQ(must(get_qos(disk)), qos_limits());

  started first(set_qos(disk, {.iops = 5000}));
  EXPECT_FALSE(first.done());
  auto second = run(set_qos(disk, {.iops = 6000}));
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error() == std::errc::resource_unavailable_try_again);
  EXPECT_EQ(message_of(second),
            "QoS limits on n0: another change is under way (try again when it is done)");
  poll_until([&] { return first.done(); });
  EXPECT_EQ(must(first.take()).iops, 5000u);
}

}  // namespace
}  // namespace spdk_io_test
