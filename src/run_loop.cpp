// SPDX-License-Identifier: BSD-3-Clause
// The loop of run_loop.
#include <spdk_io/run_loop.hpp>

#include <spdk_io/detail/os_thread.hpp>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

std::uint64_t now() noexcept {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

}  // namespace

run_loop::~run_loop() = default;

bool run_loop::on_loop_thread() const noexcept {
  return runner_.load(std::memory_order_relaxed) == detail::this_os_thread();
}

void run_loop::post(function f) {
  if (on_loop_thread()) {
    local_.push_back(std::move(f));
    return;
  }
  std::lock_guard lock(mutex_);
  remote_.push_back(std::move(f));
  remote_waiting_.store(true, std::memory_order_release);
  wake_.notify_one();
}

void run_loop::run() {
  while (run_one()) {
  }
}

bool run_loop::run_one() {
  struct running {
    explicit running(run_loop& l) noexcept : loop(l), before(l.runner_.load()) {
      loop.runner_.store(detail::this_os_thread(), std::memory_order_relaxed);
    }
    ~running() { loop.runner_.store(before, std::memory_order_relaxed); }
    run_loop& loop;
    const void* before;
  };
  running here(*this);
  if (stopped_.load(std::memory_order_acquire)) return false;
  if (!timers_.empty()) fire_timers();
  while (!take_posted()) {
    wait();
    if (stopped_.load(std::memory_order_acquire)) return false;
    fire_timers();
  }
  run_batch();
  return true;
}

// Moves what was posted behind what is left of the batch; false if there is nothing to run.
bool run_loop::take_posted() {
  if (batch_position_ == batch_.size()) {
    batch_.clear();
    batch_position_ = 0;
    batch_.swap(local_);
  }
  if (remote_waiting_.load(std::memory_order_acquire)) {
    std::lock_guard lock(mutex_);
    for (auto& f : remote_) batch_.push_back(std::move(f));
    remote_.clear();
    remote_waiting_.store(false, std::memory_order_relaxed);
  }
  return batch_position_ < batch_.size();
}

void run_loop::run_batch() {
  // What these post goes to local_, so the batch ends; a nested run_one() may finish it.
  const std::size_t end = batch_.size();
  while (batch_position_ < end && batch_position_ < batch_.size()) {
    if (stopped_.load(std::memory_order_relaxed)) return;
    function f = std::move(batch_[batch_position_++]);
    f();
  }
}

void run_loop::fire_timers() {
  const std::uint64_t time = now();
  while (!timers_.empty() && timers_.next_due() <= time) {
    detail::timer_node& due = timers_.first();
    timers_.cancel(due);
    due.expire(due);
  }
}

void run_loop::wait() {
  std::unique_lock lock(mutex_);
  const auto ready = [this] { return !remote_.empty() || stopped_.load(); };
  if (timers_.empty()) {
    wake_.wait(lock, ready);
    return;
  }
  const auto due = std::chrono::steady_clock::time_point(
      std::chrono::nanoseconds(static_cast<std::int64_t>(timers_.next_due())));
  wake_.wait_until(lock, due, ready);
}

void run_loop::stop() {
  std::lock_guard lock(mutex_);
  stopped_.store(true, std::memory_order_release);
  wake_.notify_one();
}

void run_loop::restart() { stopped_.store(false, std::memory_order_release); }

void run_loop::timer::start(std::chrono::nanoseconds duration, function f) {
  cancel();
  function_ = std::move(f);
  due = now() + static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
  expire = on_expire;
  loop_->timers_.arm(*this);
}

void run_loop::timer::cancel() noexcept {
  if (armed) loop_->timers_.cancel(*this);
  function_ = nullptr;
}

void run_loop::timer::on_expire(detail::timer_node& node) {
  auto& self = static_cast<timer&>(node);
  self.loop_->local_.push_back(std::exchange(self.function_, nullptr));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
