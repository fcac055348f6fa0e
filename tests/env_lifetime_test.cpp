// SPDX-License-Identifier: BSD-3-Clause
// Order of destruction at the end of a program, and what needs an environment. Child processes:
// each starts SPDK for itself.
#include <spdk_io/spdk_io.hpp>

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

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

// Everything that a program may still hold, dropped after the environment has gone.
struct left_over {
  std::optional<sio::dma_buffer> buffer;
  sio::bdev_desc disk;
  sio::io_channel channel;
  sio::zcopy_buffer lent;
  std::optional<sio::poller> poller;
  std::optional<sio::thread_ref> ref;
  std::optional<sio::device_event_operation> event;
  std::optional<sio::io_operation> read;
};

std::string text_of(const auto& r) { return r ? "success" : r.error().message(); }

[[noreturn]] void all_left_behind() {
  {
    left_over left;
    std::optional<sio::env> env(start_env());
    std::optional<sio::thread> thread(sio::thread::attach("main").value());
    sio::block_on(*thread, sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20}))
        .value();
    left.disk = sio::bdev_desc::open("m0").value();
    left.channel = left.disk.channel().value();
    left.buffer = sio::dma_buffer::zeroed(512).value();
    left.lent = sio::block_on(*thread, left.channel.zcopy_read(0, 512)).value();
    left.poller = sio::poller::start([] { return false; }).value();
    left.ref = thread->ref();
    left.event.emplace(left.disk.next_event());
    left.read.emplace(left.disk.read(*left.buffer, 0));
    thread.reset();
    env.reset();
    std::fprintf(stderr, "closed: %d, removed: %d\n", left.disk.closed(), left.disk.removed());
    std::fprintf(stderr, "%s\n", text_of(left.disk.channel()).c_str());
    std::fprintf(stderr, "%s\n", text_of(left.ref->send([] {})).c_str());
    std::fprintf(stderr, "%s\n", text_of(sio::dma_buffer::allocate(512)).c_str());
    std::fprintf(stderr, "%s\n", text_of(sio::thread::attach("late")).c_str());
    sio::start(std::move(*left.event),
               [](auto r) { std::fprintf(stderr, "%s\n", text_of(r).c_str()); });
    sio::start(std::move(*left.read),
               [](auto r) { std::fprintf(stderr, "%s\n", text_of(r).c_str()); });
    auto copy = left.disk;
    left.poller->pause();
  }
  std::fputs("the end\n", stderr);
  std::exit(0);
}

TEST(env_lifetime, what_outlives_it_says_so_and_may_be_dropped) {
  EXPECT_EXIT(all_left_behind(), testing::ExitedWithCode(0),
              "^closed: 1, removed: 0\n"
              "I/O channel on m0: no SPDK thread is attached here [^\n]*\n"
              "[^\n]*\"main\"[^\n]*\n"
              "allocation of 512 bytes of DMA memory: no environment [^\n]*\n"
              "thread \"late\": no environment [^\n]*\n"
              "wait for an event of m0: no SPDK thread is attached here [^\n]*\n"
              "read of 512 bytes at 0 from m0: no SPDK thread is attached here [^\n]*\n"
              "the end\n$");
}

// Moved from, a thread is nothing: it can be asked, and does nothing.
[[noreturn]] void moved_from() {
  {
    auto env = start_env();
    auto thread = sio::thread::attach("main").value();
    std::optional<sio::thread> moved(std::move(thread));
    // NOLINTBEGIN(bugprone-use-after-move)
    std::fprintf(stderr, "%zu %d %d %d \"%s\" %zu\n", thread.poll(), thread.running(),
                 thread.idle(), thread.has_pollers(), std::string(thread.name()).c_str(),
                 thread.operations().size());
    std::fprintf(stderr, "%s\n", text_of(thread.ref().send([] {})).c_str());
    thread = std::move(*moved);
    std::fprintf(stderr, "%s\n", std::string(thread.name()).c_str());
    moved.reset();
    // NOLINTEND(bugprone-use-after-move)
    sio::thread further = sio::thread::create("further").value();
    sio::thread& itself = further;
    further = std::move(itself);
    std::fprintf(stderr, "%s\n", std::string(further.name()).c_str());
  }
  std::fputs("the end\n", stderr);
  std::exit(0);
}

TEST(env_lifetime, a_thread_that_was_moved_from) {
  EXPECT_EXIT(moved_from(), testing::ExitedWithCode(0),
              "^0 0 1 0 \"\" 0\n[^\n]+\nmain\nfurther\nthe end\n$");
}

[[noreturn]] void spawned_left_behind() {
  {
    std::optional<sio::env> env(start_env());
    auto worker = sio::thread::spawn("worker").value();
    env.reset();
    std::fprintf(stderr, "%s\n", text_of(worker.ref().send([] {})).c_str());
  }
  std::fputs("the end\n", stderr);
  std::exit(0);
}

TEST(env_lifetime, an_env_destroyed_before_a_spawned_thread_says_so) {
  EXPECT_EXIT(spawned_left_behind(), testing::ExitedWithCode(0),
              "spdk-io: env destroyed before thread \"worker\"; [^\n]*SPDK is left running.\n"
              "success\nthe end\n$");
}

}  // namespace
