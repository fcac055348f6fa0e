// SPDX-License-Identifier: BSD-3-Clause
// Two reactors, spinning and sleeping: events between them, SPDK threads on them, and their end.
#include "app_fixture.hpp"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "spdk/cpuset.h"

namespace {

/// With the parameter true in interrupt mode.
class reactor_test : public app_test, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
      GTEST_SKIP() << "this machine has one CPU only";
    }
  }

  static int run(action start) {
    spdk_app_opts opts = app_options();
    opts.reactor_mask = "0x3";
    opts.interrupt_mode = GetParam();
    return run_app(opts, std::move(start));
  }

  static spdk_thread* create_on(const char* name, std::uint32_t core) {
    const spdk_cpuset mask = only_core(core);
    return spdk_thread_create(name, &mask);
  }
};
INSTANTIATE_TEST_SUITE_P(, reactor_test, testing::Bool(), [](const auto& test) {
  return std::string{test.param ? "sleeping" : "spinning"};
});

/// Has the current thread exit, and stops the application once it is gone for good.
void exit_and_stop(spdk_thread* app_thread, int rc = 0) {
  const std::uint64_t id = spdk_thread_get_id(spdk_get_thread());
  spdk_thread_exit(spdk_get_thread());
  on_thread(app_thread, [id, rc] {
    struct watch {
      std::uint64_t id;
      int rc;
      spdk_poller* poller;
    };
    auto* const w = new watch{id, rc, nullptr};
    w->poller = spdk_poller_register(
        [](void* ctx) -> int {
          auto* const self = static_cast<watch*>(ctx);
          if (spdk_thread_get_by_id(self->id) != nullptr) {
            return SPDK_POLLER_IDLE;
          }
          spdk_poller_unregister(&self->poller);
          spdk_app_stop(self->rc);
          delete self;
          return SPDK_POLLER_BUSY;
        },
        w, 0);
  });
}

// ---- cores ----

TEST_P(reactor_test, have_the_cores_of_the_mask) {
  EXPECT_EQ(run([] {
              EXPECT_EQ(spdk_env_get_core_count(), 2u);
              EXPECT_EQ(spdk_env_get_current_core(), 0u);
              std::vector<std::uint32_t> cores;
              std::uint32_t core = 0;
              SPDK_ENV_FOREACH_CORE(core) { cores.push_back(core); }
              EXPECT_EQ(cores, (std::vector<std::uint32_t>{0, 1}));
              spdk_cpuset expected{};
              ASSERT_EQ(spdk_cpuset_parse(&expected, "0x3"), 0);
              EXPECT_TRUE(spdk_cpuset_equal(spdk_app_get_core_mask(), &expected));
              spdk_cpuset parsed{};
              EXPECT_EQ(spdk_app_parse_core_mask("0x6", &parsed), 0);
              expected = only_core(1);
              EXPECT_TRUE(spdk_cpuset_equal(&parsed, &expected));
              EXPECT_LT(spdk_app_parse_core_mask("nonsense", &parsed), 0);
              spdk_app_stop(0);
            }),
            0);
}

TEST_P(reactor_test, main_core_may_be_another_one) {
  spdk_app_opts opts = app_options();
  opts.reactor_mask = "0x3";
  opts.main_core = 1;
  opts.interrupt_mode = GetParam();
  EXPECT_EQ(run_app(opts,
                    [] {
                      EXPECT_EQ(spdk_env_get_current_core(), 1u);
                      EXPECT_EQ(spdk_env_get_main_core(), 1u);
                      on_core(0, [] {
                        EXPECT_EQ(spdk_env_get_current_core(), 0u);
                        spdk_app_stop(0);
                      });
                    }),
            0);
}

TEST_P(reactor_test, name_their_os_threads) {
  EXPECT_EQ(run([] {
              on_core(1, [] {
                std::array<char, 16> name{};
                pthread_getname_np(pthread_self(), name.data(), name.size());
                EXPECT_STREQ(name.data(), "reactor_1");
                spdk_app_stop(0);
              });
            }),
            0);
}

// ---- events ----

