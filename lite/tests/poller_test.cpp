// SPDX-License-Identifier: BSD-3-Clause
// Pollers: order, timing, unregistering, pausing.
#include <cstdint>
#include <string>

#include "spdk_fixture.hpp"

namespace {

using poller_test = thread_library_test;
using strings = event_log;

TEST_F(poller_test, active_pollers_run_in_reverse_order_of_registration) {
  strings log;
  entry a{&log, "a"};
  entry b{&log, "b"};
  entry c{&log, "c"};
  const on_thread scope{app};
  EXPECT_FALSE(spdk_thread_has_pollers(app));
  spdk_poller* pa = spdk_poller_register(append_idle, &a, 0);
  spdk_poller* pb = spdk_poller_register_named(append_idle, &b, 0, "b");
  spdk_poller* pc = SPDK_POLLER_REGISTER(append_idle, &c, 0);
  EXPECT_TRUE(spdk_thread_has_active_pollers(app));
  EXPECT_TRUE(spdk_thread_has_pollers(app));
  EXPECT_FALSE(spdk_thread_is_idle(app));
  EXPECT_EQ(spdk_thread_poll(app, 0, 0), 0);
  EXPECT_EQ(log, (strings{"c", "b", "a"}));
  spdk_poller_unregister(&pa);
  spdk_poller_unregister(&pb);
  spdk_poller_unregister(&pc);
  EXPECT_EQ(pa, nullptr);
  // Freed in the next poll only.
  EXPECT_TRUE(spdk_thread_has_active_pollers(app));
  spdk_thread_poll(app, 0, 0);
  EXPECT_FALSE(spdk_thread_has_active_pollers(app));
  EXPECT_EQ(log.size(), 3u);
}

TEST_F(poller_test, poll_returns_the_busiest_result) {
  strings log;
  entry e{&log, "x"};
  const on_thread scope{app};
  spdk_poller* idle = spdk_poller_register(append_idle, &e, 0);
  EXPECT_EQ(spdk_thread_poll(app, 0, 0), 0);
  spdk_poller* five = spdk_poller_register([](void*) { return 5; }, nullptr, 0);
  spdk_poller* negative = spdk_poller_register([](void*) { return -1; }, nullptr, 0);
  EXPECT_EQ(spdk_thread_poll(app, 0, 0), 5);
  spdk_poller_unregister(&five);
  EXPECT_EQ(spdk_thread_poll(app, 0, 0), 0);
  spdk_poller_unregister(&idle);
  spdk_poller_unregister(&negative);
}

TEST_F(poller_test, messages_run_before_pollers) {
  strings log;
  entry poller{&log, "poller"};
  entry message{&log, "message"};
  const on_thread scope{app};
  spdk_poller* p = spdk_poller_register(append_idle, &poller, 0);
  spdk_thread_send_msg(app, append, &message);
  spdk_thread_poll(app, 0, 0);
  EXPECT_EQ(log, (strings{"message", "poller"}));
  spdk_poller_unregister(&p);
}

TEST_F(poller_test, timed_pollers_run_by_deadline) {
  strings log;
  entry slow{&log, "slow"};
  entry fast{&log, "fast"};
  entry slower{&log, "slower"};
  const on_thread scope{app};
  const std::uint64_t before = spdk_get_ticks();
  spdk_poller* p1 = spdk_poller_register(append_idle, &slow, 20'000'000);
  spdk_poller* p2 = spdk_poller_register(append_idle, &fast, 10'000'000);
  spdk_poller* p3 = spdk_poller_register(append_busy, &slower, 30'000'000);
  EXPECT_FALSE(spdk_thread_has_active_pollers(app));
  EXPECT_TRUE(spdk_thread_has_pollers(app));
  const std::uint64_t first_deadline = spdk_thread_next_poller_expiration(app);
  EXPECT_GE(first_deadline, before + ticks_of_us(10'000'000));
  EXPECT_LE(first_deadline, spdk_get_ticks() + ticks_of_us(10'000'000));

  EXPECT_EQ(spdk_thread_poll(app, 0, first_deadline - 1), 0);
  EXPECT_TRUE(log.empty());
  spdk_thread_poll(app, 0, first_deadline);
  EXPECT_EQ(log, (strings{"fast"}));

  // Much later all are due; "fast" was re-armed from the start of the last poll.
  log.clear();
  const std::uint64_t later = before + ticks_of_us(100'000'000);
  EXPECT_EQ(spdk_thread_poll(app, 0, later), 1);
  EXPECT_EQ(log, (strings{"slow", "fast", "slower"}));
  EXPECT_EQ(spdk_thread_next_poller_expiration(app), later + ticks_of_us(10'000'000));
  spdk_poller_unregister(&p1);
  spdk_poller_unregister(&p2);
  spdk_poller_unregister(&p3);
}

TEST_F(poller_test, unregistered_timed_poller_is_freed_when_due) {
  strings log;
  entry e{&log, "x"};
  const on_thread scope{app};
  spdk_poller* p = spdk_poller_register(append_idle, &e, 1'000'000);
  spdk_poller_unregister(&p);
  spdk_thread_poll(app, 0, 0);
  EXPECT_TRUE(spdk_thread_has_pollers(app));
  spdk_thread_poll(app, 0, spdk_get_ticks() + ticks_of_us(2'000'000));
  EXPECT_FALSE(spdk_thread_has_pollers(app));
  EXPECT_TRUE(log.empty());
}

struct self_ending {
  spdk_poller* poller = nullptr;
  int runs = 0;
};

int run_once_and_unregister(void* ctx) {
  auto* const self = static_cast<self_ending*>(ctx);
  ++self->runs;
  spdk_poller_unregister(&self->poller);
  return SPDK_POLLER_BUSY;
}

TEST_F(poller_test, poller_may_unregister_itself) {
  const on_thread scope{app};
  for (const std::uint64_t period : {0, 10}) {
    self_ending self;
    self.poller = spdk_poller_register(run_once_and_unregister, &self, period);
    spdk_thread_poll(app, 0, spdk_get_ticks() + ticks_of_us(1'000));
    EXPECT_EQ(self.runs, 1);
    EXPECT_EQ(self.poller, nullptr);
    EXPECT_FALSE(spdk_thread_has_pollers(app));
  }
}

struct other_ending {
  spdk_poller** victim;
};

TEST_F(poller_test, poller_unregistered_by_another_in_the_same_poll_does_not_run) {
  strings log;
  entry e{&log, "victim"};
  const on_thread scope{app};
  spdk_poller* victim = spdk_poller_register(append_idle, &e, 0);
  other_ending killer{&victim};
  // Registered later, hence run earlier.
  spdk_poller* p = spdk_poller_register(
      [](void* ctx) {
        spdk_poller_unregister(static_cast<other_ending*>(ctx)->victim);
        return 0;
      },
      &killer, 0);
  spdk_thread_poll(app, 0, 0);
  EXPECT_TRUE(log.empty());
  spdk_poller_unregister(&p);
}

struct spawning {
  entry child;
  spdk_poller* poller = nullptr;
};

TEST_F(poller_test, poller_registered_by_a_poller_runs_from_the_next_poll_on) {
  strings log;
  spawning state{{&log, "child"}};
  const on_thread scope{app};
  spdk_poller* parent = spdk_poller_register(
      [](void* ctx) {
        auto* const s = static_cast<spawning*>(ctx);
        if (s->poller == nullptr) {
          s->poller = spdk_poller_register(append_idle, &s->child, 0);
        }
        return 0;
      },
      &state, 0);
  spdk_thread_poll(app, 0, 0);
  EXPECT_TRUE(log.empty());
  spdk_thread_poll(app, 0, 0);
  EXPECT_EQ(log, (strings{"child"}));
  spdk_poller_unregister(&parent);
  spdk_poller_unregister(&state.poller);
}

TEST_F(poller_test, pause_takes_effect_at_the_next_execution) {
  strings log;
  entry e{&log, "x"};
  const on_thread scope{app};
  for (const std::uint64_t period : {0u, 10u}) {
    log.clear();
    // Each poll is so much later than the one before that the timer is due.
    std::uint64_t now = spdk_get_ticks();
    const auto poll = [&] { spdk_thread_poll(app, 0, now += ticks_of_us(1'000'000)); };
    spdk_poller* p = spdk_poller_register(append_idle, &e, period);
    poll();
    EXPECT_EQ(log.size(), 1u);
    spdk_poller_pause(p);
    // It still counts as unpaused until its turn.
    EXPECT_FALSE(spdk_thread_is_idle(app));
    poll();
    EXPECT_EQ(log.size(), 1u);
    EXPECT_TRUE(spdk_thread_is_idle(app));
    EXPECT_TRUE(spdk_thread_has_pollers(app));
    EXPECT_FALSE(spdk_thread_has_active_pollers(app));
    spdk_poller_resume(p);
    poll();
    EXPECT_EQ(log.size(), 2u);
    // Pausing and resuming before the next turn changes nothing.
    spdk_poller_pause(p);
    spdk_poller_resume(p);
    poll();
    EXPECT_EQ(log.size(), 3u);
    spdk_poller_unregister(&p);
    poll();
    EXPECT_FALSE(spdk_thread_has_pollers(app));
  }
}

TEST_F(poller_test, paused_poller_can_be_unregistered) {
  strings log;
  entry e{&log, "x"};
  const on_thread scope{app};
  for (const std::uint64_t period : {0u, 1'000'000'000u}) {
    spdk_poller* p = spdk_poller_register(append_idle, &e, period);
    spdk_poller_pause(p);
    spdk_thread_poll(app, 0, spdk_get_ticks() + ticks_of_us(2'000'000'000));
    EXPECT_TRUE(spdk_thread_is_idle(app));
    spdk_poller_unregister(&p);
    spdk_thread_poll(app, 0, 0);
    EXPECT_FALSE(spdk_thread_has_pollers(app));
  }
  EXPECT_TRUE(log.empty());
}

struct self_pausing {
  spdk_poller* poller = nullptr;
  int runs = 0;
};

TEST_F(poller_test, poller_may_pause_itself) {
  self_pausing self;
  const on_thread scope{app};
  self.poller = spdk_poller_register(
      [](void* ctx) {
        auto* const s = static_cast<self_pausing*>(ctx);
        ++s->runs;
        spdk_poller_pause(s->poller);
        return 1;
      },
      &self, 0);
  spdk_thread_poll(app, 0, 0);
  EXPECT_TRUE(spdk_thread_is_idle(app));
  spdk_thread_poll(app, 0, 0);
  EXPECT_EQ(self.runs, 1);
  spdk_poller_unregister(&self.poller);
}

TEST_F(poller_test, post_poller_handler_runs_once_after_its_poller) {
  strings log;
  struct state {
    entry poller;
    entry handler;
    bool registered = false;
  } s{{&log, "poller"}, {&log, "handler"}};
  entry last{&log, "last"};
  const on_thread scope{app};
  spdk_poller* second = spdk_poller_register(append_idle, &last, 0);
  spdk_poller* first = spdk_poller_register(
      [](void* ctx) {
        auto* const st = static_cast<state*>(ctx);
        if (!st->registered) {
          spdk_thread_register_post_poller_handler(append, &st->handler);
          st->registered = true;
        }
        append(&st->poller);
        return 0;
      },
      &s, 0);
  spdk_thread_poll(app, 0, 0);
  spdk_thread_poll(app, 0, 0);
  EXPECT_EQ(log, (strings{"poller", "handler", "last", "poller", "last"}));
  spdk_poller_unregister(&first);
  spdk_poller_unregister(&second);
}

TEST_F(poller_test, unregister_of_nothing_is_allowed) {
  spdk_poller* none = nullptr;
  spdk_poller_unregister(&none);
}

}  // namespace
