// SPDX-License-Identifier: BSD-3-Clause
// Coroutines inside a program that calls spdk_app_start() itself. Child processes: each starts
// SPDK's framework.
#include "devices.hpp"
#include "own_process.hpp"

#include <spdk_io/spdk_io.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <spdk/bdev.h>
#include <spdk/cpuset.h>
#include <spdk/env.h>
#include <spdk/event.h>
#include <spdk/thread.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace {

namespace sio = spdk_io;
using namespace spdk_io_test;
using namespace std::chrono_literals;
using testing::HasSubstr;

std::string malloc_config =
    R"({"subsystems":[{"subsystem":"bdev","config":[{"method":"bdev_malloc_create",)"
    R"("params":{"name":"m0","num_blocks":2048,"block_size":512}}]}]})";

// The existing program: what a C main would do, with `start` called by the framework.
int existing_program(std::function<void()> start, const char* mask = "0x1") {
  spdk_app_opts opts = {};
  spdk_app_opts_init(&opts, sizeof(opts));
  opts.name = "existing";
  opts.reactor_mask = mask;
  opts.rpc_addr = nullptr;
  opts.no_huge = true;
  opts.no_pci = true;
  opts.mem_size = 512;
  opts.disable_cpumask_locks = true;
  opts.print_level = SPDK_LOG_ERROR;
  opts.json_data = malloc_config.data();
  opts.json_data_size = malloc_config.size();
  const int rc =
      spdk_app_start(&opts, [](void* f) { (*static_cast<std::function<void()>*>(f))(); }, &start);
  spdk_app_fini();
  return rc;
}

sio::task<sio::result<int>> write_and_read() {
  auto disk = sio::bdev_desc::open("m0");
  if (!disk) co_return std::unexpected(disk.error());
  auto buffer = sio::dma_buffer::zeroed(4096);
  if (!buffer) co_return std::unexpected(buffer.error());
  if (auto r = co_await disk->write(*buffer, 0); !r) co_return std::unexpected(r.error());
  if (auto r = co_await disk->read(*buffer, 0); !r) co_return std::unexpected(r.error());
  if (auto r = co_await sio::sleep_for(10us); !r) co_return std::unexpected(r.error());
  co_return 42;
}

TEST(reactor_thread, runs_coroutines_between_the_programs_callbacks) {
  EXPECT_TRUE(passed(in_own_process([] {
    std::optional<sio::reactor_thread> coroutines;
    std::optional<sio::result<int>> gave;
    int callbacks = 0;
    spdk_poller* poller = nullptr;
    bool stopped = false;
    const int rc = existing_program([&] {
      poller = spdk_poller_register(
          [](void* count) {
            ++*static_cast<int*>(count);
            return 0;
          },
          &callbacks, 0);
      auto started = sio::reactor_thread::start();
      ASSERT_TRUE(started) << started.error();
      coroutines.emplace(std::move(*started));
      EXPECT_EQ(coroutines->thread().native_handle(), spdk_get_thread());
      auto spawned = coroutines->spawn(write_and_read(), [&](sio::result<int> r) {
        EXPECT_GT(callbacks, 0);
        gave = r;
        spdk_poller_unregister(&poller);
        coroutines->stop([&](sio::result<void> all) {
          EXPECT_TRUE(all) << all.error();
          EXPECT_EQ(spdk_get_thread(), spdk_thread_get_app_thread());
          stopped = true;
          spdk_app_stop(0);
        });
      });
      EXPECT_TRUE(spawned);
      EXPECT_FALSE(gave);
    });
    EXPECT_EQ(rc, 0);
    ASSERT_TRUE(gave);
    ASSERT_TRUE(*gave) << gave->error();
    EXPECT_EQ(**gave, 42);
    EXPECT_TRUE(stopped);
  })));
}

TEST(reactor_thread, user_code_runs_outside_the_poll) {
  EXPECT_TRUE(passed(in_own_process([] {
    std::optional<sio::reactor_thread> coroutines;
    existing_program([&] {
      coroutines.emplace(sio::reactor_thread::start().value());
      auto work = [&]() -> sio::task<void> {
        sio::thread& t = coroutines->thread();
        EXPECT_EQ(spdk_get_thread(), t.native_handle());
        // Could not be, inside the poll of t.
        auto r = sio::block_on(t, write_and_read());
        EXPECT_TRUE(r) << r.error();
        co_return;
      };
      coroutines
          ->spawn(std::move(work),
                  [&] { coroutines->stop([](sio::result<void>) { spdk_app_stop(0); }); })
          .value();
    });
  })));
}

TEST(reactor_thread, devices_are_created_on_it) {
  EXPECT_TRUE(passed(in_own_process([] {
    std::optional<sio::reactor_thread> coroutines;
    existing_program([&] {
      coroutines.emplace(sio::reactor_thread::start().value());
      auto work = []() -> sio::task<sio::result<void>> {
        auto made = co_await sio::create_bdev(sio::malloc_bdev{.name = "two", .size = 1 << 20});
        if (!made) co_return std::unexpected(made.error());
        co_return co_await sio::delete_bdev("two");
      };
      coroutines->spawn(std::move(work)).value();
      coroutines->stop([](sio::result<void> r) {
        EXPECT_TRUE(r) << r.error();
        EXPECT_EQ(spdk_bdev_get_by_name("two"), nullptr);
        spdk_app_stop(0);
      });
    });
  })));
}

// The program's own descriptor and C callback on the same thread.
struct raw_read {
  spdk_bdev_desc* desc = nullptr;
  spdk_io_channel* channel = nullptr;
  std::optional<sio::dma_buffer> buffer;
  bool done = false;
};

TEST(reactor_thread, descriptors_of_both_sides_live_on_one_thread) {
  EXPECT_TRUE(passed(in_own_process([] {
    std::optional<sio::reactor_thread> coroutines;
    raw_read raw;
    existing_program([&] {
      ASSERT_EQ(spdk_bdev_open_ext(
                    "m0", true, [](spdk_bdev_event_type, spdk_bdev*, void*) {}, nullptr, &raw.desc),
                0);
      raw.channel = spdk_bdev_get_io_channel(raw.desc);
      coroutines.emplace(sio::reactor_thread::start().value());
      auto work = [&]() -> sio::task<sio::result<void>> {
        raw.buffer = sio::dma_buffer::zeroed(4096).value();
        auto r = co_await write_and_read();
        if (!r) co_return std::unexpected(r.error());
        const int rc = spdk_bdev_read(
            raw.desc, raw.channel, raw.buffer->data(), 0, 4096,
            [](spdk_bdev_io* io, bool success, void* argument) {
              spdk_bdev_free_io(io);
              static_cast<raw_read*>(argument)->done = success;
            },
            &raw);
        EXPECT_EQ(rc, 0);
        while (!raw.done) {
          if (auto slept = co_await sio::sleep_for(1us); !slept) co_return slept;
        }
        co_return sio::result<void>();
      };
      coroutines->spawn(std::move(work)).value();
      coroutines->stop([&](sio::result<void> r) {
        EXPECT_TRUE(r) << r.error();
        spdk_put_io_channel(raw.channel);
        spdk_bdev_close(raw.desc);
        raw.buffer.reset();
        spdk_app_stop(0);
      });
    });
    EXPECT_TRUE(raw.done);
  })));
}

TEST(reactor_thread, a_callback_of_the_program_may_start_operations) {
  EXPECT_TRUE(passed(in_own_process([] {
    std::optional<sio::reactor_thread> coroutines;
    bool resumed = false;
    existing_program([&] {
      coroutines.emplace(sio::reactor_thread::start().value());
      ASSERT_TRUE(sio::thread::current());
      sio::start(sio::sleep_for(10us), [&](sio::result<void> r) {
        EXPECT_TRUE(r) << r.error();
        resumed = true;
        coroutines->stop([](sio::result<void>) { spdk_app_stop(0); });
      });
      EXPECT_FALSE(resumed);
    });
    EXPECT_TRUE(resumed);
  })));
}

TEST(reactor_thread, stop_waits_for_what_was_spawned) {
  EXPECT_TRUE(passed(in_own_process([] {
    std::optional<sio::reactor_thread> coroutines;
    bool finished = false;
    bool told = false;
    existing_program([&] {
      coroutines.emplace(sio::reactor_thread::start().value());
      auto server = [&]() -> sio::task<sio::result<void>> {
        EXPECT_FALSE(coroutines->stop_requested());
        auto stopped = co_await coroutines->wait_for_stop();
        if (!stopped) co_return stopped;
        EXPECT_TRUE(coroutines->stop_requested());
        auto slept = co_await sio::sleep_for(1ms);
        finished = true;
        co_return slept;
      };
      coroutines->spawn(std::move(server)).value();
      coroutines
          ->spawn(sio::sleep_for(100us),
                  [&](sio::result<void>) {
                    EXPECT_FALSE(finished);
                    coroutines->stop([&](sio::result<void> r) {
                      EXPECT_TRUE(r) << r.error();
                      EXPECT_TRUE(finished);
                      told = true;
                      auto late = coroutines->spawn(write_and_read());
                      EXPECT_FALSE(late);
                      spdk_app_stop(0);
                    });
                    EXPECT_FALSE(told);
                  })
          .value();
    });
    EXPECT_TRUE(told);
  })));
}

TEST(reactor_thread, stop_tells_the_first_failure) {
  EXPECT_TRUE(passed(in_own_process([] {
    std::optional<sio::reactor_thread> coroutines;
    std::string message;
    existing_program([&] {
      coroutines.emplace(sio::reactor_thread::start().value());
      auto work = []() -> sio::task<sio::result<void>> {
        auto disk = sio::bdev_desc::open("none");
        if (!disk) co_return std::unexpected(disk.error());
        co_return sio::result<void>();
      };
      coroutines->spawn(std::move(work)).value();
      coroutines->stop([&](sio::result<void> r) {
        message = r ? "" : r.error().message();
        spdk_app_stop(0);
      });
    });
    EXPECT_EQ(message, "open of \"none\": no such device (known: m0)");
  })));
}

TEST(reactor_thread, may_start_again_after_a_stop) {
  EXPECT_TRUE(passed(in_own_process([] {
    std::optional<sio::reactor_thread> coroutines;
    int rounds = 0;
    std::function<void()> round = [&] {
      auto started = sio::reactor_thread::start();
      ASSERT_TRUE(started) << started.error();
      auto second = sio::reactor_thread::start();
      EXPECT_FALSE(second);
      EXPECT_THAT(second.error().message(), HasSubstr("it is the library's already"));
      coroutines.reset();
      coroutines.emplace(std::move(*started));
      coroutines->spawn(write_and_read()).value();
      coroutines->stop([&](sio::result<void> r) {
        EXPECT_TRUE(r) << r.error();
        if (++rounds < 3) return round();
        spdk_app_stop(0);
      });
    };
    EXPECT_EQ(existing_program(round), 0);
    EXPECT_EQ(rounds, 3);
  })));
}

TEST(reactor_thread, one_on_each_core_and_run_on) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "this machine has one core";
  EXPECT_TRUE(passed(in_own_process([] {
    struct second_core {
      std::optional<sio::reactor_thread> coroutines;
      std::function<void()> ready;
      spdk_thread* thread = nullptr;
      spdk_thread* first = nullptr;
    } other;
    std::optional<sio::reactor_thread> here;
    bool stopped = false;
    existing_program(
        [&] {
          here.emplace(sio::reactor_thread::start().value());
          auto work = [&]() -> sio::task<sio::result<void>> {
            auto where = co_await sio::run_on(1, [] { return sio::current_core().value(); });
            if (!where) co_return std::unexpected(where.error());
            EXPECT_EQ(*where, 1u);
            auto there = co_await sio::run_on(1, write_and_read);
            if (!there) co_return std::unexpected(there.error());
            co_return sio::result<void>();
          };
          // The second core first, then this one, then the application.
          auto end = [&](sio::result<void> worked) {
            EXPECT_TRUE(worked) << worked.error();
            spdk_thread_send_msg(
                other.thread,
                [](void* argument) {
                  auto& o = *static_cast<second_core*>(argument);
                  o.coroutines->stop([&o](sio::result<void>) {
                    spdk_thread_exit(spdk_get_thread());
                    spdk_thread_send_msg(
                        o.first, [](void* a) { static_cast<second_core*>(a)->ready(); }, &o);
                  });
                },
                &other);
            other.ready = [&] {
              here->stop([&](sio::result<void>) {
                stopped = true;
                spdk_app_stop(0);
              });
            };
          };
          other.first = spdk_get_thread();
          other.ready = [&, work, end] { here->spawn(auto(work), end).value(); };
          spdk_cpuset* core = spdk_cpuset_alloc();
          spdk_cpuset_set_cpu(core, 1, true);
          other.thread = spdk_thread_create("second", core);
          spdk_cpuset_free(core);
          spdk_thread_send_msg(
              other.thread,
              [](void* argument) {
                auto& o = *static_cast<second_core*>(argument);
                o.coroutines.emplace(sio::reactor_thread::start().value());
                spdk_thread_send_msg(
                    o.first, [](void* a) { static_cast<second_core*>(a)->ready(); }, &o);
              },
              &other);
        },
        "0x3");
    EXPECT_TRUE(stopped);
  })));
}

TEST(reactor_thread, needs_a_callback_on_a_reactor) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto none = sio::reactor_thread::start();
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().message(), HasSubstr("no SPDK thread is current here"));
    auto env = sio::env::start({.name = "none", .hugepages = false, .pci = false}).value();
    auto t = sio::thread::attach("mine").value();
    auto unpolled = sio::reactor_thread::start();
    ASSERT_FALSE(unpolled);
    EXPECT_EQ(unpolled.error().message(),
              "reactor thread \"mine\": no reactor of SPDK's application framework polls it; take "
              "a thread that the program polls with thread::from_native()");
  })));
}

TEST(reactor_thread, destroyed_without_a_stop_ends_the_program) {
  EXPECT_TRUE(aborted_with(
      in_own_process([] { existing_program([] { sio::reactor_thread::start().value(); }); }),
      "reactor thread \"app_thread\" destroyed without stop(); call stop() and keep the reactors "
      "running until it calls back"));
}

TEST(reactor_thread, an_exception_nobody_awaits_ends_the_program) {
  EXPECT_TRUE(
      aborted_with(in_own_process([] {
                     std::optional<sio::reactor_thread> coroutines;
                     existing_program([&] {
                       coroutines.emplace(sio::reactor_thread::start().value());
                       coroutines->ref().send([] { throw std::runtime_error("oops"); }).value();
                     });
                   }),
                   "exception nobody waits for, in reactor thread \"app_thread\": oops"));
}

}  // namespace
