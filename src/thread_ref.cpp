// SPDX-License-Identifier: BSD-3-Clause
// Messages between threads.
#include <spdk_io/thread_ref.hpp>

#include "concat.hpp"
#include "thread_state.hpp"

#include <spdk_io/detail/fatal.hpp>

namespace spdk_io::inline SPDK_IO_ABI {

std::string_view thread_ref::name() const noexcept {
  return state_ ? std::string_view(state_->name) : std::string_view();
}
std::uint64_t thread_ref::id() const noexcept { return state_ ? state_->id : 0; }

result<std::vector<operation_info>> thread_ref::operations() const {
  auto refuse = [&](std::errc code, std::string_view why) {
    return std::unexpected(error(code, operation_kind::use_thread,
                                 detail::concat("operations of thread \"", name(), "\": ", why)));
  };
  if (!state_) return refuse(std::errc::no_such_process, "there is no thread (moved from)");
  if (!state_->on_own_os_thread()) {
    return refuse(std::errc::operation_not_permitted,
                  "only its own OS thread may look (call() it, and ask there)");
  }
  if (state_->phase == detail::thread_phase::exited) {
    return refuse(std::errc::no_such_process, "the thread has ended");
  }
  return state_->operations();
}

namespace detail {
namespace {

error nobody() {
  return error(std::errc::no_such_process, operation_kind::call,
               "message to a thread: there is none (moved from)");
}

error ended(const thread_state& to) {
  return error(std::errc::no_such_process, operation_kind::call,
               concat("message to thread \"", to.name, "\": the thread has ended"));
}

}  // namespace

result<void> send(thread_state* to, message_node& message) {
  if (!to) return std::unexpected(nobody());
  if (!to->deliver(message)) return std::unexpected(ended(*to));
  return {};
}

bool call_base::depart(message_node& message) noexcept {
  if (!target_) {  // error_ says why, unless it was moved from
    if (error_.code() == std::errc()) error_ = nobody();
    return false;
  }
  home_ = acting_thread();
  if (!home_ || home_->phase == thread_phase::exited) {
    error_ = error(std::errc::operation_not_permitted, operation_kind::call,
                   concat("call to thread \"", target_->name,
                          "\": no SPDK thread is attached here to come back to (call "
                          "spdk_io::thread::attach() first, or use send())"));
    return false;
  }
  place_ = place::away;
  ++home_->calls_out;
  if (target_->deliver(message)) return true;
  --home_->calls_out;
  place_ = place::here;
  error_ = ended(*target_);
  return false;
}

// The caller's thread cannot have ended: it drains until its calls are back. It may end as soon
// as this one has arrived, though, while deliver() still looks whether it sleeps: so it is kept.
void call_base::come_home(message_node& message) noexcept {
  auto home = home_->shared_from_this();
  home->deliver(message);
}

void call_base::arrived(message_node& message) noexcept {
  place_ = place::back;
  --home_->calls_out;
  home_->ready.push_back(message);
}

void call_base::abandon(message_node& message, owned_coroutine& running) noexcept {
  if (!home_->on_own_os_thread()) {
    fatal(concat("a call to thread \"", target_->name,
                 "\" was destroyed on another OS thread than the caller's while under way"));
  }
  if (place_ == place::away && target_->on_own_os_thread()) return withdraw(message, running);
  pump_until(
      *home_,
      [](const void* self) { return static_cast<const call_base*>(self)->place_ == place::back; },
      this, concat("a call to thread \"", target_->name, "\""));
  if (message.linked()) home_->ready.erase(message);
}

void call_base::withdraw(message_node& message, owned_coroutine& running) noexcept {
  target_->deliver_messages();
  home_->deliver_messages();
  if (message.linked()) {
    (stage_ == stage::sent ? target_->ready : home_->internal).erase(message);
  } else if (running.empty()) {
    fatal(concat("a call to thread \"", target_->name, "\" destroyed its own caller"));
  }
  running.reset();
  place_ = place::here;
  --home_->calls_out;
}

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI
