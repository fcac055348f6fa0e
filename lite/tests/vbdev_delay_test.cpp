// SPDX-License-Identifier: BSD-3-Clause
// The device that makes I/O wait. Runs on SPDK unchanged.
#include "vbdev_fixture.hpp"

#include <algorithm>
#include <deque>

namespace bdev_test {
namespace {

TEST(vbdev_delay, reads_and_writes_wait_and_nothing_else_does) {
  ASSERT_EQ(delay("d0", "first", long_us, 1), 0);
  device d("d0");
  dma_memory m(512, 0x21);
  dma_memory late(512);
  outcome r;
  outcome w;
  outcome z;
  outcome u;
  outcome f;
  read(d, late, r);
  EXPECT_TRUE(write(d, m, w).wait());
  ASSERT_EQ(spdk_bdev_write_zeroes_blocks(d.desc, d.ch, 1, 1, outcome::callback, &z), 0);
  ASSERT_EQ(spdk_bdev_unmap_blocks(d.desc, d.ch, 2, 1, outcome::callback, &u), 0);
  ASSERT_EQ(spdk_bdev_flush_blocks(d.desc, d.ch, 0, 1, outcome::callback, &f), 0);
  EXPECT_TRUE(z.wait() && u.wait() && f.wait());
  threads::poll_times(100);
  EXPECT_FALSE(r.done);
  // The device below has done it long ago.
  device base("first", false);
  dma_memory in(512);
  outcome b;
  EXPECT_TRUE(read(base, in, b).wait());
  EXPECT_TRUE(in.all(0x21));
  outcome reset;
  ASSERT_EQ(spdk_bdev_reset(d.desc, d.ch, outcome::callback, &reset), 0);
  EXPECT_TRUE(reset.wait());
}

TEST(vbdev_delay, a_new_latency_is_for_new_io_and_it_waits_its_turn) {
  ASSERT_EQ(delay("d0", "first", long_us, long_us), 0);
  device d("d0");
  dma_memory m(512);
  outcome before;
  read(d, m, before);
  threads::poll_times(20);
  EXPECT_EQ(set_delay("d0", "avg_read", 0), 0);
  EXPECT_EQ(set_delay("d0", "p99_read", 0), 0);
  outcome after[3];
  for (outcome& o : after) {
    read(d, m, o);
  }
  threads::poll_times(200);
  EXPECT_FALSE(before.done);
  // Behind the earlier one, unless it was drawn for the queue of the hundredth.
  EXPECT_FALSE(after[0].done && after[1].done && after[2].done);
  outcome abort;
  ASSERT_EQ(spdk_bdev_abort(d.desc, d.ch, &before, outcome::callback, &abort), 0);
  EXPECT_TRUE(abort.wait());
  for (outcome& o : after) {
    EXPECT_TRUE(o.wait());
  }
  EXPECT_TRUE(fails("bdev_delay_update_latency",
                    R"({"delay_bdev_name":"first","latency_type":"avg_read","latency_us":1})",
                    -32602, "The requested bdev does not exist."));
  EXPECT_TRUE(fails("bdev_delay_update_latency",
                    R"({"delay_bdev_name":"d0","latency_type":"some","latency_us":1})", -32603,
                    "spdk_json_decode_object failed"));
  EXPECT_TRUE(fails("bdev_delay_update_latency",
                    R"({"delay_bdev_name":"d0","latency_type":"avg_read"})", -32603,
                    "spdk_json_decode_object failed"));
}

TEST(vbdev_delay, one_of_a_hundred_takes_the_other_time) {
  ASSERT_EQ(call("bdev_delay_create",
                 R"({"name":"d0","base_bdev_name":"first","avg_read_latency":0,)"
                 R"("p99_read_latency":)" +
                     std::to_string(long_us) + R"(,"avg_write_latency":0,"p99_write_latency":0})"),
            0);
  device d("d0");
  dma_memory m(512);
  std::deque<outcome> outcomes;
  const auto waiting = [&] {
    return std::count_if(outcomes.begin(), outcomes.end(),
                         [](const outcome& o) { return !o.done; });
  };
  int rounds = 0;
  for (; rounds < 100'000 && waiting() < 3; ++rounds) {
    read(d, m, outcomes.emplace_back());
    threads::poll_times(5);
    while (!outcomes.empty() && outcomes.front().done) {
      EXPECT_TRUE(outcomes.front().success);
      outcomes.pop_front();
    }
  }
  EXPECT_GT(rounds, 10);
  EXPECT_EQ(waiting(), 3);
  outcome reset;
  ASSERT_EQ(spdk_bdev_reset(d.desc, d.ch, outcome::callback, &reset), 0);
  EXPECT_TRUE(reset.wait());
  EXPECT_EQ(waiting(), 0);
}

TEST(vbdev_delay, completes_with_what_the_device_below_said) {
  ASSERT_EQ(create_malloc("m0"), 0);
  ASSERT_EQ(error("m0"), 0);
  ASSERT_EQ(delay("d0", "EE_m0", 1, 1), 0);
  ASSERT_EQ(inject("EE_m0", "read", "nvme_failure", R"(,"nvme_sct":2,"nvme_sc":129)"), 0);
  device d("d0");
  EXPECT_TRUE(read_gives(d, false, 2, 129));
  EXPECT_TRUE(read_gives(d, true));
}

}  // namespace
}  // namespace bdev_test
