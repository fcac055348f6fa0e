// SPDX-License-Identifier: BSD-3-Clause
// The life of an application: options, start and what makes it fail, stop by call and by signal.
#include "app_fixture.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <ostream>
#include <string>
#include <thread>

#include "spdk/bdev.h"
#include "spdk/log.h"

namespace {

constexpr const char* one_malloc_device = R"({"subsystems": [{"subsystem": "bdev", "config": [
    {"method": "bdev_malloc_create",
     "params": {"name": "Malloc0", "num_blocks": 1024, "block_size": 512}}]}]})";

spdk_app_opts options_with_config(const char* text) {
  spdk_app_opts opts = app_options();
  opts.json_data = const_cast<char*>(text);
  opts.json_data_size = std::strlen(text);
  return opts;
}

/// For starts that fail: the start function must not run.
int failing_start(const spdk_app_opts& opts) {
  return run_app(opts, [] {
    ADD_FAILURE() << "started";
    spdk_app_stop(0);
  });
}

/// A file of its own, removed at the end.
class temporary_file {
 public:
  explicit temporary_file(std::string_view content) {
    const int fd = mkstemp(name_.data());
    EXPECT_GE(fd, 0);
    EXPECT_EQ(write(fd, content.data(), content.size()), static_cast<ssize_t>(content.size()));
    close(fd);
  }
  ~temporary_file() { unlink(name_.data()); }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;

  [[nodiscard]] const char* name() const { return name_.data(); }

 private:
  std::array<char, 32> name_{"/tmp/app_test_XXXXXX"};
};

// ---- options ----

TEST(app_options_test, defaults) {
  spdk_app_opts opts{};
  spdk_app_opts_init(&opts, sizeof opts);
  EXPECT_EQ(opts.opts_size, sizeof opts);
  EXPECT_EQ(opts.name, nullptr);
  EXPECT_EQ(opts.reactor_mask, nullptr);
  EXPECT_STREQ(opts.rpc_addr, SPDK_DEFAULT_RPC_ADDR);
  EXPECT_EQ(opts.shm_id, -1);
  EXPECT_EQ(opts.mem_size, -1);
  EXPECT_EQ(opts.main_core, -1);
  EXPECT_EQ(opts.mem_channel, -1);
  EXPECT_EQ(opts.print_level, SPDK_LOG_INFO);
  EXPECT_EQ(opts.base_virtaddr, 0x200000000000u);
  EXPECT_EQ(opts.num_entries, 32u * 1024);
  EXPECT_EQ(opts.msg_mempool_size, 0u);
  EXPECT_EQ(opts.rpc_log_level, SPDK_LOG_DISABLED);
  EXPECT_TRUE(opts.enable_coredump);
  EXPECT_FALSE(opts.delay_subsystem_init);
  EXPECT_FALSE(opts.disable_signal_handlers);
  EXPECT_FALSE(opts.interrupt_mode);
  EXPECT_FALSE(opts.disable_cpumask_locks);
}

TEST(app_options_test, leave_what_an_older_caller_does_not_have) {
  spdk_app_opts opts{};
  std::memset(&opts, 0x55, sizeof opts);
  constexpr std::size_t older = offsetof(spdk_app_opts, rpc_log_level) + 2;
  spdk_app_opts_init(&opts, older);
  EXPECT_EQ(opts.opts_size, older);
  EXPECT_EQ(opts.lcore_map, nullptr);
  // Half a field is cleared with the rest, and not set.
  std::array<unsigned char, 4> level{};
  std::memcpy(level.data(),
              reinterpret_cast<const char*>(&opts) + offsetof(spdk_app_opts, rpc_log_level),
              level.size());
  EXPECT_EQ(level, (std::array<unsigned char, 4>{0, 0, 0x55, 0x55}));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(opts.json_data), 0x5555555555555555u);
}

TEST(app_options_test, are_not_touched_without_a_size) {
  spdk_app_opts opts{};
  opts.shm_id = 5;
  spdk_app_opts_init(&opts, 0);
  EXPECT_EQ(opts.shm_id, 5);
  spdk_app_opts_init(nullptr, sizeof opts);
}

TEST_F(app_test, reads_no_further_than_an_older_callers_options) {
  spdk_app_opts opts = options_with_config("this is no JSON");
  opts.opts_size = offsetof(spdk_app_opts, json_data);
  // What lies behind is not read, not even the wish to share cores.
  EXPECT_EQ(run_app(opts, [] { spdk_app_stop(0); }), 0);
}

// ---- start ----

