// SPDX-License-Identifier: BSD-3-Clause
// What all devices on devices have in common: claims, examination, deletion, removal, I/O that is
// passed down, aborts and resets. Runs on SPDK unchanged.
#include "vbdev_fixture.hpp"

#include <deque>
#include <memory>
#include <string>

namespace bdev_test {
namespace {

// --- claims ---

TEST(vbdev_claim, keeps_writers_out_while_it_lasts) {
  ASSERT_EQ(create_malloc("m0"), 0);
  EXPECT_EQ(open_code("m0", true), 0);
  ASSERT_EQ(passthru("p0", "m0"), 0);
  logged.clear();
  EXPECT_EQ(open_code("m0", true), -EPERM);
  EXPECT_NE(logged.find("bdev m0 already claimed: type exclusive_write by module passthru"),
            std::string::npos)
      << logged;
  EXPECT_EQ(open_code("m0", false), 0);
  EXPECT_EQ(open_code("p0", true), 0);
  EXPECT_EQ(all_names(), "first m0 p0 ");
  EXPECT_EQ(leaf_names(), "first p0 ");
  EXPECT_EQ(remove("passthru", "p0"), 0);
  EXPECT_EQ(open_code("m0", true), 0);
  EXPECT_EQ(leaf_names(), "first m0 ");
  EXPECT_EQ(remove("malloc", "m0"), 0);
}

TEST(vbdev_claim, does_not_mind_those_who_write_already) {
  ASSERT_EQ(create_malloc("m0"), 0);
  {
    device d("m0");
    ASSERT_EQ(passthru("p0", "m0"), 0);
    dma_memory m(512, 0x11);
    outcome o;
    EXPECT_TRUE(write(d, m, o).wait());
  }
  EXPECT_EQ(open_code("m0", true), -EPERM);
  EXPECT_EQ(remove("passthru", "p0"), 0);
  EXPECT_EQ(remove("malloc", "m0"), 0);
}

TEST(vbdev_claim, one_device_on_another) {
  ASSERT_EQ(create_malloc("m0"), 0);
  ASSERT_EQ(passthru("p0", "m0"), 0);
  EXPECT_TRUE(fails("bdev_passthru_create", R"({"name":"p1","base_bdev_name":"m0"})", -1,
                    "Operation not permitted"));
  EXPECT_TRUE(
      fails("bdev_delay_create", delay_params("d0", "m0", 0, 0), -1, "Operation not permitted"));
  EXPECT_TRUE(fails("bdev_error_create", R"({"base_name":"m0"})", -1, "Operation not permitted"));
  EXPECT_TRUE(fails("bdev_split_create", R"({"base_bdev":"m0","split_count":2})", -32602,
                    "Failed to create 2 split bdevs from 'm0': Cannot allocate memory"));
  EXPECT_EQ(all_names(), "first m0 p0 ");
  // A failure of passthru and delay keeps the name; one of error and split leaves nothing.
  EXPECT_TRUE(fails("bdev_passthru_create", R"({"name":"p1","base_bdev_name":"first"})", -17,
                    "File exists"));
  EXPECT_TRUE(fails("bdev_error_create", R"({"base_name":"m0"})", -1, "Operation not permitted"));
  EXPECT_EQ(remove("passthru", "p0"), 0);
  EXPECT_EQ(all_names(), "first m0 ");
  EXPECT_EQ(remove("malloc", "m0"), 0);
}

TEST(vbdev_claim, a_stack_of_all) {
  ASSERT_EQ(create_malloc("m0", 8192), 0);
  ASSERT_EQ(passthru("p0", "m0"), 0);
  ASSERT_EQ(delay("d0", "p0", 0, 0), 0);
  ASSERT_EQ(error("d0"), 0);
  ASSERT_EQ(split("EE_d0", 2), 0);
  EXPECT_EQ(all_names(), "first m0 p0 d0 EE_d0 EE_d0p0 EE_d0p1 ");
  EXPECT_EQ(leaf_names(), "first EE_d0p0 EE_d0p1 ");
  dma_memory out(1024, 0x5c);
  dma_memory in(1024);
  {
    device d("EE_d0p1");
    outcome w;
    EXPECT_TRUE(write(d, out, w, 3, 2).wait());
  }
  device base("m0", false);
  outcome r;
  EXPECT_TRUE(read(base, in, r, 4096 + 3, 2).wait());
  EXPECT_TRUE(in.all(0x5c));
  // What is left is removed from the top at the end.
}

// --- creation, deletion, and devices that come later ---

TEST(vbdev_examine, a_device_waits_for_the_one_below) {
  EXPECT_EQ(passthru("p0", "later0"), 0);
  EXPECT_EQ(delay("d0", "later1", 0, 0), 0);
  EXPECT_EQ(error("later2"), 0);
  EXPECT_EQ(split("later3", 2), 0);
  EXPECT_EQ(all_names(), "first ");
  for (const char* name : {"later0", "later1", "later2", "later3"}) {
    ASSERT_EQ(create_malloc(name), 0);
  }
  EXPECT_EQ(all_names(), "first later0 p0 later1 d0 later2 EE_later2 later3 later3p0 later3p1 ");
  // Below goes, above goes with it; when it comes again, only passthru and delay do.
  for (const char* name : {"later0", "later1", "later2", "later3"}) {
    ASSERT_EQ(remove("malloc", name), 0);
  }
  EXPECT_EQ(all_names(), "first ");
  for (const char* name : {"later0", "later1", "later2", "later3"}) {
    ASSERT_EQ(create_malloc(name), 0);
  }
  EXPECT_EQ(all_names(), "first later0 p0 later1 d0 later2 later3 ");
  // Once deleted, they stay away.
  EXPECT_EQ(remove("passthru", "p0"), 0);
  EXPECT_EQ(remove("delay", "d0"), 0);
  EXPECT_EQ(remove("malloc", "later0"), 0);
  EXPECT_EQ(remove("malloc", "later1"), 0);
  ASSERT_EQ(create_malloc("later0"), 0);
  ASSERT_EQ(create_malloc("later1"), 0);
  EXPECT_EQ(all_names(), "first later2 later3 later0 later1 ");
  for (const char* name : {"later0", "later1", "later2", "later3"}) {
    ASSERT_EQ(remove("malloc", name), 0);
  }
}

TEST(vbdev_examine, of_all_that_wait_one_gets_it) {
  ASSERT_EQ(error("m0"), 0);
  ASSERT_EQ(split("m0", 2), 0);
  ASSERT_EQ(delay("d0", "m0", 0, 0), 0);
  ASSERT_EQ(passthru("p0", "m0"), 0);
  ASSERT_EQ(create_malloc("m0"), 0);
  EXPECT_EQ(all_names(), "first m0 p0 ");
  ASSERT_EQ(remove("passthru", "p0"), 0);
  ASSERT_EQ(remove("malloc", "m0"), 0);
  ASSERT_EQ(create_malloc("m0"), 0);
  EXPECT_EQ(all_names(), "first m0 EE_m0 ");
  ASSERT_EQ(remove("error", "EE_m0"), 0);
  ASSERT_EQ(remove("malloc", "m0"), 0);
  ASSERT_EQ(create_malloc("m0"), 0);
  EXPECT_EQ(all_names(), "first m0 d0 ");  // split has forgotten it when it was too late

  ASSERT_EQ(delay("d1", "m1", 0, 0), 0);
  ASSERT_EQ(split("m1", 1), 0);
  ASSERT_EQ(create_malloc("m1"), 0);
  EXPECT_EQ(all_names(), "first m0 d0 m1 m1p0 ");
}

TEST(vbdev_create, names_are_taken_once) {
  ASSERT_EQ(create_malloc("m0"), 0);
  ASSERT_EQ(create_malloc("m1"), 0);
  ASSERT_EQ(passthru("p0", "m0"), 0);
  EXPECT_TRUE(
      fails("bdev_passthru_create", R"({"name":"p0","base_bdev_name":"m1"})", -17, "File exists"));
  EXPECT_NE(logged.find("passthru bdev p0 already exists"), std::string::npos) << logged;
  EXPECT_TRUE(fails("bdev_delay_create", delay_params("m0", "m1", 0, 0), -17, "File exists"));
  ASSERT_EQ(error("m1"), 0);
  EXPECT_TRUE(fails("bdev_error_create", R"({"base_name":"m1"})", -17, "File exists"));
  EXPECT_EQ(remove("passthru", "p0"), 0);
  EXPECT_EQ(remove("error", "EE_m1"), 0);
  EXPECT_EQ(open_code("m1", true), 0);
  ASSERT_EQ(split("m1", 2), 0);
  EXPECT_TRUE(fails("bdev_split_create", R"({"base_bdev":"m1","split_count":2})", -32602,
                    "Failed to create 2 split bdevs from 'm1': File exists"));
  EXPECT_EQ(unsplit("m1"), 0);
  EXPECT_EQ(all_names(), "first m0 m1 ");
}

TEST(vbdev_create, parameters_are_checked) {
  const std::string decode = "spdk_json_decode_object failed";
  EXPECT_TRUE(fails("bdev_passthru_create", R"({"name":"p0"})", -32603, decode));
  EXPECT_TRUE(fails("bdev_passthru_create", R"({"name":"p0","base_bdev_name":"first","x":1})",
                    -32603, decode));
  EXPECT_TRUE(
      fails("bdev_delay_create", R"({"name":"d0","base_bdev_name":"first"})", -32603, decode));
  EXPECT_TRUE(fails("bdev_delay_create",
                    R"({"name":"d0","base_bdev_name":"first","avg_read_latency":2,)"
                    R"("p99_read_latency":1,"avg_write_latency":0,"p99_write_latency":0})",
                    -22, "Invalid argument"));
  EXPECT_NE(logged.find("p99 latency is less than average latency"), std::string::npos) << logged;
  EXPECT_TRUE(fails("bdev_error_create", R"({"name":"first"})", -32603, decode));
  EXPECT_TRUE(fails("bdev_split_create", R"({"base_bdev":"first"})", -32602, "Invalid parameters"));
  EXPECT_TRUE(fails("bdev_split_create", R"({"base_bdev":"first","split_count":0})", -32602,
                    "Failed to create 0 split bdevs from 'first': Invalid argument"));
  EXPECT_EQ(all_names(), "first ");
}

TEST(vbdev_delete, by_its_own_module_only) {
  ASSERT_EQ(passthru("p0", "first"), 0);
  EXPECT_TRUE(fails("bdev_delay_delete", R"({"name":"p0"})", -19, "No such device"));
  EXPECT_TRUE(fails("bdev_error_delete", R"({"name":"first"})", -19, "No such device"));
  EXPECT_TRUE(fails("bdev_passthru_delete", R"({"name":"nosuch"})", -19, "No such device"));
  EXPECT_TRUE(
      fails("bdev_split_delete", R"({"base_bdev":"first"})", -32602, "No such file or directory"));
  EXPECT_EQ(remove("passthru", "p0"), 0);
}

TEST(vbdev_delete, waits_for_descriptors) {
  ASSERT_EQ(passthru("p0", "first"), 0);
  auto d = std::make_unique<device>("p0");
  threads::poll_times(5);
  struct removal {
    int rc = 1;
    static void callback(void* arg, int rc) { static_cast<removal*>(arg)->rc = rc; }
  } r;
  spdk_bdev_unregister(d->bdev(), removal::callback, &r);
  ASSERT_TRUE(threads::poll_until([&] { return !d->events.empty(); }));
  EXPECT_EQ(d->events[0].type, SPDK_BDEV_EVENT_REMOVE);
  threads::poll_times(20);
  EXPECT_EQ(r.rc, 1);
  EXPECT_EQ(open_code("first", true), -EPERM);
  d.reset();
  ASSERT_TRUE(threads::poll_until([&] { return r.rc != 1; }));
  EXPECT_EQ(r.rc, 0);
  EXPECT_EQ(open_code("first", true), 0);
}

TEST(vbdev_removal, of_the_device_below_goes_up) {
  for (const std::string kind : {"passthru", "delay", "error", "split"}) {
    SCOPED_TRACE(kind);
    ASSERT_EQ(create_malloc("m0"), 0);
    std::string top = "t0";
    if (kind == "passthru") {
      ASSERT_EQ(passthru(top, "m0"), 0);
    } else if (kind == "delay") {
      ASSERT_EQ(delay(top, "m0", 0, 0), 0);
    } else if (kind == "error") {
      ASSERT_EQ(error("m0"), 0);
      top = "EE_m0";
    } else {
      ASSERT_EQ(split("m0", 2), 0);
      top = "m0p0";
    }
    auto d = std::make_unique<device>(top);
    threads::poll_times(5);
    bool gone = false;
    spdk_bdev_unregister(
        spdk_bdev_get_by_name("m0"), [](void* arg, int) { *static_cast<bool*>(arg) = true; },
        &gone);
    ASSERT_TRUE(threads::poll_until([&] { return !d->events.empty(); }));
    EXPECT_EQ(d->events[0].type, SPDK_BDEV_EVENT_REMOVE);
    EXPECT_TRUE(read_gives(*d, true));  // still works
    threads::poll_times(20);
    EXPECT_FALSE(gone);
    EXPECT_EQ(open_code("m0", false), -ENODEV);
    EXPECT_EQ(open_code(top.c_str(), false), -ENODEV);
    d.reset();
    EXPECT_TRUE(threads::poll_until([&] { return gone; }));
    EXPECT_EQ(all_names(), "first ");
    if (kind == "passthru" || kind == "delay") {  // forget it
      ASSERT_EQ(create_malloc("m0"), 0);
      ASSERT_EQ(remove(kind, top), 0);
      ASSERT_EQ(remove("malloc", "m0"), 0);
    }
  }
}

TEST(vbdev_resize, of_the_device_below_is_not_followed) {
  ASSERT_EQ(create_null("n0", 2048), 0);
  ASSERT_EQ(passthru("p0", "n0"), 0);
  logged.clear();
  EXPECT_EQ(call("bdev_null_resize", R"({"name":"n0","new_size":2})"), 0);
  threads::poll_times(5);
  EXPECT_NE(logged.find("Unsupported bdev event: type 1"), std::string::npos) << logged;
  EXPECT_EQ(spdk_bdev_get_num_blocks(spdk_bdev_get_by_name("n0")), 4096U);
  EXPECT_EQ(spdk_bdev_get_num_blocks(spdk_bdev_get_by_name("p0")), 2048U);
}

// --- properties ---

TEST(vbdev_info, follows_the_device_below) {
  ASSERT_EQ(call("bdev_malloc_create", R"({"name":"m0","num_blocks":2048,"block_size":512,
      "physical_block_size":4096,"optimal_io_boundary":64,
      "uuid":"11111111-2222-3333-4444-555555555555"})"),
            0);
  const auto check = [](const char* name, const char* product, const char* module, const char* uuid,
                        std::uint32_t boundary) {
    SCOPED_TRACE(name);
    spdk_bdev* bdev = spdk_bdev_get_by_name(name);
    ASSERT_NE(bdev, nullptr);
    EXPECT_STREQ(spdk_bdev_get_product_name(bdev), product);
    EXPECT_STREQ(spdk_bdev_get_module_name(bdev), module);
    EXPECT_EQ(uuid_of(name), uuid);
    EXPECT_EQ(spdk_bdev_get_block_size(bdev), 512U);
    EXPECT_EQ(spdk_bdev_get_physical_block_size(bdev), 512U);
    EXPECT_EQ(spdk_bdev_get_optimal_io_boundary(bdev), boundary);
    EXPECT_TRUE(spdk_bdev_has_write_cache(bdev));
    EXPECT_EQ(spdk_bdev_get_buf_align(bdev), 1U);
  };
  ASSERT_EQ(passthru("p0", "m0"), 0);
  check("p0", "passthru", "passthru", "93bb5d92-ae84-5565-b6db-dc77eeb5bd60", 64);
  EXPECT_EQ(io_types("p0"), io_types("m0"));
  ASSERT_EQ(remove("passthru", "p0"), 0);
  ASSERT_EQ(delay("d0", "m0", 0, 0), 0);
  check("d0", "delay", "delay", "c2258f63-c588-585e-b2ea-ca0ac77ee1fd", 64);
  EXPECT_EQ(io_types("d0"), io_types("m0"));
  ASSERT_EQ(remove("delay", "d0"), 0);
  ASSERT_EQ(error("m0"), 0);
  check("EE_m0", "Error Injection Disk", "error", "af1e7120-46be-515a-b5a5-d21f99871c51", 0);
  EXPECT_EQ(io_types("EE_m0"), io_types("m0"));
  EXPECT_EQ(spdk_bdev_get_num_blocks(spdk_bdev_get_by_name("EE_m0")), 2048U);
  ASSERT_EQ(remove("error", "EE_m0"), 0);
  ASSERT_EQ(split("m0", 2), 0);
  check("m0p1", "Split Disk", "split", "a67b36a6-4712-59bf-85d9-aeaa47ae0824", 0);
  EXPECT_EQ(io_types("m0p1"), io_types("m0"));
  EXPECT_EQ(spdk_bdev_get_num_blocks(spdk_bdev_get_by_name("m0p1")), 1024U);
  ASSERT_EQ(unsplit("m0"), 0);
}

TEST(vbdev_info, a_uuid_of_ones_own) {
  const std::string own = "aaaaaaaa-2222-3333-4444-555555555555";
  ASSERT_EQ(create_malloc("m0"), 0);
  ASSERT_EQ(create_malloc("m1"), 0);
  ASSERT_EQ(
      call("bdev_passthru_create", R"({"name":"p0","base_bdev_name":"m0","uuid":")" + own + "\"}"),
      0);
  EXPECT_EQ(uuid_of("p0"), own);
  ASSERT_EQ(remove("passthru", "p0"), 0);
  // The module error takes one and does not use it.
  ASSERT_EQ(call("bdev_error_create", R"({"base_name":"m1","uuid":")" + own + "\"}"), 0);
  EXPECT_NE(uuid_of("EE_m1"), own);
}

