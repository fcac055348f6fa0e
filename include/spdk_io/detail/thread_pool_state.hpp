// SPDX-License-Identifier: BSD-3-Clause
// What a thread_pool and the work that is spread over it share, and how that work runs.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/bdev_desc.hpp>
#include <spdk_io/detail/call.hpp>
#include <spdk_io/detail/stop_event.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/io_channel.hpp>
#include <spdk_io/shard.hpp>
#include <spdk_io/task.hpp>
#include <spdk_io/task_scope.hpp>
#include <spdk_io/thread_ref.hpp>
#include <spdk_io/when_all.hpp>
#include <spdk_io/with_stop_token.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// Kept by the pool, by its threads, and by whatever is spread over them.
class thread_pool_state {
 public:
  thread_pool_state(std::string name, std::size_t threads)
      : name_(std::move(name)), running_(threads) {}

  const std::string& name() const noexcept { return name_; }

  // Work on one of the threads, counted there from its beginning to its end: the thread goes on
  // until then.
  class work {
   public:
    work(thread_pool_state& pool, std::size_t index) noexcept : count_(pool.running_[index].count) {
      ++count_;
    }
    work(const work&) = delete;
    work& operator=(const work&) = delete;
    ~work() { --count_; }

   private:
    std::size_t& count_;
  };
  // On that thread.
  bool any_work(std::size_t index) const noexcept { return running_[index].count != 0; }

  std::stop_token token() const noexcept { return stop_.get_token(); }
  bool stopped() const noexcept { return stop_.stop_requested(); }
  error why_stopped() const;
  void request_stop() noexcept { stop_.request_stop(); }

  // The main function of thread `index`: it lasts until the threads may end and no work is left.
  static task<void> serve(std::shared_ptr<thread_pool_state> pool, std::size_t index);
  void let_threads_end() noexcept { end_.request(); }

  std::vector<thread_ref> refs;  // complete before the pool is handed out

 private:
  // Each is written by a thread of its own.
  struct alignas(64) counter {
    std::size_t count = 0;
  };

  const std::string name_;
  std::vector<counter> running_;
  std::stop_source stop_;
  stop_event end_;
};

const std::vector<thread_ref>& refs_of(const thread_pool_state* pool) noexcept;  // null: none
task<result<void>> stop_work(std::shared_ptr<thread_pool_state> pool);

template <class R>
struct returning {
  R operator()() const;
};
// What comes back of a function that returns R: result<T>.
template <class R>
using work_result = typename call_traits<returning<R>>::wrapped;

// The same of calling it.
template <class F, class... Arguments>
auto call_plain(const F& f, Arguments&&... arguments) {
  using returned = std::invoke_result_t<const F&, Arguments...>;
  if constexpr (std::is_void_v<returned>) {
    std::invoke(f, std::forward<Arguments>(arguments)...);
    return work_result<returned>();
  } else {
    return work_result<returned>(std::invoke(f, std::forward<Arguments>(arguments)...));
  }
}

// --- the function of a user, as one of the index of a thread ---

template <class F>
auto by_index(F f) {
  if constexpr (std::invocable<const F&, std::size_t>) {
    return f;
  } else {
    static_assert(std::invocable<const F&>,
                  "called on all threads at once, and so as const: f(index), or f()");
    return [f = std::move(f)](std::size_t) { return std::invoke(f); };
  }
}

template <class F, class... Arguments>
task<work_result<std::invoke_result_t<const F&, io_channel&, Arguments...>>> await_with_channel(
    const bdev_desc& disk, const F& f, Arguments... arguments) {
  using awaited = await_result_t<std::invoke_result_t<const F&, io_channel&, Arguments...>>;
  auto channel = disk.channel();
  if (!channel) co_return std::unexpected(channel.error());
  if constexpr (std::is_void_v<awaited>) {
    co_await std::invoke(f, *channel, arguments...);
    co_return result<void>();
  } else {
    co_return co_await std::invoke(f, *channel, arguments...);
  }
}

