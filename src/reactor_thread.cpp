// SPDX-License-Identifier: BSD-3-Clause
// Borrowing a thread from a reactor, and giving it back.
#include <spdk_io/reactor_thread.hpp>

#include "concat.hpp"
#include "env_state.hpp"
#include "reactor_driver.hpp"
#include "thread_registry.hpp"
#include "thread_state.hpp"

#include <spdk_io/detail/detached.hpp>

#include <spdk/env.h>
#include <spdk/thread.h>

#include <optional>

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {

// From stop() on, until it has called back, it keeps itself.
class reactor_host {
 public:
  explicit reactor_host(spdk_io::thread taken) : thread(std::move(taken)), ref(thread->ref()) {
    driver = &reactor_driver::start(thread->shared_state(), on_exception, this);
  }

  static void on_exception(void* host, std::exception_ptr e) {
    try {
      std::rethrow_exception(e);
    } catch (...) {
      fatal_exception(
          concat("reactor thread \"", static_cast<reactor_host*>(host)->thread->name(), '"'));
    }
  }

  static detached finish(reactor_host& host) {
    host.outcome = co_await host.tasks.join();
    host.driver->stop(ended, &host);
  }

  // In an event, outside any poll. What the program does next belongs into its thread's poll.
  static void ended(void* argument) {
    auto& host = *static_cast<reactor_host*>(argument);
    spdk_thread* native = host.thread->native_handle();
    host.thread.reset();
    spdk_thread_send_msg(native, tell, &host);
  }

  static void tell(void* argument) {
    auto host = std::move(static_cast<reactor_host*>(argument)->kept);
    if (auto then = std::move(host->then)) then(host->outcome);
  }

  std::optional<spdk_io::thread> thread;
  thread_ref ref;
  reactor_driver* driver;
  task_scope tasks;
  stop_event stopping;
  bool stop_called = false;
  std::shared_ptr<reactor_host> kept;
  result<void> outcome;
  std::move_only_function<void(result<void>)> then;
};

}  // namespace detail

result<reactor_thread> reactor_thread::start() {
  spdk_thread* native = spdk_get_thread();
  auto refuse = [&](std::errc code, std::string_view why) {
    return std::unexpected(
        error(code, operation_kind::attach_thread,
              detail::concat("reactor thread \"", native ? spdk_thread_get_name(native) : "",
                             "\": ", why)));
  };
  if (!native) {
    return refuse(std::errc::operation_not_permitted,
                  "no SPDK thread is current here; call it in a callback of one, such as the "
                  "function given to spdk_app_start()");
  }
  if (!detail::reactors_run() || spdk_env_get_current_core() == SPDK_ENV_LCORE_ID_ANY) {
    return refuse(std::errc::operation_not_permitted,
                  "no reactor of SPDK's application framework polls it; take a thread that the "
                  "program polls with thread::from_native()");
  }
  auto state = detail::wrap_thread(native);
  if (!state) return refuse(std::errc::already_connected, "it is the library's already");
  detail::note_foreign_env();
  state->at_end = detail::native_end::leave;
  return reactor_thread(
      std::make_shared<detail::reactor_host>(spdk_io::thread::from_state(std::move(state))));
}

reactor_thread::~reactor_thread() {
  if (!host_ || host_->stop_called) return;
  detail::fatal(detail::concat("reactor thread \"", host_->thread->name(),
                               "\" destroyed without stop(); call stop() and keep the reactors "
                               "running until it calls back"));
}

spdk_io::thread& reactor_thread::thread() const noexcept { return *host_->thread; }
thread_ref reactor_thread::ref() const noexcept { return host_->ref; }
task_scope& reactor_thread::tasks_of(detail::reactor_host& host) noexcept { return host.tasks; }
bool reactor_thread::stop_requested() const noexcept { return host_->stopping.requested(); }
void reactor_thread::request_stop() noexcept { host_->stopping.request(); }
detail::stop_wait reactor_thread::wait_for_stop() noexcept {
  return detail::stop_wait(&host_->stopping);
}

void reactor_thread::stop(std::move_only_function<void(result<void>)> then) {
  if (!host_ || host_->stop_called) {
    detail::misuse("reactor_thread::stop() called twice");
    return;
  }
  detail::reactor_host& host = *host_;
  host.stop_called = true;
  host.kept = host_;
  host.then = std::move(then);
  host.stopping.request();
  // Behind what was spawned before.
  auto sent = ref().send([&host] { detail::reactor_host::finish(host); });
  if (!sent) detail::fatal(sent.error().message());
}

}  // namespace spdk_io::inline SPDK_IO_ABI
