// SPDX-License-Identifier: BSD-3-Clause
// The environment's start-up: options, the set of cores, the clock, and OS threads pinned to
// cores.
#include "spdk/env.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "env_internal.hpp"
#include "spdk/cpuset.h"
#include "spdk/log.h"
#include "spdk/version.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

using spdk_lite::env_is_up;

namespace {

constexpr std::uint32_t max_cores = 128;
constexpr std::uint32_t no_core = SPDK_ENV_LCORE_ID_ANY;
constexpr std::size_t mebibyte = std::size_t{1} << 20;
/// What `mem_size` 0 means without hugepages.
constexpr std::size_t default_memory_without_hugepages = 64 * mebibyte;

thread_local std::uint32_t current_core = no_core;

// ---- the clock ----

std::uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(now.tv_nsec);
}

/// The time stamp counter is used where it runs at one constant rate on all cores.
bool has_steady_cycle_counter() {
#if defined(__x86_64__)
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  constexpr unsigned power_management_leaf = 0x80000007;
  constexpr unsigned invariant_counter_bit = 1u << 8;
  return __get_cpuid(power_management_leaf, &eax, &ebx, &ecx, &edx) != 0 &&
         (edx & invariant_counter_bit) != 0;
#else
  return false;
#endif
}

const bool use_cycle_counter = has_steady_cycle_counter();
std::atomic<std::uint64_t> ticks_per_second{0};

std::uint64_t read_ticks() {
#if defined(__x86_64__)
  if (use_cycle_counter) [[likely]] {
    return __rdtsc();
  }
#endif
  return monotonic_ns();
}

/// Compares both clocks over five milliseconds, which is exact to about ten parts in a million,
/// and rounds to 100 kHz so that repeated starts agree.
std::uint64_t measure_tick_rate() {
  if (!use_cycle_counter) {
    return 1'000'000'000u;
  }
  constexpr std::uint64_t interval_ns = 5'000'000;
  const std::uint64_t start_ns = monotonic_ns();
  const std::uint64_t start_ticks = read_ticks();
  std::uint64_t end_ns = start_ns;
  while (end_ns - start_ns < interval_ns) {
    end_ns = monotonic_ns();
  }
  const std::uint64_t ticks = read_ticks() - start_ticks;
  const double rate = static_cast<double>(ticks) * 1e9 / static_cast<double>(end_ns - start_ns);
  constexpr std::uint64_t rounding = 100'000;
  return (static_cast<std::uint64_t>(rate) + rounding / 2) / rounding * rounding;
}

// ---- the set of cores ----

/// Which CPU each core stands for; no_core where a core is not part of the environment.
using core_map = std::array<std::uint32_t, max_cores>;

struct environment {
  core_map cores{};
  std::uint32_t main_core = 0;
};

/// Written once by spdk_env_init(), before `running` is set.
environment the_environment;
std::atomic<bool> running{false};

bool is_core(std::uint32_t core) {
  return env_is_up() && core < max_cores && the_environment.cores[core] != no_core;
}

std::uint32_t first_core_from(std::uint32_t core) {
  while (core < max_cores && !is_core(core)) {
    ++core;
  }
  return core < max_cores ? core : no_core;
}

/// Takes a number off the front, around which parentheses are allowed.
std::optional<std::uint32_t> take_number(std::string_view& text) {
  const bool parenthesised = text.starts_with('(');
  if (parenthesised) {
    text.remove_prefix(1);
  }
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (parenthesised) {
    if (!text.starts_with(')')) {
      return std::nullopt;
    }
    text.remove_prefix(1);
  }
  return number;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) {
    return false;
  }
  text.remove_prefix(1);
  return true;
}

/// One item of a list: "2", "0-3", or with `cpus_allowed` also "2@5" (core 2 on CPU 5).
bool parse_item(std::string_view& text, bool cpus_allowed, core_map& cores) {
  const auto first = take_number(text);
  if (!first) {
    return false;
  }
  auto last = first;
  auto cpu = first;
  if (take(text, '-')) {
    last = take_number(text);
  } else if (cpus_allowed && take(text, '@')) {
    cpu = take_number(text);
  }
  if (!last || !cpu || *last < *first || *last >= max_cores) {
    return false;
  }
  for (std::uint32_t core = *first; core <= *last; ++core) {
    cores[core] = *cpu + (core - *first);
  }
  return true;
}

std::optional<core_map> parse_list(std::string_view text, bool cpus_allowed) {
  core_map cores;
  cores.fill(no_core);
  do {
    if (!parse_item(text, cpus_allowed, cores)) {
      return std::nullopt;
    }
  } while (take(text, ','));
  if (!text.empty()) {
    return std::nullopt;
  }
  return cores;
}

