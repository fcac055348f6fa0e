// SPDX-License-Identifier: BSD-3-Clause
// The command line of applications: the options that all of them have, and the program's own.
#include <getopt.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spdk/env.h"
#include "spdk/event.h"
#include "spdk/log.h"
#include "spdk/string.h"
#include "spdk/util.h"
#include "spdk/version.h"

namespace {

/// Options without a letter. The numbers are nobody's business but getopt's.
enum long_only {
  opt_interrupt_mode = 256,
  opt_silence_noticelog,
  opt_wait_for_rpc,
  opt_huge_dir,
  opt_num_trace_entries,
  opt_json,
  opt_json_ignore_init_errors,
  opt_iova_mode,
  opt_base_virtaddr,
  opt_env_context,
  opt_disable_cpumask_locks,
  opt_rpcs_allowed,
  opt_vfio_vf_token,
  opt_msg_mempool_size,
  opt_lcores,
  opt_no_huge,
  opt_no_rpc_server,
  opt_enforce_numa,
};

constexpr option common_options[] = {
    {"config", required_argument, nullptr, 'c'},
    {"limit-coredump", no_argument, nullptr, 'd'},
    {"tpoint-group", required_argument, nullptr, 'e'},
    {"single-file-segments", no_argument, nullptr, 'g'},
    {"help", no_argument, nullptr, 'h'},
    {"shm-id", required_argument, nullptr, 'i'},
    {"cpumask", required_argument, nullptr, 'm'},
    {"mem-channels", required_argument, nullptr, 'n'},
    {"main-core", required_argument, nullptr, 'p'},
    {"rpc-socket", required_argument, nullptr, 'r'},
    {"mem-size", required_argument, nullptr, 's'},
    {"no-pci", no_argument, nullptr, 'u'},
    {"version", no_argument, nullptr, 'v'},
    {"pci-allowed", required_argument, nullptr, 'A'},
    {"pci-blocked", required_argument, nullptr, 'B'},
    {"logflag", required_argument, nullptr, 'L'},
    {"huge-unlink", no_argument, nullptr, 'R'},
    {"interrupt-mode", no_argument, nullptr, opt_interrupt_mode},
    {"silence-noticelog", no_argument, nullptr, opt_silence_noticelog},
    {"wait-for-rpc", no_argument, nullptr, opt_wait_for_rpc},
    {"huge-dir", required_argument, nullptr, opt_huge_dir},
    {"num-trace-entries", required_argument, nullptr, opt_num_trace_entries},
    {"json", required_argument, nullptr, opt_json},
    {"json-ignore-init-errors", no_argument, nullptr, opt_json_ignore_init_errors},
    {"iova-mode", required_argument, nullptr, opt_iova_mode},
    {"base-virtaddr", required_argument, nullptr, opt_base_virtaddr},
    {"env-context", required_argument, nullptr, opt_env_context},
    {"disable-cpumask-locks", no_argument, nullptr, opt_disable_cpumask_locks},
    {"rpcs-allowed", required_argument, nullptr, opt_rpcs_allowed},
    {"vfio-vf-token", required_argument, nullptr, opt_vfio_vf_token},
    {"msg-mempool-size", required_argument, nullptr, opt_msg_mempool_size},
    {"lcores", required_argument, nullptr, opt_lcores},
    {"no-huge", no_argument, nullptr, opt_no_huge},
    {"no-rpc-server", no_argument, nullptr, opt_no_rpc_server},
    {"enforce-numa", no_argument, nullptr, opt_enforce_numa},
};

const char* executable_name = nullptr;
int default_mem_size = 0;

void print_usage(void (*app_usage)()) {
  std::printf("%s [options]\n", executable_name);
  std::printf(
      "\nOptions marked with * are accepted, for the sake of SPDK's command lines, and have no "
      "effect here.\n"
      "\nCPU options:\n"
      " -m, --cpumask <mask or list>   cores to use: a mask (0xF) or a list in brackets "
      "([0,1,10])\n"
      "     --lcores <list>            cores and the CPUs that they are: <core>[@<cpu>],...\n"
      " -p, --main-core <core>         the core of the main thread\n"
      "     --disable-cpumask-locks    share cores with other applications\n"
      "     --interrupt-mode           sleep when there is nothing to do\n"
      "\nConfiguration options:\n"
      " -c, --config, --json <file>    JSON configuration\n"
      "     --json-ignore-init-errors  go on when an entry of the configuration fails\n"
      " -r, --rpc-socket <address>     * RPC address (there is no RPC server here; default %s)\n"
      "     --no-rpc-server            ask for no RPC server\n"
      "     --wait-for-rpc             refused: there is no RPC server here\n"
      "     --rpcs-allowed <list>      * RPC methods that are allowed, separated by commas\n",
      SPDK_DEFAULT_RPC_ADDR);
  std::printf(
      "\nMemory options:\n"
      " -s, --mem-size <size>          memory in MiB, or with a unit (default: %dMB; 0: no limit)\n"
      "     --no-huge                  do without hugepages (needs --mem-size)\n"
      "     --msg-mempool-size <count> messages between threads (default: %d)\n"
      " -i, --shm-id <id>              shared memory id\n"
      "     --huge-dir <path>          * hugetlbfs to use\n"
      " -R, --huge-unlink              * unlink the files of hugepages\n"
      " -g, --single-file-segments     * one file for all hugepages\n"
      " -n, --mem-channels <count>     * memory channels\n"
      "     --iova-mode <pa|va>        * I/O addresses\n"
      "     --base-virtaddr <address>  * where memory is mapped\n"
      "     --enforce-numa             * no memory from other NUMA nodes\n",
      std::max(default_mem_size, 0), SPDK_DEFAULT_MSG_MEMPOOL_SIZE);
  std::printf(
      "\nPCI options:\n"
      " -A, --pci-allowed <address>    * PCI device to use (not with -B)\n"
      " -B, --pci-blocked <address>    * PCI device to leave alone (not with -A)\n"
      " -u, --no-pci                   no PCI devices; spdk_vtophys() translates nothing\n"
      "     --vfio-vf-token <uuid>     * token of virtual functions\n"
      "\nLog options:\n");
  spdk_log_usage(stdout, "-L");
  std::printf(
      "     --silence-noticelog        print warnings and errors only\n"
      "\nTrace options:\n"
      " -e, --tpoint-group <mask>      * tracepoints to enable\n"
      "     --num-trace-entries <num>  * entries per core, a power of 2\n"
      "\nOther options:\n"
      " -h, --help                     show this text\n"
      " -v, --version                  show the version\n"
      " -d, --limit-coredump           leave the limit for core dumps as it is\n"
      "     --env-context <text>       * for the environment\n");
  if (app_usage != nullptr) {
    std::printf("\nApplication specific:\n");
    app_usage();
  }
}

/// The letter that the program's options share with the common ones, or 0.
char duplicated_letter(std::string_view app_letters) {
  constexpr std::string_view control = ":+-";
  constexpr std::string_view common = SPDK_APP_GETOPT_STRING;
  for (const char letter : app_letters) {
    if (control.find(letter) == control.npos && common.find(letter) != common.npos) {
      return letter;
    }
  }
  return '\0';
}

enum class outcome { accepted, refused, refused_with_usage };

__attribute__((format(printf, 2, 3))) outcome refuse(outcome how, const char* format, ...) {
  std::va_list args;
  va_start(args, format);
  spdk_vlog(SPDK_LOG_ERROR, __FILE__, __LINE__, "spdk_app_parse_args", format, args);
  va_end(args);
  return how;
}

/// "-7" is valid and -7; anything but decimal, octal or hexadecimal digits after that is not.
outcome set_shm_id(spdk_app_opts& opts, const char* text) {
  const bool negative = text[0] == '-';
  const long id = spdk_strtol(negative ? text + 1 : text, 0);
  if (id < 0 || id > INT_MAX) {
    return refuse(outcome::refused, "Invalid shared memory ID %s\n", text);
  }
  opts.shm_id = static_cast<int>(negative ? -id : id);
  return outcome::accepted;
}

outcome set_natural(int& value, const char* text, const char* what) {
  const long number = spdk_strtol(text, 0);
  if (number < 0 || number > INT_MAX) {
    return refuse(outcome::refused, "Invalid %s %s\n", what, text);
  }
  value = static_cast<int>(number);
  return outcome::accepted;
}

outcome set_mem_size(spdk_app_opts& opts, const char* text) {
  std::uint64_t size = 0;
  bool has_unit = false;
  const int rc = spdk_parse_capacity(text, &size, &has_unit);
  if (has_unit) {
    size /= std::uint64_t{1} << 20;
  }
  if (rc != 0 || size > INT_MAX) {
    return refuse(outcome::refused_with_usage, "invalid memory pool size `-s %s`\n", text);
  }
  opts.mem_size = static_cast<int>(size);
  return outcome::accepted;
}

outcome set_message_pool_size(spdk_app_opts& opts, const char* text) {
  const long count = spdk_strtol(text, 10);
  if (count <= 0) {
    return refuse(outcome::refused, "Invalid message memory pool size %s\n", text);
  }
  opts.msg_mempool_size = static_cast<std::size_t>(count);
  return outcome::accepted;
}

outcome set_base_address(spdk_app_opts& opts, const char* text) {
  const long long address = spdk_strtoll(text, 0);
  if (address <= 0) {
    return refuse(outcome::refused_with_usage, "Invalid base-virtaddr %s\n", text);
  }
  opts.base_virtaddr = static_cast<std::uint64_t>(address);
  return outcome::accepted;
}

outcome set_trace_entries(spdk_app_opts& opts, const char* text) {
  const long long entries = spdk_strtoll(text, 0);
  if (entries < 0) {
    return refuse(outcome::refused_with_usage, "Invalid num-trace-entries %s\n", text);
  }
  opts.num_entries = static_cast<std::uint64_t>(entries);
  if (opts.num_entries != 0 && !spdk_u64_is_pow2(opts.num_entries)) {
    return refuse(outcome::refused_with_usage, "num-trace-entries must be power of 2\n");
  }
  return outcome::accepted;
}

outcome set_allowed_rpcs(spdk_app_opts& opts, const char* text) {
  opts.rpc_allowlist = const_cast<const char**>(spdk_strarray_from_string(text, ","));
  return opts.rpc_allowlist != nullptr
             ? outcome::accepted
             : refuse(outcome::refused_with_usage, "Invalid --rpcs-allowed argument\n");
}

outcome set_log_flag(const char* flag) {
  return spdk_log_set_flag(flag) == 0
             ? outcome::accepted
             : refuse(outcome::refused_with_usage, "unknown flag: %s\n", flag);
}

outcome set_cores(const char*& chosen, const char* other, const char* text) {
  if (other != nullptr) {
    return refuse(outcome::refused, "lcore map and core mask can't be set simultaneously\n");
  }
  chosen = text;
  return outcome::accepted;
}

/// Both lists share one count, hence only one of them may be used.
outcome add_pci_address(spdk_app_opts& opts, bool allow, const char* text) {
  if ((allow ? opts.pci_blocked : opts.pci_allowed) != nullptr) {
    return refuse(outcome::refused_with_usage, "-B and -A cannot be used at the same time\n");
  }
  spdk_pci_addr address{};
  if (spdk_pci_addr_parse(&address, text) != 0) {
    return refuse(outcome::refused, "Invalid address %s\n", text);
  }
  spdk_pci_addr* const list = allow ? opts.pci_allowed : opts.pci_blocked;
  auto* const longer =
      static_cast<spdk_pci_addr*>(std::realloc(list, (opts.num_pci_addr + 1) * sizeof(address)));
  if (longer == nullptr) {
    return refuse(outcome::refused, "no memory for the PCI address %s\n", text);
  }
  longer[opts.num_pci_addr++] = address;
  (allow ? opts.pci_allowed : opts.pci_blocked) = longer;
  return outcome::accepted;
}

/// nullopt if the option is not one of the common ones.
std::optional<outcome> take_option(int ch, char* arg, spdk_app_opts& opts) {
  switch (ch) {
    case 'c':
    case opt_json: opts.json_config_file = arg; break;
    case opt_json_ignore_init_errors: opts.json_config_ignore_errors = true; break;
    case 'd': opts.enable_coredump = false; break;
    case 'e': opts.tpoint_group_mask = arg; break;
    case 'g': opts.hugepage_single_segments = true; break;
    case 'i': return set_shm_id(opts, arg);
    case 'm': {
      const char* mask = nullptr;
      const outcome result = set_cores(mask, opts.lcore_map, arg);
      opts.reactor_mask = mask != nullptr ? mask : opts.reactor_mask;
      return result;
    }
    case opt_lcores: {
      const char* map = nullptr;
      const outcome result = set_cores(map, opts.reactor_mask, arg);
      opts.lcore_map = map != nullptr ? map : opts.lcore_map;
      return result;
    }
    case opt_disable_cpumask_locks: opts.disable_cpumask_locks = true; break;
    case 'n': {
      int channels = -1;
      const outcome result = set_natural(channels, arg, "memory channel");
      opts.mem_channel = channels;
      return result;
    }
    case 'p': {
      int core = -1;
      const outcome result = set_natural(core, arg, "main core");
      opts.main_core = core;
      return result;
    }
    case 'r': opts.rpc_addr = arg; break;
    case 's': return set_mem_size(opts, arg);
    case 'u': opts.no_pci = true; break;
    case 'A': return add_pci_address(opts, true, arg);
    case 'B': return add_pci_address(opts, false, arg);
    case 'L': return set_log_flag(arg);
    case 'R': opts.unlink_hugepage = true; break;
    case opt_interrupt_mode: opts.interrupt_mode = true; break;
    case opt_silence_noticelog: opts.print_level = SPDK_LOG_WARN; break;
    case opt_wait_for_rpc: opts.delay_subsystem_init = true; break;
    case opt_huge_dir: opts.hugedir = arg; break;
    case opt_num_trace_entries: return set_trace_entries(opts, arg);
    case opt_iova_mode: opts.iova_mode = arg; break;
    case opt_base_virtaddr: return set_base_address(opts, arg);
    case opt_env_context: opts.env_context = arg; break;
    case opt_rpcs_allowed: return set_allowed_rpcs(opts, arg);
    case opt_vfio_vf_token: opts.vf_token = arg; break;
    case opt_msg_mempool_size: return set_message_pool_size(opts, arg);
    case opt_no_huge: opts.no_huge = true; break;
    case opt_no_rpc_server: opts.rpc_addr = nullptr; break;
    case opt_enforce_numa: opts.enforce_numa = true; break;
    default: return std::nullopt;
  }
  return outcome::accepted;
}

std::vector<option> all_options(const option* app_options) {
  std::vector<option> all(std::begin(common_options), std::end(common_options));
  for (; app_options != nullptr && app_options->name != nullptr; ++app_options) {
    all.push_back(*app_options);
  }
  all.push_back({});
  return all;
}

struct program_options {
  const char* letters;
  const option* long_options;
  int (*parse)(int ch, char* arg);
  void (*usage)();
};

outcome take_program_option(int ch, char* arg, const program_options& program) {
  if (program.parse == nullptr) {
    return refuse(outcome::refused, "Unsupported app-specific command line parameter '%c'.\n", ch);
  }
  const int rc = program.parse(ch, arg);
  return rc == 0 ? outcome::accepted
                 : refuse(outcome::refused,
                          "Parsing app-specific command line parameter '%c' failed: %d\n", ch, rc);
}

bool program_options_are_usable(const program_options& program) {
  if (program.letters == nullptr) {
    return true;
  }
  if (const char letter = duplicated_letter(program.letters); letter != '\0') {
    refuse(outcome::refused, "option '%c' of the program is one that all applications have\n",
           letter);
    return false;
  }
  if (program.parse == nullptr) {
    refuse(outcome::refused, "the program's options need a function that takes them\n");
    return false;
  }
  return true;
}

spdk_app_parse_args_rvals_t parse(int argc, char** argv, spdk_app_opts& opts,
                                  const program_options& program) {
  if (!program_options_are_usable(program)) {
    return SPDK_APP_PARSE_ARGS_FAIL;
  }
  const std::string letters =
      std::string{program.letters != nullptr ? program.letters : ""} + SPDK_APP_GETOPT_STRING;
  const std::vector<option> options = all_options(program.long_options);
  executable_name = argv[0];
  int ch = 0;
  while ((ch = getopt_long(argc, argv, letters.c_str(), options.data(), nullptr)) != -1) {
    if (ch == 'h') {
      print_usage(program.usage);
      return SPDK_APP_PARSE_ARGS_HELP;
    }
    if (ch == 'v') {
      std::printf("%s\n", SPDK_VERSION_STRING);
      return SPDK_APP_PARSE_ARGS_HELP;
    }
    outcome result = outcome::refused_with_usage;
    if (ch != '?') {
      const auto common = take_option(ch, optarg, opts);
      result = common ? *common : take_program_option(ch, optarg, program);
    }
    if (result == outcome::refused_with_usage) {
      print_usage(program.usage);
    }
    if (result != outcome::accepted) {
      return SPDK_APP_PARSE_ARGS_FAIL;
    }
  }
  return SPDK_APP_PARSE_ARGS_SUCCESS;
}

}  // namespace

