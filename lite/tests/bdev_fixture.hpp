// SPDX-License-Identifier: BSD-3-Clause
// Starts the environment, threads and subsystems once per test program, through SPDK's public
// C API only, so that the same tests also run on SPDK itself; and drives the polling.
#pragma once

#include "spdk/bdev.h"
#include "spdk/bdev_module.h"
#include "spdk/env.h"
#include "spdk/init.h"
#include "spdk/log.h"
#include "spdk/rpc.h"
#include "spdk/thread.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace bdev_test {

inline std::string logged;  ///< what has been logged since it was last cleared

inline void keep_log(int /*level*/, const char* /*file*/, const int /*line*/, const char* /*func*/,
                     const char* format, va_list args) {
  char text[2048];
  std::vsnprintf(text, sizeof(text), format, args);
  logged += text;
}

/// The threads of the test program: the app thread, current by default, and another one.
class threads {
 public:
  static inline spdk_thread* app = nullptr;
  static inline spdk_thread* other = nullptr;

  static void poll() {
    spdk_thread_poll(app, 0, 0);
    spdk_thread_poll(other, 0, 0);
  }
  /// Polls until the condition holds. Bounded, so that a lost completion fails the test.
  static bool poll_until(const std::function<bool()>& condition) {
    for (long i = 0; i < 200'000'000; ++i) {
      if (condition()) {
        return true;
      }
      poll();
    }
    return false;
  }
  static void poll_times(int count) {
    for (int i = 0; i < count; ++i) {
      poll();
    }
  }
};

/// Runs with the other SPDK thread as the current one.
class on_other {
 public:
  on_other() { spdk_set_thread(threads::other); }
  ~on_other() { spdk_set_thread(threads::app); }
  on_other(const on_other&) = delete;
  on_other& operator=(const on_other&) = delete;
};

/// Loads a configuration and waits for its result.
inline int load(std::string json, bool stop_on_error = true) {
  int result = 1;
  const auto done = [](int rc, void* ctx) { *static_cast<int*>(ctx) = rc; };
  spdk_subsystem_load_config(json.data(), static_cast<ssize_t>(json.size()), done, &result,
                             stop_on_error);
  EXPECT_TRUE(threads::poll_until([&] { return result != 1; }));
  return result;
}

/// Calls one method at run time.
inline int call(const std::string& method, const std::string& params) {
  const std::string object = params.empty() ? "" : R"(,"params":)" + params;
  return load(R"({"subsystems":[{"subsystem":"bdev","config":[{"method":")" + method + "\"" +
              object + "}]}]}");
}

inline int create_malloc(const std::string& name, int blocks = 1024, int block_size = 512) {
  return call("bdev_malloc_create", R"({"name":")" + name + R"(","num_blocks":)" +
                                        std::to_string(blocks) + R"(,"block_size":)" +
                                        std::to_string(block_size) + "}");
}

inline int create_null(const std::string& name, int blocks = 1024, int block_size = 512) {
  return call("bdev_null_create", R"({"name":")" + name + R"(","num_blocks":)" +
                                      std::to_string(blocks) + R"(,"block_size":)" +
                                      std::to_string(block_size) + "}");
}

inline int remove(const std::string& module, const std::string& name) {
  return call("bdev_" + module + "_delete", R"({"name":")" + name + "\"}");
}

/// The environment of all tests: pool and cache are small, so that they can be used up.
class environment : public testing::Environment {
 public:
  static constexpr unsigned pool_size = 160;
  static constexpr unsigned cache_size = 16;