// --- I/O passed on ---

TEST(vbdev_io, every_kind_of_io_reaches_the_device_below) {
  ASSERT_EQ(create_malloc("m0"), 0);
  const auto check = [](const char* name) {
    SCOPED_TRACE(name);
    device d(name);
    dma_memory out(2048, 0x77);
    dma_memory in(2048);
    outcome w;
    ASSERT_EQ(spdk_bdev_write(d.desc, d.ch, out.data, 0, 2048, outcome::callback, &w), 0);
    EXPECT_FALSE(w.done);
    EXPECT_TRUE(w.wait());
    outcome z;
    ASSERT_EQ(spdk_bdev_write_zeroes_blocks(d.desc, d.ch, 1, 1, outcome::callback, &z), 0);
    EXPECT_TRUE(z.wait());
    outcome u;
    ASSERT_EQ(spdk_bdev_unmap_blocks(d.desc, d.ch, 2, 1, outcome::callback, &u), 0);
    EXPECT_TRUE(u.wait());
    outcome f;
    ASSERT_EQ(spdk_bdev_flush_blocks(d.desc, d.ch, 0, 4, outcome::callback, &f), 0);
    EXPECT_TRUE(f.wait());
    outcome reset;
    ASSERT_EQ(spdk_bdev_reset(d.desc, d.ch, outcome::callback, &reset), 0);
    EXPECT_TRUE(reset.wait());
    outcome r;
    iovec iov[2] = {{in.data, 100}, {in.data + 100, 1948}};
    ASSERT_EQ(spdk_bdev_readv(d.desc, d.ch, iov, 2, 0, 2048, outcome::callback, &r), 0);
    EXPECT_TRUE(r.wait());
    EXPECT_TRUE(in.all(0x77, 0, 512));
    EXPECT_TRUE(in.all(0, 512, 1536));
    EXPECT_TRUE(in.all(0x77, 1536));
    outcome n;  // without a buffer
    ASSERT_EQ(spdk_bdev_read(d.desc, d.ch, nullptr, 0, 512, outcome::callback, &n), 0);
    EXPECT_TRUE(n.wait());
    EXPECT_EQ(spdk_bdev_read_blocks(d.desc, d.ch, in.data, spdk_bdev_get_num_blocks(d.bdev()), 1,
                                    outcome::callback, &n),
              -EINVAL);
  };
  ASSERT_EQ(passthru("p0", "m0"), 0);
  check("p0");
  ASSERT_EQ(remove("passthru", "p0"), 0);
  ASSERT_EQ(delay("d0", "m0", 1, 1), 0);
  check("d0");
  ASSERT_EQ(remove("delay", "d0"), 0);
  ASSERT_EQ(error("m0"), 0);
  check("EE_m0");
  ASSERT_EQ(remove("error", "EE_m0"), 0);
  ASSERT_EQ(split("m0", 2), 0);
  check("m0p1");
  ASSERT_EQ(unsplit("m0"), 0);
}

