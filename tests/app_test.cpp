// SPDX-License-Identifier: BSD-3-Clause
// app::run(): a coroutine under SPDK's application framework. Child processes: each starts SPDK.
#include "devices.hpp"
#include "own_process.hpp"
#include "started.hpp"

#include <spdk_io/spdk_io.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <spdk/event.h>
#include <spdk/thread.h>

#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace {

namespace sio = spdk_io;
using namespace spdk_io_test;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

// Without locks on cores: tests of other processes use them at the same time.
sio::app_options options() {
  return {.name = "app_test", .hugepages = false, .pci = false, .core_locks = false};
}

constexpr std::string_view malloc_config =
    R"({"subsystems":[{"subsystem":"bdev","config":[{"method":"bdev_malloc_create",)"
    R"("params":{"name":"m0","num_blocks":2048,"block_size":512}}]}]})";

sio::task<sio::result<int>> answer() { co_return 42; }

TEST(app, gives_what_the_coroutine_gives) {
  EXPECT_TRUE(passed(in_own_process([] {
    sio::result<int> r = sio::app::run(options(), answer());
    ASSERT_TRUE(r) << r.error();
    EXPECT_EQ(*r, 42);
  })));
}

TEST(app, wraps_what_is_no_result) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto main = []() -> sio::task<std::string> { co_return "text"; };
    sio::result<std::string> r = sio::app::run(options(), main());
    ASSERT_TRUE(r) << r.error();
    EXPECT_EQ(*r, "text");
  })));
  EXPECT_TRUE(passed(in_own_process([] {
    bool ran = false;
    auto main = [&]() -> sio::task<void> {
      ran = true;
      co_return;
    };
    sio::result<void> r = sio::app::run(options(), main);
    ASSERT_TRUE(r) << r.error();
    EXPECT_TRUE(ran);
  })));
}

TEST(app, gives_the_coroutines_error) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto r = sio::app::run(options(), []() -> sio::task<sio::result<void>> {
      auto disk = sio::bdev_desc::open("none");
      if (!disk) co_return std::unexpected(disk.error());
      co_return sio::result<void>();
    });
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().message(), "open of \"none\": no such device (known: none)");
  })));
}

TEST(app, rethrows_what_the_coroutine_throws) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto main = []() -> sio::task<void> {
      auto slept = co_await sio::sleep_for(1us);
      slept.value();
      throw std::runtime_error("from main");
    };
    try {
      (void)sio::app::run(options(), main());
      FAIL();
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "from main");
    }
  })));
}

TEST(app, rethrows_what_nobody_awaits_and_destroys_main) {
  EXPECT_TRUE(passed(in_own_process([] {
    bool destroyed = false;
    gate closed;
    auto main = [&]() -> sio::task<void> {
      struct guard {
        bool& flag;
        ~guard() { flag = spdk_get_thread() != nullptr; }
      } on_end{destroyed};
      auto here = sio::thread::current().value();
      here.send([] { throw std::runtime_error("from a message"); }).value();
      auto stopped = co_await sio::app::wait_for_stop();
      co_await closed;  // nothing resumes it
      stopped.value();
    };
    try {
      (void)sio::app::run(options(), main());
      FAIL();
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "from a message");
    }
    EXPECT_TRUE(destroyed);
  })));
}

TEST(app, runs_on_the_first_core_as_spdks_first_thread) {
  EXPECT_TRUE(passed(in_own_process([] {
    EXPECT_EQ(sio::current_core(), std::nullopt);
    auto r = sio::app::run(options(), [](sio::thread& t) -> sio::task<void> {
      EXPECT_EQ(sio::current_core(), 0u);
      EXPECT_EQ(sio::cores().size(), 1u);
      EXPECT_EQ(spdk_get_thread(), spdk_thread_get_app_thread());
      EXPECT_EQ(t.native_handle(), spdk_get_thread());
      EXPECT_EQ(sio::thread::current().value(), t.ref());
      co_return;
    });
    ASSERT_TRUE(r) << r.error();
    EXPECT_EQ(sio::current_core(), std::nullopt);
  })));
}

TEST(app, user_code_runs_outside_the_poll_of_its_thread) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto r = sio::app::run(options(), [](sio::thread& t) -> sio::task<void> {
      // A poll of it would take the message that is sent here before it returns from ours.
      for (int i = 0; i < 3; ++i) {
        bool delivered = false;
        spdk_thread_send_msg(
            t.native_handle(), [](void* flag) { *static_cast<bool*>(flag) = true; }, &delivered);
        EXPECT_FALSE(delivered);
        while (!delivered) t.poll();
        auto slept = co_await sio::sleep_for(1us);
        EXPECT_TRUE(slept);
      }
    });
    ASSERT_TRUE(r) << r.error();
  })));
}

sio::task<sio::result<void>> write_and_read(std::string name) {
  auto disk = sio::bdev_desc::open(name);
  if (!disk) co_return std::unexpected(disk.error());
  auto channel = disk->channel();
  if (!channel) co_return std::unexpected(channel.error());
  auto out = sio::dma_buffer::zeroed(4096);
  if (!out) co_return std::unexpected(out.error());
  auto in = sio::dma_buffer::zeroed(4096);
  if (!in) co_return std::unexpected(in.error());
  fill_pattern({out->data(), out->size()}, 7);
  if (auto r = co_await channel->write(*out, 4096); !r) co_return r;
  if (auto r = co_await channel->read(*in, 4096); !r) co_return r;
  EXPECT_TRUE(has_pattern({in->data(), in->size()}, 7));
  co_return sio::result<void>();
}

TEST(app, devices_of_a_configuration_text) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto o = options();
    o.config = malloc_config;
    auto r = sio::app::run(o, write_and_read("m0"));
    EXPECT_TRUE(r) << r.error();
  })));
}

TEST(app, devices_of_a_configuration_file) {
  temp_folder folder;
  const auto file = folder.path("config.json");
  std::ofstream(file) << malloc_config;
  EXPECT_TRUE(passed(in_own_process([&] {
    auto o = options();
    o.config_file = file;
    auto r = sio::app::run(o, write_and_read("m0"));
    EXPECT_TRUE(r) << r.error();
  })));
}

TEST(app, devices_that_are_created_and_deleted) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto r = sio::app::run(options(), []() -> sio::task<sio::result<void>> {
      auto made = co_await sio::create_bdev(
          sio::malloc_bdev{.name = "mine", .size = 1 << 20, .block_size = 512});
      if (!made) co_return std::unexpected(made.error());
      if (auto done = co_await write_and_read("mine"); !done) co_return done;
      co_return co_await sio::delete_bdev("mine");
    });
    EXPECT_TRUE(r) << r.error();
  })));
}

TEST(app, what_is_in_flight_at_the_end_completes) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto o = options();
    o.config = malloc_config;
    std::optional<sio::result<void>> read;
    std::optional<sio::result<void>> slept;
    std::optional<sio::dma_buffer> buffer;
    auto r = sio::app::run(o, [&]() -> sio::task<sio::result<void>> {
      auto disk = sio::bdev_desc::open("m0");
      if (!disk) co_return std::unexpected(disk.error());
      buffer = sio::dma_buffer::zeroed(512).value();
      sio::start(disk->read(*buffer, 0), [&](sio::result<void> got) { read = got; });
      sio::start(sio::sleep_for(1h), [&](sio::result<void> got) { slept = got; });
      EXPECT_FALSE(read);
      co_return sio::result<void>();
    });
    EXPECT_TRUE(r) << r.error();
    ASSERT_TRUE(read);
    EXPECT_TRUE(*read) << read->error();
    ASSERT_TRUE(slept);
    EXPECT_TRUE(slept->error() == std::errc::operation_canceled);
  })));
}

TEST(app, block_on_and_destruction_of_what_is_in_flight) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto o = options();
    o.config = malloc_config;
    auto r = sio::app::run(o, [](sio::thread& t) -> sio::task<sio::result<void>> {
      if (auto done = sio::block_on(t, write_and_read("m0")); !done) co_return done;
      auto buffer = sio::dma_buffer::zeroed(4096);
      if (!buffer) co_return std::unexpected(buffer.error());
      auto disk = sio::bdev_desc::open("m0");
      if (!disk) co_return std::unexpected(disk.error());
      {
        sio::task_scope scope;
        scope.spawn(disk->read(*buffer, 0));
        EXPECT_EQ(t.statistics().io_in_flight, 1u);
      }
      EXPECT_EQ(t.statistics().io_in_flight, 0u);
      // And creation, whose calls run on this very thread.
      auto made =
          sio::block_on(t, sio::create_bdev(sio::malloc_bdev{.name = "two", .size = 1 << 20}));
      if (!made) co_return std::unexpected(made.error());
      co_return sio::result<void>();
    });
    EXPECT_TRUE(r) << r.error();
  })));
}

