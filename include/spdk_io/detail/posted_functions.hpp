// SPDX-License-Identifier: BSD-3-Clause
// What the adapters of loops written in C share: the callables that are posted to such a loop, and
// the exceptions that leave them, kept for whoever runs it.
#pragma once

#include <spdk_io/abi.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// A queue that any thread fills and the loop's thread empties, batch by batch. Its storage is
// reused: in a steady state it allocates nothing.
class posted_functions {
 public:
  using function = std::move_only_function<void()>;
  enum class rest { more, none, none_and_released };

  // Calls wake(), which must not throw, if the loop's side would not look by itself. It does so
  // with the mutex held: the loop's side cannot find the queue released, and free what wake() uses.
  template <class F, class Wake>
  void post(F&& f, Wake wake) {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    posted_.emplace_back(std::forward<F>(f));
    if (!std::exchange(expected_, true)) wake();
  }

  // Nobody will post any more.
  template <class Wake>
  void release(Wake wake) {
    std::lock_guard lock(mutex_);
    released_ = true;
    if (!std::exchange(expected_, true)) wake();
  }

  // Runs what was there when it began. An exception leaves it; the rest of the batch is the next
  // one. A callable that runs the loop itself goes on with the batch that it is in.
  void run_batch() {
    if (next_ == batch_.size()) take();
    const std::uint64_t mine = batches_;
    while (mine == batches_ && next_ < batch_.size()) {
      function f = std::move(batch_[next_++]);
      f();
    }
  }

  // After a batch. Unless there is more, calls be_quiet(), and the next post() calls wake() again.
  template <class Quiet>
  rest what_is_left(Quiet be_quiet) {
    std::lock_guard lock(mutex_);
    if (next_ < batch_.size() || !posted_.empty()) return rest::more;
    be_quiet();
    expected_ = false;
    return released_ ? rest::none_and_released : rest::none;
  }

  // The loop has ended: drops what is posted, now and later.
  void close() {
    const std::vector<function> left = std::exchange(batch_, {});
    next_ = 0;
    ++batches_;
    std::vector<function> posted;
    std::unique_lock lock(mutex_);
    closed_ = true;
    posted.swap(posted_);
    lock.unlock();
  }

 private:
  void take() {
    batch_.clear();
    next_ = 0;
    ++batches_;
    std::lock_guard lock(mutex_);
    batch_.swap(posted_);
  }

  std::vector<function> batch_;  // from next_ on: still to be run
  std::size_t next_ = 0;
  std::uint64_t batches_ = 0;
  std::mutex mutex_;  // for what follows
  std::vector<function> posted_;
  bool expected_ = false;  // the loop's side will look by itself, or was woken
  bool released_ = false;
  bool closed_ = false;
};

struct kept_exception {
  const void* loop;
  std::exception_ptr what;
};

// Those of this OS thread's loops, the oldest first.
inline std::vector<kept_exception>& kept_exceptions() {
  static thread_local std::vector<kept_exception> kept;
  return kept;
}

// In a handler: keeps the current exception.
inline void keep_exception(const void* loop) noexcept {
  kept_exceptions().push_back({loop, std::current_exception()});
}

// Rethrows the oldest exception kept for that loop, if there is one.
inline void rethrow_kept_exception(const void* loop) {
  auto& kept = kept_exceptions();
  const auto found = std::ranges::find(kept, loop, &kept_exception::loop);
  if (found == kept.end()) return;
  const std::exception_ptr what = found->what;
  kept.erase(found);
  std::rethrow_exception(what);
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
