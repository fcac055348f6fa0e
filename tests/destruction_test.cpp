// SPDX-License-Identifier: BSD-3-Clause
// Coroutines destroyed while they await I/O, and threads that end with all kinds of things under
// way: nothing is touched afterwards. (Run it under ASan, too: the buffers are ordinary memory.)
#include "devices.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>

namespace spdk_io_test {
namespace {

using sio::bdev_desc;
using sio::dma_span;

std::size_t in_flight() { return main_thread().statistics().io_in_flight; }

constexpr std::size_t length = 4096;

// Ordinary memory of exactly that size, so that ASan sees a byte too much, and freed for good.
class plain_buffer {
 public:
  plain_buffer() : bytes_(new std::byte[length]) { clear(); }
  dma_span span() { return dma_span::trusted({bytes_.get(), length}); }
  void clear() { std::ranges::fill(span(), std::byte{0xee}); }
  bool is_clear() { return all_are(span(), std::byte{0xee}); }

 private:
  std::unique_ptr<std::byte[]> bytes_;
};

sio::task<void> read_into(const bdev_desc& disk, dma_span into, int& resumed) {
  auto r = co_await disk.read(into, 0);
  EXPECT_TRUE(r) << message_of(r);
  ++resumed;
}

// A coroutine that runs until this object goes.
class running {
 public:
  running() : scope_(std::make_unique<sio::task_scope>()) {}
  template <class A>
  explicit running(A&& what) : running() {
    scope_->spawn(std::forward<A>(what));
  }
  void destroy() { scope_.reset(); }
  bool done() const { return scope_->running() == 0; }

 private:
  std::unique_ptr<sio::task_scope> scope_;
};

class destroyed_coroutine : public testing::Test {
 protected:
  // The body ends with expect_untouched().
  void on_each(auto body) {
    for_each_kind({kind::null, kind::malloc, kind::uring, kind::aio}, [&](kind k) {
      temp_folder folder;
      disk = open_device(k, folder, "d0");
      auto zeroes = must(sio::dma_buffer::zeroed(1 << 16));
      must(run(disk.write(zeroes, 0)));
      body(k);
    });
  }
  // What would come late comes now; the device still works and can go.
  void expect_untouched(plain_buffer& buffer) {
    poll_times(500);
    plain_buffer other;
    must(run(disk.read(other.span(), length)));
    poll_times(500);
    EXPECT_TRUE(buffer.is_clear());
    EXPECT_EQ(in_flight(), 0u);
    disk = bdev_desc();
    must(run(sio::delete_bdev("d0")));
  }