/// What a zcopy lends, and whether its end succeeds.
struct lent_buffer {
  bool done = false;
  bool success = false;
  spdk_bdev_io* io = nullptr;
  unsigned char first = 0;
  bool has_buffer = false;

  static void started(spdk_bdev_io* io, bool success, void* arg) {
    auto* self = static_cast<lent_buffer*>(arg);
    iovec* iov = nullptr;
    int count = 0;
    spdk_bdev_io_get_iovec(io, &iov, &count);
    self->has_buffer = success && iov != nullptr && iov[0].iov_base != nullptr;
    self->first = self->has_buffer ? *static_cast<unsigned char*>(iov[0].iov_base) : 0;
    self->io = io;
    self->success = success;
    self->done = true;
  }
};

TEST(vbdev_io, compare_copy_and_zero_copy) {
  ASSERT_EQ(create_malloc("m0"), 0);
  const auto check = [](const char* name, bool compares, bool lends) {
    SCOPED_TRACE(name);
    device d(name);
    dma_memory m(512, 0x42);
    outcome w;
    EXPECT_TRUE(write(d, m, w, 1).wait());
    outcome same;
    ASSERT_EQ(spdk_bdev_compare_blocks(d.desc, d.ch, m.data, 1, 1, outcome::callback, &same), 0);
    EXPECT_EQ(same.wait(), compares);
    m.data[5] = 0;
    outcome different;
    ASSERT_EQ(spdk_bdev_compare_blocks(d.desc, d.ch, m.data, 1, 1, outcome::callback, &different),
              0);
    EXPECT_FALSE(different.wait());
    if (compares && std::string(name).substr(0, 2) != "EE") {
      EXPECT_EQ(different.sct, SPDK_NVME_SCT_MEDIA_ERROR);
      EXPECT_EQ(different.sc, SPDK_NVME_SC_COMPARE_FAILURE);
    } else {
      EXPECT_EQ(different.sct, 0);
      EXPECT_EQ(different.sc, internal_error);
    }
    outcome copy;
    ASSERT_EQ(spdk_bdev_copy_blocks(d.desc, d.ch, 7, 1, 1, outcome::callback, &copy), 0);
    EXPECT_EQ(copy.wait(), compares);
    if (compares) {
      outcome r;
      EXPECT_TRUE(read(d, m, r, 7).wait());
      EXPECT_TRUE(m.all(0x42));
    }
    if (std::string(name) == "EE_m0") {
      return;  // the end of a zcopy never completes there on SPDK v26.05
    }
    lent_buffer lent;
    ASSERT_EQ(
        spdk_bdev_zcopy_start(d.desc, d.ch, nullptr, 0, 1, 1, true, lent_buffer::started, &lent),
        0);
    ASSERT_TRUE(threads::poll_until([&] { return lent.done; }));
    EXPECT_TRUE(lent.success);
    EXPECT_EQ(lent.has_buffer, lends);
    EXPECT_EQ(lent.first, lends ? 0x42 : 0);
    outcome end;
    ASSERT_EQ(spdk_bdev_zcopy_end(lent.io, true, outcome::callback, &end), 0);
    EXPECT_TRUE(end.wait());
  };
  ASSERT_EQ(passthru("p0", "m0"), 0);
  check("p0", true, true);
  ASSERT_EQ(remove("passthru", "p0"), 0);
  ASSERT_EQ(error("m0"), 0);
  check("EE_m0", true, true);
  ASSERT_EQ(remove("error", "EE_m0"), 0);
  ASSERT_EQ(split("m0", 2), 0);
  check("m0p1", true, true);
  ASSERT_EQ(unsplit("m0"), 0);
  ASSERT_EQ(delay("d0", "m0", 1, 1), 0);
  check("d0", false, false);
  ASSERT_EQ(remove("delay", "d0"), 0);
}

TEST(vbdev_io, metadata) {
  ASSERT_EQ(
      call("bdev_malloc_create", R"({"name":"md","num_blocks":64,"block_size":512,"md_size":16})"),
      0);
  ASSERT_EQ(passthru("p0", "md"), 0);
  ASSERT_EQ(delay("d0", "p0", 1, 1), 0);
  ASSERT_EQ(split("d0", 2), 0);
  EXPECT_TRUE(spdk_bdev_is_md_separate(spdk_bdev_get_by_name("d0p1")));
  device d("d0p1");
  dma_memory m(512, 0x12);
  dma_memory md(16, 0x34);
  outcome w;
  ASSERT_EQ(
      spdk_bdev_write_blocks_with_md(d.desc, d.ch, m.data, md.data, 3, 1, outcome::callback, &w),
      0);
  EXPECT_TRUE(w.wait());
  std::memset(md.data, 0, md.size);
  outcome r;
  ASSERT_EQ(
      spdk_bdev_read_blocks_with_md(d.desc, d.ch, m.data, md.data, 3, 1, outcome::callback, &r), 0);
  EXPECT_TRUE(r.wait());
  EXPECT_TRUE(md.all(0x34));
  EXPECT_TRUE(m.all(0x12));
}

TEST(vbdev_io, what_the_device_below_lacks) {
  ASSERT_EQ(create_null("n0"), 0);
  ASSERT_EQ(passthru("p0", "n0"), 0);
  device d("p0");
  outcome o;
  EXPECT_EQ(spdk_bdev_flush_blocks(d.desc, d.ch, 0, 1, outcome::callback, &o), -ENOTSUP);
  ASSERT_EQ(spdk_bdev_unmap_blocks(d.desc, d.ch, 0, 1, outcome::callback, &o), 0);
  EXPECT_FALSE(o.done);
  EXPECT_FALSE(o.wait());
  EXPECT_EQ(o.sc, internal_error);
}