TEST_P(reactor_test, run_events_in_order_without_a_current_thread_and_not_at_once) {
  static std::vector<int> order;
  EXPECT_EQ(run([] {
              spdk_thread* const app_thread = spdk_get_thread();
              for (int i = 0; i < 20; ++i) {
                on_core(0, [i] {
                  EXPECT_EQ(spdk_get_thread(), nullptr);
                  EXPECT_EQ(spdk_env_get_current_core(), 0u);
                  order.push_back(i);
                });
              }
              EXPECT_TRUE(order.empty());
              on_core(0, [app_thread] { on_thread(app_thread, [] { spdk_app_stop(0); }); });
            }),
            0);
  std::vector<int> expected(20);
  for (int i = 0; i < 20; ++i) {
    expected[static_cast<std::size_t>(i)] = i;
  }
  EXPECT_EQ(order, expected);
}

TEST_P(reactor_test, pass_both_arguments_of_an_event) {
  static int first = 0;
  static int second = 0;
  EXPECT_EQ(run([] {
              spdk_event_call(spdk_event_allocate(
                  1,
                  [](void* arg1, void* arg2) {
                    EXPECT_EQ(arg1, &first);
                    EXPECT_EQ(arg2, &second);
                    EXPECT_EQ(spdk_env_get_current_core(), 1u);
                    spdk_app_stop(0);
                  },
                  &first, &second));
            }),
            0);
}

void play(int rounds) {
  if (rounds == 0) {
    spdk_app_stop(0);
    return;
  }
  on_core(1 - spdk_env_get_current_core(), [rounds] { play(rounds - 1); });
}

TEST_P(reactor_test, wake_each_other_every_time) {
  EXPECT_EQ(run([] { play(2000); }), 0);
}

TEST_P(reactor_test, take_events_of_other_os_threads) {
  std::thread other;
  EXPECT_EQ(run([&] {
              other = std::thread{[] {
                EXPECT_EQ(spdk_env_get_current_core(), SPDK_ENV_LCORE_ID_ANY);
                static std::atomic<int> count{0};
                for (int i = 0; i < 1000; ++i) {
                  on_core(static_cast<std::uint32_t>(i % 2), [] {
                    if (count.fetch_add(1) == 999) {
                      spdk_app_stop(9);
                    }
                  });
                }
              }};
            }),
            9);
  other.join();
}