std::optional<core_map> parse_mask(const char* mask) {
  spdk_cpuset set{};
  if (spdk_cpuset_parse(&set, mask) != 0) {
    return std::nullopt;
  }
  core_map cores;
  cores.fill(no_core);
  for (std::uint32_t cpu = 0; cpu < SPDK_CPUSET_SIZE; ++cpu) {
    if (!spdk_cpuset_get_cpu(&set, cpu)) {
      continue;
    }
    if (cpu >= max_cores) {
      return std::nullopt;
    }
    cores[cpu] = cpu;
  }
  return cores;
}

std::optional<core_map> parse_cores(const spdk_env_opts& opts) {
  if ((opts.core_mask == nullptr) == (opts.lcore_map == nullptr)) {
    SPDK_ERRLOG("either a core mask or an lcore map is needed, and not both\n");
    return std::nullopt;
  }
  std::optional<core_map> cores;
  if (opts.lcore_map != nullptr) {
    cores = parse_list(opts.lcore_map, true);
  } else if (opts.core_mask[0] == '[') {
    std::string_view list{opts.core_mask + 1};
    // The closing bracket may be missing.
    if (list.ends_with(']')) {
      list.remove_suffix(1);
    }
    cores = parse_list(list, false);
  } else {
    cores = parse_mask(opts.core_mask);
  }
  if (!cores) {
    SPDK_ERRLOG("invalid core mask or lcore map '%s'\n",
                opts.lcore_map != nullptr ? opts.lcore_map : opts.core_mask);
  }
  return cores;
}

bool cpus_exist(const core_map& cores) {
  const long cpu_count = sysconf(_SC_NPROCESSORS_CONF);
  bool any = false;
  for (const std::uint32_t cpu : cores) {
    if (cpu == no_core) {
      continue;
    }
    any = true;
    if (static_cast<long>(cpu) >= cpu_count) {
      SPDK_ERRLOG("CPU %u does not exist: this machine has CPUs 0-%ld\n", cpu, cpu_count - 1);
      return false;
    }
  }
  if (!any) {
    SPDK_ERRLOG("the core mask is empty\n");
  }
  return any;
}

std::optional<environment> make_environment(const spdk_env_opts& opts) {
  const auto cores = parse_cores(opts);
  if (!cores || !cpus_exist(*cores)) {
    return std::nullopt;
  }
  environment result;
  result.cores = *cores;
  const auto lowest =
      std::find_if(cores->begin(), cores->end(), [](std::uint32_t cpu) { return cpu != no_core; });
  result.main_core = static_cast<std::uint32_t>(lowest - cores->begin());
  if (opts.main_core > 0) {
    result.main_core = static_cast<std::uint32_t>(opts.main_core);
    if (result.main_core >= max_cores || (*cores)[result.main_core] == no_core) {
      SPDK_ERRLOG("main core %d is not among the cores of the environment\n", opts.main_core);
      return std::nullopt;
    }
  }
  return result;
}

bool memory_options_are_valid(const spdk_env_opts& opts) {
  if (!opts.no_huge) {
    return true;
  }
  if (opts.hugepage_single_segments || opts.unlink_hugepage || opts.hugedir != nullptr) {
    SPDK_ERRLOG("no_huge excludes the other hugepage options\n");
    return false;
  }
  if (opts.mem_size < 0) {
    SPDK_ERRLOG("no_huge needs mem_size\n");
    return false;
  }
  if (opts.iova_mode != nullptr && std::strcmp(opts.iova_mode, "pa") == 0) {
    SPDK_ERRLOG("no_huge excludes the iova_mode 'pa'\n");
    return false;
  }
  return true;
}

std::size_t memory_limit(const spdk_env_opts& opts) {
  if (opts.mem_size > 0) {
    return static_cast<std::size_t>(opts.mem_size) * mebibyte;
  }
  return opts.no_huge ? default_memory_without_hugepages : std::numeric_limits<std::size_t>::max();
}

/// A copy that has defaults where the caller's struct is older and ends earlier.
spdk_env_opts copy_options(const spdk_env_opts& user) {
  constexpr std::size_t smallest = offsetof(spdk_env_opts, opts_size) + sizeof user.opts_size;
  spdk_env_opts result{};
  result.opts_size = sizeof result;
  spdk_env_opts_init(&result);
  std::memcpy(&result, &user, offsetof(spdk_env_opts, opts_size));
  if (user.opts_size < smallest) {
    std::fprintf(stderr, "spdk_env_opts.opts_size is %zu: set it to the struct's size\n",
                 user.opts_size);
  } else if (user.opts_size >= offsetof(spdk_env_opts, reserved2)) {
    result.enforce_numa = user.enforce_numa;
  }
  return result;
}

