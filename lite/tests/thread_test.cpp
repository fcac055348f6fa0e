// SPDX-License-Identifier: BSD-3-Clause
// Threads and messages.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "spdk/cpuset.h"
#include "spdk_fixture.hpp"

namespace {

using thread_test = thread_library_test;
using strings = event_log;

TEST_F(thread_test, first_thread_is_the_app_thread) {
  spdk_thread* const other = create("other");
  EXPECT_EQ(spdk_thread_get_app_thread(), app);
  EXPECT_TRUE(spdk_thread_is_app_thread(app));
  EXPECT_FALSE(spdk_thread_is_app_thread(other));
  const on_thread scope{app};
  EXPECT_TRUE(spdk_thread_is_app_thread(nullptr));
}

TEST_F(thread_test, app_thread_outlives_its_destruction) {
  finish(app);
  EXPECT_EQ(spdk_thread_get_app_thread(), app);
  EXPECT_EQ(spdk_thread_get_count(), 1u);
  EXPECT_STREQ(spdk_thread_get_name(app), "app");
  spdk_thread_lib_fini();
  EXPECT_EQ(spdk_thread_get_app_thread(), nullptr);
  EXPECT_EQ(spdk_thread_get_count(), 0u);
  ASSERT_EQ(spdk_thread_lib_init(nullptr, 0), 0);
}

TEST_F(thread_test, identity) {
  spdk_thread* const other = create("other");
  EXPECT_STREQ(spdk_thread_get_name(other), "other");
  EXPECT_EQ(spdk_thread_get_id(other), spdk_thread_get_id(app) + 1);
  EXPECT_EQ(spdk_thread_get_by_id(spdk_thread_get_id(other)), other);
  EXPECT_EQ(spdk_thread_get_by_id(0), nullptr);
  EXPECT_EQ(spdk_thread_get_by_id(1'000'000), nullptr);
  const std::uint64_t id = spdk_thread_get_id(other);
  EXPECT_EQ(spdk_thread_get_count(), 2u);
  finish(other);
  EXPECT_EQ(spdk_thread_get_count(), 1u);
  EXPECT_EQ(spdk_thread_get_by_id(id), nullptr);
}

TEST_F(thread_test, unnamed_thread_gets_some_name) {
  EXPECT_GT(std::string{spdk_thread_get_name(create(nullptr))}.size(), 2u);
}

TEST_F(thread_test, context_leads_back_to_its_thread) {
  auto* const context = static_cast<char*>(spdk_thread_get_ctx(app));
  ASSERT_NE(context, nullptr);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(context) % 8, 0u);
  EXPECT_TRUE(std::all_of(context, context + context_size, [](char c) { return c == 0; }));
  std::fill(context, context + context_size, 'x');
  EXPECT_EQ(spdk_thread_get_from_ctx(context), app);
}

TEST_F(thread_test, no_context_without_a_size) {
  finish(app);
  spdk_thread_lib_fini();
  ASSERT_EQ(spdk_thread_lib_init(nullptr, 0), 0);
  EXPECT_EQ(spdk_thread_get_ctx(create("plain")), nullptr);
}

TEST_F(thread_test, cpu_mask_is_copied) {
  spdk_cpuset mask{};
  spdk_cpuset_set_cpu(&mask, 3, true);
  spdk_thread* const thread = spdk_thread_create("masked", &mask);
  spdk_cpuset_set_cpu(&mask, 4, true);
  EXPECT_EQ(spdk_cpuset_count(spdk_thread_get_cpumask(thread)), 1u);
  EXPECT_TRUE(spdk_cpuset_get_cpu(spdk_thread_get_cpumask(thread), 3));
  EXPECT_EQ(spdk_cpuset_count(spdk_thread_get_cpumask(app)), std::uint32_t{SPDK_CPUSET_SIZE});
  {
    const on_thread scope{thread};
    spdk_thread_exit(thread);
  }
  spdk_thread_poll(thread, 0, 0);
  spdk_thread_destroy(thread);
}

TEST_F(thread_test, binding_is_only_noted) {
  EXPECT_FALSE(spdk_thread_is_bound(app));
  spdk_thread_bind(app, true);
  EXPECT_TRUE(spdk_thread_is_bound(app));
}