  void SetUp() override {
    spdk_env_opts opts{};
    opts.opts_size = sizeof(opts);
    spdk_env_opts_init(&opts);
    opts.name = "bdev_test";
    opts.no_huge = true;
    opts.no_pci = true;
    opts.mem_size = 512;
    ASSERT_EQ(spdk_env_init(&opts), 0);
    ASSERT_EQ(spdk_thread_lib_init(nullptr, 0), 0);
    threads::app = spdk_thread_create("app", nullptr);
    threads::other = spdk_thread_create("other", nullptr);
    ASSERT_NE(threads::other, nullptr);
    spdk_set_thread(threads::app);
    spdk_log_open(keep_log);

    const std::string config = R"({"subsystems":[
        {"subsystem":"iobuf","config":[{"method":"iobuf_set_options",
          "params":{"small_pool_count":1024,"large_pool_count":64}}]},
        {"subsystem":"bdev","config":[{"method":"bdev_set_options",
          "params":{"bdev_io_pool_size":)" +
                               std::to_string(pool_size) + R"(,"bdev_io_cache_size":)" +
                               std::to_string(cache_size) +
                               R"(,"iobuf_small_cache_size":32,"iobuf_large_cache_size":8}},
          {"method":"bdev_malloc_create",
           "params":{"name":"first","num_blocks":64,"block_size":512}}]}]})";
    ASSERT_EQ(load(config), 0) << logged;
    EXPECT_EQ(spdk_bdev_get_by_name("first"), nullptr);  // not in the state STARTUP
    int rc = 1;
    spdk_subsystem_init([](int r, void* ctx) { *static_cast<int*>(ctx) = r; }, &rc);
    ASSERT_TRUE(threads::poll_until([&] { return rc != 1; }));
    ASSERT_EQ(rc, 0) << logged;
    spdk_rpc_set_state(SPDK_RPC_RUNTIME);
    ASSERT_EQ(load(config), 0) << logged;
    EXPECT_NE(spdk_bdev_get_by_name("first"), nullptr);
  }

  void TearDown() override {
    bool done = false;
    logged.clear();
    spdk_subsystem_fini([](void* ctx) { *static_cast<bool*>(ctx) = true; }, &done);
    EXPECT_TRUE(threads::poll_until([&] { return done; }));
    EXPECT_EQ(logged, "");  // no I/O object is missing, nothing was left open
    exit_thread(threads::other);
    exit_thread(threads::app);
    spdk_thread_lib_fini();
    spdk_env_fini();
  }

 private:
  static void exit_thread(spdk_thread* thread) {
    spdk_set_thread(thread);
    spdk_thread_exit(thread);
    while (!spdk_thread_is_exited(thread)) {
      spdk_thread_poll(thread, 0, 0);
    }
    spdk_thread_destroy(thread);
    spdk_set_thread(nullptr);
  }
};

inline const auto* const registered = testing::AddGlobalTestEnvironment(new environment);

/// What a completion said.
struct outcome {
  bool done = false;
  bool success = false;
  int sct = -1;
  int sc = -1;
  std::uint32_t cdw0 = 0;
  int order = 0;

  static inline int completions = 0;

  static void callback(spdk_bdev_io* io, bool success, void* arg) {
    auto* self = static_cast<outcome*>(arg);
    self->done = true;
    self->success = success;
    self->order = ++completions;
    spdk_bdev_io_get_nvme_status(io, &self->cdw0, &self->sct, &self->sc);
    spdk_bdev_free_io(io);
  }
  bool wait() {
    EXPECT_TRUE(threads::poll_until([this] { return done; }));
    return done && success;
  }
};

/// An open device with a channel of the current thread.
class device {
 public:
  struct event {
    spdk_bdev_event_type type;
    spdk_thread* thread;
  };

  explicit device(const std::string& name, bool write = true) {
    EXPECT_EQ(spdk_bdev_open_ext(name.c_str(), write, on_event, this, &desc), 0);
    ch = spdk_bdev_get_io_channel(desc);
    EXPECT_NE(ch, nullptr);
  }
  ~device() { close(); }
  device(const device&) = delete;
  device& operator=(const device&) = delete;

  void close() {
    put_channel();
    if (desc != nullptr) {
      spdk_bdev_close(desc);
      desc = nullptr;
    }
  }
  void put_channel() {
    if (ch != nullptr) {
      spdk_put_io_channel(ch);
      ch = nullptr;
    }
  }
  [[nodiscard]] spdk_bdev* bdev() const { return spdk_bdev_desc_get_bdev(desc); }

  spdk_bdev_desc* desc = nullptr;
  spdk_io_channel* ch = nullptr;
  std::vector<event> events;

 private:
  static void on_event(spdk_bdev_event_type type, spdk_bdev* /*bdev*/, void* ctx) {
    static_cast<device*>(ctx)->events.push_back({type, spdk_get_thread()});
  }
};

/// Memory from the environment.
class dma_memory {
 public:
  explicit dma_memory(std::size_t size, int fill = 0, std::size_t align = 4096)
      : data(static_cast<unsigned char*>(spdk_dma_malloc(size, align, nullptr))), size(size) {
    std::memset(data, fill, size);
  }
  ~dma_memory() { spdk_dma_free(data); }
  dma_memory(const dma_memory&) = delete;
  dma_memory& operator=(const dma_memory&) = delete;

  [[nodiscard]] bool all(int value, std::size_t from = 0, std::size_t to = SIZE_MAX) const {
    for (std::size_t i = from; i < std::min(to, size); ++i) {
      if (data[i] != value) {
        return false;
      }
    }
    return true;
  }

  unsigned char* data;
  std::size_t size;
};

}  // namespace bdev_test
