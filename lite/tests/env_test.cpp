// SPDX-License-Identifier: BSD-3-Clause
// The environment: start-up, memory, cores, clock, pools.
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "spdk/cpuset.h"
#include "spdk/env.h"

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

spdk_env_opts options() {
  spdk_env_opts opts{};
  opts.opts_size = sizeof opts;
  spdk_env_opts_init(&opts);
  opts.name = "env_test";
  opts.no_huge = true;
  opts.no_pci = true;
  opts.mem_size = 128;
  return opts;
}

TEST(env_options_test, defaults) {
  spdk_env_opts opts;
  std::memset(&opts, 0xff, sizeof opts);
  opts.opts_size = sizeof opts;
  spdk_env_opts_init(&opts);
  EXPECT_STREQ(opts.name, "spdk");
  EXPECT_STREQ(opts.core_mask, "0x1");
  EXPECT_EQ(opts.shm_id, -1);
  EXPECT_EQ(opts.mem_channel, -1);
  EXPECT_EQ(opts.main_core, -1);
  EXPECT_EQ(opts.mem_size, -1);
  EXPECT_EQ(opts.opts_size, sizeof opts);
  EXPECT_FALSE(opts.no_pci);
  EXPECT_FALSE(opts.no_huge);
  EXPECT_FALSE(opts.enforce_numa);
  EXPECT_EQ(opts.env_context, nullptr);
  spdk_env_opts_init(nullptr);
}

/// Which options keep the environment from starting. It starts but once per process, hence the
/// death tests, which run their statement in a process of its own; GoogleTest runs suites that
/// are named so before all others.
class bad_options_DeathTest : public testing::TestWithParam<void (*)(spdk_env_opts&)> {};

TEST_P(bad_options_DeathTest, are_refused_and_can_be_corrected) {
  spdk_env_opts bad = options();
  GetParam()(bad);
  EXPECT_EXIT(
      {
        const spdk_env_opts good = options();
        const bool refused = spdk_env_init(&bad) == -EINVAL;
        const bool corrected = spdk_env_init(&good) == 0;
        std::_Exit(refused && corrected ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

INSTANTIATE_TEST_SUITE_P(env, bad_options_DeathTest,
                         testing::Values([](spdk_env_opts& o) { o.core_mask = "0xzz"; },
                                         [](spdk_env_opts& o) { o.core_mask = "0x0"; },
                                         [](spdk_env_opts& o) { o.core_mask = ""; },
                                         [](spdk_env_opts& o) { o.core_mask = nullptr; },
                                         [](spdk_env_opts& o) { o.core_mask = "[0-"; },
                                         [](spdk_env_opts& o) { o.core_mask = "[x]"; },
                                         [](spdk_env_opts& o) { o.core_mask = "[127]"; },
                                         [](spdk_env_opts& o) { o.lcore_map = "0"; },
                                         [](spdk_env_opts& o) { o.mem_size = -1; },
                                         [](spdk_env_opts& o) { o.unlink_hugepage = true; },
                                         [](spdk_env_opts& o) {
                                           o.hugepage_single_segments = true;
                                         },
                                         [](spdk_env_opts& o) { o.iova_mode = "pa"; }));

TEST(env_start_DeathTest, null_is_refused_before_the_first_start) {
  EXPECT_EXIT(std::_Exit(spdk_env_init(nullptr) == -EINVAL ? 0 : 1), testing::ExitedWithCode(0),
              "");
}

// Not among the options above: DPDK remembers it, so that on SPDK it cannot be corrected.
TEST(env_start_DeathTest, main_core_must_be_one_of_the_cores) {
  spdk_env_opts bad = options();
  bad.main_core = 126;
  EXPECT_EXIT(std::_Exit(spdk_env_init(&bad) == -EINVAL ? 0 : 1), testing::ExitedWithCode(0), "");
}

TEST(env_start_DeathTest, core_lists_and_maps) {
  if (std::thread::hardware_concurrency() < 2) {
    GTEST_SKIP() << "needs two CPUs";
  }
  EXPECT_EXIT(
      {
        spdk_env_opts opts = options();
        opts.core_mask = "[0-1]";
        opts.main_core = 1;
        const bool up = spdk_env_init(&opts) == 0;
        const bool right = spdk_env_get_core_count() == 2 && spdk_env_get_main_core() == 1 &&
                           spdk_env_get_current_core() == 1 && spdk_env_get_first_core() == 0 &&
                           spdk_env_get_last_core() == 1 && spdk_env_get_next_core(0) == 1 &&
                           spdk_env_get_next_core(1) == UINT32_MAX && sched_getcpu() == 1;
        std::uint32_t ran_on = 99;
        const int launched = spdk_env_thread_launch_pinned(
            0,
            [](void* arg) {
              *static_cast<std::uint32_t*>(arg) = spdk_env_get_current_core();
              return 0;
            },
            &ran_on);
        spdk_env_thread_wait_all();
        const bool refused = spdk_env_thread_launch_pinned(1, [](void*) { return 0; }, nullptr) < 0;
        std::_Exit(up && right && launched == 0 && ran_on == 0 && refused ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EXIT(
      {
        spdk_env_opts opts = options();
        opts.core_mask = nullptr;
        opts.lcore_map = "0,1";
        const bool up = spdk_env_init(&opts) == 0;
        std::_Exit(up && spdk_env_get_core_count() == 2 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

class env_test : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    static const int rc = [] {
      spdk_env_opts opts = options();
      opts.core_mask = "0x1";
      return spdk_env_init(&opts);
    }();
    ASSERT_EQ(rc, 0);
  }
};

TEST_F(env_test, starts_once) {
  const spdk_env_opts opts = options();
  EXPECT_EQ(spdk_env_init(&opts), -EINVAL);
  EXPECT_EQ(spdk_env_init(nullptr), 0);
}

TEST_F(env_test, pins_the_calling_thread_to_the_main_core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  EXPECT_EQ(CPU_COUNT(&set), 1);
  EXPECT_TRUE(CPU_ISSET(0, &set));
}

TEST_F(env_test, one_core) {
  EXPECT_EQ(spdk_env_get_core_count(), 1u);
  EXPECT_EQ(spdk_env_get_main_core(), 0u);
  EXPECT_EQ(spdk_env_get_current_core(), 0u);
  std::vector<std::uint32_t> cores;
  std::uint32_t core = 0;
  SPDK_ENV_FOREACH_CORE(core) { cores.push_back(core); }
  EXPECT_EQ(cores, std::vector<std::uint32_t>{0});
  spdk_cpuset set{};
  spdk_env_get_cpuset(&set);
  EXPECT_STREQ(spdk_cpuset_fmt(&set), "1");
  EXPECT_EQ(spdk_env_get_numa_id(500), SPDK_ENV_NUMA_ID_ANY);
  EXPECT_EQ(spdk_env_get_first_numa_id(), spdk_env_get_last_numa_id());
  EXPECT_EQ(spdk_env_get_next_numa_id(0), INT32_MAX);
}

TEST_F(env_test, foreign_os_threads_have_no_core) {
  std::uint32_t core = 0;
  std::thread{[&] { core = spdk_env_get_current_core(); }}.join();
  EXPECT_EQ(core, SPDK_ENV_LCORE_ID_ANY);
}

TEST_F(env_test, unaffinitized_calls_may_run_anywhere) {
  const auto count_cpus = [](void*) -> void* {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(CPU_COUNT(&set)));
  };
  const auto during =
      reinterpret_cast<std::uintptr_t>(spdk_call_unaffinitized(count_cpus, nullptr));
  EXPECT_GE(during, 1u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(count_cpus(nullptr)), 1u);
  EXPECT_EQ(spdk_call_unaffinitized(nullptr, nullptr), nullptr);
}

TEST_F(env_test, memory_is_aligned_and_writable) {
  for (const std::size_t align : {0, 64, 512, 4096, 1 << 20}) {
    auto* const buffer = static_cast<char*>(
        spdk_malloc(1000, align, nullptr, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA));
    ASSERT_NE(buffer, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer) % std::max<std::size_t>(align, 64), 0u);
    std::memset(buffer, 0x5a, 1000);
    spdk_free(buffer);
  }
  spdk_free(nullptr);
}

TEST_F(env_test, zeroed_memory) {
  auto* buffer = static_cast<unsigned char*>(spdk_dma_malloc(4096, 0, nullptr));
  std::memset(buffer, 0xff, 4096);
  spdk_dma_free(buffer);
  buffer = static_cast<unsigned char*>(spdk_dma_zmalloc(4096, 0, nullptr));
  EXPECT_TRUE(std::all_of(buffer, buffer + 4096, [](unsigned char c) { return c == 0; }));
  spdk_dma_free(buffer);
}

TEST_F(env_test, invalid_requests_give_no_memory) {
  std::uint64_t unused = 0;
  EXPECT_EQ(spdk_malloc(64, 0, nullptr, SPDK_ENV_NUMA_ID_ANY, 0), nullptr);
  EXPECT_EQ(spdk_malloc(64, 0, &unused, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA), nullptr);
  EXPECT_EQ(spdk_malloc(0, 0, nullptr, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA), nullptr);
  EXPECT_EQ(spdk_malloc(64, 96, nullptr, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA), nullptr);
  EXPECT_EQ(spdk_dma_realloc(nullptr, 64, 0, &unused), nullptr);
}

TEST_F(env_test, memory_ends_at_mem_size) {
  EXPECT_EQ(spdk_dma_malloc(129 * mebibyte, 0, nullptr), nullptr);
  EXPECT_EQ(spdk_dma_zmalloc_socket(129 * mebibyte, 0, nullptr, 0), nullptr);
  void* const first = spdk_dma_malloc(100 * mebibyte, 0, nullptr);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(spdk_dma_malloc(40 * mebibyte, 0, nullptr), nullptr);
  spdk_dma_free(first);
  void* const second = spdk_dma_malloc(40 * mebibyte, 0, nullptr);
  EXPECT_NE(second, nullptr);
  spdk_dma_free(second);
}

TEST_F(env_test, realloc_keeps_the_contents) {
  auto* buffer = static_cast<char*>(spdk_realloc(nullptr, 100, 0));
  ASSERT_NE(buffer, nullptr);
  std::strcpy(buffer, "contents");
  buffer = static_cast<char*>(spdk_dma_realloc(buffer, 100'000, 4096, nullptr));
  ASSERT_NE(buffer, nullptr);
  EXPECT_STREQ(buffer, "contents");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer) % 4096, 0u);
  EXPECT_EQ(spdk_realloc(buffer, 200 * mebibyte, 0), nullptr);
  EXPECT_STREQ(buffer, "contents");
  spdk_free(buffer);
}

struct free_deleter {
  void operator()(char* p) const { std::free(p); }
};

TEST_F(env_test, registration_of_memory) {
  constexpr std::size_t page = 4096;
  const std::unique_ptr<char, free_deleter> memory{
      static_cast<char*>(std::aligned_alloc(page, 4 * page))};
  char* const m = memory.get();
  EXPECT_EQ(spdk_mem_register(m + 1, page), -EINVAL);
  EXPECT_EQ(spdk_mem_register(m, 100), -EINVAL);
  EXPECT_EQ(spdk_mem_register(m, 0), 0);
  EXPECT_EQ(spdk_mem_register(m, 3 * page), 0);
  EXPECT_EQ(spdk_mem_register(m, 3 * page), -EBUSY);
  EXPECT_EQ(spdk_mem_register(m + 2 * page, 2 * page), -EBUSY);
  EXPECT_EQ(spdk_mem_unregister(m, page), -ERANGE);
  EXPECT_EQ(spdk_mem_unregister(m + page, 2 * page), -ERANGE);
  EXPECT_EQ(spdk_mem_unregister(m, 4 * page), -EINVAL);
  EXPECT_EQ(spdk_mem_unregister(m, 3 * page), 0);
  EXPECT_EQ(spdk_mem_unregister(m, 3 * page), -EINVAL);
  // Two registrations side by side can go at once.
  EXPECT_EQ(spdk_mem_register(m, page), 0);
  EXPECT_EQ(spdk_mem_register(m + page, page), 0);
  EXPECT_EQ(spdk_mem_unregister(m, 2 * page), 0);
}

TEST_F(env_test, memory_of_the_environment_is_registered) {
  constexpr std::size_t page = 4096;
  auto* const buffer = static_cast<std::byte*>(spdk_dma_malloc(4 * page, page, nullptr));
  ASSERT_NE(buffer, nullptr);
  EXPECT_EQ(spdk_mem_register(buffer + page, page), -EBUSY);
  EXPECT_EQ(spdk_mem_unregister(buffer + page, page), -ERANGE);
  spdk_dma_free(buffer);
}

// The library that SPDK v26.05 installs as a shared one has the declaration only.
extern "C" int spdk_mem_reserve(void* vaddr, size_t len) __attribute__((weak));

TEST_F(env_test, reservation_of_memory) {
  if (spdk_mem_reserve == nullptr) {
    GTEST_SKIP() << "this SPDK does not export spdk_mem_reserve()";
  }
  constexpr std::size_t page = 4096;
  alignas(page) static std::array<std::byte, 4 * page> memory;
  std::byte* const m = memory.data();
  EXPECT_EQ(spdk_mem_reserve(m + 1, page), -EINVAL);
  EXPECT_EQ(spdk_mem_reserve(m, 100), -EINVAL);
  EXPECT_EQ(spdk_mem_reserve(reinterpret_cast<void*>(std::uintptr_t{1} << 48), page), -EINVAL);
  EXPECT_EQ(spdk_mem_reserve(m, 0), 0);
  EXPECT_EQ(spdk_mem_reserve(m, 2 * page), 0);
  // It is not a registration.
  EXPECT_EQ(spdk_mem_unregister(m, 2 * page), -EINVAL);
  EXPECT_EQ(spdk_mem_register(m, 2 * page), 0);
  EXPECT_EQ(spdk_mem_reserve(m + page, 2 * page), -EBUSY);
  EXPECT_EQ(spdk_mem_unregister(m, 2 * page), 0);
}

TEST_F(env_test, no_translation_without_pci) {
  void* const buffer = spdk_dma_malloc(4096, 4096, nullptr);
  EXPECT_EQ(spdk_vtophys(buffer, nullptr), SPDK_VTOPHYS_ERROR);
  spdk_dma_free(buffer);
}

TEST(env_start_DeathTest, translation_of_dma_memory) {
  EXPECT_EXIT(
      {
        spdk_env_opts opts = options();
        opts.no_pci = false;
        const bool up = spdk_env_init(&opts) == 0;
        void* const buffer = spdk_dma_malloc(8192, 4096, nullptr);
        std::uint64_t size = 4096;
        const bool same = spdk_vtophys(buffer, &size) == reinterpret_cast<std::uintptr_t>(buffer);
        int local = 0;
        const bool foreign = spdk_vtophys(&local, nullptr) == SPDK_VTOPHYS_ERROR;
        std::_Exit(up && same && size == 4096 && foreign ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(env_test, clock) {
  const std::uint64_t hz = spdk_get_ticks_hz();
  EXPECT_GT(hz, 1'000'000u);
  const std::uint64_t start = spdk_get_ticks();
  spdk_delay_us(2'000);
  spdk_pause();
  EXPECT_GE(spdk_get_ticks() - start, hz / 1'000'000 * 1'990);
}

TEST_F(env_test, memory_zones) {
  auto* const zone = static_cast<char*>(spdk_memzone_reserve("zone", 1000, -1, 0));
  ASSERT_NE(zone, nullptr);
  EXPECT_TRUE(std::all_of(zone, zone + 1000, [](char c) { return c == 0; }));
  EXPECT_EQ(spdk_memzone_lookup("zone"), zone);
  EXPECT_EQ(spdk_memzone_reserve("zone", 10, -1, 0), nullptr);
  EXPECT_EQ(spdk_memzone_free("zone"), 0);
  EXPECT_EQ(spdk_memzone_free("zone"), -1);
  EXPECT_EQ(spdk_memzone_lookup("zone"), nullptr);
}

TEST_F(env_test, memory_pool) {
  spdk_mempool* const pool = spdk_mempool_create("pool", 10, 24, 0, -1);
  ASSERT_NE(pool, nullptr);
  EXPECT_STREQ(spdk_mempool_get_name(pool), "pool");
  EXPECT_EQ(spdk_mempool_lookup("pool"), pool);
  EXPECT_EQ(spdk_mempool_create("pool", 10, 24, 0, -1), nullptr);
  EXPECT_EQ(spdk_mempool_create("empty", 0, 24, 0, -1), nullptr);
  std::array<void*, 10> elements{};
  EXPECT_EQ(spdk_mempool_get_bulk(pool, elements.data(), 10), 0);
  EXPECT_EQ(spdk_mempool_count(pool), 0u);
  EXPECT_EQ(spdk_mempool_get(pool), nullptr);
  EXPECT_LT(spdk_mempool_get_bulk(pool, elements.data(), 1), 0);
  std::ranges::sort(elements);
  EXPECT_EQ(std::ranges::adjacent_find(elements), elements.end());
  spdk_mempool_put(pool, elements[9]);
  spdk_mempool_put_bulk(pool, elements.data(), 9);
  EXPECT_EQ(spdk_mempool_count(pool), 10u);
  spdk_mempool_free(pool);
  EXPECT_EQ(spdk_mempool_lookup("pool"), nullptr);
}

TEST_F(env_test, ring) {
  spdk_ring* const ring = spdk_ring_create(SPDK_RING_TYPE_MP_MC, 5, -1);
  ASSERT_NE(ring, nullptr);
  std::array<int, 6> numbers{};
  std::array<void*, 6> in{};
  std::ranges::transform(numbers, in.begin(), [](int& n) { return &n; });
  EXPECT_EQ(spdk_ring_enqueue(ring, in.data(), 3, nullptr), 3u);
  std::size_t free_space = 0;
  EXPECT_EQ(spdk_ring_enqueue(ring, in.data(), 3, &free_space), 0u);
  EXPECT_EQ(free_space, 2u);
  EXPECT_EQ(spdk_ring_enqueue(ring, in.data() + 3, 2, nullptr), 2u);
  EXPECT_EQ(spdk_ring_count(ring), 5u);
  std::array<void*, 6> out{};
  EXPECT_EQ(spdk_ring_dequeue(ring, out.data(), 6), 5u);
  EXPECT_TRUE(std::equal(out.begin(), out.begin() + 5, in.begin()));
  spdk_ring_free(ring);
}

TEST(pci_address_test, text_forms) {
  spdk_pci_addr addr{};
  std::array<char, 32> text{};
  const auto round_trip = [&](const char* bdf) -> std::string {
    if (spdk_pci_addr_parse(&addr, bdf) != 0 ||
        spdk_pci_addr_fmt(text.data(), text.size(), &addr) != 0) {
      return "invalid";
    }
    return text.data();
  };
  EXPECT_EQ(round_trip("0000:81:00.1"), "0000:81:00.1");
  EXPECT_EQ(round_trip("1.2.3.4"), "0001:02:03.4");
  EXPECT_EQ(round_trip("81:00.1"), "0000:81:00.1");
  EXPECT_EQ(round_trip("81.00.1"), "0000:81:00.1");
  EXPECT_EQ(round_trip("1:81:02"), "0001:81:02.0");
  EXPECT_EQ(round_trip("81:02"), "0000:81:02.0");
  EXPECT_EQ(round_trip("81"), "invalid");
  EXPECT_EQ(round_trip("nvme"), "invalid");
  EXPECT_EQ(round_trip("0000:81:20.0"), "invalid");
  EXPECT_EQ(round_trip("0000:81:00.8"), "invalid");
  const spdk_pci_addr low{0, 1, 2, 3};
  const spdk_pci_addr high{0, 1, 3, 0};
  EXPECT_LT(spdk_pci_addr_compare(&low, &high), 0);
  EXPECT_GT(spdk_pci_addr_compare(&high, &low), 0);
  EXPECT_EQ(spdk_pci_addr_compare(&low, &low), 0);
}

TEST_F(env_test, can_start_again_after_the_end) {
  spdk_env_fini();
  const spdk_env_opts opts = options();
  EXPECT_EQ(spdk_env_init(&opts), -EINVAL);
  EXPECT_EQ(spdk_env_init(nullptr), 0);
}

}  // namespace