TEST_F(thread_test, message_runs_in_the_next_poll_on_its_thread) {
  spdk_thread* seen = nullptr;
  const on_thread scope{nullptr};
  EXPECT_EQ(
      spdk_thread_send_msg(
          app, [](void* ctx) { *static_cast<spdk_thread**>(ctx) = spdk_get_thread(); }, &seen),
      0);
  EXPECT_EQ(seen, nullptr);
  EXPECT_FALSE(spdk_thread_is_idle(app));
  EXPECT_EQ(spdk_thread_poll(app, 0, 0), 1);
  EXPECT_EQ(seen, app);
  EXPECT_EQ(spdk_get_thread(), nullptr);
  EXPECT_TRUE(spdk_thread_is_idle(app));
  EXPECT_EQ(spdk_thread_poll(app, 0, 0), 0);
}

TEST_F(thread_test, eight_messages_per_poll_in_order) {
  strings log;
  std::vector<entry> entries;
  for (int i = 0; i < 20; ++i) {
    entries.push_back({&log, std::to_string(i)});
  }
  for (entry& e : entries) {
    spdk_thread_send_msg(app, append, &e);
  }
  spdk_thread_poll(app, 0, 0);
  EXPECT_EQ(log, (strings{"0", "1", "2", "3", "4", "5", "6", "7"}));
  spdk_thread_poll(app, 3, 0);
  EXPECT_EQ(log.size(), 11u);
  spdk_thread_poll(app, 1000, 0);
  EXPECT_EQ(log.size(), 19u);
  spdk_thread_poll(app, 0, 0);
  ASSERT_EQ(log.size(), 20u);
  EXPECT_EQ(log.back(), "19");
}

TEST_F(thread_test, message_sent_by_a_message_waits_for_the_next_poll) {
  int runs = 0;
  spdk_thread_send_msg(
      app,
      [](void* ctx) {
        ++*static_cast<int*>(ctx);
        spdk_thread_send_msg(
            spdk_get_thread(), [](void* inner) { ++*static_cast<int*>(inner); }, ctx);
      },
      &runs);
  spdk_thread_poll(app, 0, 0);
  EXPECT_EQ(runs, 1);
  spdk_thread_poll(app, 0, 0);
  EXPECT_EQ(runs, 2);
}

TEST_F(thread_test, exec_runs_inline_only_on_its_own_thread) {
  int runs = 0;
  const auto count = [](void* ctx) { ++*static_cast<int*>(ctx); };
  {
    const on_thread scope{app};
    EXPECT_EQ(spdk_thread_exec_msg(app, count, &runs), 0);
    EXPECT_EQ(runs, 1);
  }
  EXPECT_EQ(spdk_thread_exec_msg(app, count, &runs), 0);
  EXPECT_EQ(runs, 1);
  spdk_thread_poll(app, 0, 0);
  EXPECT_EQ(runs, 2);
}

strings* critical_log = nullptr;

TEST_F(thread_test, critical_message_overtakes_the_others) {
  strings log;
  critical_log = &log;
  entry ordinary{&log, "ordinary"};
  spdk_thread_send_msg(app, append, &ordinary);
  EXPECT_EQ(spdk_thread_send_critical_msg(app, [](void*) { critical_log->push_back("critical"); }),
            0);
  EXPECT_EQ(spdk_thread_poll(app, 0, 0), 1);
  EXPECT_EQ(log, (strings{"critical", "ordinary"}));
  // The place is free again.
  EXPECT_EQ(spdk_thread_send_critical_msg(app, [](void*) { critical_log->push_back("again"); }), 0);
  EXPECT_FALSE(spdk_thread_is_idle(app));
  spdk_thread_poll(app, 0, 0);
  EXPECT_EQ(log.back(), "again");
}

struct producer_check {
  std::array<int, 4> next{};
  int total = 0;
  bool in_order = true;
};

struct numbered {
  producer_check* check;
  int producer;
  int number;
};

TEST_F(thread_test, messages_from_many_os_threads_all_arrive_in_each_ones_order) {
  constexpr int per_producer = 5'000;
  producer_check check;
  std::array<std::vector<numbered>, 4> messages;
  std::vector<std::thread> producers;
  for (int p = 0; p < 4; ++p) {
    producers.emplace_back([&, p] {
      auto& mine = messages[static_cast<std::size_t>(p)];
      mine.reserve(per_producer);
      for (int i = 0; i < per_producer; ++i) {
        mine.push_back({&check, p, i});
        spdk_thread_send_msg(
            app,
            [](void* ctx) {
              const auto& m = *static_cast<numbered*>(ctx);
              auto& expected = m.check->next[static_cast<std::size_t>(m.producer)];
              m.check->in_order = m.check->in_order && m.number == expected;
              ++expected;
              ++m.check->total;
            },
            &mine.back());
      }
    });
  }
  while (check.total < 4 * per_producer) {
    spdk_thread_poll(app, 0, 0);
  }
  for (auto& producer : producers) {
    producer.join();
  }
  EXPECT_TRUE(check.in_order);
  EXPECT_EQ(spdk_thread_poll(app, 0, 0), 0);
}

