// SPDX-License-Identifier: BSD-3-Clause
// Order of destruction at the end of a program, and what needs an environment. Child processes:
// each starts SPDK for itself.
#include <spdk_io/spdk_io.hpp>

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <optional>

namespace {

namespace sio = spdk_io;

sio::env start_env() {
  return sio::env::start({.name = "env_lifetime", .hugepages = false, .pci = false}).value();
}

TEST(env_lifetime, memory_needs_an_environment) {
  auto r = sio::dma_buffer::allocate(4096);
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::operation_not_permitted);
  EXPECT_EQ(r.error().message(),
            "allocation of 4096 bytes of DMA memory: no environment (call spdk_io::env::start() "
            "first and keep it)");
}

[[noreturn]] void right_order() {
  {
    auto env = start_env();
    auto thread = sio::thread::attach("main").value();
    sio::block_on(thread, sio::init_subsystems()).value();
  }
  std::fputs("the end\n", stderr);
  std::exit(0);
}

TEST(env_lifetime, the_right_order_is_quiet) {
  EXPECT_EXIT(right_order(), testing::ExitedWithCode(0), "^the end\n$");
}

[[noreturn]] void env_first() {
  {
    std::optional<sio::env> env(start_env());
    auto thread = sio::thread::attach("the thread").value();
    sio::block_on(thread, sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20}))
        .value();
    auto disk = sio::bdev_desc::open("m0").value();
    auto buffer = sio::dma_buffer::zeroed(512).value();
    env.reset();
    // SPDK was left running, so that what is left still works.
    sio::block_on(thread, disk.read(buffer, 0)).value();
  }
  std::fputs("the end\n", stderr);
  std::exit(0);
}

TEST(env_lifetime, an_env_destroyed_before_its_thread_says_so) {
  EXPECT_EXIT(env_first(), testing::ExitedWithCode(0),
              "spdk-io: env destroyed before thread \"the thread\"; destroy threads first "
              "\\(declare env before them\\). SPDK is left running.\n(.|\n)*the end");
}

}  // namespace