TEST(vbdev_io, a_channel_on_each_thread) {
  ASSERT_EQ(delay("d0", "first", 1, 1), 0);
  device d("d0");
  spdk_set_thread(threads::other);
  spdk_io_channel* there = spdk_bdev_get_io_channel(d.desc);
  struct where {
    spdk_thread* thread = nullptr;
    static void callback(spdk_bdev_io* io, bool success, void* arg) {
      EXPECT_TRUE(success);
      EXPECT_EQ(spdk_bdev_io_get_thread(io), spdk_get_thread());
      static_cast<where*>(arg)->thread = spdk_get_thread();
      spdk_bdev_free_io(io);
    }
  } w;
  dma_memory m(512);
  ASSERT_EQ(spdk_bdev_read(d.desc, there, m.data, 0, 512, where::callback, &w), 0);
  spdk_set_thread(threads::app);
  EXPECT_TRUE(threads::poll_until([&] { return w.thread != nullptr; }));
  EXPECT_EQ(w.thread, threads::other);
  spdk_set_thread(threads::other);
  spdk_put_io_channel(there);
  spdk_set_thread(threads::app);
  threads::poll_times(3);
}

TEST(vbdev_io, with_more_io_than_objects) {
  // Each I/O takes one object for every device that it passes.
  ASSERT_EQ(create_null("n0"), 0);
  ASSERT_EQ(passthru("p0", "n0"), 0);
  ASSERT_EQ(split("p0", 1), 0);
  device d("p0p0");
  dma_memory m(512);
  std::deque<outcome> outcomes;
  while (spdk_bdev_read(d.desc, d.ch, m.data, 0, 512, outcome::callback,
                        &outcomes.emplace_back()) == 0) {
  }
  outcomes.pop_back();
  EXPECT_GT(outcomes.size(), environment::pool_size / 3);
  for (outcome& o : outcomes) {
    EXPECT_TRUE(o.wait());
  }
}

