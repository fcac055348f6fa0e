// SPDX-License-Identifier: BSD-3-Clause
// The one entry in SPDK's queue for memory, and the list behind it.
#include "memory_wait.hpp"

#include "plain_io.hpp"
#include "thread_state.hpp"

#include <spdk_io/detail/io_core.hpp>

#include <spdk/bdev.h>

#include <cerrno>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// Trying a submission that finds no memory costs more than the queue does. But only a try finds
// what other threads have given back to the common pool: every so often.
constexpr std::uint64_t look_further = 32;

struct memory_wait::entry {
  // Whether freeing a bdev_io serves the queue: it does so through the thread's cache.
  static bool served_by_free() noexcept {
    spdk_bdev_opts opts = {};
    spdk_bdev_get_opts(&opts, sizeof(opts));  // fixed once the bdev layer is up
    return opts.bdev_io_cache_size > 0;
  }

  spdk_bdev_io_wait_entry native = {};  // zeroed: releases add fields
};

memory_wait::memory_wait(thread_state& owner, io_hurdles& hurdles)
    : owner_(owner), hurdles_(hurdles), entry_(new entry) {
  entry_->native.cb_fn = on_memory;
  entry_->native.cb_arg = this;
}

memory_wait::~memory_wait() = default;

void memory_wait::push(io_core& op) noexcept {
  ++total_;
  ++op.channel().waiting;
  op.io_stage = io_core::stage_waiting;
  fifo_.push_back(op);
  hurdles_.add_waiter();
  arm();
}

void memory_wait::erase(io_core& op) noexcept {
  --op.channel().waiting;
  hurdles_.remove_waiter();
  fifo_.erase(op);
}

io_core& memory_wait::operation_of(ready_node& node) noexcept {
  return static_cast<io_core&>(node);
}

void memory_wait::stop_late(io_core& op) noexcept { op.stop(true); }

void memory_wait::want_abort(io_core& op) noexcept {
  channel_state& channel = op.channel();
  node_ring::erase(op);
  aborts_.push_back(op);
  op.stop_flags_ |= io_core::abort_wanted;
  ++channel.aborting;
  channel.add_attention();
  hurdles_.add_waiter();
  retry_ = true;
  owner_.wake_if_asleep();
}

void memory_wait::unwant_abort(io_core& op) noexcept {
  channel_state& channel = op.channel();
  op.stop_flags_ &= static_cast<std::uint8_t>(~io_core::abort_wanted);
  --channel.aborting;
  channel.remove_attention();
  hurdles_.remove_waiter();
}

// False if some still wait.
bool memory_wait::submit_aborts() noexcept {
  while (!aborts_.empty()) {
    if (aborts_at_spdk_ > 0) return false;
    auto& op = static_cast<io_core&>(aborts_.front());
    node_ring::erase(op);
    op.channel().in_flight.push_back(op);
    unwant_abort(op);
    if (!op.submit_abort()) {
      want_abort(op);
      return false;
    }
  }
  return true;
}

void memory_wait::fail(channel_state& channel, int code, fault why) noexcept {
  for (ready_node* node = &fifo_.front(); node != fifo_.end();) {
    io_core& op = operation_of(*node);
    node = node->next;
    if (&op.channel() != &channel) continue;
    erase(op);
    op.put_in_flight(channel);
    op.why_ = why;
    op.describe_failure(code);
    op.complete();
  }
}

void memory_wait::on_memory(void* self) {
  auto& wait = *static_cast<memory_wait*>(self);
  wait.queued_ = false;
  wait.resubmit(true);
}

// Submits from the head until memory is short again. Runs inside spdk_bdev_free_io(), which has
// found one bdev_io for us and is asked again for the next one, or from thread::poll() as a last
// resort; submitting runs no user code.
void memory_wait::resubmit(bool one_is_free) noexcept {
  retry_ = false;
  while (submit_aborts() && !fifo_.empty()) {
    auto& op = static_cast<io_core&>(fifo_.front());
    channel_state& channel = op.channel();
    // Off the list first: the operation may complete, and be linked, inside its submission.
    erase(op);
    op.put_in_flight(channel);
    int rc = op.submit();
    if (rc == -ENOMEM) {
      node_ring::erase(op);
      ++channel.waiting;
      op.io_stage = io_core::stage_waiting;
      fifo_.push_front(op);
      hurdles_.add_waiter();
      break;
    }
    if (rc != 0) {
      op.describe_failure(-rc);
      op.complete();
    } else if (one_is_free && ++served_ % look_further != 0 && !fifo_.empty() && queue_entry()) {
      return;
    }
  }
  arm();
}

// Makes sure that something will call resubmit(). SPDK serves its queue when a bdev_io of this
// thread is freed into a cache; where none of ours is in flight, or there is no cache, nothing
// would, and an entry in the queue would even keep us from SPDK's common pool. So then each
// poll tries again.
void memory_wait::arm() noexcept {
  if (fifo_.empty() || queued_ || retry_) return;
  // Else a bdev_io is free after all, and something else was short.
  if (!entry_->served_by_free() || !owner_.io_at_spdk() || !queue_entry()) retry_ = true;
}

bool memory_wait::queue_entry() noexcept {
  auto& channel = static_cast<io_core&>(fifo_.front()).channel();
  entry_->native.bdev = channel.bdev;
  queued_ = spdk_bdev_queue_io_wait(channel.bdev, channel.native, &entry_->native) == 0;
  return queued_;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
