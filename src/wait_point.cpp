// SPDX-License-Identifier: BSD-3-Clause
// Where one coroutine waits: claimed, suspended, woken, told that nothing will come.
#include <spdk_io/detail/wait_point.hpp>

#include "concat.hpp"
#include "wait_steps.hpp"

#include <spdk_io/detail/fatal.hpp>
#include <spdk_io/operation_info.hpp>

#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

void wait_point::close() noexcept {
  if (!user_) return;
  if (waited_for()) {
    check_os_thread("a stream or a sink that somebody waits for");
    user_->leave(point_wait::end::owner_gone);
  } else {
    user_->end_ = point_wait::end::owner_gone;
    std::exchange(user_, nullptr)->claimed_ = false;
  }
}

void wait_point::check_os_thread_by_home(std::string_view what) const noexcept {
  if (home_ && !home_->on_own_os_thread() && home_->phase != thread_phase::exited) {
    fatal(concat(what, " was destroyed on another OS thread than that of its thread \"",
                 home_->name, '"'));
  }
}

void wait_point::link::thread_ends(ready_node& node) {
  static_cast<link&>(node).point->user_->leave(point_wait::end::thread_ending);
}

void wait_point::wake_later() noexcept {
  node_ring::erase(link_);
  home_->ready.push_back(*user_);
}

bool point_wait::claim() noexcept { return claim_here(point_); }

bool point_wait::claim_with_checks() noexcept {
  if (failed()) return false;
  if (!point_) return refuse(end::no_owner);
  thread_state* here = acting_thread();
  if (!here) return refuse(end::no_thread);
  if (point_->home_.get() != here) [[unlikely]] {
    if (point_->home_) {
      misuse(concat("a stream or a sink was used on another thread than \"", point_->home_->name,
                    "\", which used it first; it belongs to one thread"));
      return refuse(end::wrong_thread);
    }
    point_->home_ = here->shared_from_this();
  }
  if (here->phase != thread_phase::running) return refuse(end::thread_ending);
  if (point_->user_) return refuse(end::busy);
  home_ = here;
  point_->user_ = this;
  claimed_ = true;
  return true;
}

void point_wait::suspend() noexcept { suspend_here(); }

void point_wait::leave(end why) noexcept {
  node_ring::erase(point_->link_);
  release();
  end_ = why;
  home_->ready.push_back(*this);
}

void point_wait::request_stop() noexcept {
  if (claimed_ && point_->waited_for()) leave(end::stopped);
}

bool point_wait::give_up(std::string_view what) noexcept {
  if (!home_->on_own_os_thread()) {
    fatal(concat("a coroutine that waits for ", what,
                 " was destroyed on another OS thread than that of its thread \"", home_->name,
                 '"'));
  }
  if (linked()) home_->ready.erase(*this);
  if (!claimed_) return false;
  if (point_->waited_for()) node_ring::erase(point_->link_);
  release();
  return true;
}

error point_wait::failure(operation_kind kind, std::string_view what) const {
  const auto plain = [&](std::errc code, fault why) {
    return error({.code = code, .what = kind, .why = why});
  };
  const auto told = [&](std::errc code, const auto&... text) {
    return error(code, kind,
                 concat(operation_info{.kind = kind, .device = {}}.what(), ": ", text...));
  };
  switch (end_) {
    case end::stopped: return plain(std::errc::operation_canceled, fault::stopped);
    case end::thread_ending: return plain(std::errc::operation_canceled, fault::thread_exiting);
    case end::no_thread: return plain(std::errc::operation_not_permitted, fault::no_thread);
    case end::owner_gone:
      return told(std::errc::operation_canceled, "the ", what, " was destroyed meanwhile");
    case end::busy:
      return told(std::errc::device_or_resource_busy, "somebody else awaits the ", what,
                  " already (one at a time)");
    case end::wrong_thread:
      return told(std::errc::operation_not_permitted, "the ", what,
                  " belongs to another thread (the one that used it first)");
    case end::no_owner:
      return told(std::errc::bad_file_descriptor, "the ", what, " is empty (moved from)");
    case end::none: break;
  }
  return told(std::errc::operation_canceled, "never started");
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