// --- abort and reset ---

TEST(vbdev_abort, passthru_asks_the_device_below) {
  ASSERT_EQ(create_null("n0"), 0);
  ASSERT_EQ(passthru("p0", "n0"), 0);
  device d("p0");
  dma_memory m(512);
  outcome target;
  outcome abort;
  read(d, m, target);
  ASSERT_EQ(spdk_bdev_abort(d.desc, d.ch, &target, outcome::callback, &abort), 0);
  EXPECT_TRUE(target.done);
  EXPECT_FALSE(target.success);
  EXPECT_EQ(target.sc, aborted);
  EXPECT_FALSE(abort.done);
  EXPECT_TRUE(abort.wait());
}

TEST(vbdev_abort, delay_lets_go_of_what_it_holds) {
  ASSERT_EQ(delay("d0", "first", long_us, long_us), 0);
  device d("d0");
  dma_memory m(512);
  outcome target;
  outcome abort;
  read(d, m, target);
  threads::poll_times(100);
  EXPECT_FALSE(target.done);
  ASSERT_EQ(spdk_bdev_abort(d.desc, d.ch, &target, outcome::callback, &abort), 0);
  EXPECT_TRUE(target.done);  // inside the call
  EXPECT_FALSE(target.success);
  EXPECT_EQ(target.sct, 0);
  EXPECT_EQ(target.sc, aborted);
  EXPECT_FALSE(abort.done);
  EXPECT_TRUE(abort.wait());
  EXPECT_EQ(abort.cdw0, 0U);
}

