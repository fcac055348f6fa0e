// SPDX-License-Identifier: BSD-3-Clause
// The poller task as a coroutine of a runtime that knows nothing of the library.
#include "spdk_test.hpp"
#include "started.hpp"

#include <gtest/gtest.h>

#include <spdk/thread.h>

#include <poll.h>

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

// A tiny coroutine runtime: tasks that somebody spawns, a queue, and a clock turned by hand.
namespace tiny {

class task {
 public:
  struct promise_type {
    task get_return_object() {
      return task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { exception = std::current_exception(); }
    std::exception_ptr exception;
  };

  explicit task(std::coroutine_handle<promise_type> h) : handle(h) {}
  task(task&& other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
  ~task() {
    if (handle) handle.destroy();
  }
  bool done() const { return handle.done(); }
  void check() const {
    if (handle.promise().exception) std::rethrow_exception(handle.promise().exception);
  }
  std::coroutine_handle<promise_type> handle;
};

class runtime {
 public:
  void post(std::function<void()> f) {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(f));
  }
  void spawn(const task& t) {
    post([h = t.handle] { h.resume(); });
  }
  bool run_one() {
    std::unique_lock lock(mutex_);
    if (queue_.empty()) return false;
    auto f = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    f();
    return true;
  }
  std::size_t queued() {
    std::lock_guard lock(mutex_);
    return queue_.size();
  }

  struct yielder {
    runtime& on;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const {
      on.post([h] { h.resume(); });
    }
    void await_resume() const noexcept {}
  };
  struct sleeper {
    runtime& on;
    std::chrono::nanoseconds duration;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const {
      on.sleeping = h;
      on.sleep = duration;
    }
    void await_resume() const noexcept {}
  };
  struct file_wait {
    runtime& on;
    int file;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const {
      on.waiting = h;
      on.file = file;
    }
    void await_resume() const noexcept {}
  };
  // Goes on with who waits for a file, if that is readable.
  bool look() {
    pollfd looked_at{.fd = file, .events = POLLIN, .revents = 0};
    if (!waiting || ::poll(&looked_at, 1, 0) != 1) return false;
    post([h = std::exchange(waiting, nullptr)] { h.resume(); });
    return true;
  }
  void end_sleep() {
    sleep.reset();
    if (auto h = std::exchange(sleeping, nullptr)) post([h] { h.resume(); });
  }

  std::optional<std::chrono::nanoseconds> sleep;
  std::coroutine_handle<> sleeping;
  int file = -1;
  std::coroutine_handle<> waiting;