TEST(app, pollers_and_messages_of_other_os_threads) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto r = sio::app::run(options(), [](sio::thread& t) -> sio::task<void> {
      int polls = 0;
      bool message = false;
      auto poller = sio::poller::start(10us, [&] {
        ++polls;
        return true;
      });
      EXPECT_TRUE(poller);
      std::jthread other([&message, ref = t.ref()] { ref.send([&] { message = true; }).value(); });
      while (polls < 3 || !message) {
        auto slept = co_await sio::sleep_for(1us);
        EXPECT_TRUE(slept);
      }
      other.join();
    });
    EXPECT_TRUE(r) << r.error();
  })));
}

TEST(app, a_sleeping_reactor_is_woken_by_a_message) {
  EXPECT_TRUE(passed(in_own_process([] {
    std::jthread other;
    auto r = sio::app::run(options(), [&]() -> sio::task<sio::result<void>> {
      other = std::jthread([] { sio::app::stop(); });
      co_return co_await sio::app::wait_for_stop();
    });
    EXPECT_TRUE(r) << r.error();
    EXPECT_TRUE(sio::app::stop_requested());
  })));
}

TEST(app, signals_request_a_stop) {
  for (int number : {SIGINT, SIGTERM}) {
    SCOPED_TRACE(strsignal(number));
    EXPECT_TRUE(passed(in_own_process([number] {
      bool seen_before = true;
      auto r = sio::app::run(options(), [&]() -> sio::task<sio::result<int>> {
        seen_before = sio::app::stop_requested();
        std::raise(number);
        auto stopped = co_await sio::app::wait_for_stop();
        if (!stopped) co_return std::unexpected(stopped.error());
        EXPECT_TRUE(sio::app::stop_requested());
        // A further one does nothing, and the coroutine takes its time.
        std::raise(number);
        auto slept = co_await sio::sleep_for(1ms);
        if (!slept) co_return std::unexpected(slept.error());
        co_return 7;
      });
      ASSERT_TRUE(r) << r.error();
      EXPECT_EQ(*r, 7);
      EXPECT_FALSE(seen_before);
      struct sigaction now = {};
      sigaction(number, nullptr, &now);
      EXPECT_EQ(now.sa_handler, SIG_DFL);
    })));
  }
}

TEST(app, a_signal_before_main_ends_the_start) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto o = options();
    bool raised = false;
    bool ran = false;
    o.log = [&raised](sio::log_level, std::string_view line) {
      // The reactors run from here on; the subsystems have not started.
      if (line.starts_with("Reactor started") && !std::exchange(raised, true)) {
        std::raise(SIGTERM);
      }
    };
    auto r = sio::app::run(o, [&]() -> sio::task<void> {
      ran = true;
      co_return;
    });
    EXPECT_TRUE(raised);
    EXPECT_FALSE(ran);
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::operation_canceled);
    EXPECT_EQ(r.error().message(), "app: stopped before it had started");
  })));
}

TEST(app, spdks_own_stop_while_main_runs_ends_the_program) {
  EXPECT_TRUE(aborted_with(
      in_own_process([] {
        (void)sio::app::run(options(), []() -> sio::task<sio::result<void>> {
          spdk_app_stop(0);
          co_return co_await sio::sleep_for(1h);
        });
      }),
      "spdk_app_stop() was called while the coroutine of app::run() was running; call app::stop(), "
      "and let the coroutine end"));
}

// Why the library has no SPDK thread there that it polls itself.
TEST(app, reactors_poll_every_spdk_thread) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto r = sio::app::run(options(), []() -> sio::task<sio::result<void>> {
      spdk_thread* made = spdk_thread_create("made", nullptr);
      EXPECT_NE(made, nullptr);
      bool polled = false;
      spdk_thread_send_msg(made, [](void* flag) { *static_cast<bool*>(flag) = true; }, &polled);
      while (!polled) {
        if (auto slept = co_await sio::sleep_for(1us); !slept) co_return slept;
      }
      spdk_thread_send_msg(made, [](void*) { spdk_thread_exit(spdk_get_thread()); }, nullptr);
      co_return sio::result<void>();
    });
    EXPECT_TRUE(r) << r.error();
  })));
}

TEST(app, signals_are_left_alone_if_asked) {
  EXPECT_TRUE(passed(in_own_process([] {
    std::signal(SIGTERM, SIG_IGN);
    auto o = options();
    o.signals = false;
    auto r = sio::app::run(o, []() -> sio::task<void> {
      std::raise(SIGTERM);
      auto slept = co_await sio::sleep_for(1ms);
      EXPECT_TRUE(slept);
      EXPECT_FALSE(sio::app::stop_requested());
    });
    EXPECT_TRUE(r) << r.error();
  })));
}

