// SPDX-License-Identifier: BSD-3-Clause
// The command line of applications.
#include "app_fixture.hpp"

#include <getopt.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "spdk/log.h"
#include "spdk/string.h"

SPDK_LOG_REGISTER_COMPONENT(app_args_test)

namespace {

std::string taken;

int take(int ch, char* arg) {
  taken += static_cast<char>(ch);
  if (arg != nullptr) {
    taken += std::string{"="} + arg;
  }
  return ch == 'f' ? -EINVAL : 0;
}

void own_usage() { std::printf("the usage of the program\n"); }

class app_args_test : public testing::Test {
 protected:
  app_args_test() {
    spdk_app_opts_init(&opts, sizeof opts);
    opts.name = "args";
    // Errors are expected here.
    spdk_log_set_print_level(SPDK_LOG_DISABLED);
    spdk_log_set_level(SPDK_LOG_DISABLED);
  }
  ~app_args_test() override {
    std::free(opts.pci_allowed);
    std::free(opts.pci_blocked);
    spdk_strarray_free(const_cast<char**>(opts.rpc_allowlist));
  }

  /// With the program's own options -b <text>, -f and -q.
  spdk_app_parse_args_rvals_t parse(std::vector<std::string> arguments) {
    return parse(std::move(arguments), "b:fq", nullptr, take);
  }

  spdk_app_parse_args_rvals_t parse(std::vector<std::string> arguments, const char* letters,
                                    const option* long_options, int (*function)(int, char*)) {
    // What the options point into.
    arguments_ = std::move(arguments);
    arguments_.insert(arguments_.begin(), "program");
    argv_.clear();
    for (std::string& argument : arguments_) {
      argv_.push_back(argument.data());
    }
    argv_.push_back(nullptr);
    optind = 0;
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const auto result = spdk_app_parse_args(static_cast<int>(arguments_.size()), argv_.data(),
                                            &opts, letters, long_options, function, own_usage);
    output = testing::internal::GetCapturedStdout();
    testing::internal::GetCapturedStderr();
    return result;
  }

  spdk_app_opts opts{};
  std::string output;

