// SPDX-License-Identifier: BSD-3-Clause
// The loop of run_loop.
#include <spdk_io/run_loop.hpp>

#include <spdk_io/detail/os_thread.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

std::uint64_t now() noexcept {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

}  // namespace

run_loop::run_loop() : woken_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (woken_ < 0) throw std::system_error(errno, std::generic_category(), "run_loop");
}

run_loop::~run_loop() { ::close(woken_); }

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
  wake_waiting();
}

// With the mutex.
void run_loop::wake_waiting() {
  if (!waiting_) return;
  waiting_ = false;
  [[maybe_unused]] const int rc = ::eventfd_write(woken_, 1);
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
  if (!watches_.empty()) look_at_files(0);
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

// Until something is posted or readable, a timer is due, or the loop is stopped.
void run_loop::wait() {
  {
    std::lock_guard lock(mutex_);
    if (!remote_.empty() || stopped_.load()) return;
    waiting_ = true;
  }
  std::int64_t duration = -1;
  if (!timers_.empty()) {
    const std::uint64_t time = now();
    const std::uint64_t due = timers_.next_due();
    duration = due > time ? static_cast<std::int64_t>(due - time) : 0;
  }
  look_at_files(duration);
  std::lock_guard lock(mutex_);
  if (std::exchange(waiting_, false)) return;
  eventfd_t times = 0;
  [[maybe_unused]] const int rc = ::eventfd_read(woken_, &times);
}

// Waits so long, for ever if it is negative, until a file is readable.
void run_loop::look_at_files(std::int64_t nanoseconds) {
  constexpr std::int64_t second = 1'000'000'000;
  files_.clear();
  files_.push_back({.fd = woken_, .events = POLLIN, .revents = 0});
  for (const watch* each : watches_) {
    files_.push_back({.fd = each->file_, .events = POLLIN, .revents = 0});
  }
  const timespec most = {.tv_sec = static_cast<time_t>(nanoseconds / second),
                         .tv_nsec = static_cast<long>(nanoseconds % second)};
  if (::ppoll(files_.data(), files_.size(), nanoseconds < 0 ? nullptr : &most, nullptr) <= 0) return;
  std::size_t left = 0;
  for (std::size_t i = 0; i < watches_.size(); ++i) {
    if (files_[i + 1].revents != 0) {
      local_.push_back(std::exchange(watches_[i]->function_, nullptr));
    } else {
      watches_[left++] = watches_[i];
    }
  }
  watches_.resize(left);
}

void run_loop::stop() {
  std::lock_guard lock(mutex_);
  stopped_.store(true, std::memory_order_release);
  wake_waiting();
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

void run_loop::watch::start(function f) {
  cancel();
  function_ = std::move(f);
  loop_->watches_.push_back(this);
}

void run_loop::watch::cancel() noexcept {
  function_ = nullptr;
  std::erase(loop_->watches_, this);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