  bdev_desc disk;
};

TEST_F(destroyed_coroutine, with_io_in_flight) {
  on_each([&](kind) {
    plain_buffer buffer;
    int resumed = 0;
    for (int polls = 0; polls < 3; ++polls) {
      running reader(read_into(disk, buffer.span(), resumed));
      EXPECT_EQ(in_flight(), 1u);
      EXPECT_EQ(resumed, 0);
      reader.destroy();
      buffer.clear();  // it is ours again
      EXPECT_EQ(in_flight(), 0u);
      EXPECT_EQ(resumed, 0);
      poll_times(100);
      EXPECT_TRUE(buffer.is_clear());
    }
    // And freed: under ASan nothing may touch it now.
    auto gone = std::make_unique<plain_buffer>();
    running reader(read_into(disk, gone->span(), resumed));
    reader.destroy();
    gone.reset();
    EXPECT_EQ(resumed, 0);
    expect_untouched(buffer);
  });
}

TEST_F(destroyed_coroutine, with_many_in_flight_in_any_order) {
  on_each([&](kind) {
    int resumed = 0;
    std::vector<std::unique_ptr<plain_buffer>> buffers;
    std::vector<running> readers;
    for (int i = 0; i < 32; ++i) {
      buffers.push_back(std::make_unique<plain_buffer>());
      readers.emplace_back(read_into(disk, buffers.back()->span(), resumed));
    }
    main_thread().poll(1);
    for (std::size_t i = 0; i < 32; i += 2) {
      readers[i].destroy();
      buffers[i].reset();
    }
    const int before = resumed;
    for (std::size_t i = 1; i < 32; i += 4) {
      if (readers[i].done()) continue;
      readers[i].destroy();
      buffers[i].reset();
    }
    EXPECT_EQ(resumed, before);  // destroying runs nobody's code
    poll_until([] { return in_flight() == 0; });
    poll_times(10);
    for (std::size_t i = 3; i < 32; i += 4) EXPECT_TRUE(readers[i].done());
    plain_buffer last;
    expect_untouched(last);
  });
}

// Completed, linked and not yet resumed.
TEST_F(destroyed_coroutine, with_io_completed_but_not_resumed) {
  on_each([&](kind) {
    plain_buffer buffer;
    int resumed = 0;
    running reader(read_into(disk, buffer.span(), resumed));
    // Destroying another one polls SPDK, and runs no user code.
    while (in_flight() > 0) {
      plain_buffer unused;
      int nobody = 0;
      running other(read_into(disk, unused.span(), nobody));
      other.destroy();
      EXPECT_EQ(nobody, 0);
    }
    EXPECT_EQ(resumed, 0);
    EXPECT_FALSE(reader.done());
    reader.destroy();
    buffer.clear();
    poll_times(10);
    EXPECT_EQ(resumed, 0);
    expect_untouched(buffer);
  });
}

// The same, by a coroutine that was resumed just before it, in the same turn.
TEST_F(destroyed_coroutine, by_the_one_resumed_before_it) {
  on_each([&](kind k) {
    plain_buffer buffer, own;
    int resumed = 0;
    running victim;
    bool killed = false;
    auto killer = [&]() -> sio::task<void> {
      auto r = co_await disk.read(own.span(), 0);
      EXPECT_TRUE(r) << message_of(r);
      victim.destroy();
      buffer.clear();
      killed = true;
    };
    running first(killer());
    victim = running(read_into(disk, buffer.span(), resumed));
    EXPECT_FALSE(killed);
    poll_until([&] { return killed; });
    EXPECT_LE(resumed, 1);  // file devices may complete in another order
    if (k == kind::null || k == kind::malloc) {
      EXPECT_EQ(resumed, 0);
    }
    EXPECT_TRUE(first.done());
    expect_untouched(buffer);
  });
}

TEST_F(destroyed_coroutine, while_it_waits_for_memory) {
  must(init_with_pool(2, 1));
  on_each([&](kind) {
    std::vector<std::unique_ptr<plain_buffer>> buffers;
    std::vector<running> readers;
    int resumed = 0;
    for (int i = 0; i < 12; ++i) {
      buffers.push_back(std::make_unique<plain_buffer>());
      readers.emplace_back(read_into(disk, buffers.back()->span(), resumed));
    }
    EXPECT_GE(main_thread().statistics().memory_waits, 10u);
    EXPECT_EQ(in_flight(), 12u);
    for (std::size_t i : {11u, 5u, 2u, 3u}) {  // the last, one in the middle, the first two
      readers[i].destroy();
      buffers[i].reset();
    }
    EXPECT_EQ(in_flight(), 8u);
    readers[0].destroy();  // one in flight: its bdev_io goes to a waiter
    buffers[0].reset();
    EXPECT_EQ(resumed, 0);
    poll_until([&] { return resumed == 7; });
    EXPECT_EQ(in_flight(), 0u);
    plain_buffer last;
    expect_untouched(last);
  });
}

// block_on is left by somebody else's exception, and destroys what it ran.
TEST_F(destroyed_coroutine, by_an_exception_through_block_on) {
  on_each([&](kind) {
    plain_buffer buffer;
    int resumed = 0;
    sio::start(disk.read(buffer.span(), 1),
               [](auto) { throw std::runtime_error("somebody else"); });
    EXPECT_THROW(run(read_into(disk, buffer.span(), resumed)), std::runtime_error);
    buffer.clear();
    EXPECT_EQ(in_flight(), 0u);
    EXPECT_EQ(resumed, 0);
    expect_untouched(buffer);
  });
}

// Every other kind of operation: destroyed in flight, with its buffers.
TEST_F(destroyed_coroutine, with_other_operations_in_flight) {
  on_each([&](kind k) {
    const bool resets = k != kind::uring;
    auto zeroes = must(sio::dma_buffer::zeroed(length));
    const auto make = [&](int which, plain_buffer& buffer, plain_buffer& other, auto run_it) {
      switch (which) {
        case 0: return run_it(disk.write_zeroes(0, length));
        case 1: return run_it(disk.compare(buffer.span(), 0));
        case 2: return run_it(disk.unmap(0, length));
        case 3:
          return run_it(
              disk.compare_and_write(buffer.span().first(512), other.span().first(512), 0));
        case 4: return run_it(disk.copy({.from = 0, .to = length, .length = length}));
        case 5: return run_it(disk.read(buffer.span(), 0, {}));
        case 6: return run_it(disk.reset());
        default: return;
      }
    };
    for (int which = 0; which < (resets ? 7 : 6); ++which) {
      for (int polls = 0; polls < 3; ++polls) {
        SCOPED_TRACE("operation " + std::to_string(which) + " after " + std::to_string(polls));
        auto buffer = std::make_unique<plain_buffer>();
        auto other = std::make_unique<plain_buffer>();
        int resumed = 0;
        make(which, *buffer, *other, [&](auto op) {
          auto body = [&]() -> sio::task<void> {
            co_await std::move(op);
            ++resumed;
          };
          running awaiting(body());
          for (int i = 0; i < polls && resumed == 0; ++i) main_thread().poll(1);
          const int before = resumed;
          awaiting.destroy();
          EXPECT_EQ(resumed, before);
          if (polls == 0) {
            EXPECT_EQ(resumed, 0);
          }
        });
        buffer.reset();
        other.reset();
        EXPECT_TRUE(main_thread().operations().empty());
      }
    }
    plain_buffer last;
    expect_untouched(last);
  });
}

// `pending` without coroutines: destroying it cancels the callback.
TEST_F(destroyed_coroutine, or_pending_operation) {
  on_each([&](kind) {
    plain_buffer buffer;
    int called = 0;
    auto count = [&](sio::result<void>) { ++called; };
    auto operation = std::make_unique<sio::pending<sio::io_operation, decltype(count)>>(
        disk.read(buffer.span(), 0), count);
    operation->start();
    EXPECT_EQ(in_flight(), 1u);
    operation.reset();
    buffer.clear();
    auto refused = std::make_unique<sio::pending<sio::io_operation, decltype(count)>>(
        disk.read(buffer.span(), 1), count);
    refused->start();
    refused.reset();
    poll_times(10);
    EXPECT_EQ(called, 0);
    expect_untouched(buffer);
  });
}

// Destroying one runs nobody else's code, however ready that is.
TEST(destruction, runs_no_user_code) {
  auto disk = open_null("n0");
  plain_buffer buffer;
  int resumed = 0;
  int messages = 0;
  running before(read_into(disk, buffer.span(), resumed));
  must(main_thread().ref().send([&] { ++messages; }));
  running victim(read_into(disk, buffer.span(), resumed));
  running after(read_into(disk, buffer.span(), resumed));
  victim.destroy();
  EXPECT_EQ(resumed, 0);
  EXPECT_EQ(messages, 0);
  EXPECT_FALSE(before.done());
  poll_until([&] { return before.done() && after.done(); });
  EXPECT_EQ(resumed, 2);
  EXPECT_EQ(messages, 1);
}

TEST(destruction, on_another_os_thread_ends_the_program) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  auto disk = open_null("n0");
  plain_buffer buffer;
  int resumed = 0;
  running reader(read_into(disk, buffer.span(), resumed));
  EXPECT_DEATH(std::thread([&] { reader.destroy(); }).join(),
               "spdk-io: destroyed on another OS thread than its own while in flight: read of "
               "4096 bytes at 0 from n0");
}

// ---- a thread ends ----------------------------------------------------------------------------

class ending_thread : public testing::Test {
 protected:
  void SetUp() override {
    disk = open_malloc("m0");
    second = must(sio::thread::create("second"));
  }
  // Runs f on the second thread.
  template <class F>
  void there(F f) {
    bool done = false;
    must(second->ref().send([&] {
      f();
      done = true;
    }));
    while (!done) second->poll();
  }
  void end() {
    ref = second->ref();
    second.reset();
    auto late = ref->send([] { ADD_FAILURE() << "a message to a thread that has ended ran"; });
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().message(), "message to thread \"second\": the thread has ended");
    poll_times(100);
  }

