// SPDX-License-Identifier: BSD-3-Clause
// Start and end of SPDK's subsystems, without the application framework.
#include <spdk_io/subsystems.hpp>

#include "callback_wait.hpp"
#include "concat.hpp"
#include "configuration.hpp"
#include "env_state.hpp"
#include "log_capture.hpp"
#include "subsystem_state.hpp"
#include "thread_registry.hpp"
#include "thread_state.hpp"
#include "turns.hpp"

#include <spdk/init.h>
#include <spdk/rpc.h>
#include <spdk/thread.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

enum class stage { stopped, starting, running, broken };

struct subsystem_runtime {
  std::atomic<stage> now{stage::stopped};
  std::mutex mutex;
  std::shared_ptr<detail::thread_state> home;  // with the mutex: the thread that started them
  detail::turns turns;                         // on that thread
};

subsystem_runtime& runtime() {
  static auto* r = new subsystem_runtime;
  return *r;
}

std::unexpected<error> refuse(std::errc code, std::string_view why) {
  return std::unexpected(
      error(code, operation_kind::load_config, detail::concat("init_subsystems: ", why)));
}

// SPDK's own first thread does this, and nothing else may.
result<void> check_thread() {
  detail::thread_state* here = detail::acting_thread();
  if (!here) {
    return refuse(std::errc::operation_not_permitted,
                  "no SPDK thread is attached here (call spdk_io::thread::attach() first)");
  }
  spdk_thread* first = spdk_thread_get_app_thread();
  if (first != here->native) {
    return refuse(std::errc::operation_not_permitted,
                  detail::concat("must run on the first SPDK thread of the process, \"",
                                 first ? spdk_thread_get_name(first) : "", "\", not on \"",
                                 here->name, "\""));
  }
  return {};
}

// Where others started the subsystems: SPDK's first thread, which configuration calls need.
result<thread_ref> app_thread() {
  spdk_thread* first = spdk_thread_get_app_thread();
  auto known = first ? detail::find_thread(first) : nullptr;
  if (!known) {
    return std::unexpected(error(
        std::errc::operation_not_permitted, operation_kind::load_config,
        detail::concat("configuration: SPDK's first thread, \"",
                       first ? spdk_thread_get_name(first) : "",
                       "\", on which it must run, is not the library's (take it with "
                       "thread::from_native(), or reactor_thread::start() in its callback)")));
  }
  if (spdk_rpc_get_state() != SPDK_RPC_RUNTIME) {
    return std::unexpected(error(std::errc::operation_not_permitted, operation_kind::load_config,
                                 "configuration: SPDK ignores calls before the program has called "
                                 "spdk_rpc_set_state(SPDK_RPC_RUNTIME)"));
  }
  return thread_ref(std::move(known));
}

task<result<void>> start(std::string json) {
  auto& r = runtime();
  const std::string what = "configuration";
  spdk_rpc_set_state(SPDK_RPC_STARTUP);
  if (!json.empty()) {
    auto loaded = co_await detail::load_configuration(json, operation_kind::load_config, what);
    if (!loaded) {
      r.now = stage::stopped;
      co_return loaded;
    }
  }
  int rc = 0;
  std::string log_text;
  {
    detail::log_capture log;
    detail::callback_wait done("the start of SPDK's subsystems");
    spdk_subsystem_init(detail::callback_wait::on_done, &done);
    rc = co_await done;
    log_text = log.text();
  }
  if (rc != 0) {
    r.now = stage::broken;
    auto failure = detail::read_failure(log_text, rc);
    co_return refuse(failure.code,
                     detail::concat("SPDK's subsystems did not start: ", failure.text));
  }
  r.now = stage::running;
  spdk_rpc_set_state(SPDK_RPC_RUNTIME);
  if (json.empty()) co_return result<void>();
  auto loaded =
      co_await detail::load_configuration(std::move(json), operation_kind::load_config, what);
  co_return loaded;
}

// `again_is_fine`: someone else may have started them.
task<result<void>> start_in_turn(std::string json, bool again_is_fine) {
  if (detail::env_is_foreign()) {
    co_return refuse(std::errc::operation_not_permitted,
                     "the program that started SPDK, or its framework, starts the subsystems");
  }
  if (auto ok = check_thread(); !ok) co_return ok;
  auto& r = runtime();
  auto turn = co_await r.turns.take();
  switch (r.now.load()) {
    case stage::stopped: break;
    case stage::running:
      if (again_is_fine) co_return result<void>();
      co_return refuse(std::errc::already_connected,
                       "SPDK's subsystems are running already; add devices with create_bdev()");
    default:
      co_return refuse(std::errc::operation_not_permitted,
                       "SPDK's subsystems failed to start before; restart the program");
  }
  {
    std::lock_guard lock(r.mutex);
    r.home = detail::acting_thread()->shared_from_this();
  }
  r.now = stage::starting;
  auto started = co_await start(std::move(json));
  co_return started;
}

task<result<void>> start_from_file(std::string path) {
  auto json = detail::read_configuration_file(path, "init_subsystems");
  if (!json) co_return std::unexpected(json.error());
  auto started = co_await start_in_turn(std::move(*json), false);
  co_return started;
}

}  // namespace

task<result<void>> init_subsystems(std::string_view json) {
  return start_in_turn(std::string(json), false);
}
task<result<void>> init_subsystems(const config_file& file) {
  return start_from_file(std::string(file.path));
}

namespace detail {

task<result<void>> load_configuration_in_turn(std::string json, operation_kind kind,
                                              std::string what,
                                              std::move_only_function<result<void>()> check) {
  auto turn = co_await runtime().turns.take();
  if (check) {
    if (auto ok = check(); !ok) co_return ok;
  }
  auto loaded = co_await load_configuration(std::move(json), kind, std::move(what));
  co_return loaded;
}

task<result<thread_ref>> subsystem_thread() {
  if (env_is_foreign()) co_return app_thread();
  auto& r = runtime();
  if (r.now.load() != stage::running) {
    auto started = co_await start_in_turn({}, true);
    if (!started) co_return std::unexpected(started.error());
  }
  std::lock_guard lock(r.mutex);
  co_return thread_ref(r.home);
}

bool subsystems_running() noexcept {
  return env_is_foreign() || runtime().now.load() == stage::running;
}

void stop_subsystems(thread_state& ending) noexcept {
  auto& r = runtime();
  {
    std::lock_guard lock(r.mutex);
    if (r.home.get() != &ending) return;
    r.home.reset();
  }
  if (stage was = r.now.exchange(stage::stopped); was == stage::stopped) return;
  bool done = false;
  spdk_subsystem_fini([](void* flag) { *static_cast<bool*>(flag) = true; }, &done);
  pump_until(
      ending, [](const void* flag) { return *static_cast<const bool*>(flag); }, &done,
      "SPDK's subsystems to stop");
}

void subsystems_stopped() noexcept {
  std::lock_guard lock(runtime().mutex);
  runtime().home.reset();
  runtime().now = stage::stopped;
}

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI
