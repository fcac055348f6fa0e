// SPDX-License-Identifier: BSD-3-Clause
// An event is a queue for one unit: there for all who look, or, with auto_reset, used up.
#include <spdk_io/async_event.hpp>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

constexpr const char* name = "an async_event";

}  // namespace

async_event::async_event(async_event_options options)
    : queue_(new detail::waiter_queue({.owner = name,
                                       .limit = {.units = 1},
                                       .left = {.units = options.set ? 1u : 0u},
                                       .shared = !options.auto_reset})) {}

async_event::~async_event() {
  if (queue_->close()) delete queue_;
}

// It may be set already, which is no more than that.
void async_event::set() noexcept { (void)queue_->add(1); }

void async_event::reset() noexcept { queue_->withdraw(); }

event_operation::~event_operation() {
  detail::leave_promise(*this);
  delete settle(name);
}

result<void> event_operation::finish() {
  if (passed()) return {};
  if (!granted()) return std::unexpected(failure(operation_kind::wait_for_event, "event"));
  if (detail::waiter_queue& queue = take(); queue.forget()) delete &queue;
  return {};
}

}  // namespace spdk_io::inline SPDK_IO_ABI
