// SPDX-License-Identifier: BSD-3-Clause
// A semaphore is a queue to which more may be added.
#include <spdk_io/async_semaphore.hpp>

#include "concat.hpp"

#include <spdk_io/detail/fatal.hpp>

#include <algorithm>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

constexpr const char* name = "an async_semaphore";

}  // namespace

async_semaphore::async_semaphore(std::uint64_t count, std::uint64_t max)
    : queue_(new detail::waiter_queue(
          {.owner = name, .limit = {.units = std::max(count, max)}, .left = {.units = count}})) {}

async_semaphore::~async_semaphore() {
  if (queue_->close()) delete queue_;
}

std::optional<async_semaphore::permit> async_semaphore::try_acquire(std::uint64_t n) noexcept {
  if (!queue_->try_take({.units = n})) return std::nullopt;
  return permit(*queue_, n);
}

void async_semaphore::release(std::uint64_t n) noexcept {
  if (queue_->add(n)) return;
  detail::misuse(
      detail::concat("an async_semaphore of at most ", max(), " was released beyond that"));
}

void async_semaphore::permit::give_back() noexcept {
  detail::waiter_queue* queue = std::exchange(queue_, nullptr);
  if (queue->give_back({.units = count_})) delete queue;
}

void async_semaphore::permit::detach() noexcept {
  detail::waiter_queue* queue = std::exchange(queue_, nullptr);
  if (queue && queue->forget()) delete queue;
}

semaphore_operation::~semaphore_operation() {
  detail::leave_promise(*this);
  delete settle(name);
}

result<async_semaphore::permit> semaphore_operation::finish() {
  if (!granted()) return std::unexpected(failure(operation_kind::acquire_semaphore, "semaphore"));
  return async_semaphore::permit(take(), wanted().units);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