TEST_F(app_test, runs_the_start_function_on_the_app_thread_until_it_is_stopped) {
  bool started = false;
  const int rc = run_app(app_options(), [&] {
    started = true;
    EXPECT_TRUE(spdk_thread_is_app_thread(nullptr));
    EXPECT_STREQ(spdk_thread_get_name(spdk_get_thread()), "app_thread");
    EXPECT_EQ(spdk_env_get_current_core(), spdk_env_get_main_core());
    EXPECT_EQ(spdk_env_get_core_count(), 1u);
    spdk_app_stop(0);
  });
  EXPECT_TRUE(started);
  EXPECT_EQ(rc, 0);
}

TEST_F(app_test, refuses_options_that_it_cannot_use_and_can_be_corrected) {
  EXPECT_EQ(spdk_app_start(nullptr, [](void*) {}, nullptr), 1);
  spdk_app_opts opts = app_options();
  opts.opts_size = 0;
  EXPECT_EQ(failing_start(opts), 1);
  opts = app_options();
  opts.name = nullptr;
  EXPECT_EQ(failing_start(opts), 1);
  opts = app_options();
  EXPECT_EQ(spdk_app_start(&opts, nullptr, nullptr), 1);
  opts.delay_subsystem_init = true;
  EXPECT_EQ(failing_start(opts), 1);
  EXPECT_EQ(run_app(app_options(), [] { spdk_app_stop(0); }), 0);
}

TEST_F(app_test, refuses_to_wait_for_an_rpc_without_a_server) {
  if (!provider_is_lite()) {
    GTEST_SKIP() << "SPDK has an RPC server, and waits";
  }
  spdk_app_opts opts = app_options();
  opts.delay_subsystem_init = true;
  opts.rpc_addr = SPDK_DEFAULT_RPC_ADDR;
  EXPECT_EQ(failing_start(opts), 1);
}

class app_mask_test : public app_test, public testing::WithParamInterface<const char*> {};

TEST_P(app_mask_test, is_refused) {
  spdk_app_opts opts = app_options();
  opts.reactor_mask = GetParam();
  EXPECT_EQ(failing_start(opts), 1);
}
INSTANTIATE_TEST_SUITE_P(bad, app_mask_test,
                         testing::Values("0x0", "zz", "", "[", "[5-2]", "[1,]",
                                         "0x80000000000000000000000000000000"));

TEST_F(app_test, refuses_a_mask_together_with_a_map) {
  spdk_app_opts opts = app_options();
  opts.reactor_mask = "0x1";
  opts.lcore_map = "0";
  EXPECT_EQ(failing_start(opts), 1);
}

TEST_F(app_test, takes_cores_from_a_map) {
  spdk_app_opts opts = app_options();
  opts.lcore_map = "7@0";
  EXPECT_EQ(run_app(opts,
                    [] {
                      EXPECT_EQ(spdk_env_get_core_count(), 1u);
                      EXPECT_EQ(spdk_env_get_current_core(), 7u);
                      spdk_app_stop(0);
                    }),
            0);
}

TEST_F(app_test, hands_its_shm_id_out) {
  spdk_app_opts opts = app_options();
  opts.shm_id = -1;
  EXPECT_EQ(run_app(opts,
                    [] {
                      EXPECT_EQ(spdk_app_get_shm_id(), -1);
                      spdk_app_stop(0);
                    }),
            0);
}

// ---- configuration ----

TEST_F(app_test, runs_a_configuration_given_as_text) {
  EXPECT_EQ(run_app(options_with_config(one_malloc_device),
                    [] {
                      EXPECT_NE(spdk_bdev_get_by_name("Malloc0"), nullptr);
                      spdk_app_stop(0);
                    }),
            0);
}

TEST_F(app_test, runs_a_configuration_file) {
  const temporary_file file{one_malloc_device};
  spdk_app_opts opts = app_options();
  opts.json_config_file = file.name();
  EXPECT_EQ(run_app(opts,
                    [] {
                      EXPECT_NE(spdk_bdev_get_by_name("Malloc0"), nullptr);
                      spdk_app_stop(0);
                    }),
            0);
}

TEST_F(app_test, fails_without_its_configuration_file) {
  spdk_app_opts opts = app_options();
  opts.json_config_file = "/tmp/there/is/no/such/file.json";
  EXPECT_EQ(failing_start(opts), 1);
}

TEST_F(app_test, fails_when_its_configuration_file_is_a_folder) {
  spdk_app_opts opts = app_options();
  opts.json_config_file = "/tmp";
  EXPECT_EQ(failing_start(opts), 1);
}

TEST_F(app_test, fails_with_two_configurations) {
  const temporary_file file{one_malloc_device};
  spdk_app_opts opts = options_with_config(one_malloc_device);
  opts.json_config_file = file.name();
  EXPECT_EQ(failing_start(opts), 1);
}

struct bad_config {
  const char* name;
  const char* text;
  int rc;
};
void PrintTo(const bad_config& config, std::ostream* out) { *out << config.text; }

class app_config_test : public app_test, public testing::WithParamInterface<bad_config> {};

TEST_P(app_config_test, fails_the_start) {
  EXPECT_EQ(failing_start(options_with_config(GetParam().text)), GetParam().rc);
}
INSTANTIATE_TEST_SUITE_P(
    bad, app_config_test,
    testing::Values(
        bad_config{"empty", "", -EINVAL}, bad_config{"unfinished", "{", -EINVAL},
        bad_config{"array", "[]", -EINVAL},
        bad_config{"subsystems_no_array", R"({"subsystems": 1})", -EINVAL},
        bad_config{"unknown_method",
                   R"({"subsystems": [{"subsystem": "bdev", "config": [{"method": "nope"}]}]})",
                   -ENOENT},
        bad_config{"failing_method", R"({"subsystems": [{"subsystem": "bdev", "config": [
                       {"method": "bdev_malloc_create", "params": {"num_blocks": 0}}]}]})",
                   -EINVAL}),
    [](const auto& test) { return test.param.name; });

TEST_F(app_test, goes_on_when_told_to_ignore_errors_of_the_configuration) {
  spdk_app_opts opts = options_with_config(R"({"subsystems": [{"subsystem": "bdev", "config": [
      {"method": "nope"},
      {"method": "bdev_malloc_create", "params": {"num_blocks": 0}},
      {"method": "bdev_malloc_create",
       "params": {"name": "Malloc0", "num_blocks": 1024, "block_size": 512}}]}]})");
  opts.json_config_ignore_errors = true;
  EXPECT_EQ(run_app(opts,
                    [] {
                      EXPECT_NE(spdk_bdev_get_by_name("Malloc0"), nullptr);
                      spdk_app_stop(0);
                    }),
            0);
}

// ---- log ----

int own_log_lines = 0;

TEST_F(app_test, sets_the_log_up) {
  spdk_app_opts opts = app_options();
  opts.print_level = SPDK_LOG_WARN;
  opts.log = [](int, const char*, int, const char*, const char*, va_list) { ++own_log_lines; };
  EXPECT_EQ(run_app(opts,
                    [] {
                      EXPECT_EQ(spdk_log_get_print_level(), SPDK_LOG_WARN);
                      EXPECT_EQ(spdk_log_get_level(), SPDK_LOG_NOTICE);
                      const int before = own_log_lines;
                      SPDK_NOTICELOG("one line\n");
                      EXPECT_EQ(own_log_lines, before + 1);
                      spdk_app_stop(0);
                    }),
            0);
}

// ---- stop ----

TEST_F(app_test, returns_the_first_code_that_is_not_zero) {
  EXPECT_EQ(run_app(app_options(),
                    [] {
                      spdk_app_stop(0);
                      spdk_app_stop(7);
                      spdk_app_stop(8);
                    }),
            7);
}

TEST_F(app_test, stops_from_an_os_thread_of_the_programs_own) {
  std::thread stopper;
  EXPECT_EQ(run_app(app_options(), [&] { stopper = std::thread{[] { spdk_app_stop(4); }}; }), 4);
  stopper.join();
}

TEST_F(app_test, closes_devices_on_the_way_down) {
  static int removals = 0;
  EXPECT_EQ(run_app(options_with_config(one_malloc_device),
                    [] {
                      static spdk_bdev_desc* desc = nullptr;
                      ASSERT_EQ(spdk_bdev_open_ext(
                                    "Malloc0", false,
                                    [](spdk_bdev_event_type type, spdk_bdev*, void*) {
                                      EXPECT_EQ(type, SPDK_BDEV_EVENT_REMOVE);
                                      ++removals;
                                      spdk_bdev_close(desc);
                                    },
                                    nullptr, &desc),
                                0);
                      spdk_app_stop(0);
                    }),
            0);
  EXPECT_EQ(removals, 1);
}

TEST_F(app_test, starts_again_after_its_end) {
  for (int i = 0; i < 3; ++i) {
    if (i > 0) {
      spdk_app_fini();
    }
    bool started = false;
    EXPECT_EQ(run_app(app_options(),
                      [&, i] {
                        started = true;
                        spdk_app_stop(i);
                      }),
              i);
    EXPECT_TRUE(started);
  }
}

