// SPDX-License-Identifier: BSD-3-Clause
// The slow half of a channel: waking its receiver, and those who wait for room.
#include <spdk_io/detail/channel_core.hpp>

#include "concat.hpp"
#include "thread_state.hpp"

#include <spdk_io/detail/fatal.hpp>

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

channel_core::channel_core(void* cells, std::size_t stride, std::size_t count, std::size_t capacity,
                           destroy_function destroy) noexcept
    : cells_(static_cast<std::byte*>(cells)),
      stride_(stride),
      mask_(count - 1),
      capacity_(capacity),
      destroy_(destroy) {
  message_.context = this;
  // Those beyond the capacity are opened by the receiver.
  for (std::uint64_t i = 0; i < capacity; ++i) turn_of(i).store(i, std::memory_order_relaxed);
}

std::size_t channel_core::cells_for(std::size_t capacity) noexcept {
  if (capacity == 0 || capacity > (std::numeric_limits<std::size_t>::max() >> 8)) {
    fatal(concat("a channel for ", capacity, " elements: there is no such channel"));
  }
  // Two at least: a cell that was filled for one position must not look open for the next.
  return std::bit_ceil(std::max<std::size_t>(capacity, 2));
}

void channel_core::close() noexcept {
  tail_.fetch_or(1, std::memory_order_seq_cst);
  const std::uint64_t before = word_.fetch_or(closing, std::memory_order_seq_cst);
  if ((before & armed) != 0) static_cast<void>(send_wake());
  serve();
}

void channel_core::receiver_goes() noexcept {
  gone_.store(true, std::memory_order_release);
  tail_.fetch_or(1, std::memory_order_seq_cst);
  serve();
  point_.close();
}

error channel_core::refusal() const {
  return error(std::errc::broken_pipe, operation_kind::send,
               receiver_gone() ? "send into a channel: its receiver has gone"
                               : "send into a channel: it is closed");
}

bool channel_core::must_wait() noexcept {
  if (has_element()) return false;
  if (!receiver_) receiver_ = point_.home();
  // Where a message is coming, it finds who waits. Nobody else sets `armed`.
  std::uint64_t word = word_.load(std::memory_order_seq_cst);
  if ((word & (armed | coming)) == 0) word = word_.fetch_add(armed, std::memory_order_seq_cst);
  if (!has_element() && ((word & closing) == 0 || !ended())) return true;
  word = word_.load(std::memory_order_relaxed);
  while ((word & armed) != 0 &&
         !word_.compare_exchange_weak(word, word - armed, std::memory_order_seq_cst)) {
  }
  return false;
}

bool channel_core::send_wake() noexcept {
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  do {
    if ((word & armed) == 0) return true;
  } while (!word_.compare_exchange_weak(word, word - armed + coming + one_reference,
                                        std::memory_order_seq_cst));
  if (receiver_->deliver(message_)) return true;
  word_.fetch_sub(coming, std::memory_order_seq_cst);
  gone_.store(true, std::memory_order_release);
  tail_.fetch_or(1, std::memory_order_seq_cst);
  unreference();  // whoever calls this has another one
  return false;
}

// On the receiver's thread. Another sender may have published behind one that has not yet.
void channel_core::woken(ready_node& node) {
  channel_core& self = *static_cast<channel_core*>(node.context);
  // Who waits has a reference, too; without that, this may be gone from here on.
  const bool waited_for = self.point_.waited_for();
  const std::uint64_t before =
      self.word_.fetch_sub(coming + one_reference, std::memory_order_seq_cst);
  if (was_last(before)) return self.destroy_(self);
  if (waited_for && !self.must_wait()) self.point_.wake();
}

void channel_core::serve() noexcept {
  const std::lock_guard lock(mutex_);
  serve_locked(nullptr);
}

// Told with the lock: one that is being destroyed cannot go in between.
void channel_core::serve_locked(const send_wait* here) noexcept {
  while (first_) {
    send_wait& one = *first_;
    const put how = one.put_(one);
    if (how == put::full) return;
    leave(one);
    one.tell(how == put::done ? send_wait::place::done : send_wait::place::closed, here);
  }
}

void channel_core::join(send_wait& one) noexcept {
  one.prev_ = last_;
  one.next_ = nullptr;
  (last_ ? last_->next_ : first_) = &one;
  last_ = &one;
  senders_wait_.store(true, std::memory_order_seq_cst);
}

