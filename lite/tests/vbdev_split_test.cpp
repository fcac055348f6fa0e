// SPDX-License-Identifier: BSD-3-Clause
// Parts of a device as devices. Runs on SPDK unchanged.
#include "vbdev_fixture.hpp"

#include <string>

namespace bdev_test {
namespace {

TEST(vbdev_split, parts_of_equal_size) {
  ASSERT_EQ(create_malloc("m0", 1000), 0);
  ASSERT_EQ(split("m0", 3), 0);
  EXPECT_EQ(all_names(), "first m0 m0p0 m0p1 m0p2 ");
  EXPECT_EQ(spdk_bdev_get_num_blocks(spdk_bdev_get_by_name("m0p2")), 333U);
  EXPECT_EQ(open_code("m0", true), -EPERM);
  dma_memory m(512, 0x61);
  {
    device d("m0p2");
    outcome w;
    EXPECT_TRUE(write(d, m, w, 332).wait());
    EXPECT_EQ(spdk_bdev_write_blocks(d.desc, d.ch, m.data, 333, 1, outcome::callback, &w), -EINVAL);
  }
  device base("m0", false);
  dma_memory in(512);
  outcome r;
  EXPECT_TRUE(read(base, in, r, 998).wait());
  EXPECT_TRUE(in.all(0x61));
  // Each part by itself; the claim ends with the last.
  for (const char* name : {"m0p1", "m0p0", "m0p2"}) {
    EXPECT_EQ(open_code("m0", true), -EPERM);
    bool gone = false;
    spdk_bdev_unregister(
        spdk_bdev_get_by_name(name), [](void* arg, int) { *static_cast<bool*>(arg) = true; },
        &gone);
    EXPECT_TRUE(threads::poll_until([&] { return gone; }));
  }
  EXPECT_EQ(all_names(), "first m0 ");
  EXPECT_EQ(open_code("m0", true), 0);
  ASSERT_EQ(split("m0", 2), 0);
  EXPECT_EQ(unsplit("m0"), 0);
  EXPECT_EQ(all_names(), "first m0 ");
}

TEST(vbdev_split, of_a_size_asked_for) {
  ASSERT_EQ(create_null("n0", 10 * 2048), 0);  // 10 MiB
  ASSERT_EQ(split("n0", 2, R"(,"split_size_mb":3)"), 0);
  EXPECT_EQ(spdk_bdev_get_num_blocks(spdk_bdev_get_by_name("n0p1")), 3U * 2048);
  EXPECT_EQ(unsplit("n0"), 0);
  logged.clear();
  ASSERT_EQ(split("n0", 5, R"(,"split_size_mb":3)"), 0);  // so many do not fit
  EXPECT_NE(logged.find("clamping"), std::string::npos) << logged;
  EXPECT_EQ(all_names(), "first n0 n0p0 n0p1 n0p2 ");
  EXPECT_EQ(unsplit("n0"), 0);
}

TEST(vbdev_split, deletion_before_the_device_came) {
  ASSERT_EQ(split("m0", 2), 0);
  EXPECT_EQ(unsplit("m0"), 0);
  ASSERT_EQ(create_malloc("m0"), 0);
  EXPECT_EQ(all_names(), "first m0 ");
}

}  // namespace
}  // namespace bdev_test
