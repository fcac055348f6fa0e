// SPDX-License-Identifier: BSD-3-Clause
// Fixture for the tests of the thread library: environment, library and threads up before each
// test and cleanly down after it. Only public API, so that the tests run on SPDK as well.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "spdk/env.h"
#include "spdk/thread.h"

/// Starts the environment of this process once.
inline void start_env() {
  static const bool started = [] {
    spdk_env_opts opts{};
    opts.opts_size = sizeof opts;
    spdk_env_opts_init(&opts);
    opts.name = "lite_test";
    opts.no_huge = true;
    opts.no_pci = true;
    opts.mem_size = 256;
    return spdk_env_init(&opts) == 0;
  }();
  ASSERT_TRUE(started);
}

/// Acts as an SPDK thread for the length of a scope.
class on_thread {
 public:
  explicit on_thread(spdk_thread* thread) : outer_{spdk_get_thread()} { spdk_set_thread(thread); }
  ~on_thread() { spdk_set_thread(outer_); }
  on_thread(const on_thread&) = delete;
  on_thread& operator=(const on_thread&) = delete;

 private:
  spdk_thread* outer_;
};

class thread_library_test : public testing::Test {
 protected:
  void SetUp() override {
    start_env();
    ASSERT_EQ(spdk_thread_lib_init(nullptr, context_size), 0);
    app = create("app");
  }

  void TearDown() override {
    // The app thread exits last, as SPDK demands.
    while (!threads_.empty()) {
      finish(threads_.back());
    }
    spdk_thread_lib_fini();
  }

  spdk_thread* create(const char* name) {
    spdk_thread* const thread = spdk_thread_create(name, nullptr);
    EXPECT_NE(thread, nullptr);
    threads_.push_back(thread);
    return thread;
  }

  /// Exits and destroys a thread.
  void finish(spdk_thread* thread) {
    if (!spdk_thread_is_exited(thread)) {
      {
        const on_thread scope{thread};
        spdk_thread_exit(thread);
      }
      // Five seconds is what an exit may take at most.
      while (!spdk_thread_is_exited(thread)) {
        poll_all();
      }
    }
    std::erase(threads_, thread);
    spdk_thread_destroy(thread);
  }

  /// Polls all threads until none has anything to do. Not with active pollers that are busy.
  void poll_all() {
    bool busy = true;
    while (busy) {
      busy = false;
      for (spdk_thread* const thread : threads_) {
        busy = spdk_thread_poll(thread, 0, 0) > 0 || busy;
      }
    }
  }

  static constexpr std::size_t context_size = 40;
  spdk_thread* app = nullptr;

 private:
  std::vector<spdk_thread*> threads_;
};

/// Collects what happened, in order.
using event_log = std::vector<std::string>;

/// An argument for the functions below: each adds its text to the log.
struct entry {
  event_log* log;
  std::string text;
};

inline void append(void* ctx) {
  const auto* const e = static_cast<entry*>(ctx);
  e->log->push_back(e->text);
}

inline int append_idle(void* ctx) {
  append(ctx);
  return SPDK_POLLER_IDLE;
}

inline int append_busy(void* ctx) {
  append(ctx);
  return SPDK_POLLER_BUSY;
}

inline std::uint64_t ticks_of_us(std::uint64_t us) { return us * spdk_get_ticks_hz() / 1'000'000; }
