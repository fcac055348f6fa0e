// SPDX-License-Identifier: BSD-3-Clause
// User code never runs inside SPDK, and exceptions never pass through it. The linker puts the
// wrapper below around the library's calls of spdk_thread_poll(): it knows what is inside.
#include "devices.hpp"

#include <atomic>
#include <chrono>
#include <optional>
#include <stdexcept>

struct spdk_thread;

namespace {

thread_local int depth = 0;
std::atomic<std::uint64_t> polls = 0;
std::atomic<std::uint64_t> exceptions_through_spdk = 0;

struct inside {
  inside() { ++depth; }
  ~inside() { --depth; }
};

}  // namespace

extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names
int __real_spdk_thread_poll(spdk_thread* thread, std::uint32_t max_messages, std::uint64_t now);
int __wrap_spdk_thread_poll(spdk_thread* thread, std::uint32_t max_messages, std::uint64_t now);
int __wrap_spdk_thread_poll(spdk_thread* thread, std::uint32_t max_messages, std::uint64_t now) {
  ++polls;
  inside it;
  try {
    return __real_spdk_thread_poll(thread, max_messages, now);
  } catch (...) {
    ++exceptions_through_spdk;
    throw;
  }
}
// NOLINTEND(bugprone-reserved-identifier)
}

namespace spdk_io_test {
namespace {

using namespace std::chrono_literals;
using sio::bdev_desc;

// Counts the pieces of user code that ran, and complains of those that ran inside SPDK.
class pieces {
 public:
  void here(const char* what) {
    ++ran_;
    EXPECT_EQ(depth, 0) << what << " ran inside spdk_thread_poll()";
  }
  int ran() const { return ran_; }

 private:
  std::atomic<int> ran_ = 0;
};

class spdk_boundary : public testing::Test {
 protected:
  void SetUp() override {
    for (kind k : {kind::null, kind::malloc, kind::uring, kind::aio}) {
      disks.push_back(open_device(k, folder, std::string(to_string(k))));
    }
    buffer = must(sio::dma_buffer::zeroed(4096));
    ASSERT_GT(polls.load(), 0u)
        << "the wrapper is not linked in: nothing here would prove anything";
  }
  void TearDown() override { EXPECT_EQ(exceptions_through_spdk.load(), 0u); }