 private:
  std::vector<std::string> arguments_;
  std::vector<char*> argv_;
};

constexpr auto success = SPDK_APP_PARSE_ARGS_SUCCESS;
constexpr auto fail = SPDK_APP_PARSE_ARGS_FAIL;
constexpr auto help = SPDK_APP_PARSE_ARGS_HELP;

TEST_F(app_args_test, nothing_changes_nothing) {
  EXPECT_EQ(parse({}), success);
  EXPECT_EQ(opts.reactor_mask, nullptr);
  EXPECT_EQ(opts.mem_size, -1);
  EXPECT_STREQ(opts.rpc_addr, SPDK_DEFAULT_RPC_ADDR);
  EXPECT_EQ(output, "");
}

TEST_F(app_args_test, letters) {
  EXPECT_EQ(parse({"-c", "file.json", "-d", "-e", "0xf", "-g",          "-i", "7",   "-m", "[0,1]",
                   "-n", "4",         "-p", "1",  "-r",  "/tmp/socket", "-s", "512", "-u", "-R"}),
            success);
  EXPECT_STREQ(opts.json_config_file, "file.json");
  EXPECT_FALSE(opts.enable_coredump);
  EXPECT_STREQ(opts.tpoint_group_mask, "0xf");
  EXPECT_TRUE(opts.hugepage_single_segments);
  EXPECT_EQ(opts.shm_id, 7);
  EXPECT_STREQ(opts.reactor_mask, "[0,1]");
  EXPECT_EQ(opts.mem_channel, 4);
  EXPECT_EQ(opts.main_core, 1);
  EXPECT_STREQ(opts.rpc_addr, "/tmp/socket");
  EXPECT_EQ(opts.mem_size, 512);
  EXPECT_TRUE(opts.no_pci);
  EXPECT_TRUE(opts.unlink_hugepage);
}

TEST_F(app_args_test, long_names_of_letters) {
  EXPECT_EQ(parse({"--config",
                   "file.json",
                   "--limit-coredump",
                   "--tpoint-group",
                   "0xf",
                   "--single-file-segments",
                   "--shm-id",
                   "7",
                   "--cpumask",
                   "0x3",
                   "--mem-channels",
                   "4",
                   "--main-core",
                   "1",
                   "--rpc-socket",
                   "/tmp/socket",
                   "--mem-size",
                   "512",
                   "--no-pci",
                   "--huge-unlink"}),
            success);
  EXPECT_STREQ(opts.json_config_file, "file.json");
  EXPECT_FALSE(opts.enable_coredump);
  EXPECT_STREQ(opts.tpoint_group_mask, "0xf");
  EXPECT_TRUE(opts.hugepage_single_segments);
  EXPECT_EQ(opts.shm_id, 7);
  EXPECT_STREQ(opts.reactor_mask, "0x3");
  EXPECT_EQ(opts.mem_channel, 4);
  EXPECT_EQ(opts.main_core, 1);
  EXPECT_STREQ(opts.rpc_addr, "/tmp/socket");
  EXPECT_EQ(opts.mem_size, 512);
  EXPECT_TRUE(opts.no_pci);
  EXPECT_TRUE(opts.unlink_hugepage);
}

TEST_F(app_args_test, names_without_letters) {
  EXPECT_EQ(parse({"--json",
                   "file.json",
                   "--json-ignore-init-errors",
                   "--interrupt-mode",
                   "--silence-noticelog",
                   "--wait-for-rpc",
                   "--huge-dir",
                   "/mnt/huge",
                   "--num-trace-entries",
                   "1024",
                   "--iova-mode",
                   "va",
                   "--base-virtaddr",
                   "0x300000000000",
                   "--env-context",
                   "text",
                   "--disable-cpumask-locks",
                   "--vfio-vf-token",
                   "uuid",
                   "--msg-mempool-size",
                   "2047",
                   "--lcores",
                   "0@1",
                   "--no-huge",
                   "--no-rpc-server"}),
            success);
  EXPECT_STREQ(opts.json_config_file, "file.json");
  EXPECT_TRUE(opts.json_config_ignore_errors);
  EXPECT_TRUE(opts.interrupt_mode);
  EXPECT_EQ(opts.print_level, SPDK_LOG_WARN);
  EXPECT_TRUE(opts.delay_subsystem_init);
  EXPECT_STREQ(opts.hugedir, "/mnt/huge");
  EXPECT_EQ(opts.num_entries, 1024u);
  EXPECT_STREQ(opts.iova_mode, "va");
  EXPECT_EQ(opts.base_virtaddr, 0x300000000000u);
  EXPECT_STREQ(static_cast<const char*>(opts.env_context), "text");
  EXPECT_TRUE(opts.disable_cpumask_locks);
  EXPECT_STREQ(opts.vf_token, "uuid");
  EXPECT_EQ(opts.msg_mempool_size, 2047u);
  EXPECT_STREQ(opts.lcore_map, "0@1");
  EXPECT_TRUE(opts.no_huge);
  EXPECT_EQ(opts.rpc_addr, nullptr);
}

TEST_F(app_args_test, lists) {
  EXPECT_EQ(parse({"--rpcs-allowed", "one,two", "-B", "0000:01:00.0", "-B", "02:00.1"}), success);
  ASSERT_NE(opts.rpc_allowlist, nullptr);
  EXPECT_STREQ(opts.rpc_allowlist[0], "one");
  EXPECT_STREQ(opts.rpc_allowlist[1], "two");
  EXPECT_EQ(opts.rpc_allowlist[2], nullptr);
  ASSERT_EQ(opts.num_pci_addr, 2u);
  EXPECT_EQ(opts.pci_blocked[0].bus, 1);
  EXPECT_EQ(opts.pci_blocked[1].bus, 2);
  EXPECT_EQ(opts.pci_blocked[1].func, 1);
  EXPECT_EQ(opts.pci_allowed, nullptr);
}

TEST_F(app_args_test, sizes_with_a_unit) {
  EXPECT_EQ(parse({"-s", "1G"}), success);
  EXPECT_EQ(opts.mem_size, 1024);
}

TEST_F(app_args_test, negative_shm_id) {
  EXPECT_EQ(parse({"-i", "-3"}), success);
  EXPECT_EQ(opts.shm_id, -3);
}

TEST_F(app_args_test, options_of_the_program) {
  EXPECT_EQ(parse({"-b", "Malloc0", "-m", "0x1", "-q"}), success);
  EXPECT_EQ(taken, "b=Malloc0q");
}

TEST_F(app_args_test, long_options_of_the_program) {
  constexpr option long_options[] = {{"device", required_argument, nullptr, 'D'},
                                     {nullptr, 0, nullptr, 0}};
  EXPECT_EQ(parse({"--device", "Malloc0", "-u"}, "", long_options, take), success);
  EXPECT_EQ(taken, "D=Malloc0");
}

TEST_F(app_args_test, no_options_of_the_program) {
  EXPECT_EQ(parse({"-i", "4"}, nullptr, nullptr, nullptr), success);
  EXPECT_EQ(opts.shm_id, 4);
  EXPECT_EQ(parse({"-b", "x"}, nullptr, nullptr, nullptr), fail);
}

TEST_F(app_args_test, all_keep_their_arguments_without_options_of_the_program) {
  if (!provider_is_lite()) {
    GTEST_SKIP() << "SPDK crashes: it appends its letters to the text \"(null)\", where -n takes "
                    "no argument";
  }
  EXPECT_EQ(parse({"-n", "4"}, nullptr, nullptr, nullptr), success);
  EXPECT_EQ(opts.mem_channel, 4);
}

TEST_F(app_args_test, letters_taken_twice_fail) {
  EXPECT_EQ(parse({}, "bm:", nullptr, take), fail);
}

TEST_F(app_args_test, letters_without_a_function_fail) {
  EXPECT_EQ(parse({}, "b:", nullptr, nullptr), fail);
}

TEST_F(app_args_test, options_that_the_program_refuses_fail) { EXPECT_EQ(parse({"-f"}), fail); }

TEST_F(app_args_test, help_prints_everything_and_ends) {
  EXPECT_EQ(parse({"-h", "-m", "0x3"}), help);
  EXPECT_EQ(opts.reactor_mask, nullptr);
  EXPECT_TRUE(output.starts_with("program [options]\n"));
  for (const char* const name : {"--cpumask",
                                 "--lcores",
                                 "--main-core",
                                 "--disable-cpumask-locks",
                                 "--interrupt-mode",
                                 "--config",
                                 "--json",
                                 "--rpc-socket",
                                 "--no-rpc-server",
                                 "--wait-for-rpc",
                                 "--rpcs-allowed",
                                 "--json-ignore-init-errors",
                                 "--iova-mode",
                                 "--base-virtaddr",
                                 "--huge-dir",
                                 "--huge-unlink",
                                 "--mem-channels",
                                 "--mem-size",
                                 "--msg-mempool-size",
                                 "--no-huge",
                                 "--enforce-numa",
                                 "--shm-id",
                                 "--single-file-segments",
                                 "--pci-allowed",
                                 "--pci-blocked",
                                 "--no-pci",
                                 "--vfio-vf-token",
                                 "--logflag",
                                 "--silence-noticelog",
                                 "--num-trace-entries",
                                 "--help",
                                 "--version",
                                 "--limit-coredump",
                                 "--env-context"}) {
    EXPECT_NE(output.find(name), std::string::npos) << name;
  }
  EXPECT_TRUE(output.ends_with("Application specific:\nthe usage of the program\n"));
}

TEST_F(app_args_test, usage_is_for_later_as_well) {
  EXPECT_EQ(parse({}), success);
  testing::internal::CaptureStdout();
  spdk_app_usage();
  const std::string usage = testing::internal::GetCapturedStdout();
  EXPECT_NE(usage.find("--cpumask"), std::string::npos);
  EXPECT_EQ(usage.find("the usage of the program"), std::string::npos);
}

TEST_F(app_args_test, version_is_printed) {
  EXPECT_EQ(parse({"-v"}), help);
  EXPECT_TRUE(output.starts_with(SPDK_VERSION_STRING));
}

TEST_F(app_args_test, default_configuration_that_cannot_be_read_is_dropped) {
  opts.json_config_file = "/tmp/there/is/no/such/file.json";
  EXPECT_EQ(parse({}), success);
  EXPECT_EQ(opts.json_config_file, nullptr);
}

TEST_F(app_args_test, a_log_flag_is_set) {
  EXPECT_FALSE(spdk_log_get_flag("app_args_test"));
  EXPECT_EQ(parse({"-L", "app_args_test"}), success);
  EXPECT_TRUE(spdk_log_get_flag("app_args_test"));
}

class app_args_refused_test : public app_args_test,
                              public testing::WithParamInterface<std::vector<std::string>> {};

TEST_P(app_args_refused_test, fail) {
  EXPECT_EQ(parse(GetParam()), SPDK_APP_PARSE_ARGS_FAIL);
  EXPECT_EQ(opts.pci_allowed, nullptr);
  EXPECT_EQ(opts.pci_blocked, nullptr);
}

using args = std::vector<std::string>;
INSTANTIATE_TEST_SUITE_P(
    bad, app_args_refused_test,
    testing::Values(args{"-X"}, args{"--no-such-option"}, args{"-m"}, args{"-i", "x"},
                    args{"-n", "-1"}, args{"-p", "main"}, args{"-s", "much"},
                    args{"-s", "99999999999"}, args{"-L", "no_such_flag"},
                    args{"-m", "0x1", "--lcores", "0"}, args{"--lcores", "0", "-m", "0x1"},
                    args{"-A", "01:00.0", "-B", "02:00.0"}, args{"-B", "01:00.0", "-A", "02:00.0"},
                    args{"-A", "nonsense"}, args{"--base-virtaddr", "0"},
                    args{"--base-virtaddr", "x"}, args{"--num-trace-entries", "1000"},
                    args{"--num-trace-entries", "-1"}, args{"--msg-mempool-size", "0"},
                    args{"--msg-mempool-size", "many"}));

}  // namespace
