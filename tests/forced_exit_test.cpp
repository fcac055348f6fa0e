// SPDX-License-Identifier: BSD-3-Clause
// Threads that cannot exit, because C code keeps something on them: SPDK ends them by force, and
// the library says what held them. (Each takes the 5 seconds that SPDK gives a thread.)
#include "own_process.hpp"

#include <spdk_io/spdk_io.hpp>

#include <spdk/thread.h>

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace sio = spdk_io;
using namespace spdk_io_test;

namespace {

sio::env start_env() {
  return sio::env::start({.name = "forced_exit", .hugepages = false, .pci = false}).value();
}

testing::AssertionResult contains(const process_end& end, std::string_view part) {
  if (end.err.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << '"' << end.err << "\" does not contain \"" << part << '"';
}

constexpr std::string_view by_force =
    " did not exit within 5 s, and SPDK ended it by force. What held it: ";

// They are there until the process ends: SPDK frees pollers, and nobody frees channels.
struct left_behind {
  spdk_poller* active = nullptr;
  spdk_poller* timed = nullptr;
  spdk_poller* paused = nullptr;
  spdk_io_channel* channel = nullptr;
};
left_behind left;
int device_of_c_code = 0;

int nothing_to_do(void*) { return SPDK_POLLER_IDLE; }

void register_device(void* device, const char* name) {
  spdk_io_device_register(device, [](void*, void*) { return 0; }, [](void*, void*) {}, 8, name);
}

// A second thread, with what `keep` keeps on it; then the end of both.
template <class Keep>
process_end end_of_a_thread_with(Keep keep) {
  return in_own_process([&] {
    auto env = start_env();
    auto main = sio::thread::attach("main").value();
    {
      auto held = sio::thread::create("held").value();
      bool done = false;
      ASSERT_TRUE(held.ref().send([&] {
        keep();
        done = true;
      }));
      while (!done) held.poll();
    }
    std::fputs("the end\n", stderr);
  });
}

TEST(forced_exit, names_pollers_and_channels) {
  const auto end = end_of_a_thread_with([] {
    left.active = spdk_poller_register_named(nothing_to_do, nullptr, 0, "spins");
    left.timed = spdk_poller_register_named(nothing_to_do, nullptr, 1000, "ticks");
    left.paused = spdk_poller_register_named(nothing_to_do, nullptr, 0, "sleeps");
    spdk_poller_pause(left.paused);
    register_device(&device_of_c_code, "a device of C code");
    left.channel = spdk_get_io_channel(&device_of_c_code);
  });
  EXPECT_TRUE(passed(end));
  EXPECT_TRUE(contains(
      end,
      "spdk-io: thread \"held\"" + std::string(by_force) +
          "pollers that were not unregistered: \"spins\", \"ticks\", \"sleeps\"; channels that "
          "were not put, of: \"a device of C code\"\n"));
  EXPECT_TRUE(contains(end, "the end\n"));
  EXPECT_FALSE(contains(end, "thread \"main\""));
}

// The end of its device waits for another thread.
TEST(forced_exit, says_so_where_nothing_has_a_name) {
  const auto end = in_own_process([] {
    auto env = start_env();
    auto main = sio::thread::attach("main").value();
    register_device(&device_of_c_code, "a device of C code");
    left.channel = spdk_get_io_channel(&device_of_c_code);
    {
      auto held = sio::thread::create("held").value();
      bool done = false;
      ASSERT_TRUE(held.ref().send([&] {
        spdk_io_device_unregister(&device_of_c_code, [](void*) {});
        done = true;
      }));
      while (!done) held.poll();
    }
    // The device would tell its end to a thread that is gone.
    std::_Exit(testing::Test::HasFailure() ? 1 : 0);
  });
  EXPECT_TRUE(passed(end));
  EXPECT_TRUE(contains(end, "spdk-io: thread \"held\"" + std::string(by_force) +
                                "neither a poller nor a channel that could be named"));
}

}  // namespace