  bdev_desc disk;
  std::optional<sio::thread> second;
  std::optional<sio::thread_ref> ref;
  plain_buffer buffer;
};

TEST_F(ending_thread, with_nothing) {
  const auto before = sio::thread::count();
  end();
  EXPECT_EQ(sio::thread::count(), before - 1);
}

TEST_F(ending_thread, io_in_flight_completes_and_is_resumed) {
  std::vector<std::string> results;
  running reader;
  auto body = [&]() -> sio::task<void> {
    auto r = co_await disk.read(buffer.span(), 0);
    results.push_back(message_of(r));
    r = co_await disk.read(buffer.span(), 512);  // new work is refused
    results.push_back(message_of(r));
    auto channel = disk.channel();
    results.push_back(channel ? "an old channel is found" : message_of(channel));
    auto opened = bdev_desc::open("m0");
    results.push_back(message_of(opened));
  };
  there([&] { reader = running(body()); });
  EXPECT_EQ(second->statistics().io_in_flight, 1u);
  EXPECT_TRUE(results.empty());
  end();
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0], "success");
  EXPECT_EQ(results[1], "read of 4096 bytes at 512 from m0: the thread is exiting");
  EXPECT_EQ(results[3], "open of \"m0\": the thread is ending");
  EXPECT_TRUE(reader.done());
  must(run(disk.read(buffer.span(), 0)));  // the device is still open here
}

