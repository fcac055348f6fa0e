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

error no_thread_to_reach() {
  return error(std::errc::no_such_process, operation_kind::call,
               "message to a thread: there is none (moved from)");
}

error thread_has_ended(const thread_state& to) {
  return error(std::errc::no_such_process, operation_kind::call,
               concat("message to thread \"", to.name, "\": the thread has ended"));
}

result<void> send(thread_state* to, message_node& message) {
  if (!to) return std::unexpected(no_thread_to_reach());
  if (!to->deliver(message)) return std::unexpected(thread_has_ended(*to));
  return {};
}

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI
