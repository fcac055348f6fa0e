// SPDX-License-Identifier: BSD-3-Clause
// The device that fails I/O when it is told to. Runs on SPDK unchanged.
#include "vbdev_fixture.hpp"

#include <deque>
#include <optional>
#include <string>

namespace bdev_test {
namespace {

class vbdev_error : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(create_malloc("m0"), 0);
    ASSERT_EQ(error("m0"), 0);
    d.emplace("EE_m0");
  }

  std::optional<device> d;
  dma_memory m{1024, 0};
};

TEST_F(vbdev_error, fails_as_often_as_it_was_told) {
  ASSERT_EQ(inject("EE_m0", "read", "failure", R"(,"num":2)"), 0);
  EXPECT_TRUE(read_gives(*d, false, 0, internal_error));
  outcome w;
  EXPECT_TRUE(write(*d, m, w).wait());
  EXPECT_TRUE(read_gives(*d, false, 0, internal_error));
  EXPECT_TRUE(read_gives(*d, true));
  ASSERT_EQ(inject("EE_m0", "read", "failure"), 0);  // once, if not told
  EXPECT_TRUE(read_gives(*d, false, 0, internal_error));
  EXPECT_TRUE(read_gives(*d, true));
}

TEST_F(vbdev_error, each_type_of_io_has_its_own) {
  for (const char* on : {"read", "write", "unmap", "flush", "all"}) {
    SCOPED_TRACE(on);
    ASSERT_EQ(inject("EE_m0", on, "failure", R"(,"num":1)"), 0);
    const std::string which = on;
    outcome o[6];
    read(*d, m, o[0]);
    write(*d, m, o[1]);
    ASSERT_EQ(spdk_bdev_unmap_blocks(d->desc, d->ch, 0, 1, outcome::callback, &o[2]), 0);
    ASSERT_EQ(spdk_bdev_flush_blocks(d->desc, d->ch, 0, 1, outcome::callback, &o[3]), 0);
    ASSERT_EQ(spdk_bdev_write_zeroes_blocks(d->desc, d->ch, 0, 1, outcome::callback, &o[4]), 0);
    for (int i = 0; i < 5; ++i) {
      o[i].wait();
    }
    EXPECT_EQ(o[0].success, which != "read" && which != "all");
    EXPECT_EQ(o[1].success, which != "write" && which != "all");
    EXPECT_EQ(o[2].success, which != "unmap" && which != "all");
    EXPECT_EQ(o[3].success, which != "flush" && which != "all");
    EXPECT_TRUE(o[4].success);  // write_zeroes never fails
    ASSERT_EQ(spdk_bdev_reset(d->desc, d->ch, outcome::callback, &o[5]), 0);
    EXPECT_TRUE(o[5].wait());
  }
  ASSERT_EQ(inject("EE_m0", "all", "failure", R"(,"num":100)"), 0);
  ASSERT_EQ(inject("EE_m0", "clear", "failure"), 0);
  EXPECT_TRUE(read_gives(*d, true));
}

TEST_F(vbdev_error, a_status_of_nvme) {
  ASSERT_EQ(inject("EE_m0", "read", "nvme_failure", R"(,"nvme_sct":2,"nvme_sc":129)"), 0);
  EXPECT_TRUE(read_gives(*d, false, 2, 129));
  ASSERT_EQ(inject("EE_m0", "read", "nvme_failure", R"(,"nvme_sc":7)"), 0);
  EXPECT_TRUE(read_gives(*d, false, 0, aborted));
  EXPECT_TRUE(read_gives(*d, true));
  const std::string text = "nvme_sct or nvme_sc should be specified for NVMe error injection";
  EXPECT_TRUE(fails("bdev_error_inject_error",
                    R"({"name":"EE_m0","io_type":"read","error_type":"nvme_failure"})", -22, text));
  EXPECT_TRUE(fails("bdev_error_inject_error",
                    R"({"name":"EE_m0","io_type":"read","error_type":"failure","nvme_sc":1})", -22,
                    text));
}

TEST_F(vbdev_error, no_resources_is_tried_again_by_the_layer) {
  ASSERT_EQ(inject("EE_m0", "read", "nomem", R"(,"num":2)"), 0);
  outcome first;
  outcome second;
  read(*d, m, first);
  read(*d, m, second);
  threads::poll_times(3);
  EXPECT_FALSE(first.done || second.done);
  EXPECT_TRUE(first.wait());
  EXPECT_TRUE(second.wait());
  EXPECT_LT(first.order, second.order);
}

TEST_F(vbdev_error, no_resources_ends_with_a_reset_or_an_abort) {
  ASSERT_EQ(inject("EE_m0", "read", "nomem", R"(,"num":1000000)"), 0);
  outcome first;
  outcome second;
  read(*d, m, first);
  read(*d, m, second);
  threads::poll_times(3);
  outcome abort;
  ASSERT_EQ(spdk_bdev_abort(d->desc, d->ch, &first, outcome::callback, &abort), 0);
  EXPECT_TRUE(abort.wait());
  EXPECT_TRUE(first.done);
  EXPECT_EQ(first.sc, aborted);
  EXPECT_FALSE(second.done);
  outcome reset;
  ASSERT_EQ(spdk_bdev_reset(d->desc, d->ch, outcome::callback, &reset), 0);
  EXPECT_TRUE(reset.wait());
  EXPECT_TRUE(second.done);
  EXPECT_EQ(second.sc, aborted);
  ASSERT_EQ(inject("EE_m0", "clear", "failure"), 0);
  EXPECT_TRUE(read_gives(*d, true));
}

