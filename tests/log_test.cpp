// SPDX-License-Identifier: BSD-3-Clause
// Where SPDK's log goes.
#include "spdk_test.hpp"

#include <gtest/gtest.h>

#include <spdk/log.h>

#include <atomic>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace spdk_io_test;

void say(spdk_log_level level, const char* text) {
  spdk_log(level, "file.c", 1, "function", "%s", text);
}

class log : public testing::Test {
 protected:
  void listen(sio::log_level most) {
    sio::set_log([this](sio::log_level level,
                        std::string_view line) { lines.emplace_back(level, std::string(line)); },
                 most);
  }
  ~log() override { sio::set_log({}); }

  std::vector<std::pair<sio::log_level, std::string>> lines;
};

TEST_F(log, gets_lines_with_their_level_and_without_their_newline) {
  listen(sio::log_level::debug);
  say(SPDK_LOG_ERROR, "an error\n");
  say(SPDK_LOG_WARN, "a warning\n");
  say(SPDK_LOG_NOTICE, "a notice");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], (std::pair(sio::log_level::error, std::string("an error"))));
  EXPECT_EQ(lines[1], (std::pair(sio::log_level::warning, std::string("a warning"))));
  EXPECT_EQ(lines[2], (std::pair(sio::log_level::notice, std::string("a notice"))));
}

TEST_F(log, drops_what_is_less_important_than_asked_for) {
  listen(sio::log_level::warning);
  say(SPDK_LOG_NOTICE, "a notice\n");
  EXPECT_TRUE(lines.empty());
  say(SPDK_LOG_WARN, "a warning\n");
  EXPECT_EQ(lines.size(), 1u);
}

TEST_F(log, is_quiet_again_with_an_empty_callback) {
  listen(sio::log_level::debug);
  say(SPDK_LOG_ERROR, "heard\n");
  EXPECT_EQ(lines.size(), 1u);
  sio::set_log({});
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  say(SPDK_LOG_ERROR, "unheard\n");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(lines.size(), 1u);
}

TEST_F(log, drops_empty_lines) {
  listen(sio::log_level::debug);
  say(SPDK_LOG_ERROR, "\n");
  EXPECT_TRUE(lines.empty());
}

TEST_F(log, may_be_replaced_while_other_threads_log) {
  std::atomic<int> heard{0};
  std::atomic<bool> stop{false};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!stop) say(SPDK_LOG_ERROR, "x\n");
    });
  }
  for (int i = 0; i < 200; ++i) sio::set_log([&](sio::log_level, std::string_view) { ++heard; });
  while (heard == 0) std::this_thread::yield();
  stop = true;
  threads.clear();
  EXPECT_GT(heard, 0);
}

TEST(log_level, has_names) {
  EXPECT_EQ(sio::to_string(sio::log_level::error), "error");
  EXPECT_EQ(sio::to_string(sio::log_level::warning), "warning");
  EXPECT_EQ(sio::to_string(sio::log_level::notice), "notice");
  EXPECT_EQ(sio::to_string(sio::log_level::info), "info");
  EXPECT_EQ(sio::to_string(sio::log_level::debug), "debug");
}

}  // namespace