 private:
  std::mutex mutex_;
  std::deque<std::function<void()>> queue_;
};

// What poller_coroutine() takes of it.
struct handle {
  runtime* on;
  runtime::yielder yield() const { return {*on}; }
  runtime::sleeper sleep_for(std::chrono::nanoseconds d) const { return {*on, d}; }
  void wake() const noexcept {
    on->post([on = on] { on->end_sleep(); });
  }
};

struct watching_handle {
  runtime* on;
  runtime::yielder yield() const { return {*on}; }
  runtime::file_wait wait_readable(int file) const { return {*on, file}; }
};

}  // namespace tiny

namespace {

using namespace spdk_io_test;
using namespace std::chrono_literals;

static_assert(sio::sleeping_runtime<tiny::handle>);
static_assert(sio::watching_runtime<tiny::watching_handle>);

constexpr sio::idle::backoff sleepy{.spin_for = 0ns, .max_sleep = 1600us};

class poller_coroutine : public testing::Test {
 protected:
  void settle() {
    for (int i = 0; i < 100 && loop.run_one(); ++i) {
    }
  }
  auto yield() {
    return [this] { return tiny::runtime::yielder{loop}; };
  }
  tiny::runtime loop;
  sio::thread& thread = main_thread();
  std::stop_source stop;
};

TEST_F(poller_coroutine, polls_as_a_task_among_others) {
  auto polling = sio::poller_coroutine<tiny::task>(thread, yield(), stop.get_token());
  bool ran = false;
  ASSERT_TRUE(thread.ref().send([&] { ran = true; }));
  loop.spawn(polling);
  EXPECT_FALSE(ran);
  loop.run_one();
  EXPECT_TRUE(ran);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(loop.queued(), 1u);
    loop.run_one();
  }
  EXPECT_FALSE(polling.done());
  stop.request_stop();
  settle();
  EXPECT_TRUE(polling.done());
  polling.check();
}

TEST_F(poller_coroutine, yields_within_its_budget) {
  auto polling =
      sio::poller_coroutine<tiny::task>(thread, yield(), stop.get_token(), {.entries = 4});
  int turns = 0;
  auto body = [&]() -> sio::task<void> {
    for (; turns < 1000; ++turns) co_await sio::yield();
  };
  started work(body());
  loop.spawn(polling);
  for (int i = 1; i <= 5; ++i) {
    loop.run_one();
    EXPECT_EQ(turns, 4 * i);
  }
  EXPECT_FALSE(work.done());
}

TEST_F(poller_coroutine, awaits_storage_from_the_runtimes_own_coroutines) {
  auto polling = sio::poller_coroutine<tiny::task>(thread, yield(), stop.get_token());
  std::string log;
  auto body = [&]() -> tiny::task {
    log += 'a';
    auto slept = co_await sio::sleep_for(0ns);
    log += slept ? 'b' : 'x';
    co_await tiny::runtime::yielder{loop};
    log += 'c';
  };
  auto app = body();
  loop.spawn(polling);
  loop.spawn(app);
  EXPECT_EQ(log, "");
  settle();
  EXPECT_TRUE(app.done());
  EXPECT_EQ(log, "abc");
}

TEST_F(poller_coroutine, a_second_one_throws) {
  auto first = sio::poller_coroutine<tiny::task>(thread, yield(), stop.get_token());
  auto second = sio::poller_coroutine<tiny::task>(thread, yield());
  loop.spawn(first);
  loop.run_one();
  loop.spawn(second);
  settle();
  ASSERT_TRUE(second.done());
  try {
    second.check();
    FAIL() << "it did not throw";
  } catch (const std::system_error& e) {
    EXPECT_STREQ(e.what(), "poller task: thread \"main\" already has one (started on a coroutine)");
  }
  EXPECT_FALSE(first.done());
}

TEST_F(poller_coroutine, resumed_on_another_os_thread_it_throws_and_lets_another_start) {
  auto elsewhere = [&](auto f) { std::thread(f).join(); };
  for (bool sleeps : {false, true}) {
    SCOPED_TRACE(sleeps);
    auto polling = sleeps ? sio::poller_coroutine<tiny::task>(thread, tiny::handle{&loop}, sleepy)
                          : sio::poller_coroutine<tiny::task>(thread, yield());
    loop.spawn(polling);
    settle();
    ASSERT_FALSE(polling.done());
    ASSERT_EQ(loop.sleep.has_value(), sleeps);
    elsewhere([&] {
      loop.end_sleep();
      loop.run_one();
    });
    ASSERT_TRUE(polling.done());
    try {
      polling.check();
      FAIL() << "it did not throw";
    } catch (const std::system_error& e) {
      EXPECT_STREQ(e.what(),
                   "poller task: stopped, since a coroutine ran it on another OS thread than that "
                   "of thread \"main\"; let that OS thread alone run the executor (a strand is not "
                   "enough), or give each OS thread an executor and a thread of its own");
    }
    bool ran = false;
    ASSERT_TRUE(thread.ref().send([&] { ran = true; }));
    std::stop_source stop_next;
    auto next = sio::poller_coroutine<tiny::task>(thread, yield(), stop_next.get_token());
    loop.spawn(next);
    settle();
    EXPECT_TRUE(ran);
    stop_next.request_stop();
    settle();
    EXPECT_TRUE(next.done());
  }
}

TEST_F(poller_coroutine, destroyed_while_suspended_lets_another_start) {
  {
    auto polling = sio::poller_coroutine<tiny::task>(thread, tiny::handle{&loop}, sleepy);
    loop.spawn(polling);
    settle();
    ASSERT_TRUE(loop.sleep);
  }
  loop.sleeping = nullptr;
  ASSERT_TRUE(thread.ref().send([] {}));  // wakes nobody
  EXPECT_EQ(loop.queued(), 0u);
  auto next = sio::poller_coroutine<tiny::task>(thread, yield(), stop.get_token());
  loop.spawn(next);
  loop.run_one();
  EXPECT_FALSE(next.done());
}

TEST_F(poller_coroutine, ends_with_its_thread) {
  std::optional<sio::thread> further = must(sio::thread::create("further"));
  auto polling = sio::poller_coroutine<tiny::task>(*further, yield());
  loop.spawn(polling);
  settle();
  EXPECT_FALSE(polling.done());
  further.reset();
  settle();
  EXPECT_TRUE(polling.done());
}

TEST_F(poller_coroutine, sleeps_longer_and_longer_up_to_its_most) {
  auto polling =
      sio::poller_coroutine<tiny::task>(thread, tiny::handle{&loop}, sleepy, stop.get_token());
  loop.spawn(polling);
  for (auto expected : {100us, 200us, 400us, 800us, 1600us, 1600us}) {
    settle();
    ASSERT_EQ(loop.queued(), 0u);
    ASSERT_EQ(loop.sleep, expected);
    loop.end_sleep();
  }
}

TEST_F(poller_coroutine, a_message_from_another_os_thread_wakes_it) {
  auto polling =
      sio::poller_coroutine<tiny::task>(thread, tiny::handle{&loop}, sleepy, stop.get_token());
  loop.spawn(polling);
  settle();
  ASSERT_TRUE(loop.sleep);
  bool ran = false;
  std::jthread([&] { ASSERT_TRUE(thread.ref().send([&] { ran = true; })); }).join();
  EXPECT_GT(loop.queued(), 0u);
  EXPECT_FALSE(ran);
  settle();
  EXPECT_TRUE(ran);
  EXPECT_TRUE(loop.sleep);  // asleep again
}

// With idle::interrupt, where SPDK is in interrupt mode.

class interrupt_poller_coroutine : public poller_coroutine {
 protected:
  void SetUp() override {
    if (!spdk_interrupt_mode_is_enabled())
      GTEST_SKIP() << "run beside tests without interrupt mode, in one process";
  }
  auto poll(sio::thread& t) {
    return sio::poller_coroutine<tiny::task>(t, tiny::watching_handle{&loop},
                                             sio::idle::interrupt{.spin_for = 0ns},
                                             stop.get_token());
  }
};

TEST_F(interrupt_poller_coroutine, sleeps_until_a_message_comes) {
  auto polling = poll(thread);
  loop.spawn(polling);
  for (int i = 0; i < 3; ++i) {
    settle();
    ASSERT_TRUE(loop.waiting);
    EXPECT_FALSE(loop.look());
    bool ran = false;
    std::jthread([&] { ASSERT_TRUE(thread.ref().send([&] { ran = true; })); }).join();
    EXPECT_TRUE(loop.look());
    settle();
    EXPECT_TRUE(ran);
  }
}

TEST_F(interrupt_poller_coroutine, a_stop_request_ends_its_sleep) {
  auto polling = poll(thread);
  loop.spawn(polling);
  settle();
  ASSERT_TRUE(loop.waiting);
  stop.request_stop();
  EXPECT_TRUE(loop.look());
  settle();
  EXPECT_TRUE(polling.done());
  polling.check();
}

TEST_F(interrupt_poller_coroutine, ends_with_its_thread) {
  std::optional<sio::thread> further = must(sio::thread::create("further"));
  auto polling = poll(*further);
  loop.spawn(polling);
  settle();
  ASSERT_TRUE(loop.waiting);
  further.reset();
  EXPECT_TRUE(loop.look());
  settle();
  EXPECT_TRUE(polling.done());
}

TEST_F(poller_coroutine, without_interrupt_mode_it_throws) {
  auto polling = sio::poller_coroutine<tiny::task>(thread, tiny::watching_handle{&loop},
                                                   sio::idle::interrupt());
  loop.spawn(polling);
  settle();
  ASSERT_TRUE(polling.done());
  EXPECT_THROW(polling.check(), std::system_error);
}

}  // namespace