TEST(vbdev_abort, error_does_not_abort_what_is_pending_but_a_reset_does) {
  ASSERT_EQ(create_null("n0"), 0);
  ASSERT_EQ(error("n0"), 0);
  device d("EE_n0");
  dma_memory m(512);
  // (An abort of what has gone to the device below never completes on SPDK v26.05.)
  ASSERT_EQ(inject("EE_n0", "read", "pending"), 0);
  outcome target;
  outcome abort;
  read(d, m, target);
  ASSERT_EQ(spdk_bdev_abort(d.desc, d.ch, &target, outcome::callback, &abort), 0);
  EXPECT_FALSE(target.done);
  EXPECT_FALSE(abort.done);
  EXPECT_FALSE(abort.wait());
  EXPECT_EQ(abort.cdw0, 1U);
  threads::poll_times(20);
  EXPECT_FALSE(target.done);
  outcome reset;
  ASSERT_EQ(spdk_bdev_reset(d.desc, d.ch, outcome::callback, &reset), 0);
  EXPECT_TRUE(reset.wait());
  EXPECT_TRUE(target.done);
  EXPECT_EQ(target.sc, aborted);
}

TEST(vbdev_reset, aborts_what_delay_holds_on_every_channel) {
  ASSERT_EQ(delay("d0", "first", long_us, long_us), 0);
  device d("d0");
  spdk_set_thread(threads::other);
  spdk_io_channel* there = spdk_bdev_get_io_channel(d.desc);
  dma_memory m(512);
  outcome other;
  ASSERT_EQ(spdk_bdev_read(d.desc, there, m.data, 0, 512, outcome::callback, &other), 0);
  spdk_set_thread(threads::app);
  outcome r;
  outcome w;
  read(d, m, r);
  write(d, m, w);
  threads::poll_times(100);
  EXPECT_FALSE(r.done || w.done || other.done);
  outcome reset;
  ASSERT_EQ(spdk_bdev_reset(d.desc, d.ch, outcome::callback, &reset), 0);
  EXPECT_FALSE(reset.done || r.done);
  EXPECT_TRUE(reset.wait());
  for (outcome* o : {&r, &w, &other}) {
    EXPECT_TRUE(o->done);
    EXPECT_FALSE(o->success);
    EXPECT_EQ(o->sc, aborted);
  }
  spdk_set_thread(threads::other);
  spdk_put_io_channel(there);
  spdk_set_thread(threads::app);
  threads::poll_times(3);
}

}  // namespace
}  // namespace bdev_test