TEST(app, a_stop_resumes_all_who_wait_and_spares_who_has_gone) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto r = sio::app::run(options(), []() -> sio::task<sio::result<void>> {
      sio::task_scope scope;
      int resumed = 0;
      auto wait = [&]() -> sio::task<void> {
        auto stopped = co_await sio::app::wait_for_stop();
        EXPECT_TRUE(stopped);
        ++resumed;
      };
      for (int i = 0; i < 3; ++i) scope.spawn(wait());
      {
        sio::task_scope gone;
        gone.spawn(wait());
      }
      std::optional<sio::task_scope> leaving(std::in_place);
      leaving->spawn(wait());
      sio::app::stop();
      leaving.reset();  // requested, and not resumed yet
      EXPECT_EQ(resumed, 0);
      auto joined = co_await scope.join();
      EXPECT_EQ(resumed, 3);
      co_return joined;
    });
    EXPECT_TRUE(r) << r.error();
  })));
}

TEST(app, the_end_of_main_is_a_stop) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto waiter = std::make_shared<bool>(false);
    sio::task_scope scope;  // outlives the application
    auto r = sio::app::run(options(), [&]() -> sio::task<void> {
      scope.spawn([](std::shared_ptr<bool> flag) -> sio::task<void> {
        auto stopped = co_await sio::app::wait_for_stop();
        *flag = stopped.has_value();
      }(waiter));
      co_return;
    });
    EXPECT_TRUE(r) << r.error();
    EXPECT_TRUE(*waiter);
  })));
}

TEST(app, waiting_for_a_stop_needs_an_application) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto env = sio::env::start({.name = "none", .hugepages = false, .pci = false}).value();
    auto thread = sio::thread::attach("main").value();
    auto waited = [](sio::thread& t) {
      return sio::block_on(t, []() -> sio::task<sio::result<void>> {
        co_return co_await sio::app::wait_for_stop();
      }());
    };
    auto r = waited(thread);
    ASSERT_FALSE(r);
    EXPECT_THAT(r.error().message(), HasSubstr("app::run()"));
    EXPECT_FALSE(sio::app::stop_requested());
    sio::app::stop();
    EXPECT_FALSE(sio::app::stop_requested());
  })));
}

// The error of a start in a process of its own.
template <class Check>
void expect_refused(const sio::app_options& o, Check check) {
  EXPECT_TRUE(passed(in_own_process([&] {
    bool ran = false;
    auto r = sio::app::run(o, [&]() -> sio::task<sio::result<void>> {
      ran = true;
      co_return sio::result<void>();
    });
    EXPECT_FALSE(ran);
    ASSERT_FALSE(r);
    check(r.error());
  })));
}

TEST(app, says_what_is_wrong_with_an_option) {
  auto bad = options();
  bad.core_mask = "zebra";
  expect_refused(bad, [](const sio::error& e) {
    EXPECT_TRUE(e == std::errc::invalid_argument);
    EXPECT_EQ(e.message(),
              "app: core_mask \"zebra\" names no cores; use a mask in hex (\"0x3\") or a list "
              "(\"[0-1]\")");
  });
  bad = options();
  bad.core_mask = "0x80000000";
  expect_refused(bad, [](const sio::error& e) {
    EXPECT_THAT(e.message(), StartsWith("app: SPDK's application framework did not start: "));
    EXPECT_THAT(e.message(), HasSubstr("check core_mask \"0x80000000\""));
  });
  bad = options();
  bad.name = "";
  expect_refused(bad, [](const sio::error& e) {
    EXPECT_EQ(e.message(), "app: the name must have 1 to 64 characters and no NUL");
  });
  bad = options();
  bad.config = "{}";
  bad.config_file = "x";
  expect_refused(bad, [](const sio::error& e) {
    EXPECT_EQ(e.message(), "app: config and config_file exclude each other; give one of them");
  });
}

TEST(app, says_what_is_wrong_with_the_configuration) {
  temp_folder folder;
  auto bad = options();
  const auto missing = folder.path("missing.json");
  bad.config_file = missing;
  expect_refused(bad, [&](const sio::error& e) {
    EXPECT_TRUE(e == std::errc::no_such_file_or_directory);
    EXPECT_EQ(e.message(), "app: cannot read \"" + missing + "\": No such file or directory");
  });
  const auto broken = folder.path("broken.json");
  std::ofstream(broken) << "{ this is no JSON";
  bad.config_file = broken;
  expect_refused(bad, [&](const sio::error& e) {
    EXPECT_THAT(e.message(), StartsWith("app: SPDK's application framework did not start: "));
    EXPECT_THAT(e.message(), HasSubstr(broken));
  });
  bad = options();
  bad.config = R"({"subsystems":[{"subsystem":"bdev","config":[{"method":"bdev_malloc_create",)"
               R"("params":{"name":"m0","num_blocks":0,"block_size":512}}]}]})";
  expect_refused(bad, [&](const sio::error& e) {
    EXPECT_THAT(e.message(), StartsWith("app: SPDK's application framework did not start: "));
    EXPECT_TRUE(e == std::errc::invalid_argument) << e;
  });
}