TEST_P(reactor_test, have_a_limited_number_of_events) {
  static int count = 0;
  EXPECT_EQ(
      run([] {
        std::vector<spdk_event*> events;
        const auto count_one = [](void*, void*) { ++count; };
        while (spdk_event* const event = spdk_event_allocate(0, count_one, nullptr, nullptr)) {
          events.push_back(event);
        }
        EXPECT_EQ(events.size(), 16'383u);
        for (spdk_event* const event : events) {
          spdk_event_call(event);
        }
        EXPECT_EQ(count, 0);
        // By message, since no event is left: the poller sees the last one come back.
        static spdk_poller* poller = nullptr;
        poller = spdk_poller_register(
            [](void*) -> int {
              if (count < 16'383) {
                return SPDK_POLLER_IDLE;
              }
              spdk_poller_unregister(&poller);
              on_core(1, [] { spdk_app_stop(0); });
              return SPDK_POLLER_BUSY;
            },
            nullptr, 0);
      }),
      0);
  EXPECT_EQ(count, 16'383);
}

TEST_P(reactor_test, have_no_events_for_cores_that_are_not_theirs) {
  EXPECT_EQ(spdk_event_allocate(0, [](void*, void*) {}, nullptr, nullptr), nullptr);
  EXPECT_EQ(run([] {
              EXPECT_EQ(spdk_event_allocate(2, [](void*, void*) {}, nullptr, nullptr), nullptr);
              spdk_app_stop(0);
            }),
            0);
}

// ---- SPDK threads ----

TEST_P(reactor_test, run_a_thread_on_the_core_of_its_mask) {
  EXPECT_EQ(run([] {
              spdk_thread* const app_thread = spdk_get_thread();
              spdk_thread* const thread = create_on("worker", 1);
              ASSERT_NE(thread, nullptr);
              on_thread(thread, [app_thread, thread] {
                EXPECT_EQ(spdk_get_thread(), thread);
                EXPECT_EQ(spdk_env_get_current_core(), 1u);
                exit_and_stop(app_thread);
              });
            }),
            0);
}

TEST_P(reactor_test, take_threads_in_turn) {
  static std::array<std::atomic<int>, 2> on{};
  EXPECT_EQ(run([] {
              spdk_thread* const app_thread = spdk_get_thread();
              for (int i = 0; i < 6; ++i) {
                on_thread(spdk_thread_create("any", nullptr), [app_thread] {
                  ++on[spdk_env_get_current_core()];
                  spdk_thread_exit(spdk_get_thread());
                  on_thread(app_thread, [] {
                    if (on[0] + on[1] == 6) {
                      spdk_app_stop(0);
                    }
                  });
                });
              }
            }),
            0);
  EXPECT_EQ(on[0], 3);
  EXPECT_EQ(on[1], 3);
}

TEST_P(reactor_test, run_a_thread_whose_mask_has_none_of_their_cores) {
  EXPECT_EQ(run([] {
              spdk_thread* const app_thread = spdk_get_thread();
              on_thread(create_on("elsewhere", 60), [app_thread] { exit_and_stop(app_thread); });
            }),
            0);
}

/// Sends the current thread a message that sends the next one, and so on.
void after_messages(int count, action f) {
  if (count == 0) {
    f();
    return;
  }
  on_thread(spdk_get_thread(), [count, f = std::move(f)] { after_messages(count - 1, f); });
}

TEST_P(reactor_test, move_a_thread_whose_mask_changes) {
  EXPECT_EQ(run([] {
              spdk_thread* const app_thread = spdk_get_thread();
              spdk_thread* const thread = create_on("mover", 0);
              on_thread(thread, [app_thread] {
                EXPECT_EQ(spdk_env_get_current_core(), 0u);
                spdk_cpuset mask = only_core(1);
                EXPECT_EQ(spdk_thread_set_cpumask(&mask), 0);
                EXPECT_EQ(spdk_env_get_current_core(), 0u);
                // At once if spinning; a sleeping reactor may run some messages before.
                after_messages(GetParam() ? 30 : 1, [app_thread] {
                  EXPECT_EQ(spdk_env_get_current_core(), 1u);
                  exit_and_stop(app_thread);
                });
              });
            }),
            0);
}

TEST_P(reactor_test, do_not_move_a_bound_thread) {
  if (GetParam()) {
    GTEST_SKIP() << "nothing tells a sleeping reactor that a thread is not bound any more";
  }
  EXPECT_EQ(run([] {
              spdk_thread* const app_thread = spdk_get_thread();
              spdk_thread* const thread = create_on("bound", 0);
              spdk_thread_bind(thread, true);
              on_thread(thread, [app_thread, thread] {
                spdk_cpuset mask = only_core(1);
                EXPECT_EQ(spdk_thread_set_cpumask(&mask), 0);
                after_messages(30, [app_thread, thread] {
                  EXPECT_EQ(spdk_env_get_current_core(), 0u);
                  spdk_thread_bind(thread, false);
                  on_thread(thread, [app_thread] {
                    EXPECT_EQ(spdk_env_get_current_core(), 1u);
                    exit_and_stop(app_thread);
                  });
                });
              });
            }),
            0);
}

TEST_P(reactor_test, run_pollers) {
  EXPECT_EQ(run([] {
              spdk_thread* const app_thread = spdk_get_thread();
              on_thread(create_on("poller", 1), [app_thread] {
                struct ticking {
                  spdk_thread* app_thread;
                  spdk_poller* poller;
                  int count;
                };
                auto* const t = new ticking{app_thread, nullptr, 0};
                t->poller = spdk_poller_register(
                    [](void* ctx) -> int {
                      auto* const self = static_cast<ticking*>(ctx);
                      EXPECT_EQ(spdk_env_get_current_core(), 1u);
                      if (++self->count == 10) {
                        spdk_poller_unregister(&self->poller);
                        exit_and_stop(self->app_thread);
                        delete self;
                      }
                      return SPDK_POLLER_BUSY;
                    },
                    t, 1000);
              });
            }),
            0);
}

TEST_P(reactor_test, make_threads_that_other_os_threads_ask_for) {
  std::thread other;
  EXPECT_EQ(run([&] {
              spdk_thread* const app_thread = spdk_get_thread();
              other = std::thread{[app_thread] {
                spdk_thread* const thread = create_on("from outside", 1);
                ASSERT_NE(thread, nullptr);
                on_thread(thread, [app_thread] {
                  EXPECT_EQ(spdk_env_get_current_core(), 1u);
                  exit_and_stop(app_thread);
                });
              }};
            }),
            0);
  other.join();
}

TEST_P(reactor_test, walk_over_the_channels_of_both) {
  static int device = 0;
  static std::array<spdk_io_channel*, 2> channels{};
  static std::atomic<int> open{0};
  static std::vector<std::uint32_t> visited;
  const auto close_all = [](spdk_io_channel_iter*, int status) {
    EXPECT_EQ(status, 0);
    EXPECT_EQ(visited, (std::vector<std::uint32_t>{0, 1}));
    for (spdk_io_channel* const channel : channels) {
      on_thread(spdk_io_channel_get_thread(channel), [channel] {
        spdk_put_io_channel(channel);
        spdk_thread_exit(spdk_get_thread());
      });
    }
    spdk_io_device_unregister(&device, [](void*) { spdk_app_stop(0); });
  };
  static const spdk_channel_for_each_cpl done = close_all;
  EXPECT_EQ(run([] {
              const auto nothing = [](void*, void*) {};
              spdk_io_device_register(
                  &device, [](void*, void*) { return 0; }, nothing, 0, "device");
              spdk_thread* const app_thread = spdk_get_thread();
              for (std::uint32_t core = 0; core < 2; ++core) {
                on_thread(create_on("user", core), [app_thread, core] {
                  channels[core] = spdk_get_io_channel(&device);
                  if (++open < 2) {
                    return;
                  }
                  on_thread(app_thread, [] {
                    spdk_for_each_channel(
                        &device,
                        [](spdk_io_channel_iter* i) {
                          visited.push_back(spdk_env_get_current_core());
                          spdk_for_each_channel_continue(i, 0);
                        },
                        nullptr, done);
                  });
                });
              }
            }),
            0);
}

// ---- sleep ----

double cpu_seconds() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

TEST_P(reactor_test, use_the_cpu_only_while_spinning) {
  static double before = 0;
  static double used = 0;
  static double elapsed = 0;
  EXPECT_EQ(run([] {
              on_core(1, [] { before = cpu_seconds(); });
              static int ticks = 0;
              static std::uint64_t start = 0;
              static spdk_poller* poller = nullptr;
              start = spdk_get_ticks();
              poller = spdk_poller_register(
                  [](void*) -> int {
                    if (++ticks == 20) {
                      spdk_poller_unregister(&poller);
                      elapsed = static_cast<double>(spdk_get_ticks() - start) /
                                static_cast<double>(spdk_get_ticks_hz());
                      on_core(1, [] {
                        used = cpu_seconds() - before;
                        spdk_app_stop(0);
                      });
                    }
                    return SPDK_POLLER_BUSY;
                  },
                  nullptr, 10'000);
            }),
            0);
  // Core 1 has nothing to do meanwhile. How much a spinning one gets depends on the machine's
  // load; a sleeping one uses none whatever the load.
  if (GetParam()) {
    EXPECT_LT(used, elapsed / 10);
  } else {
    EXPECT_GT(used, elapsed / 100);
  }
}

// ---- the end ----

TEST_P(reactor_test, stop_from_either_core) {
  EXPECT_EQ(run([] { on_core(1, [] { spdk_app_stop(5); }); }), 5);
}

TEST_P(reactor_test, stop_by_signal_while_nothing_happens) {
  std::thread sender;
  EXPECT_EQ(run([&] { sender = std::thread{[] { kill(getpid(), SIGTERM); }}; }), 0);
  sender.join();
}

TEST_P(reactor_test, end_threads_that_the_program_left_running) {
  EXPECT_EQ(run([] {
              create_on("left on 0", 0);
              create_on("left on 1", 1);
              spdk_app_stop(0);
            }),
            0);
}

TEST_P(reactor_test, run_what_was_sent_before_the_end) {
  static std::atomic<int> ran{0};
  EXPECT_EQ(run([] {
              spdk_app_stop(0);
              for (int i = 0; i < 100; ++i) {
                on_core(1, [] { ++ran; });
              }
            }),
            0);
  EXPECT_EQ(ran, 100);
}

TEST_P(reactor_test, start_again) {
  for (int i = 0; i < 2; ++i) {
    if (i > 0) {
      spdk_app_fini();
    }
    EXPECT_EQ(run([i] { on_core(1, [i] { spdk_app_stop(i); }); }), i);
  }
}

TEST(context_switch_monitor_test, is_on_until_switched_off) {
  EXPECT_TRUE(spdk_framework_context_switch_monitor_enabled());
  spdk_framework_enable_context_switch_monitor(false);
  EXPECT_FALSE(spdk_framework_context_switch_monitor_enabled());
}

}  // namespace