template <class F, class... Arguments>
auto call_with_channel(const bdev_desc& disk, const F& f, Arguments... arguments) {
  using returned = std::invoke_result_t<const F&, io_channel&, Arguments...>;
  if constexpr (awaitable<returned>) {
    return await_with_channel(disk, f, arguments...);
  } else {
    auto channel = disk.channel();
    if (!channel) return work_result<returned>(std::unexpected(channel.error()));
    return call_plain(f, *channel, arguments...);
  }
}

template <class F>
auto by_channel(const bdev_desc& disk, F f) {
  return [disk, f = std::move(f)](std::size_t index) {
    if constexpr (std::invocable<const F&, io_channel&, std::size_t>) {
      return call_with_channel(disk, f, index);
    } else {
      static_assert(std::invocable<const F&, io_channel&>,
                    "called on all threads at once, and so as const: f(io_channel&, index), or "
                    "f(io_channel&)");
      return call_with_channel(disk, f);
    }
  };
}

template <class F>
auto by_shard(std::uint64_t count, std::size_t parts, F f) {
  static_assert(std::invocable<const F&, shard>,
                "called on all threads at once, and so as const: f(shard)");
  return [count, parts, f = std::move(f)](std::size_t index) {
    return std::invoke(f, shard_of(count, parts, index));
  };
}

template <class F>
auto by_channel_and_shard(const bdev_desc& disk, std::uint64_t count, std::size_t parts, F f) {
  static_assert(std::invocable<const F&, io_channel&, shard>,
                "called on all threads at once, and so as const: f(io_channel&, shard)");
  return [disk, count, parts, f = std::move(f)](std::size_t index) {
    return call_with_channel(disk, f, shard_of(count, parts, index));
  };
}

// --- such a function on the threads of a pool ---

// On the thread. The pool's token is heard there, not where the work was handed out: join() may be
// holding up that thread.
template <class G>
task<work_result<std::invoke_result_t<const G&, std::size_t>>> await_work(thread_pool_state& pool,
                                                                          std::size_t index,
                                                                          const G& g) {
  const thread_pool_state::work counted(pool, index);
  if (pool.stopped()) co_return std::unexpected(pool.why_stopped());
  if constexpr (std::is_void_v<await_result_t<std::invoke_result_t<const G&, std::size_t>>>) {
    co_await with_stop_token(pool.token(), std::invoke(g, index));
    co_return result<void>();
  } else {
    co_return co_await with_stop_token(pool.token(), std::invoke(g, index));
  }
}

template <class G>
auto run_work(thread_pool_state& pool, std::size_t index, const G& g) {
  using returned = std::invoke_result_t<const G&, std::size_t>;
  if constexpr (awaitable<returned>) {
    return await_work(pool, index, g);
  } else {
    if (pool.stopped()) return work_result<returned>(std::unexpected(pool.why_stopped()));
    return call_plain(g, index);
  }
}

template <class G>
auto pool_call(thread_pool_state& pool, std::size_t index, const G& g) {
  return pool.refs[index].call([&pool, index, &g] { return run_work(pool, index, g); });
}

template <class G>
task<std::vector<work_result<std::invoke_result_t<const G&, std::size_t>>>> spread_work(
    std::shared_ptr<thread_pool_state> pool, G g) {
  std::vector<decltype(pool_call(*pool, 0, g))> calls;
  const std::size_t threads = refs_of(pool.get()).size();
  calls.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) calls.push_back(pool_call(*pool, i, g));
  co_return co_await when_all(std::move(calls));
}

// On the first `threads` of them.
template <class G>
task<result<void>> for_each_work(std::shared_ptr<thread_pool_state> pool, std::size_t threads,
                                 G g) {
  task_scope scope;
  for (std::size_t i = 0; i < threads; ++i) scope.spawn(pool_call(*pool, i, g));
  co_return co_await scope.join();
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