  temp_folder folder;
  std::vector<bdev_desc> disks;
  sio::dma_buffer buffer;
  pieces user;
};

TEST_F(spdk_boundary, completions) {
  auto reader = [&](const bdev_desc& disk) -> sio::task<void> {
    user.here("a coroutine before its first await");
    for (int i = 0; i < 10; ++i) {
      auto r = co_await disk.read(buffer, 0);
      EXPECT_TRUE(r) << message_of(r);
      user.here("a coroutine resumed by a read");
    }
    auto failed = co_await disk.read(buffer, 1);
    EXPECT_FALSE(failed);
    user.here("a coroutine after a refused read");
    auto both = co_await sio::when_all(disk.read(buffer, 0), disk.write(buffer, 0));
    EXPECT_TRUE(std::get<0>(both) && std::get<1>(both));
    user.here("a coroutine resumed by when_all");
  };
  sio::task_scope scope;
  for (const auto& disk : disks) scope.spawn(reader(disk));
  must(run(scope.join()));
  user.here("the code behind join()");
  EXPECT_EQ(user.ran(), 4 * 13 + 1);
}

// Neither inside the submission: start() has returned before any callback runs.
TEST_F(spdk_boundary, callbacks) {
  for (const auto& disk : disks) {
    bool starting = true;
    int called = 0;
    auto callback = [&](sio::result<void>) {
      EXPECT_FALSE(starting) << "a callback ran inside start()";
      user.here("a callback");
      ++called;
    };
    sio::start(disk.read(buffer, 0), callback);
    sio::start(disk.read(buffer, 1), callback);  // refused at once
    sio::start(disk.write(buffer, 0), callback);
    starting = false;
    EXPECT_EQ(called, 0);
    poll_until([&] { return called == 3; });
  }
  EXPECT_EQ(user.ran(), 12);
}

TEST_F(spdk_boundary, messages_and_calls) {
  auto second = must(sio::thread::create("second"));
  bool done = false;
  auto plain = [&] {
    user.here("a call");
    return 1;
  };
  auto async = [&]() -> sio::task<int> {
    user.here("an asynchronous call");
    auto r = co_await disks[0].read(buffer, 0);
    EXPECT_TRUE(r);
    user.here("an asynchronous call after its read");
    co_return 2;
  };
  auto body = [&]() -> sio::task<void> {
    auto one = co_await second.ref().call(plain);
    EXPECT_EQ(must(one), 1);
    user.here("the caller");
    auto two = co_await second.ref().call(async);
    EXPECT_EQ(must(two), 2);
    user.here("the caller of an asynchronous call");
    auto moved = co_await second.ref().schedule();
    EXPECT_TRUE(moved);
    user.here("a coroutine that moved");
    moved = co_await main_thread().ref().schedule();
    EXPECT_TRUE(moved);
    user.here("a coroutine that moved back");
    done = true;
  };
  must(main_thread().ref().send([&] { user.here("a message"); }));
  must(second.ref().send([&] { user.here("a message to another thread"); }));
  sio::task_scope scope;
  scope.spawn(body());
  while (!done) {
    main_thread().poll();
    second.poll();
  }
  EXPECT_EQ(user.ran(), 9);
}

TEST_F(spdk_boundary, pollers_timers_and_yields) {
  int turns = 0;
  int timed_turns = 0;
  auto poller = must(sio::poller::start([&] {
    user.here("a poller");
    ++turns;
  }));
  auto timed = must(sio::poller::start(1us, [&] {
    user.here("a timed poller");
    ++timed_turns;
  }));
  poll_until([&] { return turns >= 10 && timed_turns >= 3; });
  auto body = [&]() -> sio::task<void> {
    auto slept = co_await sio::sleep_for(1us);
    EXPECT_TRUE(slept);
    user.here("a sleeper");
    co_await sio::yield();
    user.here("a coroutine that yielded");
  };
  run(body());
  EXPECT_GE(user.ran(), 15);
}

TEST_F(spdk_boundary, creation_and_deletion_of_devices) {
  auto body = [&]() -> sio::task<void> {
    auto made = co_await sio::create_bdev(sio::null_bdev{.name = "n9", .size = 512});
    EXPECT_TRUE(made);
    user.here("a coroutine resumed by a creation");
    auto again = co_await sio::create_bdev(sio::null_bdev{.name = "n9", .size = 512});
    EXPECT_FALSE(again);
    user.here("a coroutine resumed by a failed creation");
    auto deleted = co_await sio::delete_bdev("n9");
    EXPECT_TRUE(deleted);
    user.here("a coroutine resumed by a deletion");
  };
  run(body());
  EXPECT_EQ(user.ran(), 3);
}

// What draining resumes is user code, too.
TEST_F(spdk_boundary, the_end_of_a_thread) {
  auto second = std::optional(must(sio::thread::create("second")));
  sio::task_scope scope;
  auto body = [&](const bdev_desc& disk) -> sio::task<void> {
    auto r = co_await disk.read(buffer, 0);
    EXPECT_TRUE(r);
    user.here("a coroutine resumed by the end of its thread");
  };
  bool started = false;
  must(second->ref().send([&] {
    for (const auto& disk : disks) scope.spawn(body(disk));
    started = true;
  }));
  while (!started) second->poll();
  must(second->ref().send([&] { user.here("a message at the end of its thread"); }));
  EXPECT_EQ(user.ran(), 0);
  second.reset();
  EXPECT_EQ(user.ran(), 5);
}

TEST_F(spdk_boundary, run_until_and_other_os_threads) {
  auto other = must(sio::thread::spawn("other", [&](sio::thread&) -> sio::task<void> {
    user.here("the main function of another thread");
    auto r = co_await disks[1].read(buffer, 0);
    EXPECT_TRUE(r);
    user.here("a coroutine of another thread");
  }));
  auto body = [&]() -> sio::task<void> {
    auto r = co_await disks[0].read(buffer, 0);
    EXPECT_TRUE(r);
    user.here("a coroutine on a run_loop");
    while (user.ran() < 3) co_await sio::yield();
  };
  sio::run_until(main_thread(), body());
  other.join();
  EXPECT_EQ(user.ran(), 3);
}

// Polling is allowed there: user code may nest, since it is outside.
TEST_F(spdk_boundary, user_code_may_block_on_more) {
  int innermost = 0;
  auto body = [&]() -> sio::task<void> {
    auto r = co_await disks[0].read(buffer, 0);
    EXPECT_TRUE(r);
    must(run(disks[1].read(buffer, 0)));
    must(run(sio::create_bdev(sio::null_bdev{.name = "n9", .size = 512})));
    user.here("a coroutine that blocked");
    ++innermost;
  };
  run(body());
  EXPECT_EQ(innermost, 1);
}

struct oops : std::runtime_error {
  using runtime_error::runtime_error;
};

sio::task<int> throw_after_a_read(const bdev_desc& disk, sio::dma_span into) {
  auto r = co_await disk.read(into, 0);
  EXPECT_TRUE(r) << message_of(r);
  throw oops("after a read from " + std::string(disk.bdev().name()));
}

TEST_F(spdk_boundary, exceptions_reach_whoever_awaits) {
  for (const auto& disk : disks) {
    auto outer = [&]() -> sio::task<std::string> {
      std::string text;
      try {
        auto value = co_await throw_after_a_read(disk, buffer);
        ADD_FAILURE() << value;
      } catch (const oops& e) {
        text = e.what();
        user.here("a handler");
      }
      auto r = co_await disk.read(buffer, 0);  // and it goes on
      EXPECT_TRUE(r);
      co_return text;
    };
    EXPECT_EQ(run(outer()), "after a read from " + std::string(disk.bdev().name()));
    EXPECT_THROW(run(throw_after_a_read(disk, buffer)), oops);
    EXPECT_THROW(sio::run_until(main_thread(), throw_after_a_read(disk, buffer)), oops);

    sio::task_scope scope;
    scope.spawn(throw_after_a_read(disk, buffer));
    scope.spawn(disk.read(buffer, 0));
    EXPECT_THROW((void)run(scope.join()), oops);
    EXPECT_EQ(scope.running(), 0u);

    auto both = [&]() -> sio::task<void> {
      co_await sio::when_all(throw_after_a_read(disk, buffer), disk.read(buffer, 0));
    };
    EXPECT_THROW(run(both()), oops);
  }
  EXPECT_EQ(user.ran(), 4);
}

TEST_F(spdk_boundary, exceptions_of_calls_travel_home) {
  auto second = must(sio::thread::create("second"));
  std::string caught;
  auto over_there = [&] { return throw_after_a_read(disks[0], buffer); };
  auto body = [&]() -> sio::task<void> {
    try {
      auto r = co_await second.ref().call(over_there);
      ADD_FAILURE() << r.has_value();
    } catch (const oops& e) {
      caught = e.what();
      user.here("the caller's handler");
    }
  };
  sio::task_scope scope;
  scope.spawn(body());
  while (caught.empty()) {
    main_thread().poll();
    second.poll();
  }
  EXPECT_EQ(caught, "after a read from null");
}

// Where nobody awaits, poll() throws; the rest stays ready and nothing is lost.
TEST_F(spdk_boundary, exceptions_of_callbacks_leave_poll) {
  for (const auto& disk : disks) {
    int before = 0;
    int after = 0;
    sio::start(disk.read(buffer, 0), [&](auto) { ++before; });
    sio::start(disk.read(buffer, 0), [](auto) { throw oops("in a callback"); });
    sio::start(disk.read(buffer, 0), [&](auto) { ++after; });
    int thrown = 0;
    poll_until([&] {
      try {
        main_thread().poll();
      } catch (const oops&) {
        ++thrown;
      }
      return before + thrown + after == 3;
    });
    EXPECT_EQ(before, 1);
    EXPECT_EQ(thrown, 1);
    EXPECT_EQ(after, 1);
    EXPECT_EQ(depth, 0);
    EXPECT_EQ(main_thread().statistics().io_in_flight, 0u);
  }
}

}  // namespace
}  // namespace spdk_io_test