TEST_F(ending_thread, sleepers_wake_with_an_error) {
  sio::result<void> slept;
  sio::result<void> again;
  running sleeper;
  auto body = [&]() -> sio::task<void> {
    slept = co_await sio::sleep_for(std::chrono::hours(24));
    again = co_await sio::sleep_for(std::chrono::hours(24));
  };
  there([&] { sleeper = running(body()); });
  EXPECT_FALSE(sleeper.done());
  end();
  ASSERT_TRUE(sleeper.done());
  ASSERT_FALSE(slept);
  EXPECT_TRUE(slept.error() == std::errc::operation_canceled);
  EXPECT_EQ(slept.error().message(), "sleep: the thread is ending");
  ASSERT_FALSE(again);
}

TEST_F(ending_thread, accepted_messages_run_once) {
  int ran = 0;
  for (int i = 0; i < 10; ++i) must(second->ref().send([&] { ++ran; }));
  must(second->ref().send([&, r = second->ref()] {
    must(r.send([&] { ++ran; }));  // still accepted: the thread is not at its end yet
  }));
  EXPECT_EQ(ran, 0);
  end();
  EXPECT_EQ(ran, 11);
}

TEST_F(ending_thread, calls_to_it_come_back) {
  sio::result<int> got = 0;
  running caller;
  auto body = [&]() -> sio::task<void> { got = co_await second->ref().call([] { return 42; }); };
  caller = running(body());
  EXPECT_FALSE(caller.done());
  end();
  poll_until([&] { return caller.done(); });
  EXPECT_EQ(must(got), 42);
}