spdk_app_parse_args_rvals_t spdk_app_parse_args(int argc, char** argv, spdk_app_opts* opts,
                                                const char* getopt_str, const option* app_long_opts,
                                                int (*app_parse)(int ch, char* arg),
                                                void (*usage)(void)) {
  default_mem_size = opts->mem_size;
  if (opts->json_config_file != nullptr && access(opts->json_config_file, R_OK) != 0) {
    SPDK_WARNLOG("Can't read JSON configuration file '%s'\n", opts->json_config_file);
    opts->json_config_file = nullptr;
  }
  const auto result = parse(argc, argv, *opts, {getopt_str, app_long_opts, app_parse, usage});
  if (result != SPDK_APP_PARSE_ARGS_SUCCESS) {
    std::free(opts->pci_blocked);
    opts->pci_blocked = nullptr;
    std::free(opts->pci_allowed);
    opts->pci_allowed = nullptr;
    spdk_strarray_free(const_cast<char**>(opts->rpc_allowlist));
    opts->rpc_allowlist = nullptr;
  }
  return result;
}

void spdk_app_usage(void) {
  if (executable_name == nullptr) {
    SPDK_ERRLOG("spdk_app_usage() before spdk_app_parse_args()\n");
    return;
  }
  print_usage(nullptr);
}
