// SPDX-License-Identifier: BSD-3-Clause
#include "wakeable_poller.hpp"

#include "spdk/env.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>

namespace spdk_lite {

bool wakeable_poller::start(spdk_poller_fn fn, void* arg, const char* name, by how) {
  fn_ = fn;
  arg_ = arg;
  how_ = how;
  poller_ = spdk_poller_register_named(fn, arg, 0, name);
  if (poller_ != nullptr && spdk_interrupt_mode_is_enabled()) {
    register_file(name);
  }
  return poller_ != nullptr;
}

/// Where that fails the poller keeps its thread awake, as any other.
void wakeable_poller::register_file(const char* name) {
  file_ = how_ == by::time ? timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
                           : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (file_ >= 0) {
    interrupt_ = spdk_interrupt_register(file_, on_readable, this, name);
  }
  if (interrupt_ != nullptr) {
    spdk_poller_register_interrupt(poller_, set_mode, this);
  }
}

void wakeable_poller::stop() {
  if (interrupt_ != nullptr) {
    spdk_interrupt_unregister(&interrupt_);
  }
  spdk_poller_unregister(&poller_);
  if (file_ >= 0) {
    close(file_);
    file_ = -1;
  }
  interrupts_ = false;
}

int wakeable_poller::on_readable(void* self) {
  const auto& me = *static_cast<wakeable_poller*>(self);
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = read(me.file_, &count, sizeof count);
  return me.fn_(me.arg_);
}

/// What came while it was polled has not been told: it looks once.
void wakeable_poller::set_mode(spdk_poller*, void* self, bool interrupts) {
  auto& me = *static_cast<wakeable_poller*>(self);
  me.interrupts_ = interrupts;
  me.wake();
}

void wakeable_poller::make_readable(std::uint64_t ticks) const {
  if (how_ == by::call) {
    (void)eventfd_write(file_, 1);
    return;
  }
  const std::uint64_t hz = spdk_get_ticks_hz();
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(ticks / hz);
  // Rounded up, and never zero, which would stop it.
  when.it_value.tv_nsec = static_cast<long>(
      std::min<std::uint64_t>(ticks % hz * SPDK_SEC_TO_NSEC / hz + 1, SPDK_SEC_TO_NSEC - 1));
  (void)timerfd_settime(file_, 0, &when, nullptr);
}

}  // namespace spdk_lite
