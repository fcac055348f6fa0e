// SPDX-License-Identifier: BSD-3-Clause
// Waiting without a coroutine.
#include <spdk_io/detail/blocking_wait.hpp>

#include "concat.hpp"
#include "thread_registry.hpp"
#include "thread_state.hpp"

#include <spdk_io/detail/fatal.hpp>

#include <exception>

namespace spdk_io::inline SPDK_IO_ABI::detail {

void expect_outside_spdk(const thread_state& t, std::string_view what) noexcept {
  if (!t.inside_spdk()) return;
  fatal(concat(what, " called inside spdk_thread_poll() of its own thread \"", t.name,
               "\", which would wait for ever; leave raw SPDK callbacks first"));
}

bool attached_here() noexcept { return acting_thread() != nullptr; }

void polling_wait::wait() const {
  if (done_) return;
  // What runs may end it.
  const auto here = acting_thread()->shared_from_this();
  expect_outside_spdk(*here, "get()");
  while (!done_) {
    here->poll(0);
    if (!done_) turn_other_local_threads(*here);
  }
}

void sleeping_caller::wait() noexcept {
  if (has_local_threads()) return poll_until_woken();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return woken_; });
}

void sleeping_caller::poll_until_woken() noexcept {
  while (!woken()) {
    try {
      turn_local_threads();
    } catch (...) {
      if (!exception_) exception_ = std::current_exception();
    }
  }
}

void sleeping_caller::rethrow() {
  if (exception_) std::rethrow_exception(exception_);
}

// Notified with the lock held: the caller, and this with it, may be gone once it is released.
void sleeping_caller::wake() noexcept {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  changed_.notify_one();
}

bool sleeping_caller::woken() noexcept {
  const std::lock_guard lock(mutex_);
  return woken_;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