TEST(app, starts_once_in_a_process) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto r = sio::app::run(options(), []() -> sio::task<void> {
      auto nested = sio::app::run(options(), answer());
      EXPECT_FALSE(nested);
      EXPECT_EQ(nested.error().message(), "app: app::run() is running already in this process");
      auto env = sio::env::start({.name = "env", .hugepages = false, .pci = false});
      EXPECT_FALSE(env);
      EXPECT_EQ(env.error().message(),
                "env: app::run() has started SPDK's environment already, and keeps it");
      co_return;
    });
    EXPECT_TRUE(r) << r.error();
    auto again = sio::app::run(options(), answer());
    ASSERT_FALSE(again);
    EXPECT_THAT(again.error().message(), StartsWith("app: ended already in this process"));
  })));
}

TEST(app, needs_a_process_without_an_env) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto env = sio::env::start({.name = "env", .hugepages = false, .pci = false}).value();
    auto r = sio::app::run(options(), answer());
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::already_connected);
    EXPECT_EQ(r.error().message(),
              "app: an env exists in this process already; app::run() starts SPDK's environment "
              "itself (leave env::start() out)");
  })));
}

TEST(app, threads_of_the_users_own_are_refused) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto r = sio::app::run(options(), []() -> sio::task<void> {
      std::jthread([] {
        auto t = sio::thread::attach("mine");
        EXPECT_FALSE(t);
        EXPECT_THAT(t.error().message(), HasSubstr("polls every SPDK thread itself"));
      });
      auto created = sio::thread::create("mine");
      EXPECT_FALSE(created);
      auto taken = sio::thread::from_native(spdk_get_thread(), sio::ownership::borrow);
      EXPECT_FALSE(taken);
      EXPECT_THAT(taken.error().message(), HasSubstr("use reactor_thread"));
      auto subsystems = co_await sio::init_subsystems();
      EXPECT_FALSE(subsystems);
    });
    EXPECT_TRUE(r) << r.error();
  })));
}

TEST(app, restores_the_affinity) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "this machine has one core";
  EXPECT_TRUE(passed(in_own_process([] {
    cpu_set_t before, inside, after;
    sched_getaffinity(0, sizeof(before), &before);
    auto r = sio::app::run(options(), [&]() -> sio::task<void> {
      sched_getaffinity(0, sizeof(inside), &inside);
      co_return;
    });
    EXPECT_TRUE(r) << r.error();
    sched_getaffinity(0, sizeof(after), &after);
    EXPECT_EQ(CPU_COUNT(&inside), 1);
    EXPECT_TRUE(CPU_EQUAL(&before, &after));
  })));
}

TEST(app, an_rpc_socket_only_if_asked) {
  if (!sio::provider_name().starts_with("spdk")) {
    GTEST_SKIP() << "lite has no RPC server";
  }
  temp_folder folder;
  const auto path = folder.path("rpc.sock");
  EXPECT_TRUE(passed(in_own_process([&] {
    auto o = options();
    o.rpc_socket = path;
    auto r = sio::app::run(o, [&]() -> sio::task<bool> {
      struct stat about = {};
      co_return ::stat(path.c_str(), &about) == 0 && S_ISSOCK(about.st_mode);
    });
    ASSERT_TRUE(r) << r.error();
    EXPECT_TRUE(*r);
  })));
}

// What this OS thread has used, however busy the machine is.
std::chrono::nanoseconds cpu_time() {
  timespec t = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

TEST(app, interrupt_mode_sleeps_and_wakes) {
  EXPECT_TRUE(passed(in_own_process([] {
    auto o = options();
    o.interrupt = true;
    o.config = malloc_config;
    std::jthread other;
    auto r = sio::app::run(o, [&]() -> sio::task<sio::result<void>> {
      if (auto done = co_await write_and_read("m0"); !done) co_return done;
      // A reactor that polled would burn the whole of it.
      const auto before = cpu_time();
      if (auto slept = co_await sio::sleep_for(200ms); !slept) co_return slept;
      EXPECT_LT(cpu_time() - before, 20ms);
      other = std::jthread([] { sio::app::stop(); });
      co_return co_await sio::app::wait_for_stop();
    });
    EXPECT_TRUE(r) << r.error();
  })));
}

}  // namespace