TEST_F(ending_thread, descriptors_and_channels_are_given_back) {
  bdev_desc theirs;
  there([&] {
    theirs = must(bdev_desc::open("m0"));
    must(theirs.channel());
    must(disk.channel());
  });
  must(theirs.channel());  // and one here
  EXPECT_FALSE(theirs.closed());
  end();
  EXPECT_TRUE(theirs.closed());
  EXPECT_FALSE(disk.closed());
  must(run(disk.read(buffer.span(), 0)));
  disk = bdev_desc();
  must(run(sio::delete_bdev("m0")));  // nobody has it open: `theirs` is dead
}

TEST_F(ending_thread, pollers_stop_and_their_objects_are_empty) {
  int turns = 0;
  std::optional<sio::poller> poller;
  there([&] { poller = must(sio::poller::start([&] { ++turns; })); });
  while (turns < 3) second->poll();
  EXPECT_NE(poller->native_handle(), nullptr);
  end();
  const int at_end = turns;
  EXPECT_EQ(poller->native_handle(), nullptr);
  poller->pause();
  poller->resume();
  poll_times(100);
  EXPECT_EQ(turns, at_end);
}

TEST_F(ending_thread, by_what_it_runs_itself) {
  plain_buffer other;
  std::vector<std::string> order;
  running suicidal, bystander;
  auto body = [&]() -> sio::task<void> {
    auto r = co_await disk.read(buffer.span(), 0);
    order.push_back("first " + message_of(r));
    second.reset();
    order.push_back("after the end");
  };
  auto watch = [&]() -> sio::task<void> {
    auto r = co_await disk.read(other.span(), 0);
    order.push_back("second " + message_of(r));
  };
  auto t = second->ref();
  there([&] {
    suicidal = running(body());
    bystander = running(watch());
  });
  auto* thread = &*second;
  while (!suicidal.done() && second) thread->poll();
  EXPECT_EQ(order, (std::vector<std::string>{"first success", "second success", "after the end"}));
  EXPECT_TRUE(suicidal.done() && bystander.done());
  EXPECT_FALSE(t.send([] {}));
  must(run(disk.read(buffer.span(), 0)));
}

// The device is being deleted, and waits for a descriptor of the thread that ends.
TEST_F(ending_thread, a_deletion_that_waits_for_it_goes_on) {
  disk = bdev_desc();
  bdev_desc theirs;
  there([&] { theirs = must(bdev_desc::open("m0")); });
  sio::result<void> deleted;
  running deleter;
  auto body = [&]() -> sio::task<void> { deleted = co_await sio::delete_bdev("m0"); };
  there([&] { deleter = running(body()); });
  while (!theirs.removed()) {
    main_thread().poll();
    second->poll();
  }
  EXPECT_FALSE(deleter.done());
  end();
  poll_until([&] { return !sio::bdev::find("m0"); });
  EXPECT_TRUE(deleter.done());
  EXPECT_TRUE(deleted) << message_of(deleted);
}

TEST(ending_thread_without_memory, waiters_are_served) {
  auto second = std::optional(must(sio::thread::create("second")));
  must(init_with_pool(1, 0));
  auto disk = open_null("n0");
  plain_buffer buffer;
  int resumed = 0;
  std::vector<running> readers;
  bool started = false;
  must(second->ref().send([&] {
    for (int i = 0; i < 10; ++i) readers.emplace_back(read_into(disk, buffer.span(), resumed));
    started = true;
  }));
  while (!started) second->poll();
  EXPECT_EQ(second->statistics().memory_waits, 9u);
  second.reset();
  EXPECT_EQ(resumed, 10);
}

// The first thread takes SPDK's subsystems and all handles with it; see the fixture's TearDown.
TEST(ending_thread_of_the_process, handles_that_are_left_are_dead) {
  static bdev_desc left;  // dropped after the environment has gone
  static sio::io_channel too;
  left = open_malloc("m0");
  too = must(left.channel());
  static std::array<std::byte, length> buffer;
  sio::start(left.read(dma_span::trusted(buffer), 0),
             [](auto r) { EXPECT_TRUE(r) << message_of(r); });
  EXPECT_EQ(in_flight(), 1u);
}

}  // namespace
}  // namespace spdk_io_test
