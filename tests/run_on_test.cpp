// SPDX-License-Identifier: BSD-3-Clause
// Code on the reactors of cores. Child processes: each starts SPDK.
#include "devices.hpp"
#include "own_process.hpp"

#include <spdk_io/spdk_io.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <spdk/thread.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace sio = spdk_io;
using namespace spdk_io_test;
using namespace std::chrono_literals;

// Without locks on cores: tests of other processes use them at the same time.
sio::app_options options(std::string_view mask) {
  return {.name = "run_on_test",
          .core_mask = mask,
          .hugepages = false,
          .pci = false,
          .core_locks = false};
}

constexpr std::string_view malloc_config =
    R"({"subsystems":[{"subsystem":"bdev","config":[{"method":"bdev_malloc_create",)"
    R"("params":{"name":"m0","num_blocks":2048,"block_size":512}}]}]})";

// On one core, and where the machine has two, on two: `core` is the last.
template <class Body>
void with_last_core(Body body) {
  for (std::uint32_t core : {0u, 1u}) {
    if (core >= std::thread::hardware_concurrency()) {
      GTEST_SKIP() << "only core 0 was tested: this machine has one core";
    }
    SCOPED_TRACE(core);
    EXPECT_TRUE(passed(in_own_process([&] {
      auto o = options(core == 0 ? "0x1" : "0x3");
      o.config = malloc_config;
      auto r = sio::app::run(o, [&] { return body(core); });
      EXPECT_TRUE(r) << r.error();
    })));
  }
}

TEST(run_on, runs_on_the_core_and_comes_back) {
  with_last_core([](std::uint32_t core) -> sio::task<sio::result<void>> {
    const auto home = std::this_thread::get_id();
    const auto* home_thread = spdk_get_thread();
    EXPECT_EQ(sio::cores().size(), core + 1);
    for (std::uint32_t each : sio::cores()) {
      auto where = co_await sio::run_on(each, [] { return sio::current_core(); });
      if (!where) co_return std::unexpected(where.error());
      EXPECT_EQ(*where, each);
      EXPECT_EQ(std::this_thread::get_id(), home);
      EXPECT_EQ(spdk_get_thread(), home_thread);
    }
    auto there = co_await sio::run_on(core, [] { return std::this_thread::get_id(); });
    if (!there) co_return std::unexpected(there.error());
    EXPECT_EQ(*there == home, core == 0);
    co_return sio::result<void>();
  });
}

TEST(run_on, brings_back_values_errors_and_exceptions) {
  with_last_core([](std::uint32_t core) -> sio::task<sio::result<void>> {
    auto nothing = co_await sio::run_on(core, [] {});
    EXPECT_TRUE(nothing);
    auto text = co_await sio::run_on(core, [] { return std::string(100, 'x'); });
    EXPECT_EQ(text.value(), std::string(100, 'x'));
    auto failed = co_await sio::run_on(core, [] { return sio::bdev_desc::open("none"); });
    EXPECT_EQ(failed.error().message(), "open of \"none\": no such device (known: m0)");
    std::string what;
    try {
      auto r = co_await sio::run_on(core, [] { throw std::runtime_error("over there"); });
      r.value();
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
    EXPECT_EQ(what, "over there");
    co_return sio::result<void>();
  });
}

// Each core in blocks of its own: a device does not order what several threads write to one.
sio::task<sio::result<std::uint32_t>> read_there() {
  auto disk = sio::bdev_desc::open("m0");
  if (!disk) co_return std::unexpected(disk.error());
  auto buffer = sio::dma_buffer::zeroed(4096);
  if (!buffer) co_return std::unexpected(buffer.error());
  const std::uint64_t at = sio::current_core().value() % 128 * 8192;
  for (int i = 0; i < 10; ++i) {
    if (auto r = co_await disk->write(*buffer, at); !r) co_return std::unexpected(r.error());
    if (auto r = co_await disk->read(*buffer, at + 4096); !r) co_return std::unexpected(r.error());
  }
  if (auto r = co_await sio::sleep_for(10us); !r) co_return std::unexpected(r.error());
  co_return sio::current_core().value();
}

TEST(run_on, runs_coroutines_that_do_io) {
  with_last_core([](std::uint32_t core) -> sio::task<sio::result<void>> {
    auto r = co_await sio::run_on(core, read_there);
    if (!r) co_return std::unexpected(r.error());
    EXPECT_EQ(*r, core);
    co_return sio::result<void>();
  });
}

TEST(run_on, all_cores_at_once) {
  with_last_core([](std::uint32_t) -> sio::task<sio::result<void>> {
    sio::task_scope scope;
    for (int i = 0; i < 20; ++i) {
      for (std::uint32_t each : sio::cores()) scope.spawn(sio::run_on(each, read_there));
    }
    co_return co_await scope.join();
  });
}

TEST(run_on, a_descriptor_is_used_on_every_core) {
  with_last_core([](std::uint32_t) -> sio::task<sio::result<void>> {
    auto disk = sio::bdev_desc::open("m0");
    if (!disk) co_return std::unexpected(disk.error());
    for (std::uint32_t each : sio::cores()) {
      auto r = co_await sio::run_on(each, [&]() -> sio::task<sio::result<void>> {
        auto buffer = sio::dma_buffer::zeroed(512);
        if (!buffer) co_return std::unexpected(buffer.error());
        co_return co_await disk->read(*buffer, 0);
      });
      if (!r) co_return r;
    }
    co_return sio::result<void>();
  });
}

TEST(run_on, calls_back_to_the_first_core) {
  with_last_core([](std::uint32_t core) -> sio::task<sio::result<void>> {
    auto r = co_await sio::run_on(core, []() -> sio::task<sio::result<std::uint32_t>> {
      auto first = sio::first_core().value();
      co_return co_await sio::run_on(first, [] { return sio::current_core().value(); });
    });
    EXPECT_EQ(r.value(), 0u);
    // Devices are made on SPDK's first thread, whoever asks.
    co_return co_await sio::run_on(core, []() -> sio::task<sio::result<void>> {
      auto made = co_await sio::create_bdev(sio::malloc_bdev{.name = "m1", .size = 1 << 20});
      if (!made) co_return std::unexpected(made.error());
      co_return co_await sio::delete_bdev("m1");
    });
  });
}

TEST(run_on, what_is_left_on_other_cores_ends_with_the_application) {
  with_last_core([](std::uint32_t core) -> sio::task<sio::result<void>> {
    // Nobody waits for what this starts.
    co_return co_await sio::run_on(core, []() -> sio::result<void> {
      auto opened = sio::bdev_desc::open("m0");
      if (!opened) return std::unexpected(opened.error());
      auto disk = std::make_shared<sio::bdev_desc>(std::move(*opened));
      auto buffer = std::make_shared<sio::dma_buffer>(sio::dma_buffer::zeroed(512).value());
      sio::start(disk->read(*buffer, 0),
                 [disk, buffer](sio::result<void> r) { EXPECT_TRUE(r) << r.error(); });
      sio::start(sio::sleep_for(1h), [](sio::result<void> r) {
        EXPECT_TRUE(r.error() == std::errc::operation_canceled);
      });
      return {};
    });
  });
}

TEST(run_on, waits_for_a_stop_on_every_core) {
  with_last_core([](std::uint32_t core) -> sio::task<sio::result<void>> {
    sio::task_scope scope;
    int waited = 0;
    for (std::uint32_t each : sio::cores()) {
      scope.spawn([](std::uint32_t where, int& count) -> sio::task<sio::result<void>> {
        auto r = co_await sio::run_on(where, [] { return sio::app::wait_for_stop(); });
        ++count;
        co_return r;
      }(each, waited));
    }
    if (auto r = co_await sio::sleep_for(1ms); !r) co_return r;
    EXPECT_EQ(waited, 0);
    if (auto r = co_await sio::run_on(core, [] { sio::app::stop(); }); !r) co_return r;
    auto joined = co_await scope.join();
    EXPECT_EQ(static_cast<std::uint32_t>(waited), core + 1);
    co_return joined;
  });
}

TEST(run_on, an_exception_nobody_awaits_there_ends_the_application) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "this machine has one core";
  EXPECT_TRUE(passed(in_own_process([] {
    try {
      (void)sio::app::run(options("0x3"), []() -> sio::task<sio::result<void>> {
        auto ref = co_await sio::run_on(1, [] { return sio::thread::current().value(); });
        auto sent = ref.value().send([] { throw std::runtime_error("on core 1"); });
        if (!sent) co_return sent;
        co_return co_await sio::sleep_for(1h);
      });
      ADD_FAILURE() << "no exception";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "on core 1");
    }
  })));
}

TEST(run_on, says_which_cores_there_are) {
  with_last_core([](std::uint32_t core) -> sio::task<sio::result<void>> {
    bool ran = false;
    auto r = co_await sio::run_on(77, [&] { ran = true; });
    EXPECT_FALSE(ran);
    EXPECT_TRUE(r.error() == std::errc::invalid_argument);
    EXPECT_EQ(r.error().message(), std::string("run_on core 77: no such core (there are: ") +
                                       (core == 0 ? "0)" : "0, 1)"));
    co_return sio::result<void>();
  });
}

TEST(run_on, needs_reactors) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto env = sio::env::start({.name = "none", .hugepages = false, .pci = false}).value();
    auto thread = sio::thread::attach("main").value();
    auto r = sio::block_on(thread, []() -> sio::task<sio::result<void>> {
      co_return co_await sio::run_on(0, [] {});
    }());
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().message(),
              "run_on core 0: no reactors of SPDK's application framework run (app::run() starts "
              "them)");
  })));
}

TEST(run_on, another_main_core) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "this machine has one core";
  EXPECT_TRUE(passed(in_own_process([] {
    auto o = options("0x3");
    o.main_core = 1;
    auto r = sio::app::run(o, []() -> sio::task<sio::result<std::uint32_t>> {
      EXPECT_EQ(sio::current_core(), 1u);
      co_return co_await sio::run_on(0, [] { return sio::current_core().value(); });
    });
    ASSERT_TRUE(r) << r.error();
    EXPECT_EQ(*r, 0u);
  })));
}

}  // namespace
