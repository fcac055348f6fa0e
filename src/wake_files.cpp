// SPDX-License-Identifier: BSD-3-Clause
// An epoll set of an eventfd, a timerfd and SPDK's own sets. All are level-triggered.
#include "wake_files.hpp"

#include "thread_state.hpp"

#include <spdk/thread.h>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace spdk_io::inline SPDK_IO_ABI::detail {

owned_file::~owned_file() {
  if (file_ >= 0) ::close(file_);
}

wake_files::wake_files(thread_state& t) noexcept
    : thread_(t),
      set_(::epoll_create1(EPOLL_CLOEXEC)),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)),
      poked_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      of_thread_(spdk_thread_get_interrupt_fd(t.native)) {
  complete_ = set_ && timer_ && poked_ && of_thread_ >= 0 && add(timer_.get()) &&
              add(poked_.get()) && add(of_thread_);
}

bool wake_files::add(int file) noexcept {
  epoll_event event = {};
  event.events = EPOLLIN;
  return ::epoll_ctl(set_.get(), EPOLL_CTL_ADD, file, &event) == 0;
}

bool wake_files::readable() const noexcept {
  pollfd file = {.fd = set_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&file, 1, 0) > 0;
}

void wake_files::include_threads(bool include) noexcept {
  if (includes_threads_ == include) return;
  includes_threads_ = include;
  if (include) {
    add(of_thread_);
    return;
  }
  ::epoll_ctl(set_.get(), EPOLL_CTL_DEL, of_thread_, nullptr);
  for (spdk_thread* each : thread_.adopted) {
    ::epoll_ctl(set_.get(), EPOLL_CTL_DEL, spdk_thread_get_interrupt_fd(each), nullptr);
  }
}

// One that is there already is refused, and one that has been closed is not there any more.
void wake_files::look_for_adopted() noexcept {
  if (!includes_threads_) return;
  for (spdk_thread* each : thread_.adopted) add(spdk_thread_get_interrupt_fd(each));
}

void wake_files::start_timer(std::chrono::nanoseconds after) noexcept {
  constexpr std::int64_t second = 1'000'000'000;
  const std::int64_t whole = std::max<std::int64_t>(after.count(), 1);  // 0 would stop it
  itimerspec when = {};
  when.it_value.tv_sec = static_cast<time_t>(whole / second);
  when.it_value.tv_nsec = static_cast<long>(whole % second);
  ::timerfd_settime(timer_.get(), 0, &when, nullptr);
  timing_ = true;
}

void wake_files::poke() noexcept {
  [[maybe_unused]] const int rc = ::eventfd_write(poked_.get(), 1);
  was_poked_.store(true, std::memory_order_release);
}

void wake_files::clear() noexcept {
  if (timing_) {
    timing_ = false;
    const itimerspec never = {};
    ::timerfd_settime(timer_.get(), 0, &never, nullptr);
  }
  if (was_poked_.exchange(false, std::memory_order_acquire)) {
    eventfd_t times = 0;
    [[maybe_unused]] const int rc = ::eventfd_read(poked_.get(), &times);
  }
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
