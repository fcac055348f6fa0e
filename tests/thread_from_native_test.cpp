// SPDX-License-Identifier: BSD-3-Clause
// SPDK threads of a program that started SPDK itself, with the C API, and polls them itself.
#include <spdk_io/spdk_io.hpp>

#include <gtest/gtest.h>

#include <spdk/bdev.h>
#include <spdk/env.h>
#include <spdk/init.h>
#include <spdk/log.h>
#include <spdk/rpc.h>
#include <spdk/thread.h>

#include <optional>
#include <string>

namespace {

namespace sio = spdk_io;
using namespace std::chrono_literals;

// The existing program: environment, thread library, and a thread that it polls. One start for
// the process, as ctest runs each case in its own.
class thread_from_native : public testing::Test {
 protected:
  void SetUp() override {
    spdk_env_opts opts = {};
    opts.opts_size = sizeof(opts);
    spdk_env_opts_init(&opts);
    opts.name = "existing";
    opts.mem_size = 512;
    opts.no_huge = true;
    opts.no_pci = true;
    spdk_log_set_print_level(SPDK_LOG_ERROR);
    ASSERT_EQ(spdk_env_init(&opts), 0);
    ASSERT_EQ(spdk_thread_lib_init(nullptr, 0), 0);
    thread = spdk_thread_create("theirs", nullptr);
    ASSERT_NE(thread, nullptr);
  }

  // Only a thread that still runs can end like this.
  void TearDown() override {
    if (thread) {
      spdk_set_thread(thread);
      spdk_thread_exit(thread);
      while (!spdk_thread_is_exited(thread)) spdk_thread_poll(thread, 0, 0);
      spdk_thread_destroy(thread);
    }
    spdk_thread_lib_fini();
    spdk_env_fini();
  }

  void init_subsystems() {
    spdk_set_thread(thread);
    int result = 1;
    spdk_subsystem_init([](int rc, void* out) { *static_cast<int*>(out) = rc; }, &result);
    while (result == 1) spdk_thread_poll(thread, 0, 0);
    ASSERT_EQ(result, 0);
    spdk_rpc_set_state(SPDK_RPC_RUNTIME);
  }

  void stop_subsystems() {
    spdk_set_thread(thread);
    bool done = false;
    spdk_subsystem_fini([](void* flag) { *static_cast<bool*>(flag) = true; }, &done);
    while (!done) spdk_thread_poll(thread, 0, 0);
  }

  spdk_thread* thread = nullptr;
};

int count_polls(void* counter) {
  ++*static_cast<int*>(counter);
  return SPDK_POLLER_BUSY;
}

TEST_F(thread_from_native, polls_what_the_program_registered_and_runs_coroutines) {
  spdk_set_thread(thread);
  int polls = 0;
  spdk_poller* poller = spdk_poller_register(count_polls, &polls, 0);
  bool message = false;
  spdk_thread_send_msg(thread, [](void* flag) { *static_cast<bool*>(flag) = true; }, &message);
  {
    auto t = sio::thread::from_native(thread, sio::ownership::borrow);
    ASSERT_TRUE(t) << t.error();
    EXPECT_EQ(t->name(), "theirs");
    EXPECT_EQ(t->native_handle(), thread);
    EXPECT_FALSE(message);
    auto answer = sio::block_on(*t, [&]() -> sio::task<int> {
      EXPECT_EQ(spdk_get_thread(), thread);
      if (auto r = co_await sio::sleep_for(1us); !r) co_return -1;
      co_return 42;
    }());
    EXPECT_EQ(answer, 42);
    EXPECT_TRUE(message);
    EXPECT_GT(polls, 0);
  }
  spdk_poller_unregister(&poller);
}

TEST_F(thread_from_native, a_borrowed_one_goes_on_as_before) {
  spdk_set_thread(thread);
  {
    auto t = sio::thread::from_native(thread, sio::ownership::borrow);
    ASSERT_TRUE(t) << t.error();
    t->poll();
  }
  EXPECT_TRUE(spdk_thread_is_running(thread));
  EXPECT_EQ(spdk_get_thread(), thread);
  bool message = false;
  spdk_thread_send_msg(thread, [](void* flag) { *static_cast<bool*>(flag) = true; }, &message);
  spdk_thread_poll(thread, 0, 0);
  EXPECT_TRUE(message);
  // And it may be borrowed again.
  EXPECT_TRUE(sio::thread::from_native(thread, sio::ownership::borrow));
}

TEST_F(thread_from_native, an_adopted_one_exits_and_is_destroyed) {
  spdk_thread* second = spdk_thread_create("second", nullptr);
  const auto count = sio::thread::count();
  {
    auto t = sio::thread::from_native(second, sio::ownership::adopt);
    ASSERT_TRUE(t) << t.error();
    t->poll();
    EXPECT_EQ(sio::thread::count(), count);
  }
  EXPECT_EQ(sio::thread::count(), count - 1);
  EXPECT_EQ(spdk_get_thread(), nullptr);
}

TEST_F(thread_from_native, leaves_the_programs_current_thread_as_it_is) {
  spdk_thread* second = spdk_thread_create("second", nullptr);
  spdk_set_thread(thread);
  {
    auto t = sio::thread::from_native(second, sio::ownership::adopt);
    ASSERT_TRUE(t) << t.error();
    EXPECT_EQ(spdk_get_thread(), thread);
    EXPECT_EQ(
        sio::block_on(*t, [&]() -> sio::task<spdk_thread*> { co_return spdk_get_thread(); }()),
        second);
    EXPECT_EQ(spdk_get_thread(), thread);
  }
  EXPECT_EQ(spdk_get_thread(), thread);
  // Not the library's, so nothing is attached here.
  EXPECT_FALSE(sio::thread::current());
}

TEST_F(thread_from_native, a_raw_callback_of_it_may_start_operations) {
  auto t = sio::thread::from_native(thread, sio::ownership::borrow);
  ASSERT_TRUE(t) << t.error();
  EXPECT_FALSE(sio::thread::current());  // it is not this OS thread's current one
  struct {
    bool in_callback = false;
    bool resumed = false;
  } seen;
  spdk_thread_send_msg(
      thread,
      [](void* argument) {
        auto& s = *static_cast<decltype(seen)*>(argument);
        s.in_callback = sio::thread::current().has_value();
        sio::start(sio::sleep_for(0us), [&s](sio::result<void> r) { s.resumed = r.has_value(); });
        EXPECT_FALSE(s.resumed);
      },
      &seen);
  while (!seen.resumed) t->poll();
  EXPECT_TRUE(seen.in_callback);
}

TEST_F(thread_from_native, what_the_program_polls_itself_waits_for_poll) {
  auto t = sio::thread::from_native(thread, sio::ownership::borrow);
  ASSERT_TRUE(t) << t.error();
  bool ran = false;
  ASSERT_TRUE(t->ref().send([&] { ran = true; }));
  spdk_thread_poll(thread, 0, 0);
  EXPECT_FALSE(ran);
  t->poll();
  EXPECT_TRUE(ran);
}

TEST_F(thread_from_native, says_what_is_wrong) {
  auto null = sio::thread::from_native(nullptr, sio::ownership::borrow);
  ASSERT_FALSE(null);
  EXPECT_TRUE(null.error() == std::errc::invalid_argument);
  auto t = sio::thread::from_native(thread, sio::ownership::borrow);
  ASSERT_TRUE(t);
  auto again = sio::thread::from_native(thread, sio::ownership::borrow);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().message(), "thread \"theirs\": it is the library's already");
  EXPECT_TRUE(again.error() == std::errc::already_connected);
}