// ---- OS threads pinned to cores ----

bool pin_calling_thread(std::uint32_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

/// One job at a time per core; the OS thread lives as long as its job.
struct pinned_workers {
  std::mutex mutex;
  std::condition_variable job_done;
  std::array<std::thread, max_cores> threads;
  std::array<bool, max_cores> busy{};
};

/// Never destroyed: a process may end while jobs run.
pinned_workers& workers() {
  static auto& instance = *new pinned_workers;
  return instance;
}

void run_pinned(std::uint32_t core, thread_start_fn fn, void* arg) {
  current_core = core;
  pin_calling_thread(the_environment.cores[core]);
  fn(arg);
  auto& all = workers();
  const std::lock_guard lock{all.mutex};
  all.busy[core] = false;
  all.job_done.notify_all();
}

thread_local bool runs_on_every_cpu = false;

bool unpin_calling_thread() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const long cpu_count = sysconf(_SC_NPROCESSORS_CONF);
  for (long cpu = 0; cpu < cpu_count; ++cpu) {
    CPU_SET(static_cast<std::size_t>(cpu), &set);
  }
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

}  // namespace

namespace spdk_lite {

bool env_is_up() { return running.load(std::memory_order_acquire); }

void die(const char* format, ...) {
  std::va_list args;
  va_start(args, format);
  std::fputs("spdk-io lite: ", stderr);
  std::vfprintf(stderr, format, args);
  std::fputc('\n', stderr);
  va_end(args);
  std::abort();
}

}  // namespace spdk_lite

void spdk_env_opts_init(spdk_env_opts* opts) {
  if (opts == nullptr) {
    return;
  }
  const std::size_t opts_size = opts->opts_size;
  *opts = {};
  opts->opts_size = opts_size;
  opts->name = "spdk";
  opts->core_mask = "0x1";
  opts->shm_id = -1;
  opts->mem_channel = -1;
  opts->main_core = -1;
  opts->mem_size = -1;
  opts->base_virtaddr = 0x200000000000;
}

int spdk_env_init(const spdk_env_opts* user_opts) {
  if (env_is_up()) {
    if (user_opts != nullptr) {
      std::fprintf(stderr, "the environment was initialised before: only NULL is accepted\n");
      return -EINVAL;
    }
    return 0;
  }
  if (user_opts == nullptr) {
    std::fprintf(stderr, "spdk_env_init(NULL) before the environment was ever initialised\n");
    return -EINVAL;
  }
  const spdk_env_opts opts = copy_options(*user_opts);
  const auto env = make_environment(opts);
  if (!env || !memory_options_are_valid(opts)) {
    SPDK_ERRLOG("invalid arguments to initialise the environment\n");
    return -EINVAL;
  }
  SPDK_PRINTF("Starting %s initialization...\n", SPDK_VERSION_STRING);
  the_environment = *env;
  ticks_per_second.store(measure_tick_rate(), std::memory_order_relaxed);
  spdk_lite::start_memory(memory_limit(opts), !opts.no_pci);
  pin_calling_thread(the_environment.cores[the_environment.main_core]);
  current_core = the_environment.main_core;
  running.store(true, std::memory_order_release);
  return 0;
}

void spdk_env_fini(void) {}

uint32_t spdk_env_get_core_count(void) {
  std::uint32_t count = 0;
  for (std::uint32_t core = first_core_from(0); core != no_core; core = first_core_from(core + 1)) {
    ++count;
  }
  return count;
}

uint32_t spdk_env_get_current_core(void) { return current_core; }
uint32_t spdk_env_get_main_core(void) { return the_environment.main_core; }
uint32_t spdk_env_get_first_core(void) { return first_core_from(0); }

uint32_t spdk_env_get_last_core(void) {
  std::uint32_t last = no_core;
  for (std::uint32_t core = first_core_from(0); core != no_core; core = first_core_from(core + 1)) {
    last = core;
  }
  return last;
}

uint32_t spdk_env_get_next_core(uint32_t prev_core) { return first_core_from(prev_core + 1); }

// This implementation sees one NUMA node.
int32_t spdk_env_get_numa_id(uint32_t core) { return core < max_cores ? 0 : SPDK_ENV_NUMA_ID_ANY; }
int32_t spdk_env_get_first_numa_id(void) { return 0; }
int32_t spdk_env_get_last_numa_id(void) { return 0; }
int32_t spdk_env_get_next_numa_id(int32_t) { return INT32_MAX; }

void spdk_env_get_cpuset(spdk_cpuset* cpuset) {
  spdk_cpuset_zero(cpuset);
  for (std::uint32_t core = first_core_from(0); core != no_core; core = first_core_from(core + 1)) {
    spdk_cpuset_set_cpu(cpuset, core, true);
  }
}