TEST_F(thread_test, queue_works_across_its_wrap_around) {
  int runs = 0;
  const auto count = [](void* ctx) { ++*static_cast<int*>(ctx); };
  constexpr int rounds = 30'000;
  for (int i = 0; i < rounds; ++i) {
    for (int k = 0; k < 5; ++k) {
      spdk_thread_send_msg(app, count, &runs);
    }
    spdk_thread_poll(app, 0, 0);
  }
  EXPECT_EQ(runs, rounds * 5);
}

TEST_F(thread_test, queue_holds_65536_messages) {
  int runs = 0;
  const auto count = [](void* ctx) { ++*static_cast<int*>(ctx); };
  for (int i = 0; i < 65'536; ++i) {
    spdk_thread_send_msg(app, count, &runs);
  }
  EXPECT_DEATH(spdk_thread_send_msg(app, count, &runs), "");
  poll_all();
  EXPECT_EQ(runs, 65'536);
}

TEST_F(thread_test, sending_to_an_exited_thread_aborts) {
  spdk_thread* const other = create("other");
  {
    const on_thread scope{other};
    spdk_thread_exit(other);
  }
  spdk_thread_poll(other, 0, 0);
  ASSERT_TRUE(spdk_thread_is_exited(other));
  EXPECT_DEATH(spdk_thread_send_msg(other, [](void*) {}, nullptr), "");
}

TEST_F(thread_test, polling_another_thread_restores_the_current_one) {
  struct nested {
    spdk_thread* inner;
    spdk_thread* inside = nullptr;
    spdk_thread* after = nullptr;
  } state{create("inner")};
  spdk_thread_send_msg(
      app,
      [](void* ctx) {
        auto* const s = static_cast<nested*>(ctx);
        spdk_thread_send_msg(
            s->inner, [](void* inner) { static_cast<nested*>(inner)->inside = spdk_get_thread(); },
            ctx);
        spdk_thread_poll(s->inner, 0, 0);
        s->after = spdk_get_thread();
      },
      &state);
  spdk_thread_poll(app, 0, 0);
  EXPECT_EQ(state.inside, state.inner);
  EXPECT_EQ(state.after, app);
}

TEST_F(thread_test, stats_split_busy_from_idle_time) {
  const on_thread scope{app};
  spdk_thread_stats stats{};
  ASSERT_EQ(spdk_thread_get_stats(&stats), 0);
  EXPECT_EQ(stats.busy_tsc, 0u);
  spdk_thread_poll(app, 0, 0);
  spdk_thread_get_stats(&stats);
  EXPECT_GT(stats.idle_tsc, 0u);
  EXPECT_EQ(stats.busy_tsc, 0u);
  spdk_thread_send_msg(app, [](void*) { spdk_delay_us(10); }, nullptr);
  const std::uint64_t before = spdk_get_ticks();
  spdk_thread_poll(app, 0, 0);
  spdk_thread_get_stats(&stats);
  EXPECT_GE(stats.busy_tsc, ticks_of_us(10) - 1);
  EXPECT_GE(spdk_thread_get_last_tsc(app), before);
  EXPECT_EQ(spdk_thread_get_last_tsc(nullptr), spdk_thread_get_last_tsc(app));
  EXPECT_EQ(spdk_thread_get_stats(nullptr), -EINVAL);
}

TEST_F(thread_test, calls_without_a_current_thread_fail) {
  const on_thread scope{nullptr};
  spdk_thread_stats stats{};
  EXPECT_EQ(spdk_thread_get_stats(&stats), -EINVAL);
  EXPECT_EQ(spdk_poller_register([](void*) { return 0; }, nullptr, 0), nullptr);
  spdk_cpuset mask{};
  EXPECT_EQ(spdk_thread_set_cpumask(&mask), -ENOTSUP);
}

// ---- exit ----

TEST_F(thread_test, exit_completes_in_a_poll) {
  spdk_thread* const other = create("other");
  EXPECT_TRUE(spdk_thread_is_running(other));
  {
    const on_thread scope{other};
    EXPECT_EQ(spdk_thread_exit(other), 0);
    EXPECT_EQ(spdk_thread_exit(other), 0);
  }
  EXPECT_FALSE(spdk_thread_is_running(other));
  EXPECT_FALSE(spdk_thread_is_exited(other));
  spdk_thread_poll(other, 0, 0);
  EXPECT_TRUE(spdk_thread_is_exited(other));
  const on_thread scope{other};
  EXPECT_EQ(spdk_poller_register([](void*) { return 0; }, nullptr, 0), nullptr);
}

TEST_F(thread_test, exiting_thread_still_runs_its_messages) {
  spdk_thread* const other = create("other");
  int runs = 0;
  {
    const on_thread scope{other};
    for (int i = 0; i < 10; ++i) {
      spdk_thread_send_msg(other, [](void* ctx) { ++*static_cast<int*>(ctx); }, &runs);
    }
    spdk_thread_exit(other);
    spdk_thread_send_msg(other, [](void* ctx) { ++*static_cast<int*>(ctx); }, &runs);
  }
  spdk_thread_poll(other, 0, 0);
  EXPECT_FALSE(spdk_thread_is_exited(other));
  spdk_thread_poll(other, 0, 0);
  EXPECT_TRUE(spdk_thread_is_exited(other));
  EXPECT_EQ(runs, 11);
}

TEST_F(thread_test, exit_waits_for_pollers_of_every_kind) {
  for (const std::uint64_t period : {0u, 1'000'000'000u}) {
    for (const bool paused : {false, true}) {
      spdk_thread* const other = create("other");
      const on_thread scope{other};
      int runs = 0;
      const auto count = [](void* ctx) { return ++*static_cast<int*>(ctx) > 0 ? 0 : 1; };
      spdk_poller* p = spdk_poller_register(count, &runs, period);
      if (paused) {
        spdk_poller_pause(p);
      }
      spdk_thread_exit(other);
      spdk_thread_poll(other, 0, 0);
      spdk_thread_poll(other, 0, 0);
      EXPECT_FALSE(spdk_thread_is_exited(other));
      spdk_poller_unregister(&p);
      spdk_thread_poll(other, 0, 0);
      EXPECT_TRUE(spdk_thread_is_exited(other));
      EXPECT_EQ(runs, period == 0 && !paused ? 2 : 0);
      finish(other);
    }
  }
}

TEST_F(thread_test, exit_is_forced_after_five_seconds) {
  spdk_thread* const other = create("other");
  const on_thread scope{other};
  spdk_poller* const leaked = spdk_poller_register([](void*) { return 0; }, nullptr, 0);
  ASSERT_NE(leaked, nullptr);
  const std::uint64_t start = spdk_get_ticks();
  spdk_thread_exit(other);
  spdk_thread_poll(other, 0, start + ticks_of_us(4'900'000));
  EXPECT_FALSE(spdk_thread_is_exited(other));
  spdk_thread_poll(other, 0, spdk_get_ticks() + ticks_of_us(5'000'000));
  EXPECT_TRUE(spdk_thread_is_exited(other));
}

// ---- for_each_thread ----

struct walk_state {
  strings log;
};

void note_thread(void* ctx) {
  static_cast<walk_state*>(ctx)->log.push_back(spdk_thread_get_name(spdk_get_thread()));
}

void note_end(void* ctx) {
  static_cast<walk_state*>(ctx)->log.push_back(std::string{"end on "} +
                                               spdk_thread_get_name(spdk_get_thread()));
}

TEST_F(thread_test, for_each_thread_visits_in_order_of_creation_one_after_the_other) {
  spdk_thread* const second = create("second");
  spdk_thread* const third = create("third");
  walk_state state;
  {
    const on_thread scope{second};
    spdk_for_each_thread(note_thread, &state, note_end);
  }
  EXPECT_TRUE(state.log.empty());
  // Nothing happens on the others before the first has had its turn.
  spdk_thread_poll(third, 0, 0);
  spdk_thread_poll(second, 0, 0);
  EXPECT_TRUE(state.log.empty());
  spdk_thread_poll(app, 0, 0);
  EXPECT_EQ(state.log, (strings{"app"}));
  poll_all();
  EXPECT_EQ(state.log, (strings{"app", "second", "third", "end on second"}));
}

TEST_F(thread_test, for_each_thread_skips_threads_that_exit_and_delays_the_origins_exit) {
  spdk_thread* const origin = create("origin");
  spdk_thread* const leaving = create("leaving");
  {
    const on_thread scope{leaving};
    spdk_thread_exit(leaving);
  }
  walk_state state;
  {
    const on_thread scope{origin};
    spdk_for_each_thread(note_thread, &state, note_end);
    spdk_thread_exit(origin);
  }
  spdk_thread_poll(origin, 0, 0);
  EXPECT_FALSE(spdk_thread_is_exited(origin));
  poll_all();
  // The origin was visited, or not, depending on its state: it was exiting.
  EXPECT_EQ(state.log, (strings{"app", "end on origin"}));
  EXPECT_TRUE(spdk_thread_is_exited(origin));
}

// ---- library ----

std::vector<int> seen_operations;
int operation_result = 0;

int note_operation(spdk_thread*, spdk_thread_op op) {
  seen_operations.push_back(op);
  return operation_result;
}

bool every_operation(spdk_thread_op) { return true; }

class operation_test : public testing::Test {
 protected:
  void SetUp() override {
    start_env();
    seen_operations.clear();
    operation_result = 0;
    ASSERT_EQ(spdk_thread_lib_init_ext(note_operation, every_operation, 0, 4'095), 0);
  }
  void TearDown() override { spdk_thread_lib_fini(); }
};

TEST_F(operation_test, runner_hears_of_new_threads_and_changed_masks) {
  spdk_thread* const thread = spdk_thread_create("t", nullptr);
  EXPECT_EQ(seen_operations, std::vector<int>{SPDK_THREAD_OP_NEW});
  const on_thread scope{thread};
  spdk_cpuset mask{};
  spdk_cpuset_set_cpu(&mask, 1, true);
  EXPECT_EQ(spdk_thread_set_cpumask(&mask), 0);
  EXPECT_EQ(seen_operations.back(), SPDK_THREAD_OP_RESCHED);
  EXPECT_TRUE(spdk_cpuset_equal(spdk_thread_get_cpumask(thread), &mask));
  spdk_thread_exit(thread);
  spdk_thread_poll(thread, 0, 0);
  spdk_thread_destroy(thread);
}

TEST_F(operation_test, runner_may_refuse_a_thread) {
  operation_result = -1;
  EXPECT_EQ(spdk_thread_create("t", nullptr), nullptr);
  EXPECT_EQ(spdk_thread_get_count(), 0u);
  EXPECT_EQ(spdk_thread_get_app_thread(), nullptr);
}

TEST(library_test, operations_come_in_pairs) {
  start_env();
  EXPECT_EQ(spdk_thread_lib_init_ext(note_operation, nullptr, 0, 1'023), -EINVAL);
  EXPECT_EQ(spdk_thread_lib_init_ext(nullptr, every_operation, 0, 1'023), -EINVAL);
}

TEST(library_test, needs_a_message_pool) {
  start_env();
  EXPECT_EQ(spdk_thread_lib_init_ext(nullptr, nullptr, 0, 0), -ENOMEM);
}

TEST(library_test, interrupt_mode_comes_first) {
  start_env();
  EXPECT_FALSE(spdk_interrupt_mode_is_enabled());
  ASSERT_EQ(spdk_thread_lib_init(nullptr, 0), 0);
  EXPECT_EQ(spdk_interrupt_mode_enable(), -1);
  EXPECT_FALSE(spdk_interrupt_mode_is_enabled());
  spdk_thread_lib_fini();
}

TEST_F(thread_test, spinlock_knows_its_holder) {
  spdk_spinlock lock;
  spdk_spin_init(&lock);
  const on_thread scope{app};
  EXPECT_FALSE(spdk_spin_held(&lock));
  spdk_spin_lock(&lock);
  EXPECT_TRUE(spdk_spin_held(&lock));
  EXPECT_DEATH(spdk_spin_lock(&lock), "");
  spdk_spin_unlock(&lock);
  EXPECT_FALSE(spdk_spin_held(&lock));
  EXPECT_DEATH(spdk_spin_unlock(&lock), "");
  spdk_spin_destroy(&lock);
}

TEST_F(thread_test, spinlock_must_not_be_held_beyond_a_message) {
  const auto hold_lock_across_a_message = [this] {
    spdk_spinlock lock;
    spdk_spin_init(&lock);
    spdk_thread_send_msg(
        app, [](void* ctx) { spdk_spin_lock(static_cast<spdk_spinlock*>(ctx)); }, &lock);
    spdk_thread_poll(app, 0, 0);
  };
  EXPECT_DEATH(hold_lock_across_a_message(), "");
}

}  // namespace
