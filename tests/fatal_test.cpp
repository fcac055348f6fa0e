// SPDX-License-Identifier: BSD-3-Clause
// What ends the program, and what it says then: exceptions that nobody awaits, and misuse that
// would corrupt memory.
#include "own_process.hpp"
#include "started.hpp"

#include <spdk_io/spdk_io.hpp>

#include <gtest/gtest.h>

#include <spdk/thread.h>

#include <chrono>
#include <coroutine>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

namespace sio = spdk_io;
using namespace spdk_io_test;

namespace {

// f(thread) in a process of its own, with an environment and a thread.
template <class F>
process_end with_thread(F f) {
  return in_own_process([f] {
    auto env = sio::env::start({.name = "fatal_test", .hugepages = false, .pci = false}).value();
    auto thread = sio::thread::attach("main").value();
    f(thread);
  });
}

TEST(fatal, an_exception_of_a_spawned_main) {
  auto end = with_thread([](sio::thread&) {
    auto t = sio::thread::spawn("worker", [](sio::thread&) -> sio::task<void> {
      co_await sio::yield();
      throw std::runtime_error("from main");
    });
  });
  EXPECT_TRUE(
      aborted_with(end, "spdk-io: exception nobody waits for, in thread \"worker\": from main\n"));
}

TEST(fatal, an_exception_of_a_message_to_a_spawned_thread) {
  auto end = with_thread([](sio::thread&) {
    auto t = sio::thread::spawn("worker").value();
    (void)t.ref().send([] { throw std::runtime_error("from a message"); });
  });
  EXPECT_TRUE(
      aborted_with(end, "exception nobody waits for, in thread \"worker\": from a message"));
}

TEST(fatal, an_exception_of_another_kind_is_reported_too) {
  auto end = with_thread(
      [](sio::thread&) { auto t = sio::thread::spawn("worker", [](sio::thread&) { throw 5; }); });
  EXPECT_TRUE(aborted_with(end, "in thread \"worker\": not derived from std::exception"));
}

TEST(fatal, an_exception_while_a_thread_ends) {
  auto end = with_thread(
      [](sio::thread& t) { (void)t.ref().send([] { throw std::runtime_error("too late"); }); });
  EXPECT_TRUE(
      aborted_with(end, "in a continuation that ran while thread \"main\" ended: too late"));
}

TEST(fatal, a_spawned_thread_joined_on_its_own_os_thread) {
  auto end = with_thread([](sio::thread&) {
    std::optional<sio::spawned_thread> worker = sio::thread::spawn("worker").value();
    (void)worker->ref().call([&] { worker.reset(); }).get();
  });
  EXPECT_TRUE(aborted_with(
      end,
      "spdk-io: thread \"worker\" was joined on its own OS thread, and would wait for itself"));
}

TEST(fatal, a_thread_pool_destroyed_on_one_of_its_own_threads) {
  auto end = with_thread([](sio::thread&) {
    std::optional<sio::thread_pool> pool =
        sio::thread_pool::start({.threads = 2, .name = "workers"}).value();
    (void)(*pool)[1].call([&] { pool.reset(); }).get();
  });
  EXPECT_TRUE(aborted_with(end,
                           "spdk-io: thread_pool \"workers\" was joined or destroyed on its own "
                           "thread \"workers-1\", and would wait for itself"));
}

struct plain_coroutine {
  struct promise_type {
    plain_coroutine get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() { throw; }
  };
  std::coroutine_handle<promise_type> handle;
};

TEST(fatal, an_exception_under_a_poller_coroutine) {
  auto end = with_thread([](sio::thread& t) {
    (void)t.ref().send([] { throw std::runtime_error("a continuation's"); });
    (void)sio::poller_coroutine<plain_coroutine>(t, [] { return std::suspend_always(); });
  });
  EXPECT_TRUE(aborted_with(end, "in a continuation run by a poller task: a continuation's"));
}

TEST(fatal, a_thread_destroyed_on_another_os_thread) {
  auto end = with_thread([](sio::thread&) {
    std::optional<sio::thread> further(sio::thread::create("further").value());
    std::jthread([&] { further.reset(); }).join();
  });
  EXPECT_TRUE(aborted_with(end, "thread \"further\" destroyed on another OS thread than its own"));
}

TEST(fatal, a_thread_destroyed_inside_a_raw_callback) {
  auto end = with_thread([](sio::thread&) {
    static std::optional<sio::thread> further;
    further.emplace(sio::thread::create("further").value());
    spdk_thread_send_msg(further->native_handle(), [](void*) { further.reset(); }, nullptr);
    further->poll();
  });
  EXPECT_TRUE(aborted_with(end, "thread \"further\" destroyed inside spdk_thread_poll()"));
}

// An assertion in debug builds of the library, harmless in others.
TEST(fatal, polling_inside_a_raw_callback) {
  auto end = with_thread([](sio::thread& t) {
    static std::size_t done = 1;
    spdk_thread_send_msg(
        t.native_handle(), [](void* self) { done = static_cast<sio::thread*>(self)->poll(); }, &t);
    t.poll();
    EXPECT_EQ(done, 0u);
  });
#ifdef NDEBUG
  EXPECT_TRUE(passed(end));
#else
  EXPECT_TRUE(aborted_with(end, "thread::poll() called from inside spdk_thread_poll()"));
#endif
}

// Both would wait for ever, in release builds too.
TEST(fatal, waiting_inside_a_raw_callback) {
  auto get = with_thread([](sio::thread& t) {
    spdk_thread_send_msg(
        t.native_handle(), [](void*) { (void)sio::sleep_for(std::chrono::hours(1)).get(); },
        nullptr);
    t.poll();
  });
  EXPECT_TRUE(aborted_with(get, "get() called inside spdk_thread_poll() of its own thread"));
  auto block_on = with_thread([](sio::thread& t) {
    spdk_thread_send_msg(
        t.native_handle(),
        [](void* self) { (void)sio::block_on(*static_cast<sio::thread*>(self), sio::yield()); },
        &t);
    t.poll();
  });
  EXPECT_TRUE(
      aborted_with(block_on, "block_on() called inside spdk_thread_poll() of its own thread"));
}

TEST(fatal, polling_on_another_os_thread) {
  auto end =
      with_thread([](sio::thread& t) { std::jthread([&] { EXPECT_EQ(t.poll(), 0u); }).join(); });
#ifdef NDEBUG
  EXPECT_TRUE(passed(end));
#else
  EXPECT_TRUE(aborted_with(end, "thread"));
#endif
}

TEST(fatal, a_coroutine_destroyed_while_it_moves_between_threads) {
  auto end = with_thread([](sio::thread&) {
    auto further = sio::thread::create("further").value();
    started moving(further.ref().schedule());
    moving.destroy();
  });
  EXPECT_TRUE(aborted_with(end, "a coroutine was destroyed while it was moving to another thread"));
}

TEST(fatal, a_call_destroyed_on_another_os_thread) {
  auto end = with_thread([](sio::thread&) {
    auto further = sio::thread::create("further").value();
    started calling(further.ref().call([] {}));
    std::jthread([&] { calling.destroy(); }).join();
  });
  EXPECT_TRUE(aborted_with(end, "a call to thread \"further\" was destroyed on another OS thread"));
}

// What a coroutine awaits belongs to its OS thread, whatever it is.
TEST(fatal, a_coroutine_destroyed_on_another_os_thread_while_it_sleeps_or_yields) {
  auto sleeping = with_thread([](sio::thread&) {
    started run(sio::sleep_for(std::chrono::hours(1)));
    std::jthread([&] { run.destroy(); }).join();
  });
  EXPECT_TRUE(aborted_with(sleeping,
                           "a coroutine that sleeps was destroyed on another OS thread than its "
                           "own; destroy coroutines on the thread whose operations they await"));
  auto yielding = with_thread([](sio::thread&) {
    started run(sio::yield());
    std::jthread([&] { run.destroy(); }).join();
  });
  EXPECT_TRUE(aborted_with(yielding, "a coroutine that yields was destroyed on another OS thread"));
}

TEST(fatal, a_coroutine_destroyed_on_another_os_thread_while_it_waits_for_events) {
  auto end = with_thread([](sio::thread& t) {
    (void)sio::block_on(t, sio::create_bdev(sio::null_bdev{.name = "n0", .size = 1 << 20}));
    auto disk = sio::bdev_desc::open("n0").value();
    started run(disk.next_event());
    std::jthread([&] { run.destroy(); }).join();
  });
  EXPECT_TRUE(aborted_with(end,
                           "a coroutine that waits for events of a device was destroyed on another "
                           "OS thread than its own"));
}

// The request has been made, and is on its way, so that the operation cannot just go.
TEST(fatal, an_operation_with_a_stop_token_destroyed_on_another_os_thread) {
  auto end = with_thread([](sio::thread&) {
    std::stop_source stop;
    started run(sio::with_stop_token(stop.get_token(), sio::sleep_for(std::chrono::hours(1))));
    stop.request_stop();
    std::jthread([&] { run.destroy(); }).join();
  });
  EXPECT_TRUE(aborted_with(end, "was destroyed on another OS thread than its own"));
}

TEST(fatal, a_call_that_destroys_its_own_caller) {
  auto end = with_thread([](sio::thread& t) {
    auto further = sio::thread::create("further").value();
    std::optional<started<sio::task<void>>> run;
    run.emplace([](sio::thread_ref ref, auto& self) -> sio::task<void> {
      (void)co_await ref.call([&] { self.reset(); });
    }(further.ref(), run));
    further.poll();
    t.poll();
  });
  EXPECT_TRUE(aborted_with(end, "a call to thread \"further\" destroyed its own caller"));
}

TEST(fatal, a_permit_given_back_on_another_os_thread) {
  auto end = with_thread([](sio::thread&) {
    sio::in_flight_limiter limiter(1);
    auto permit = limiter.try_acquire();
    std::jthread([&] { permit.reset(); }).join();
  });
  EXPECT_TRUE(
      aborted_with(end, "given back on another OS thread than that of its thread \"main\""));
}

TEST(fatal, a_pooled_buffer_given_back_on_another_os_thread) {
  auto end = with_thread([](sio::thread&) {
    auto pool = sio::dma_pool::create({.buffers = 1, .size = 4096}).value();
    auto buffer = pool.try_allocate();
    std::jthread([&] { buffer.reset(); }).join();
  });
  EXPECT_TRUE(
      aborted_with(end, "given back on another OS thread than that of its thread \"main\""));
}

TEST(fatal, a_chunk_of_a_read_stream_dropped_on_another_os_thread) {
  auto end = with_thread([](sio::thread& t) {
    (void)sio::block_on(t, sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20}));
    auto disk = sio::bdev_desc::open("m0").value();
    sio::read_stream in(disk, {.chunk = 4096});
    auto chunk = sio::block_on(t, in.next()).value();
    std::jthread([&] { chunk.reset(); }).join();
  });
  EXPECT_TRUE(aborted_with(end,
                           "a chunk of a read_stream was destroyed on another OS thread than that "
                           "of its thread \"main\""));
}

