// SPDX-License-Identifier: BSD-3-Clause
// Taking turns at what is bounded.
#include <spdk_io/detail/waiter_queue.hpp>

#include "concat.hpp"
#include "thread_state.hpp"

#include <spdk_io/detail/fatal.hpp>
#include <spdk_io/operation_info.hpp>

#include <algorithm>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

std::shared_ptr<thread_state> acting_thread_kept() {
  thread_state* here = acting_thread();
  return here ? here->shared_from_this() : nullptr;
}

}  // namespace

waiter_queue::waiter_queue(const setup& s)
    : home_(acting_thread_kept()),
      owner_(s.owner),
      limit_(s.limit),
      left_(s.left),
      shared_(s.shared) {}

waiter_queue::~waiter_queue() = default;

// A thread that has ended has nobody who could take anything meanwhile.
inline bool waiter_queue::elsewhere() const noexcept {
  return home_ && !home_->on_own_os_thread() && home_->phase != thread_phase::exited;
}

void waiter_queue::check_os_thread() const noexcept {
  if (elsewhere()) [[unlikely]] {
    fatal(concat("what was taken from ", owner_,
                 ", or that itself, was given back on another OS thread than that of its thread \"",
                 home_->name, "\"; keep it there, and hand on views"));
  }
}

void waiter_queue::take(amount wanted) noexcept {
  if (shared_) return;
  left_.units -= wanted.units;
  left_.bytes -= wanted.bytes;
  ++taken_;
}

bool waiter_queue::try_take(amount wanted) noexcept {
  if (!home_ || home_->phase != thread_phase::running) return false;
  if (!home_->on_own_os_thread()) [[unlikely]] {
    misuse(concat("taken on another OS thread: ", owner_, " belongs to the thread that made it (\"",
                  home_->name, "\"); make one for each thread"));
    return false;
  }
  if (!fifo_.empty() || !wanted.fits(left_)) return false;
  take(wanted);
  return true;
}

bool waiter_queue::give_back(amount taken) noexcept {
  check_os_thread();
  // What was add()ed meanwhile may have filled it.
  left_.units += std::min(taken.units, limit_.units - left_.units);
  left_.bytes += std::min(taken.bytes, limit_.bytes - left_.bytes);
  --taken_;
  if (closed_) return taken_ == 0;
  serve();
  return false;
}

void waiter_queue::check_changed_here() const noexcept {
  if (elsewhere()) [[unlikely]] {
    fatal(concat(owner_,
                 " was set, reset or released on another OS thread than that of its thread \"",
                 home_->name, "\"; do it there, by thread_ref::send()"));
  }
}

void waiter_queue::withdraw() noexcept {
  check_changed_here();
  left_ = {};
}

bool waiter_queue::add(std::uint64_t units) noexcept {
  check_changed_here();
  const std::uint64_t room = limit_.units - left_.units;
  left_.units += std::min(units, room);
  serve();
  return units <= room;
}

// In turn: who wants much is not overtaken by those behind that want less.
void waiter_queue::serve() noexcept {
  while (!fifo_.empty()) {
    auto& first = static_cast<waiter&>(fifo_.front());
    if (!first.wanted_.fits(left_)) return;
    take(first.wanted_);
    first.end(shared_ ? waiter::place::passed : waiter::place::granted);
  }
}

void waiter_queue::stop_waits() noexcept {
  while (!fifo_.empty()) static_cast<waiter&>(fifo_.front()).end(waiter::place::stopped);
}

bool waiter_queue::close() noexcept {
  closed_ = true;
  if (taken_ != 0 || !fifo_.empty()) check_os_thread();
  while (!fifo_.empty()) static_cast<waiter&>(fifo_.front()).end(waiter::place::owner_gone);
  return taken_ == 0;
}

void waiter_queue::end_waits() noexcept {
  while (!fifo_.empty()) static_cast<waiter&>(fifo_.front()).end(waiter::place::thread_ending);
}

