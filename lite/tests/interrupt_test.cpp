// SPDX-License-Identifier: BSD-3-Clause
// Interrupt mode, which is on for the whole process: sleeping on a thread's descriptor.
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "spdk/fd_group.h"
#include "spdk_fixture.hpp"

namespace {

std::vector<int> operations;

int note_operation(spdk_thread*, spdk_thread_op op) {
  operations.push_back(op);
  return 0;
}

bool every_operation(spdk_thread_op) { return true; }

void count(void* ctx) { ++*static_cast<int*>(ctx); }

int count_and_be_busy(void* ctx) {
  count(ctx);
  return SPDK_POLLER_BUSY;
}

class interrupt_test : public testing::Test {
 protected:
  void SetUp() override {
    start_env();
    ASSERT_EQ(spdk_interrupt_mode_enable(), 0);
    ASSERT_TRUE(spdk_interrupt_mode_is_enabled());
    ASSERT_EQ(spdk_thread_lib_init_ext(note_operation, every_operation, 0, 16'383), 0);
    thread = spdk_thread_create("sleeper", nullptr);
    ASSERT_NE(thread, nullptr);
    spdk_set_thread(thread);
  }

  void TearDown() override {
    operations.clear();
    spdk_thread_exit(thread);
    while (!spdk_thread_is_exited(thread)) {
      ASSERT_TRUE(is_readable(-1));
      spdk_thread_poll(thread, 0, 0);
    }
    // The runner is told, since nothing would wake it any more.
    EXPECT_EQ(operations, std::vector<int>{SPDK_THREAD_OP_RESCHED});
    spdk_thread_destroy(thread);
    spdk_thread_lib_fini();
  }

  /// Whether the thread's descriptor is readable, or becomes so in time.
  bool is_readable(int timeout_ms = 0) {
    pollfd fd{spdk_thread_get_interrupt_fd(thread), POLLIN, 0};
    return ::poll(&fd, 1, timeout_ms) == 1;
  }

  spdk_thread* thread = nullptr;
};

TEST_F(interrupt_test, idle_thread_sleeps) {
  EXPECT_FALSE(is_readable());
  EXPECT_EQ(spdk_thread_poll(thread, 0, 0), 0);
}

TEST_F(interrupt_test, message_wakes) {
  int runs = 0;
  spdk_thread_send_msg(thread, count, &runs);
  EXPECT_TRUE(is_readable());
  EXPECT_EQ(runs, 0);
  EXPECT_GT(spdk_thread_poll(thread, 0, 0), 0);
  EXPECT_EQ(runs, 1);
  EXPECT_FALSE(is_readable());
}

TEST_F(interrupt_test, message_from_another_os_thread_wakes) {
  int runs = 0;
  std::thread sender{[&] { spdk_thread_send_msg(thread, count, &runs); }};
  EXPECT_TRUE(is_readable(-1));
  sender.join();
  spdk_thread_poll(thread, 0, 0);
  EXPECT_EQ(runs, 1);
}

TEST_F(interrupt_test, stays_readable_while_messages_wait) {
  int runs = 0;
  for (int i = 0; i < 20; ++i) {
    spdk_thread_send_msg(thread, count, &runs);
  }
  spdk_thread_poll(thread, 0, 0);
  EXPECT_EQ(runs, 8);
  EXPECT_TRUE(is_readable());
  spdk_thread_poll(thread, 0, 0);
  EXPECT_TRUE(is_readable());
  spdk_thread_poll(thread, 0, 0);
  EXPECT_EQ(runs, 20);
  EXPECT_FALSE(is_readable());
}

TEST_F(interrupt_test, no_wake_up_is_lost_under_load) {
  constexpr int total = 20'000;
  int runs = 0;
  std::thread sender{[&] {
    for (int i = 0; i < total; ++i) {
      spdk_thread_send_msg(thread, count, &runs);
    }
  }};
  while (runs < total) {
    // For ever, if one was lost.
    ASSERT_TRUE(is_readable(-1));
    spdk_thread_poll(thread, 0, 0);
  }
  sender.join();
}

int critical_runs = 0;

TEST_F(interrupt_test, critical_message_wakes) {
  critical_runs = 0;
  spdk_thread_send_critical_msg(thread, [](void*) { ++critical_runs; });
  EXPECT_TRUE(is_readable());
  spdk_thread_poll(thread, 0, 0);
  EXPECT_EQ(critical_runs, 1);
}

TEST_F(interrupt_test, active_poller_keeps_the_thread_awake) {
  int runs = 0;
  spdk_poller* poller = spdk_poller_register(count_and_be_busy, &runs, 0);
  for (int i = 1; i <= 3; ++i) {
    EXPECT_TRUE(is_readable());
    spdk_thread_poll(thread, 0, 0);
    EXPECT_EQ(runs, i);
  }
  spdk_poller_unregister(&poller);
  // A message frees it.
  EXPECT_TRUE(spdk_thread_has_pollers(thread));
  spdk_thread_poll(thread, 0, 0);
  EXPECT_FALSE(spdk_thread_has_pollers(thread));
  EXPECT_FALSE(is_readable());
  EXPECT_EQ(runs, 3);
}

TEST_F(interrupt_test, timed_poller_wakes_when_due) {
  int runs = 0;
  spdk_poller* poller = spdk_poller_register(count_and_be_busy, &runs, 1'000);
  for (int i = 1; i <= 3; ++i) {
    EXPECT_TRUE(is_readable(-1));
    spdk_thread_poll(thread, 0, 0);
    EXPECT_EQ(runs, i);
  }
  spdk_poller_unregister(&poller);
}

TEST_F(interrupt_test, poller_may_unregister_itself) {
  struct self {
    spdk_poller* poller;
    int runs;
  };
  for (const std::uint64_t period : {0, 100}) {
    self s{nullptr, 0};
    s.poller = spdk_poller_register(
        [](void* ctx) {
          auto* const me = static_cast<self*>(ctx);
          ++me->runs;
          spdk_poller_unregister(&me->poller);
          return 1;
        },
        &s, period);
    while (spdk_thread_has_pollers(thread)) {
      ASSERT_TRUE(is_readable(-1));
      spdk_thread_poll(thread, 0, 0);
    }
    EXPECT_EQ(s.runs, 1);
  }
}

TEST_F(interrupt_test, poller_with_descriptors_of_its_own_lets_the_thread_sleep) {
  struct modes {
    int poller_runs = 0;
    std::vector<bool> seen;
  } state;
  spdk_poller* poller = spdk_poller_register(count_and_be_busy, &state.poller_runs, 0);
  spdk_poller_register_interrupt(
      poller,
      [](spdk_poller*, void* ctx, bool on) { static_cast<modes*>(ctx)->seen.push_back(on); },
      &state);
  EXPECT_EQ(state.seen, std::vector<bool>{true});
  EXPECT_FALSE(is_readable());
  spdk_thread_set_interrupt_mode(false);
  EXPECT_EQ(state.seen, (std::vector<bool>{true, false}));
  spdk_thread_poll(thread, 0, 0);
  EXPECT_EQ(state.poller_runs, 1);
  spdk_thread_set_interrupt_mode(true);
  EXPECT_EQ(state.seen.size(), 3u);
  EXPECT_FALSE(is_readable());
  spdk_poller_unregister(&poller);
}

TEST_F(interrupt_test, poll_mode_runs_timers_and_messages_without_descriptors) {
  int runs = 0;
  int timer_runs = 0;
  spdk_poller* poller = spdk_poller_register(count_and_be_busy, &timer_runs, 1'000'000'000);
  spdk_thread_set_interrupt_mode(false);
  spdk_thread_send_msg(thread, count, &runs);
  EXPECT_FALSE(is_readable());
  spdk_thread_poll(thread, 0, 0);
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(timer_runs, 0);
  const std::uint64_t due = spdk_thread_next_poller_expiration(thread);
  EXPECT_GT(due, spdk_get_ticks() + 990 * spdk_get_ticks_hz());
  spdk_thread_poll(thread, 0, due);
  EXPECT_EQ(timer_runs, 1);
  spdk_thread_set_interrupt_mode(true);
  spdk_poller_unregister(&poller);
}

struct event_source {
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  int runs = 0;
  spdk_thread* ran_on = nullptr;

  void raise() const {
    const std::uint64_t one = 1;
    ASSERT_EQ(write(fd, &one, sizeof one), static_cast<ssize_t>(sizeof one));
  }
  ~event_source() { close(fd); }
};

int read_event(void* ctx) {
  auto* const source = static_cast<event_source*>(ctx);
  std::uint64_t value = 0;
  EXPECT_EQ(read(source->fd, &value, sizeof value), static_cast<ssize_t>(sizeof value));
  ++source->runs;
  source->ran_on = spdk_get_thread();
  return 1;
}

TEST_F(interrupt_test, own_descriptor_wakes) {
  event_source source;
  spdk_interrupt* interrupt = SPDK_INTERRUPT_REGISTER(source.fd, read_event, &source);
  ASSERT_NE(interrupt, nullptr);
  EXPECT_EQ(spdk_interrupt_register(source.fd, read_event, &source, "twice"), nullptr);
  EXPECT_FALSE(is_readable());
  source.raise();
  EXPECT_TRUE(is_readable());
  spdk_thread_poll(thread, 0, 0);
  EXPECT_EQ(source.runs, 1);
  EXPECT_EQ(source.ran_on, thread);
  EXPECT_FALSE(is_readable());
  EXPECT_EQ(spdk_interrupt_set_event_types(interrupt, SPDK_INTERRUPT_EVENT_OUT), 0);
  EXPECT_TRUE(is_readable());
  spdk_interrupt_unregister(&interrupt);
  EXPECT_EQ(interrupt, nullptr);
  EXPECT_FALSE(is_readable());
}

TEST_F(interrupt_test, nested_group_wakes) {
  event_source source;
  spdk_fd_group* group = nullptr;
  ASSERT_EQ(spdk_fd_group_create(&group), 0);
  ASSERT_EQ(SPDK_FD_GROUP_ADD(group, source.fd, read_event, &source), 0);
  spdk_interrupt* interrupt = spdk_interrupt_register_fd_group(group, "nested");
  ASSERT_NE(interrupt, nullptr);
  EXPECT_FALSE(is_readable());
  source.raise();
  EXPECT_TRUE(is_readable());
  {
    const on_thread scope{nullptr};
    spdk_fd_group_wait(spdk_thread_get_interrupt_fd_group(thread), 0);
  }
  EXPECT_EQ(source.runs, 1);
  EXPECT_EQ(source.ran_on, thread);
  spdk_interrupt_unregister(&interrupt);
  spdk_fd_group_remove(group, source.fd);
  spdk_fd_group_destroy(group);
}

TEST(fd_group_test, hands_out_events) {
  event_source source;
  spdk_fd_group* group = nullptr;
  ASSERT_EQ(spdk_fd_group_create(&group), 0);
  spdk_event_handler_opts opts{};
  spdk_fd_group_get_default_event_handler_opts(&opts, sizeof opts);
  EXPECT_EQ(opts.events, std::uint32_t{EPOLLIN});
  opts.fd_type = SPDK_FD_TYPE_EVENTFD;
  int runs = 0;
  const auto handler = [](void* ctx) {
    epoll_event event{};
    EXPECT_EQ(spdk_fd_group_get_epoll_event(&event), 0);
    return ++*static_cast<int*>(ctx);
  };
  EXPECT_EQ(spdk_fd_group_add_ext(group, source.fd, handler, &runs, "source", &opts), 0);
  EXPECT_EQ(spdk_fd_group_add(group, source.fd, handler, &runs, "again"), -EEXIST);
  EXPECT_EQ(spdk_fd_group_wait(group, 0), 0);
  source.raise();
  EXPECT_EQ(spdk_fd_group_wait(group, -1), 1);
  EXPECT_EQ(runs, 1);
  // The group has reset the eventfd.
  EXPECT_EQ(spdk_fd_group_wait(group, 0), 0);
  epoll_event event{};
  EXPECT_EQ(spdk_fd_group_get_epoll_event(&event), -EINVAL);
  spdk_fd_group_remove(group, source.fd);
  spdk_fd_group_destroy(group);
}

}  // namespace
