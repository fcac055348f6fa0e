// SPDX-License-Identifier: BSD-3-Clause
// The life of an application: start, what it finds, stop by call and by signal.
#include "app_fixture.hpp"

#include <csignal>
#include <string>

namespace {

TEST_F(app_test, runs_the_start_function_on_the_app_thread_until_it_is_stopped) {
  bool started = false;
  const int rc = run_app(app_options(), [&] {
    started = true;
    EXPECT_TRUE(spdk_thread_is_app_thread(nullptr));
    EXPECT_STREQ(spdk_thread_get_name(spdk_get_thread()), "app_thread");
    EXPECT_EQ(spdk_env_get_current_core(), spdk_env_get_main_core());
    spdk_app_stop(0);
  });
  EXPECT_TRUE(started);
  EXPECT_EQ(rc, 0);
}

TEST_F(app_test, returns_the_first_code_that_is_not_zero) {
  EXPECT_EQ(run_app(app_options(),
                    [] {
                      spdk_app_stop(0);
                      spdk_app_stop(7);
                      spdk_app_stop(8);
                    }),
            7);
}

TEST_F(app_test, stops_on_sigint) {
  EXPECT_EQ(run_app(app_options(), [] { std::raise(SIGINT); }), 0);
}

TEST_F(app_test, stops_on_sigterm) {
  EXPECT_EQ(run_app(app_options(), [] { std::raise(SIGTERM); }), 0);
}

}  // namespace