TEST_F(vbdev_error, pending_stays_away_until_it_is_resumed) {
  ASSERT_EQ(inject("EE_m0", "write", "pending", R"(,"num":2)"), 0);
  outcome o[3];
  std::memset(m.data, 0x31, m.size);
  write(*d, m, o[0]);
  threads::poll_times(100);
  EXPECT_FALSE(o[0].done);
  EXPECT_TRUE(read_gives(*d, true));
  uint32_t states = 0;
  if (spdk_rpc_get_method_state_mask("bdev_error_resume_pending", &states) == 0) {
    EXPECT_EQ(call("bdev_error_resume_pending", R"({"name":"EE_m0"})"), 0);
    EXPECT_TRUE(o[0].wait());
    write(*d, m, o[1]);  // the second one is no longer due
    EXPECT_TRUE(o[1].wait());
    EXPECT_TRUE(fails("bdev_error_resume_pending", R"({"name":"m0"})", -19, "No such device"));
  }
  outcome reset;
  ASSERT_EQ(spdk_bdev_reset(d->desc, d->ch, outcome::callback, &reset), 0);
  EXPECT_TRUE(reset.wait());
}

TEST_F(vbdev_error, corrupts_one_byte) {
  std::memset(m.data, 0x10, m.size);
  outcome w;
  EXPECT_TRUE(write(*d, m, w, 0, 2).wait());
  ASSERT_EQ(inject("EE_m0", "read", "corrupt_data", R"(,"corrupt_offset":700,"corrupt_value":3)"),
            0);
  outcome r;
  iovec iov[2] = {{m.data, 600}, {m.data + 600, 424}};
  ASSERT_EQ(spdk_bdev_readv_blocks(d->desc, d->ch, iov, 2, 0, 2, outcome::callback, &r), 0);
  EXPECT_TRUE(r.wait());
  EXPECT_EQ(m.data[700], 0x13);
  EXPECT_TRUE(m.all(0x10, 0, 700) && m.all(0x10, 701));
  // A write has it in the caller's buffer, and so on the device.
  std::memset(m.data, 0x20, m.size);
  ASSERT_EQ(inject("EE_m0", "write", "corrupt_data", R"(,"corrupt_offset":1,"corrupt_value":255)"),
            0);
  outcome x;
  EXPECT_TRUE(write(*d, m, x, 0, 2).wait());
  EXPECT_EQ(m.data[1], 0xdf);
  std::memset(m.data, 0, m.size);
  outcome y;
  EXPECT_TRUE(read(*d, m, y, 0, 2).wait());
  EXPECT_EQ(m.data[1], 0xdf);
  EXPECT_TRUE(m.all(0x20, 2));
  EXPECT_TRUE(fails("bdev_error_inject_error",
                    R"({"name":"EE_m0","io_type":"read","error_type":"corrupt_data"})", -22,
                    "Invalid argument"));
}

TEST_F(vbdev_error, from_a_queue_depth_on) {
  ASSERT_EQ(inject("EE_m0", "read", "failure", R"(,"num":100,"queue_depth":2)"), 0);
  EXPECT_TRUE(read_gives(*d, true));
  outcome o[4];
  for (outcome& each : o) {
    read(*d, m, each);
  }
  for (outcome& each : o) {
    each.wait();
  }
  EXPECT_TRUE(o[0].success && o[1].success);
  EXPECT_FALSE(o[2].success || o[3].success);
}

TEST_F(vbdev_error, injection_is_checked) {
  const std::string decode = "spdk_json_decode_object failed";
  const auto with = [](const std::string& rest) { return R"({"name":"EE_m0",)" + rest + "}"; };
  const std::string method = "bdev_error_inject_error";
  EXPECT_TRUE(fails(method, with(R"("io_type":"zcopy","error_type":"failure")"), -32603, decode));
  EXPECT_NE(logged.find("'zcopy'"), std::string::npos) << logged;
  EXPECT_TRUE(fails(method, with(R"("io_type":"read","error_type":"some")"), -32603, decode));
  EXPECT_TRUE(fails(method, with(R"("io_type":"read")"), -32603, decode));
  EXPECT_TRUE(fails(method,
                    with(R"("io_type":"read","error_type":"corrupt_data","corrupt_value":256)"),
                    -32603, decode));
  EXPECT_TRUE(fails(method, R"({"name":"m0","io_type":"read","error_type":"failure"})", -19,
                    "No such device"));
  EXPECT_NE(logged.find("Could not find ErrorInjection bdev m0"), std::string::npos) << logged;
  EXPECT_TRUE(fails(method, R"({"name":"nosuch","io_type":"read","error_type":"failure"})", -19,
                    "No such device"));
}

TEST_F(vbdev_error, out_of_objects_is_a_failure_there) {
  // Unlike the other modules, this one does not wait. Each of its I/Os takes two objects, and
  // one is taken already, so the last I/O finds only one.
  device other("m0", false);
  outcome one;
  read(other, m, one);
  std::deque<outcome> outcomes;
  while (spdk_bdev_read(d->desc, d->ch, m.data, 0, 512, outcome::callback,
                        &outcomes.emplace_back()) == 0) {
  }
  outcomes.pop_back();
  int failed = 0;
  for (outcome& o : outcomes) {
    o.wait();
    failed += o.success ? 0 : 1;
  }
  EXPECT_TRUE(one.wait());
  EXPECT_EQ(failed, 1);
  EXPECT_TRUE(read_gives(*d, true));
}

}  // namespace
}  // namespace bdev_test
