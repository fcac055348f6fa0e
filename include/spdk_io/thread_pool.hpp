// SPDX-License-Identifier: BSD-3-Clause
// thread_pool: SPDK threads, each on an OS thread of its own, and work that is spread over them.
#pragma once

#include <spdk_io/bdev_desc.hpp>
#include <spdk_io/detail/thread_pool_state.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/idle.hpp>
#include <spdk_io/shard.hpp>
#include <spdk_io/spawned_thread.hpp>
#include <spdk_io/task.hpp>
#include <spdk_io/thread_ref.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI {

struct thread_pool_options {
  std::size_t threads = 0;    // 0: one for each core
  std::string name = "pool";  // its threads are pool-0, pool-1, …
  bool pin = false;           // each thread stays on one core, the i-th on the i-th
  // Which, as the system numbers them; without `pin` each thread may run on all of these. Empty:
  // those that the OS thread which calls start() may run on.
  std::vector<std::uint32_t> cores = {};
  idle_policy idle = idle::backoff();  // when there is nothing to do
};

// A fixed number of threads as thread::spawn() makes them. Each has its own loop, and its own
// channel of each device it uses.
//
// Work is handed to all of them by spread(), for_each_thread() and for_each_shard(), or to one by
// its thread_ref, as for any other thread. What these return is a task: nothing begins before it is
// awaited, on any SPDK thread, one of the pool's included. From an OS thread without one:
//   auto r = pool[0].call([&] { return pool.spread(f); }).get();
//
// `f` is a plain function, or returns something awaitable, which then runs on that thread. There is
// one f for all, which is called on all threads at once, and so as const.
//
// The end: request_stop() asks what runs here by these three to stop, as by the stop token of a
// task; what has not begun does not begin (operation_canceled). join(), which the destructor calls,
// waits until that has ended, while it may still do I/O; then the threads end as any thread does:
// messages that were accepted run, I/O in flight completes, new I/O is refused. Work that does not
// heed its token is waited for.
//
// Thread: start(), join() and the destructor on any OS thread but the pool's own: there they end
// the program with a message, since they would wait for themselves. While join() waits, no user
// code runs on its OS thread: where work of the pool waits for a call to that thread, co_await
// stop() first. The rest may be used on any thread, not at the same time as these.
class thread_pool {
 public:
  // Errors: no env; a core that the caller may not run on, or fewer cores than threads that are to
  // be pinned (invalid_argument); SPDK or the system has no thread for us. Threads that had been
  // started are joined then.
  static result<thread_pool> start(const thread_pool_options& options = {});

  thread_pool(thread_pool&&) noexcept = default;
  thread_pool& operator=(thread_pool&& other) noexcept;
  ~thread_pool() { join(); }

  // 0 for what was moved from. After join() they are still named, but take nothing any more.
  std::size_t size() const noexcept { return refs().size(); }
  const thread_ref& operator[](std::size_t index) const noexcept { return refs()[index]; }
  auto begin() const noexcept { return refs().begin(); }
  auto end() const noexcept { return refs().end(); }

  // Calls f(index), or f(), on every thread, and brings what came of each back in order, as
  // thread_ref::call() does for one:
  //   std::vector<result<T>> each = co_await pool.spread([](std::size_t index) { … });
  // All are waited for: a failure stops none of the others. An exception is rethrown when all have
  // ended, the first in the order of the threads. A request to stop goes to all.
  template <class F>
  [[nodiscard]] auto spread(F f) const {
    return detail::spread_work(state_, detail::by_index(std::move(f)));
  }
  // The same for f(io_channel&, index), or f(io_channel&), with each thread's own channel of
  // `disk`, which lives as long as f runs. Where there is none, its error is that thread's result.
  template <class F>
  [[nodiscard]] auto spread(const bdev_desc& disk, F f) const {
    return detail::spread_work(state_, detail::by_channel(disk, std::move(f)));
  }

  // The same, for one result of all: the first failure in time, an error or an exception, asks the
  // others to stop, and is what comes out when all have ended. What f returns besides is dropped.
  template <class F>
  [[nodiscard]] task<result<void>> for_each_thread(F f) const {
    return detail::for_each_work(state_, size(), detail::by_index(std::move(f)));
  }
  template <class F>
  [[nodiscard]] task<result<void>> for_each_thread(const bdev_desc& disk, F f) const {
    return detail::for_each_work(state_, size(), detail::by_channel(disk, std::move(f)));
  }

  // Cuts [0, count) into a part for each thread (see shard_of()), and calls f(shard), or
  // f(io_channel&, shard), there; threads for which nothing is left are not called. Failures as for
  // for_each_thread().
  template <class F>
  [[nodiscard]] task<result<void>> for_each_shard(std::uint64_t count, F f) const {
    return detail::for_each_work(state_, parts(count),
                                 detail::by_shard(count, parts(count), std::move(f)));
  }
  template <class F>
  [[nodiscard]] task<result<void>> for_each_shard(const bdev_desc& disk, std::uint64_t count,
                                                  F f) const {
    return detail::for_each_work(
        state_, parts(count),
        detail::by_channel_and_shard(disk, count, parts(count), std::move(f)));
  }

  // Asks all work of the pool to stop, and takes on no more. Any OS thread; does not wait.
  void request_stop() noexcept;

  // The same, and done when the work has ended, on all threads; these go on until join(). Not from
  // work of the pool, which would wait for itself. Not stopped by requests. Error: no SPDK thread
  // is attached where it is awaited.
  [[nodiscard]] task<result<void>> stop() const { return detail::stop_work(state_); }

  // request_stop(), and waits until all has ended. Done at once the second time.
  void join() noexcept;

 private:
  explicit thread_pool(std::shared_ptr<detail::thread_pool_state> state) noexcept
      : state_(std::move(state)) {}
  const std::vector<thread_ref>& refs() const noexcept { return detail::refs_of(state_.get()); }
  std::size_t parts(std::uint64_t count) const noexcept {
    return static_cast<std::size_t>(std::min<std::uint64_t>(count, size()));
  }

  std::shared_ptr<detail::thread_pool_state> state_;
  std::vector<spawned_thread> threads_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