TEST(fatal, a_coroutine_destroyed_on_another_os_thread_while_it_waits_for_a_stream) {
  auto end = with_thread([](sio::thread& t) {
    sio::channel<int> c(1);
    std::optional<started<sio::channel_next_operation<int>>> waiting;
    sio::block_on(t, [&]() -> sio::task<> {
      waiting.emplace(c.next());
      co_return;
    }());
    std::jthread([&] { waiting.reset(); }).join();
  });
  EXPECT_TRUE(aborted_with(end,
                           "a coroutine that waits for a stream was destroyed on another OS thread "
                           "than that of its thread \"main\""));
  end = with_thread([](sio::thread& t) {
    sio::channel<int> c(1);
    std::optional<started<sio::channel_send_operation<int>>> waiting;
    sio::block_on(t, [&]() -> sio::task<> {
      (void)c.try_send(1);
      waiting.emplace(c.send(2));
      co_return;
    }());
    std::jthread([&] { waiting.reset(); }).join();
  });
  EXPECT_TRUE(aborted_with(end,
                           "a coroutine that sends into a channel was destroyed on another OS "
                           "thread than that of its thread \"main\""));
}

TEST(fatal, a_waiter_for_a_permit_destroyed_on_another_os_thread) {
  auto end = with_thread([](sio::thread&) {
    sio::in_flight_limiter limiter(1);
    auto permit = limiter.try_acquire();
    started waiting(limiter.acquire());
    std::jthread([&] { waiting.destroy(); }).join();
  });
  EXPECT_TRUE(aborted_with(end,
                           "a coroutine that waits for an in_flight_limiter was destroyed on "
                           "another OS thread than that of its thread \"main\""));
}