void channel_core::leave(send_wait& one) noexcept {
  (one.prev_ ? one.prev_->next_ : first_) = one.next_;
  (one.next_ ? one.next_->prev_ : last_) = one.prev_;
  if (!first_) senders_wait_.store(false, std::memory_order_seq_cst);
}

channel_core::put send_wait::put_at_once() noexcept {
  if (core_->somebody_waits() && !core_->closed()) return channel_core::put::full;
  const channel_core::put how = put_(*this);
  // The receiver's thread may turn out to have ended.
  if (how == channel_core::put::done && core_->closed()) [[unlikely]]
    core_->serve();
  return how;
}

bool send_wait::start() noexcept {
  if (place_ == place::stopped) return false;
  if (!core_) return complete(place::no_owner);
  switch (put_at_once()) {
    case channel_core::put::done: return complete(place::done);
    case channel_core::put::closed: return complete(place::closed);
    case channel_core::put::full: break;
  }
  if (!sleeper_) {
    home_ = acting_thread();
    if (!home_) return complete(place::no_thread);
    if (home_->phase != thread_phase::running) return complete(place::thread_ending);
  }
  resume_ = run;
  run = told;
  internal = true;  // the thread takes it even while it ends
  core_->reference();
  waited_ = true;
  const std::lock_guard lock(core_->mutex_);
  place_ = place::waiting;
  core_->join(*this);
  core_->serve_locked(this);
  if (place_ != place::waiting) {
    run = resume_;
    return false;
  }
  if (home_) home_->waits.push_back(end_link_);
  return true;
}

void send_wait::tell(place how, const send_wait* here) noexcept {
  place_ = how;
  if (this == here) return;
  if (sleeper_) return sleeper_->wake();  // last: it may be gone then, but for the lock
  home_->deliver(*this);
}

// On the sender's thread, among the library's own continuations.
void send_wait::told(ready_node& node) {
  auto& self = static_cast<send_wait&>(node);
  // Whoever told it has let go of this thread.
  {
    const std::lock_guard lock(self.core_->mutex_);
  }
  if (self.end_link_.linked()) node_ring::erase(self.end_link_);
  self.run = self.resume_;
  self.home_->ready.push_back(self);
}

void send_wait::leave(place how) noexcept {
  {
    const std::lock_guard lock(core_->mutex_);
    if (place_ != place::waiting) return;  // it is being told
    core_->leave(*this);
    place_ = how;
  }
  if (end_link_.linked()) node_ring::erase(end_link_);
  run = resume_;
  home_->ready.push_back(*this);
}

void send_wait::end_link::thread_ends(ready_node& node) {
  node_ring::erase(node);
  static_cast<end_link&>(node).wait->leave(place::thread_ending);
}

void send_wait::request_stop() noexcept {
  if (waited_ && home_ && run == told) leave(place::stopped);
}

void send_wait::leave_channel() noexcept {
  const bool under_way = run == told || linked();
  if (home_ && under_way && !home_->on_own_os_thread()) {
    fatal(
        concat("a coroutine that sends into a channel was destroyed on another OS thread than that "
               "of its thread \"",
               home_->name, '"'));
  }
  {
    const std::lock_guard lock(core_->mutex_);
    if (place_ == place::waiting) core_->leave(*this);
    place_ = place::idle;
  }
  if (home_ && under_way) {
    if (end_link_.linked()) node_ring::erase(end_link_);
    home_->deliver_messages();
    if (linked()) (run == told ? home_->internal : home_->ready).erase(*this);
  }
  core_->unreference();
}

result<void> send_wait::outcome() {
  const auto plain = [](std::errc code, fault why) {
    return std::unexpected(error({.code = code, .what = operation_kind::send, .why = why}));
  };
  switch (place_) {
    case place::done: return {};
    case place::closed: return std::unexpected(core_->refusal());
    case place::stopped: return plain(std::errc::operation_canceled, fault::stopped);
    case place::thread_ending: return plain(std::errc::operation_canceled, fault::thread_exiting);
    case place::no_owner:
      return std::unexpected(error(std::errc::bad_file_descriptor, operation_kind::send,
                                   "send into a channel: the channel is empty (moved from)"));
    case place::no_thread:
      return std::unexpected(error(
          std::errc::operation_not_permitted, operation_kind::send,
          "send into a channel: there is no room, and no SPDK thread is attached here to come "
          "back to (wait with get(), or use try_send())"));
    default: break;
  }
  return plain(std::errc::operation_canceled, fault::none);
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