int spdk_env_thread_launch_pinned(uint32_t core, thread_start_fn fn, void* arg) {
  if (!is_core(core) || core == the_environment.main_core) {
    return -EPIPE;
  }
  auto& all = workers();
  const std::lock_guard lock{all.mutex};
  if (all.busy[core]) {
    return -EBUSY;
  }
  if (all.threads[core].joinable()) {
    all.threads[core].join();
  }
  all.busy[core] = true;
  all.threads[core] = std::thread{run_pinned, core, fn, arg};
  return 0;
}

void spdk_env_thread_wait_all(void) {
  auto& all = workers();
  std::unique_lock lock{all.mutex};
  all.job_done.wait(lock, [&] { return std::ranges::none_of(all.busy, [](bool b) { return b; }); });
  for (auto& thread : all.threads) {
    if (thread.joinable()) {
      thread.join();
    }
  }
}

bool spdk_process_is_primary(void) { return true; }

uint64_t spdk_get_ticks(void) { return read_ticks(); }
uint64_t spdk_get_ticks_hz(void) { return ticks_per_second.load(std::memory_order_relaxed); }

void spdk_delay_us(unsigned int us) {
  const std::uint64_t end = monotonic_ns() + std::uint64_t{us} * 1000;
  while (monotonic_ns() < end) {
    spdk_pause();
  }
}

void spdk_pause(void) {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

void spdk_unaffinitize_thread(void) {
  if (!runs_on_every_cpu) {
    runs_on_every_cpu = unpin_calling_thread();
  }
}

void* spdk_call_unaffinitized(void* cb(void* arg), void* arg) {
  if (cb == nullptr) {
    return nullptr;
  }
  if (runs_on_every_cpu) {
    return cb(arg);
  }
  cpu_set_t before;
  CPU_ZERO(&before);
  sched_getaffinity(0, sizeof before, &before);
  spdk_unaffinitize_thread();
  void* const result = cb(arg);
  sched_setaffinity(0, sizeof before, &before);
  runs_on_every_cpu = false;
  return result;
}

int spdk_get_tid(void) { return static_cast<int>(gettid()); }

namespace {

/// What stands between the numbers of an address, and which of domain, bus, device and function
/// the first number is.
struct pci_layout {
  std::string_view separators;
  std::size_t first;
};

/// In this order: the first that fits a beginning of the text decides, and the rest is left.
constexpr std::array<pci_layout, 7> pci_layouts{
    {{"::.", 0}, {"...", 0}, {"::", 0}, {":.", 1}, {"..", 1}, {":", 1}, {".", 1}}};

bool match_numbers(const char* text, std::string_view separators, std::uint32_t* numbers) {
  for (std::size_t i = 0; i <= separators.size(); ++i) {
    char* end = nullptr;
    numbers[i] = static_cast<std::uint32_t>(std::strtoul(text, &end, 16));
    if (end == text || (i < separators.size() && *end != separators[i])) {
      return false;
    }
    text = end + 1;
  }
  return true;
}

}  // namespace

int spdk_pci_addr_parse(spdk_pci_addr* addr, const char* bdf) {
  if (addr == nullptr || bdf == nullptr) {
    return -EINVAL;
  }
  for (const pci_layout& layout : pci_layouts) {
    std::array<std::uint32_t, 4> fields{};  // domain, bus, device, function
    if (!match_numbers(bdf, layout.separators, fields.data() + layout.first)) {
      continue;
    }
    const auto [domain, bus, dev, func] = fields;
    if (bus > 0xff || dev > 0x1f || func > 7) {
      return -EINVAL;
    }
    *addr = {domain, static_cast<std::uint8_t>(bus), static_cast<std::uint8_t>(dev),
             static_cast<std::uint8_t>(func)};
    return 0;
  }
  return -EINVAL;
}

int spdk_pci_addr_fmt(char* bdf, size_t sz, const spdk_pci_addr* addr) {
  const int length =
      std::snprintf(bdf, sz, "%04x:%02x:%02x.%x", addr->domain, addr->bus, addr->dev, addr->func);
  return length > 0 && static_cast<std::size_t>(length) < sz ? 0 : -1;
}

int spdk_pci_addr_compare(const spdk_pci_addr* a1, const spdk_pci_addr* a2) {
  const auto key = [](const spdk_pci_addr& a) {
    return std::uint64_t{a.domain} << 24 | std::uint64_t{a.bus} << 16 | std::uint64_t{a.dev} << 8 |
           a.func;
  };
  return key(*a1) < key(*a2) ? -1 : key(*a1) > key(*a2);
}
