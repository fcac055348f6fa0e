// SPDX-License-Identifier: BSD-3-Clause
// Ending I/O early: a stop request becomes an abort at SPDK, and the I/O is complete when both
// have come back.
#include "channel_state.hpp"
#include "thread_state.hpp"

#include <spdk_io/detail/io_core.hpp>

#include <spdk/bdev.h>
#include <spdk/thread.h>

#include <cerrno>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// In any state, on the operation's OS thread, where another of its SPDK threads may be current.
void io_core::stop(bool timed_out) noexcept {
  if (io_stage == stage_waiting) {
    if (timed_out) why_ = fault::timed_out;
    return leave_memory_wait(timed_out ? ETIMEDOUT : ECANCELED);
  }
  if (io_stage != stage_in_flight || (stop_flags_ & (abort_wanted | abort_out | abort_later))) {
    return;
  }
  if (timed_out) stop_flags_ |= for_timeout;
  if (may_abort()) ask_for_abort();
}

void io_core::ask_for_abort() noexcept {
  memory_wait& waiting = channel().home->waiting;
  if (waiting.aborts_wait() || !submit_abort()) waiting.want_abort(*this);
}

void io_core::leave_memory_wait(int code) noexcept {
  channel_state& ch = channel();
  ch.home->waiting.erase(*this);
  if (code == ECANCELED) why_ = fault::stopped;
  describe_failure(code);
  become_ready(ch);
  ch.completed();
}

// Where SPDK's own abort works. Not for memory that is being given back, nor for a reset (SPDK has
// no abort for it), nor for I/O that SPDK splits: while a part waits for memory, an abort of the
// whole would never complete.
bool io_core::may_abort() const noexcept {
  const channel_state& ch = channel();
  if (!ch.can_abort || shape_.kind == operation_kind::reset ||
      shape_.kind == operation_kind::zcopy_commit || shape_.kind == operation_kind::zcopy_release) {
    return false;
  }
  const std::uint64_t boundary = spdk_bdev_get_optimal_io_boundary(ch.bdev);  // blocks
  if (boundary == 0 || length_ == 0) return true;
  const std::uint64_t block = shape_.unit == io_unit::bytes ? ch.block_size : 1;
  return offset_ / block / boundary == (offset_ + length_ - 1) / block / boundary;
}

// Distinct from the target's, or an abort would find itself.
void* io_core::abort_tag() noexcept { return reinterpret_cast<std::byte*>(this) + 1; }

bool io_core::submit_abort() noexcept {
  channel_state& ch = channel();
  // First: the target's callback and the abort's may both run inside the submission.
  stop_flags_ |= abort_out;
  ++ch.aborting;
  ch.add_attention();
  ch.home->waiting.abort_submitted();
  const native_turn it(ch.home->native);
  int rc = 0;
  do {
    rc = spdk_bdev_abort(ch.native_desc, ch.native, this, on_aborted, abort_tag());
  } while (rc == -ENOMEM && ch.home->give_back_held());
  if (rc != 0) {
    stop_flags_ &= static_cast<std::uint8_t>(~abort_out);
    --ch.aborting;
    ch.remove_attention();
    ch.home->waiting.abort_ended();
  }
  return rc != -ENOMEM;
}

// Whatever it says of its success: how the target ended is in the target's own completion.
void io_core::on_aborted(spdk_bdev_io* io, bool, void* tag) {
  auto& self = *reinterpret_cast<io_core*>(static_cast<std::byte*>(tag) - 1);
  channel_state& ch = self.channel();
  self.stop_flags_ &= static_cast<std::uint8_t>(~abort_out);
  --ch.aborting;
  ch.remove_attention();
  ch.home->waiting.abort_ended();
  if (self.io_stage == stage_parked) {
    node_ring::erase(self);
    self.become_ready(ch);
  } else {
    ch.home->retries.add(self);
  }
  ch.completed();
  spdk_bdev_free_io(io);  // last: it resubmits whoever waits for memory
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