// An assertion in debug builds of the library, an error in others.
TEST(fatal, a_permit_awaited_on_another_thread) {
  auto end = with_thread([](sio::thread&) {
    sio::in_flight_limiter limiter(1);
    auto further = sio::thread::create("further").value();
    bool done = false;
    (void)further.ref().send([&] {
      started waiting(limiter.acquire());
      EXPECT_EQ(waiting.take().error().message(),
                "acquiring a permit for I/O: the limiter belongs to another thread (make one for "
                "each thread)");
      done = true;
    });
    while (!done) further.poll();
  });
#ifdef NDEBUG
  EXPECT_TRUE(passed(end));
#else
  EXPECT_TRUE(aborted_with(end, "belongs to the thread that made it (\"main\")"));
#endif
}

TEST(fatal, a_permit_tried_for_on_another_os_thread) {
  auto end = with_thread([](sio::thread&) {
    sio::in_flight_limiter limiter(1);
    std::jthread([&] { EXPECT_FALSE(limiter.try_acquire()); }).join();
  });
#ifdef NDEBUG
  EXPECT_TRUE(passed(end));
#else
  EXPECT_TRUE(aborted_with(end, "taken on another OS thread"));
#endif
}

TEST(fatal, a_mutex_unlocked_on_another_os_thread) {
  auto end = with_thread([](sio::thread&) {
    sio::async_mutex mutex;
    auto lock = mutex.try_lock();
    std::jthread([&] { lock.reset(); }).join();
  });
  EXPECT_TRUE(aborted_with(end,
                           "what was taken from an async_mutex, or that itself, was given back on "
                           "another OS thread than that of its thread \"main\""));
}