void waiter_queue::join(waiter& one) noexcept {
  if (fifo_.empty()) home_->waits.push_back(link_);
  fifo_.push_back(one);
  ++waiting_;
}

void waiter_queue::leave(waiter& one) noexcept {
  node_ring::erase(one);
  --waiting_;
  if (fifo_.empty()) node_ring::erase(link_);
}

bool waiter::begin() noexcept {
  if (!queue_) return refuse(place::no_owner);
  home_ = acting_thread();
  if (!home_ || !queue_->home_) return refuse(place::no_thread);
  if (home_ != queue_->home_.get()) {
    misuse(concat("awaited on another thread: ", queue_->owner_,
                  " belongs to the thread that made it (\"", queue_->home_->name,
                  "\"); make one for each thread"));
    return refuse(place::wrong_thread);
  }
  if (home_->phase != thread_phase::running) return refuse(place::thread_ending);
  if (!wanted_.fits(queue_->limit_)) {
    const bool units = wanted_.units > queue_->limit_.units;
    limit_ = units ? queue_->limit_.units : queue_->limit_.bytes;
    return refuse(units ? place::too_many_units : place::too_many_bytes);
  }
  if (queue_->try_take(wanted_)) {
    place_ = queue_->shared_ ? place::passed : place::granted;
    return false;
  }
  place_ = place::waiting;
  queue_->join(*this);
  return true;
}

void waiter::end(place why) noexcept {
  queue_->leave(*this);
  place_ = why;
  home_->ready.push_back(*this);
}

void waiter::request_stop() noexcept {
  if (place_ != place::waiting) return;
  end(place::stopped);
  queue_->serve();  // who is behind may want less
}

waiter_queue* waiter::settle(const char* owner) noexcept {
  if (place_ != place::waiting && !linked() && place_ != place::granted) return nullptr;
  if (!home_->on_own_os_thread()) {
    fatal(concat("a coroutine that waits for ", owner,
                 " was destroyed on another OS thread than that of its thread \"", home_->name,
                 '"'));
  }
  const place was = std::exchange(place_, place::done);
  if (was == place::waiting) {
    queue_->leave(*this);
    queue_->serve();
    return nullptr;
  }
  if (linked()) home_->ready.erase(*this);
  return was == place::granted && queue_->give_back(wanted_) ? queue_ : nullptr;
}

error waiter::failure(operation_kind what, const char* owner) const {
  auto plain = [&](std::errc code, fault why) {
    return error({.code = code, .what = what, .why = why});
  };
  auto told = [&](std::errc code, const auto&... text) {
    return error(code, what,
                 concat(operation_info{.kind = what, .device = {}}.what(), ": ", text...));
  };
  switch (place_) {
    case place::stopped: return plain(std::errc::operation_canceled, fault::stopped);
    case place::thread_ending: return plain(std::errc::operation_canceled, fault::thread_exiting);
    case place::owner_gone:
      return told(std::errc::operation_canceled, "the ", owner, " was destroyed meanwhile");
    case place::no_owner:
      return told(std::errc::bad_file_descriptor, "the ", owner, " is empty (moved from)");
    case place::wrong_thread:
      return told(std::errc::operation_not_permitted, "the ", owner,
                  " belongs to another thread (make one for each thread)");
    case place::too_many_units:
      return told(std::errc::invalid_argument, wanted_.units, " asked for, but the ", owner,
                  " has only ", limit_, " in all");
    case place::too_many_bytes:
      return told(std::errc::invalid_argument, wanted_.bytes, " bytes asked for, but the ", owner,
                  " has only ", limit_, " in all");
    case place::no_thread:
      if (home_) {
        return told(std::errc::operation_not_permitted, "the ", owner,
                    " was made before an SPDK thread was attached (make it on its thread)");
      }
      return plain(std::errc::operation_not_permitted, fault::no_thread);
    default: return told(std::errc::operation_canceled, "never started");
  }
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