TEST_F(thread_from_native, the_programs_environment_cannot_be_started_again) {
  for (bool taken : {false, true}) {
    std::optional<sio::result<sio::thread>> t;
    if (taken) t.emplace(sio::thread::from_native(thread, sio::ownership::borrow));
    auto env = sio::env::start({.name = "second", .hugepages = false, .pci = false});
    ASSERT_FALSE(env);
    EXPECT_TRUE(env.error() == std::errc::already_connected);
    EXPECT_EQ(env.error().message(),
              "env: other code of this process has started SPDK's environment already; take its "
              "threads with thread::from_native() or reactor_thread");
  }
}

TEST_F(thread_from_native, devices_of_the_programs_own_subsystems) {
  init_subsystems();
  {
    auto t = sio::thread::from_native(thread, sio::ownership::borrow);
    ASSERT_TRUE(t) << t.error();
    auto twice = sio::block_on(*t, sio::init_subsystems());
    ASSERT_FALSE(twice);
    EXPECT_EQ(twice.error().message(),
              "init_subsystems: the program that started SPDK, or its framework, starts the "
              "subsystems");
    auto r = sio::block_on(*t, []() -> sio::task<sio::result<void>> {
      auto made = co_await sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20});
      if (!made) co_return std::unexpected(made.error());
      auto disk = sio::bdev_desc::open("m0");
      if (!disk) co_return std::unexpected(disk.error());
      auto buffer = sio::dma_buffer::zeroed(512);
      if (!buffer) co_return std::unexpected(buffer.error());
      co_return co_await disk->read(*buffer, 0);
    }());
    EXPECT_TRUE(r) << r.error();
  }
  // The library has closed what it opened, and left the subsystems running.
  EXPECT_NE(spdk_bdev_get_by_name("m0"), nullptr);
  stop_subsystems();
}

TEST_F(thread_from_native, configuration_needs_the_first_thread_and_rpc_state) {
  init_subsystems();
  spdk_thread* second = spdk_thread_create("second", nullptr);
  auto create = [] { return sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20}); };
  {
    auto t = sio::thread::from_native(second, sio::ownership::adopt);
    ASSERT_TRUE(t) << t.error();
    auto r = sio::block_on(*t, create());
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().message(),
              "configuration: SPDK's first thread, \"theirs\", on which it must run, is not the "
              "library's (take it with thread::from_native(), or reactor_thread::start() in its "
              "callback)");
    auto first = sio::thread::from_native(thread, sio::ownership::borrow);
    ASSERT_TRUE(first) << first.error();
    spdk_rpc_set_state(SPDK_RPC_STARTUP);
    r = sio::block_on(*first, create());
    ASSERT_FALSE(r);
    EXPECT_NE(r.error().message().find("spdk_rpc_set_state(SPDK_RPC_RUNTIME)"), std::string::npos);
  }
  stop_subsystems();
}

}  // namespace