TEST_F(app_test, starts_again_with_a_configuration) {
  if (!provider_is_lite()) {
    GTEST_SKIP() << "SPDK crashes: it runs the configuration before the devices' layer is up";
  }
  for (int i = 0; i < 3; ++i) {
    if (i > 0) {
      spdk_app_fini();
    }
    bool started = false;
    EXPECT_EQ(run_app(options_with_config(one_malloc_device),
                      [&] {
                        started = spdk_bdev_get_by_name("Malloc0") != nullptr;
                        spdk_app_stop(0);
                      }),
              0);
    EXPECT_TRUE(started);
  }
}

TEST_F(app_test, ends_without_a_start) { spdk_app_fini(); }

// ---- signals ----

class app_signal_test : public app_test, public testing::WithParamInterface<int> {};

TEST_P(app_signal_test, stops_once_the_app_thread_is_polled_again) {
  bool went_on = false;
  EXPECT_EQ(run_app(app_options(),
                    [&] {
                      std::raise(GetParam());
                      std::raise(GetParam());  // only the first one counts
                      on_thread(spdk_get_thread(), [&] { went_on = true; });
                    }),
            0);
  EXPECT_TRUE(went_on);
}
INSTANTIATE_TEST_SUITE_P(signals, app_signal_test, testing::Values(SIGINT, SIGTERM));

TEST_F(app_test, unblocks_its_signals) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  EXPECT_EQ(run_app(app_options(), [] { std::raise(SIGTERM); }), 0);
}

TEST_F(app_test, survives_sigpipe) {
  EXPECT_EQ(run_app(app_options(),
                    [] {
                      std::raise(SIGPIPE);
                      spdk_app_stop(0);
                    }),
            0);
}

int own_signals = 0;

TEST_F(app_test, leaves_signals_alone_when_told_to) {
  std::signal(SIGINT, [](int) { ++own_signals; });
  spdk_app_opts opts = app_options();
  opts.disable_signal_handlers = true;
  EXPECT_EQ(run_app(opts,
                    [] {
                      std::raise(SIGINT);
                      EXPECT_EQ(own_signals, 1);
                      on_thread(spdk_get_thread(), [] { spdk_app_stop(6); });
                    }),
            6);
}

int shutdown_calls = 0;

TEST_F(app_test, asks_the_program_to_shut_down) {
  spdk_app_opts opts = app_options();
  opts.shutdown_cb = [] {
    ++shutdown_calls;
    EXPECT_TRUE(spdk_thread_is_app_thread(nullptr));
    spdk_app_stop(3);
  };
  EXPECT_EQ(run_app(opts,
                    [] {
                      std::raise(SIGINT);
                      EXPECT_EQ(shutdown_calls, 0);
                    }),
            3);
  EXPECT_EQ(shutdown_calls, 1);
}

TEST_F(app_test, does_not_ask_the_program_twice) {
  spdk_app_opts opts = app_options();
  opts.shutdown_cb = [] {
    ++shutdown_calls;
    on_thread(spdk_get_thread(), [] { spdk_app_start_shutdown(); });
  };
  EXPECT_EQ(run_app(opts, [] { spdk_app_start_shutdown(); }), 0);
  EXPECT_EQ(shutdown_calls, 1);
}

TEST_F(app_test, shuts_down_on_request_of_any_os_thread) {
  std::thread other;
  EXPECT_EQ(run_app(app_options(), [&] { other = std::thread{spdk_app_start_shutdown}; }), 0);
  other.join();
}

// ---- the lock files of cores ----

TEST_F(app_test, keeps_others_off_its_cores) {
  spdk_app_opts opts = app_options();
  opts.disable_cpumask_locks = false;
  opts.reactor_mask = "0x2";
  std::array<int, 2> locked{};
  std::array<int, 2> finish{};
  ASSERT_EQ(pipe(locked.data()), 0);
  ASSERT_EQ(pipe(finish.data()), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    close(finish[1]);
    const int rc = run_app(opts, [&] {
      char c = 'y';
      [[maybe_unused]] const ssize_t told = write(locked[1], &c, 1);
      [[maybe_unused]] const ssize_t heard = read(finish[0], &c, 1);
      spdk_app_stop(0);
    });
    spdk_app_fini();
    _exit(rc);
  }
  close(locked[1]);
  char c = 'n';
  const bool child_has_core = read(locked[0], &c, 1) == 1;
  if (child_has_core) {
    EXPECT_EQ(failing_start(opts), 1);
  }
  close(finish[1]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (!child_has_core) {
    GTEST_SKIP() << "another application on this machine has locked core 1, or there is no core 1";
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_NE(access("/var/tmp/spdk_cpu_lock_001", F_OK), 0);
}

}  // namespace
