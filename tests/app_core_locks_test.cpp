// SPDX-License-Identifier: BSD-3-Clause
// The lock that SPDK's applications hold on their cores. Runs alone: others want them as well.
#include "own_process.hpp"

#include <spdk_io/spdk_io.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

namespace {

namespace sio = spdk_io;
using namespace spdk_io_test;
using testing::HasSubstr;

sio::task<sio::result<int>> answer() { co_return 42; }

sio::app_options options(bool locks) {
  return {.name = "locks", .hugepages = false, .pci = false, .core_locks = locks};
}

// Another application, as far as one can see.
struct held_core {
  held_core() : fd(open("/var/tmp/spdk_cpu_lock_000", O_RDWR | O_CREAT, 0600)) {
    const int pid = getpid();
    EXPECT_EQ(pwrite(fd, &pid, sizeof(pid), 0), static_cast<ssize_t>(sizeof(pid)));
    struct flock whole = {};
    whole.l_type = F_WRLCK;
    EXPECT_EQ(fcntl(fd, F_SETLK, &whole), 0);
  }
  ~held_core() {
    unlink("/var/tmp/spdk_cpu_lock_000");
    close(fd);
  }
  int fd;
};

TEST(app_core_locks, a_core_that_another_application_polls) {
  held_core other;
  EXPECT_TRUE(passed(in_own_process([] {
    auto r = sio::app::run(options(true), answer());
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::device_or_resource_busy);
    EXPECT_THAT(r.error().message(), HasSubstr("probably"));
    EXPECT_THAT(r.error().message(),
                HasSubstr("choose another core_mask, or set .core_locks = false"));
  })));
  EXPECT_TRUE(passed(in_own_process([] {
    auto r = sio::app::run(options(false), answer());
    EXPECT_TRUE(r) << r.error();
  })));
}

TEST(app_core_locks, are_released_at_the_end) {
  EXPECT_TRUE(passed(in_own_process([] {
    bool held = false;
    auto r = sio::app::run(options(true), [&]() -> sio::task<void> {
      held = access("/var/tmp/spdk_cpu_lock_000", F_OK) == 0;
      co_return;
    });
    EXPECT_TRUE(r) << r.error();
    EXPECT_TRUE(held);
  })));
  EXPECT_NE(access("/var/tmp/spdk_cpu_lock_000", F_OK), 0);
}

}  // namespace
