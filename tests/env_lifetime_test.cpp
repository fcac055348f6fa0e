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

// Destroyed after all that belongs to the OS thread alone.
[[noreturn]] void static_objects() {
  static auto env = start_env();
  static auto thread = sio::thread::attach("static").value();
  static auto second = sio::thread::create("second").value();
  sio::block_on(thread, sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20})).value();
  static auto disk = sio::bdev_desc::open("m0").value();
  std::fputs("the end\n", stderr);
  std::exit(0);
}

TEST(env_lifetime, static_objects_end_quietly) {
  EXPECT_EXIT(static_objects(), testing::ExitedWithCode(0), "^the end\n$");
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

// A coroutine that outlives the thread on which it starts the subsystems.
[[noreturn]] void end_during_start(int polls) {
  {
    auto env = start_env();
    sio::task_scope scope;
    auto body = []() -> sio::task<void> {
      auto r = co_await sio::init_subsystems(
          R"({"subsystems":[{"subsystem":"bdev","config":[{"method":"bdev_null_create",)"
          R"("params":{"name":"n0","num_blocks":8,"block_size":512}}]}]})");
      std::fprintf(stderr, "started: %s\n", r ? "yes" : r.error().message().c_str());
    };
    {
      auto thread = sio::thread::attach("main").value();
      scope.spawn(body());
      for (int i = 0; i < polls; ++i) thread.poll();
      std::fputs("ending\n", stderr);
    }
    std::fprintf(stderr, "running: %zu\n", scope.running());
  }
  std::exit(0);
}

TEST(env_lifetime, a_thread_that_ends_finishes_the_start_of_the_subsystems) {
  for (int polls : {0, 1, 2}) {
    EXPECT_EXIT(end_during_start(polls), testing::ExitedWithCode(0),
                "^ending\nstarted: yes\nrunning: 0\n$");
  }
}

}  // namespace