TEST(fatal, a_waiter_for_a_lock_or_an_event_destroyed_on_another_os_thread) {
  auto end = with_thread([](sio::thread&) {
    sio::async_mutex mutex;
    auto lock = mutex.try_lock();
    started waiting(mutex.lock());
    std::jthread([&] { waiting.destroy(); }).join();
  });
  EXPECT_TRUE(aborted_with(end, "a coroutine that waits for an async_mutex was destroyed on"));
  end = with_thread([](sio::thread&) {
    sio::async_event event;
    started waiting(event.wait());
    event.set();  // let through, and not resumed
    std::jthread([&] { waiting.destroy(); }).join();
  });
  EXPECT_TRUE(aborted_with(end, "a coroutine that waits for an async_event was destroyed on"));
}

TEST(fatal, an_event_set_or_a_semaphore_released_on_another_os_thread) {
  auto end = with_thread([](sio::thread&) {
    sio::async_event event;
    std::jthread([&] { event.set(); }).join();
  });
  EXPECT_TRUE(aborted_with(end,
                           "an async_event was set, reset or released on another OS thread than "
                           "that of its thread \"main\"; do it there, by thread_ref::send()"));
  end = with_thread([](sio::thread&) {
    sio::async_event event({.set = true});
    std::jthread([&] { event.reset(); }).join();
  });
  EXPECT_TRUE(aborted_with(end, "an async_event was set, reset or released on another OS thread"));
  end = with_thread([](sio::thread&) {
    sio::async_semaphore semaphore(0);
    std::jthread([&] { semaphore.release(); }).join();
  });
  EXPECT_TRUE(
      aborted_with(end, "an async_semaphore was set, reset or released on another OS thread"));
}

// An assertion in debug builds of the library, an error in others.
TEST(fatal, a_lock_awaited_on_another_thread) {
  auto end = with_thread([](sio::thread&) {
    sio::async_mutex mutex;
    auto further = sio::thread::create("further").value();
    bool done = false;
    (void)further.ref().send([&] {
      started waiting(mutex.lock());
      EXPECT_EQ(waiting.take().error().message(),
                "locking a mutex: the mutex belongs to another thread (make one for each thread)");
      done = true;
    });
    while (!done) further.poll();
    std::jthread([&] { EXPECT_FALSE(mutex.try_lock()); }).join();
  });
#ifdef NDEBUG
  EXPECT_TRUE(passed(end));
#else
  EXPECT_TRUE(aborted_with(
      end, "awaited on another thread: an async_mutex belongs to the thread that made it"));
#endif
}

TEST(fatal, a_semaphore_released_beyond_its_maximum) {
  auto end = with_thread([](sio::thread&) {
    sio::async_semaphore semaphore(1, 2);
    semaphore.release(2);
    EXPECT_EQ(semaphore.available(), 2u);
  });
#ifdef NDEBUG
  EXPECT_TRUE(passed(end));
#else
  EXPECT_TRUE(aborted_with(end, "an async_semaphore of at most 2 was released beyond that"));
#endif
}

TEST(fatal, a_place_in_a_scope_awaited_on_another_thread) {
  auto end = with_thread([](sio::thread&) {
    sio::task_scope scope({.limit = 1});
    EXPECT_TRUE(started(scope.spawn_when_free(sio::yield())).take());
    auto further = sio::thread::create("further").value();
    bool done = false;
    (void)further.ref().send([&] {
      started waiting(scope.spawn_when_free(sio::yield()));
      EXPECT_EQ(
          waiting.take().error().message(),
          "spawning into a scope: the scope belongs to another thread (make one for each thread)");
      done = true;
    });
    while (!done) further.poll();
  });
#ifdef NDEBUG
  EXPECT_TRUE(passed(end));
#else
  EXPECT_TRUE(aborted_with(end, "awaited on another thread: a place in a task_scope belongs to"));
#endif
}

}  // namespace
