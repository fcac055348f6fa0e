// SPDX-License-Identifier: BSD-3-Clause
// What runs in a scope, from its start to its end.
#include <spdk_io/task_scope.hpp>

#include <spdk_io/detail/fatal.hpp>

namespace spdk_io::inline SPDK_IO_ABI {

// Those who wait are told before what runs gives its places back.
task_scope::~task_scope() {
  if (places_ && places_->close()) delete places_;
  while (first_) std::coroutine_handle<child::promise_type>::from_promise(*first_).destroy();
  if (exception_) report_lost_exception();
}

detail::waiter_queue& task_scope::places() {
  if (!places_) places_ = new detail::waiter_queue("a place in a task_scope", {.units = limit_});
  return *places_;
}

void task_scope::start(child one, detail::waiter_queue* place) {
  auto handle = one.release();
  auto& added = handle.promise();
  added.scope = this;
  added.place = place;
  added.next = first_;
  if (first_) first_->prev = &added;
  first_ = &added;
  added.set_stop_token(get_stop_token());
  ++running_;
  handle.resume();
}

void task_scope::note(const std::optional<error>& failure, std::exception_ptr exception) noexcept {
  if (exception_ || error_ || (!failure && !exception)) return;
  exception_ = std::move(exception);
  error_ = failure;
  request_stop();
}

// The joiner may destroy the scope.
void task_scope::one_ended() {
  if (--running_ == 0 && joining_) std::exchange(joining_, nullptr).resume();
}

void task_scope::request_stop() noexcept {
  ++stops_;
  stop_->request_stop();
  if (places_) places_->stop_waits();
}

void task_scope::report_lost_exception() noexcept {
  try {
    std::rethrow_exception(exception_);
  } catch (...) {
    detail::fatal_exception("a task_scope that was not joined");
  }
}

}  // namespace spdk_io::inline SPDK_IO_ABI
