// SPDX-License-Identifier: BSD-3-Clause
// Pollers: SPDK's callback links, the thread's turn runs.
#include <spdk_io/poller.hpp>

#include "concat.hpp"
#include "poller_state.hpp"
#include "thread_state.hpp"

#include <spdk/thread.h>

#include <cassert>
#include <memory>

namespace spdk_io::inline SPDK_IO_ABI {

using detail::poller_state;

namespace {

int on_poll(void* argument) {
  auto& state = *static_cast<poller_state*>(argument);
  if (state.paused) return SPDK_POLLER_IDLE;  // SPDK's own pause is not honoured in interrupt mode
  if (!state.linked() && !state.running) state.home->ready.push_back(state);
  return state.busy ? SPDK_POLLER_BUSY : SPDK_POLLER_IDLE;
}

void run(detail::ready_node& node) {
  auto& state = static_cast<poller_state&>(node);
  struct run_scope {
    explicit run_scope(poller_state& s) noexcept : self(s) { self.running = true; }
    ~run_scope() {
      self.running = false;
      if (!self.owned) delete &self;
    }
    poller_state& self;
  };
  detail::thread_state& home = *state.home;
  run_scope scope(state);
  state.busy = state.function();
  if (!state.busy) ++home.idle_runs;
}

void unregister(poller_state& state) noexcept {
  if (state.linked()) state.home->ready.erase(state);
  if (state.native) spdk_poller_unregister(&state.native);
}

std::unexpected<error> refuse(std::errc code, std::string_view why) {
  return std::unexpected(error(code, operation_kind::poller, detail::concat("poller: ", why)));
}

}  // namespace

result<poller> poller::make(std::chrono::microseconds period, function f) {
  detail::thread_state* here = detail::acting_thread();
  if (!here) {
    return refuse(std::errc::operation_not_permitted,
                  "no SPDK thread is attached here (call spdk_io::thread::attach() first)");
  }
  if (period.count() < 0) return refuse(std::errc::invalid_argument, "the period is negative");
  if (here->phase != detail::thread_phase::running) {
    return refuse(std::errc::operation_canceled, "the thread is ending");
  }
  auto state = std::make_unique<poller_state>(run);
  state->home = here;
  state->function = std::move(f);
  state->native = spdk_poller_register_named(
      on_poll, state.get(), static_cast<std::uint64_t>(period.count()), "spdk_io::poller");
  if (!state->native) return refuse(std::errc::not_enough_memory, "SPDK refuses to register it");
  state->next_of_thread = here->pollers;
  here->pollers = state.get();
  here->wake_if_asleep();
  return poller(state.release());
}

poller& poller::operator=(poller&& other) noexcept {
  if (this != &other) {
    stop();
    state_ = std::exchange(other.state_, nullptr);
  }
  return *this;
}

poller::~poller() { stop(); }

void poller::stop() noexcept {
  poller_state* state = std::exchange(state_, nullptr);
  if (!state) return;
  if (state->home) {
    assert(state->home->on_own_os_thread() && "a poller is destroyed on its own thread");
    unregister(*state);
    poller_state** link = &state->home->pollers;
    while (*link != state) link = &(*link)->next_of_thread;
    *link = state->next_of_thread;
  }
  state->owned = false;
  if (!state->running) delete state;
}

void poller::pause() noexcept {
  if (!state_ || state_->paused || !state_->home) return;
  state_->paused = true;
  if (state_->linked()) state_->home->ready.erase(*state_);
  spdk_poller_pause(state_->native);
}

void poller::resume() noexcept {
  if (!state_ || !state_->paused || !state_->home) return;
  state_->paused = false;
  spdk_poller_resume(state_->native);
  state_->home->wake_if_asleep();
}

bool poller::paused() const noexcept { return state_ && state_->paused; }
spdk_poller* poller::native_handle() const noexcept { return state_ ? state_->native : nullptr; }

void detail::stop_pollers(thread_state& home) noexcept {
  while (poller_state* state = home.pollers) {
    home.pollers = state->next_of_thread;
    unregister(*state);
    state->home = nullptr;
  }
}

}  // namespace spdk_io::inline SPDK_IO_ABI
