// SPDX-License-Identifier: BSD-3-Clause
// SPDK's application framework around a coroutine: one call is a whole program, with a reactor on
// each core, SPDK's JSON configuration, signals and an orderly end.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/root.hpp>
#include <spdk_io/detail/stop_event.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/log.hpp>
#include <spdk_io/thread.hpp>

#include <concepts>
#include <functional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

struct app_options {
  std::string_view name = "spdk_io";  // of the process, in SPDK's and DPDK's files and logs
  std::string_view core_mask = {};  // a reactor on each: hex ("0x3") or list ("[0-1]"); empty: 0x1
  int main_core = -1;               // of core_mask, for the coroutine; -1: its first
  std::string_view config_file = {};  // SPDK's JSON configuration, as save_config writes it
  std::string_view config = {};       // its text, in place of a file
  bool ignore_config_errors = false;  // go on when a call of the configuration fails
  // Path of the socket for rpc.py, or "127.0.0.1:5260". Empty: none, so that programs neither
  // collide nor take orders unless told to. (SPDK's own programs use "/var/tmp/spdk.sock".)
  std::string_view rpc_socket = {};
  int memory_mib = 0;      // 0: all hugepages, or 512 MiB without hugepages
  bool hugepages = true;   // false: ordinary memory, no set-up of the machine needed
  bool pci = true;         // false: leave PCI devices alone
  bool interrupt = false;  // reactors sleep while all they poll can wake them
  int shm_id = -1;         // shared memory group of several processes; -1: none
  // Refuse to start on a core that another SPDK application polls.
  bool core_locks = true;
  // SIGINT and SIGTERM request a stop, SIGPIPE is ignored; undone when run() returns.
  bool signals = true;
  std::string_view extra_args = {};  // passed on to DPDK's EAL
  bool keep_affinity = false;        // keep the calling thread pinned after run() as well
  log_callback log = {};             // empty: quiet
  log_level most_logged = log_level::notice;
};

namespace detail {

// What run() runs, without its type.
struct app_main {
  owned_coroutine (*make)(app_main&, thread&);
};

// Starts the framework, runs `main` on the first reactor, stops all. The error is the start's.
result<void> run_app(const app_options& options, app_main& main);

// What is awaited lives, and dies, in the frame that awaits it.
template <class F>
auto call_app_main(F& f, [[maybe_unused]] thread& t) {
  if constexpr (awaitable<F>) {
    return F(std::move(f));
  } else if constexpr (std::invocable<F&, thread&>) {
    return std::invoke(f, t);
  } else {
    return std::invoke(f);
  }
}

template <class F>
struct app_main_of : app_main {
  using awaited = decltype(call_app_main(std::declval<F&>(), std::declval<thread&>()));
  using value = std::remove_cvref_t<await_result_t<awaited>>;
  using wrapped = std::conditional_t<is_result<value>::value, std::type_identity<value>,
                                     std::type_identity<result<value>>>::type;

  explicit app_main_of(F f) : app_main{start}, function(std::move(f)) {}

  static owned_coroutine start(app_main& self, thread& t) {
    return body(static_cast<app_main_of&>(self), t);
  }
  static owned_coroutine body(app_main_of& self, thread& t) {
    try {
      if constexpr (std::is_void_v<value>) {
        co_await call_app_main(self.function, t);
        self.gave.set();
      } else {
        self.gave.set(co_await call_app_main(self.function, t));
      }
    } catch (...) {
      self.gave.set_exception(std::current_exception());
    }
  }

  wrapped take() {
    if constexpr (std::is_void_v<value>) {
      gave.take();
      return {};
    } else {
      return gave.take();
    }
  }

  F function;
  outcome<value> gave;
};

}  // namespace detail

namespace app {

// Starts SPDK's application framework, runs `main` on the first reactor, takes all down again
// and returns what main gave, as result<T> (a result<T> is not wrapped again), or rethrows what it
// threw. Blocks; the calling OS thread becomes the first reactor.
//
// `main` is a coroutine's task (or anything awaitable), or a function that returns one, called on
// the reactor as main() or main(thread&). It acts for SPDK's first thread; the devices of the
// configuration are there. The other cores' reactors are reached with run_on().
//
// The end of main is the end of the application: a stop is requested, what other coroutines have
// in flight completes, descriptors and channels are closed, on all reactors; then SPDK's
// subsystems stop. An exception that leaves a continuation which nobody awaits, on any reactor,
// destroys main, stops everything and is rethrown.
//
// Once per process, as SPDK's environment cannot be started again. Under the framework SPDK polls
// all its threads: thread::attach() and the like are errors. OS threads that main starts inherit
// the pinning of its reactor to one core.
// Errors of the start, with what SPDK said: an option that cannot be met; a configuration that
// cannot be read, does not parse, or fails; an environment exists already; a signal came before
// main had begun (errc::operation_canceled).
template <class F>
auto run(const app_options& options, F&& main) {
  using kept = std::remove_cvref_t<F>;
  detail::app_main_of<kept> kept_main(std::forward<F>(main));
  using wrapped = typename detail::app_main_of<kept>::wrapped;
  if (auto ran = detail::run_app(options, kept_main); !ran) {
    return wrapped(std::unexpected(ran.error()));
  }
  return kept_main.take();
}

// Requests a stop of the application, as the first SIGINT or SIGTERM does (SPDK ignores further
// ones). It is a request: main sees it and ends. Any thread, but no signal handler.
void stop() noexcept;

// Whether a stop was requested, or main has ended. Any thread.
bool stop_requested() noexcept;

// co_await app::wait_for_stop(): until then; on any reactor.
// Error: no application runs.
[[nodiscard]] detail::stop_wait wait_for_stop() noexcept;

}  // namespace app
}  // namespace spdk_io::inline SPDK_IO_ABI
