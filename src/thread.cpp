// SPDX-License-Identifier: BSD-3-Clause
// Attaching and polling SPDK threads.
#include <spdk_io/thread.hpp>

#include "concat.hpp"
#include "env_state.hpp"
#include "reactor_driver.hpp"
#include "thread_registry.hpp"
#include "thread_state.hpp"

#include <spdk/thread.h>

namespace spdk_io::inline SPDK_IO_ABI {

using detail::current_thread;
using detail::thread_state;

namespace {

std::unexpected<error> refuse(std::errc code, std::string_view name, std::string_view why) {
  return std::unexpected(error(code, operation_kind::attach_thread,
                               detail::concat("thread \"", name.substr(0, 256), "\": ", why)));
}

result<std::shared_ptr<thread_state>> make(std::string_view name) {
  if (!detail::env_running()) {
    return refuse(std::errc::operation_not_permitted, name,
                  "no environment (call spdk_io::env::start() first and keep it)");
  }
  if (detail::reactors_run()) {
    return refuse(std::errc::operation_not_permitted, name,
                  "SPDK's application framework polls every SPDK thread itself, on its reactors "
                  "(run code there with run_on(), or use a thread with reactor_thread)");
  }
  if (name.empty() || name.size() > 255 || name.find('\0') != name.npos) {
    return refuse(std::errc::invalid_argument,
                  name.substr(0, std::min<std::size_t>(name.find('\0'), 64)),
                  "the name must have 1 to 255 characters and no NUL");
  }
  auto state = detail::make_thread(name);
  if (!state) {
    return refuse(std::errc::not_enough_memory, name,
                  "SPDK cannot create it (out of memory: more memory_mib?)");
  }
  return state;
}

}  // namespace

result<thread> thread::attach(std::string_view name) {
  if (current_thread) {
    return refuse(std::errc::already_connected, name,
                  detail::concat("this OS thread is attached already, as \"", current_thread->name,
                                 "\" (thread::create() makes a second SPDK thread to poll)"));
  }
  auto state = make(name);
  if (!state) return std::unexpected(state.error());
  current_thread = state->get();
  spdk_set_thread((*state)->native);
  return thread(std::move(*state));
}

result<thread> thread::create(std::string_view name) {
  auto state = make(name);
  if (!state) return std::unexpected(state.error());
  return thread(std::move(*state));
}

result<thread> thread::from_native(spdk_thread* native, ownership whose) {
  if (!native || spdk_thread_is_exited(native)) {
    return refuse(std::errc::invalid_argument, "", "from_native() needs a running SPDK thread");
  }
  const std::string_view name = spdk_thread_get_name(native);
  if (detail::reactors_run()) {
    return refuse(std::errc::operation_not_permitted, name,
                  "a reactor of SPDK's application framework polls it (use reactor_thread)");
  }
  auto state = detail::wrap_thread(native);
  if (!state) return refuse(std::errc::already_connected, name, "it is the library's already");
  detail::note_foreign_env();
  if (whose == ownership::borrow) state->at_end = detail::native_end::leave;
  if (!current_thread && spdk_get_thread() == native) current_thread = state.get();
  return thread(std::move(state));
}

result<thread_ref> thread::current() {
  detail::thread_state* here = detail::acting_thread();
  if (!here) {
    return std::unexpected(error(std::errc::operation_not_permitted, operation_kind::use_thread,
                                 "no SPDK thread is attached to this OS thread (call "
                                 "spdk_io::thread::attach() first)"));
  }
  return thread_ref(here->shared_from_this());
}

std::uint32_t thread::count() noexcept { return spdk_thread_get_count(); }

thread& thread::operator=(thread&& other) noexcept {
  if (this != &other) {
    if (state_) state_->shut_down();
    state_ = std::move(other.state_);
  }
  return *this;
}

thread::~thread() {
  if (state_) state_->shut_down();
}

std::size_t thread::poll(std::uint32_t max_messages) {
  return state_ ? state_->poll(max_messages) : 0;
}
std::string_view thread::name() const noexcept {
  return state_ ? std::string_view(state_->name) : std::string_view();
}
std::uint64_t thread::id() const noexcept { return state_ ? state_->id : 0; }

bool thread::idle() const noexcept {
  return !state_ ||
         (spdk_thread_is_idle(state_->native) && state_->nothing_ready() && state_->timers.empty());
}

bool thread::running() const noexcept {
  return state_ && state_->phase == detail::thread_phase::running;
}
bool thread::has_pollers() const noexcept {
  return state_ && spdk_thread_has_pollers(state_->native);
}

thread_statistics thread::statistics() const noexcept {
  if (!state_) return {};
  return {.memory_waits = state_->waiting.total(), .io_in_flight = state_->io_in_flight()};
}

std::vector<operation_info> thread::operations() const {
  return state_ ? state_->operations() : std::vector<operation_info>();
}

spdk_thread* thread::native_handle() const noexcept { return state_ ? state_->native : nullptr; }

}  // namespace spdk_io::inline SPDK_IO_ABI
