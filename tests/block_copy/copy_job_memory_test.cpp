// SPDX-License-Identifier: BSD-3-Clause
// However long the range is, a copy needs depth times chunk for each side, and allocates nothing
// for a chunk.
#include "counted_malloc.hpp"

#include "copied.hpp"

#include <cstdint>

namespace copy_test {
namespace {

using spdk_io_test::open_malloc;

constexpr std::size_t chunk = 4096;
constexpr std::uint32_t depth = 4;

class copy_job_memory : public testing::Test {
 protected:
  std::uint64_t allocations_of(std::uint64_t length, bool verify) {
    copy_job job(from, to, {.length = length, .chunk = chunk, .depth = depth, .verify = verify});
    allocations = 0;
    measuring = true;
    const auto r = run(job.run());
    measuring = false;
    must(r);
    memory = job.memory();
    return allocations;
  }
  sio::bdev_desc from = open_malloc("a", 4 << 20);
  sio::bdev_desc to = open_malloc("b", 4 << 20);
  content source = fill(from, 1);
  std::size_t memory = 0;
};

TEST_F(copy_job_memory, is_bounded_by_depth_and_chunk) {
  for (std::uint64_t length : {std::uint64_t{64} << 10, std::uint64_t{4} << 20}) {
    allocations_of(length, true);
    EXPECT_EQ(memory, 2 * depth * chunk + 2 * 512) << length;
  }
  // Not even that where there is less to be copied.
  allocations_of(4096, true);
  EXPECT_EQ(memory, 2 * chunk + 2 * 512);
}

TEST_F(copy_job_memory, nothing_is_allocated_for_a_chunk) {
#ifdef SPDK_IO_TEST_SANITIZED
  GTEST_SKIP() << "a sanitizer has replaced malloc already";
#endif
  for (bool verify : {false, true}) {
    allocations_of(64 << 10, verify);
    const std::uint64_t few = allocations_of(64 << 10, verify);
    EXPECT_GT(few, 0U);
    EXPECT_EQ(allocations_of(4 << 20, verify), few);
  }
}

// Nor is what differs found with more.
TEST_F(copy_job_memory, is_bounded_where_they_differ) {
  copy_job job(from, to,
               {.chunk = chunk, .depth = depth, .resume_from = 4 << 20});  // nothing was copied
  const auto r = run(job.run());
  ASSERT_FALSE(r);
  ASSERT_TRUE(job.first_difference());
  EXPECT_LE(job.memory(), 2 * depth * chunk + 2 * 512);
}

}  // namespace
}  // namespace copy_test
