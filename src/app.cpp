// SPDX-License-Identifier: BSD-3-Clause
// The life of an application under SPDK's framework.
#include <spdk_io/app.hpp>

#include "affinity.hpp"
#include "concat.hpp"
#include "configuration.hpp"
#include "env_state.hpp"
#include "log_capture.hpp"
#include "reactor_driver.hpp"
#include "thread_registry.hpp"
#include "thread_state.hpp"

#include <spdk/cpuset.h>
#include <spdk/env.h>
#include <spdk/event.h>
#include <spdk/thread.h>

#include <atomic>
#include <csignal>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

std::unexpected<error> refuse(std::errc code, std::string_view why) {
  return std::unexpected(error(code, operation_kind::start_env, detail::concat("app: ", why)));
}

// SPDK sets these and leaves them set; afterwards they would call into what has gone.
class kept_signals {
 public:
  explicit kept_signals(bool keep) noexcept : keep_(keep) {
    for (std::size_t i = 0; keep_ && i < 3; ++i) sigaction(numbers[i], nullptr, &before_[i]);
  }
  ~kept_signals() {
    for (std::size_t i = 0; keep_ && i < 3; ++i) sigaction(numbers[i], &before_[i], nullptr);
  }
  kept_signals(const kept_signals&) = delete;
  kept_signals& operator=(const kept_signals&) = delete;

 private:
  static constexpr int numbers[] = {SIGINT, SIGTERM, SIGPIPE};
  bool keep_;
  struct sigaction before_[3];
};

class application;

// The library's thread on one core's reactor. Touched on that reactor only, but for `native`.
struct core_thread {
  application* app;
  std::uint32_t core;
  spdk_thread* native;
  std::optional<thread> handle;
  detail::reactor_driver* driver = nullptr;
};

detail::stop_event& stop_event() {
  static auto* event = new detail::stop_event;
  return *event;
}

class application {
 public:
  application(const app_options& options, detail::app_main& main)
      : options_(options), main_(main) {}

  result<void> run();

  // The framework calls it in the first thread's poll; SPDK would have stopped by itself.
  static void on_shutdown();

 private:
  result<void> check();
  result<void> start_framework();
  error why_not_started(int rc, const std::string& log) const;

  static void on_started(void* self);
  void make_threads();
  core_thread& add(std::uint32_t core, spdk_thread* native);
  static void on_core(void* of_core);
  void take(core_thread& of, detail::native_end at_end);
  void one_is_ready();

  void begin();
  static void main_ended(void* self);
  void end_main();
  static void on_exception(void* of_core, std::exception_ptr e);
  static void stop_main_thread(void* self);
  static void stop_core(void* of_core, void*);
  static void core_stopped(void* of_core);

  const app_options& options_;
  detail::app_main& main_;
  std::string name_, mask_, rpc_, config_, extra_;

  std::optional<detail::log_capture> log_;
  std::string log_text_;
  bool started_ = false;   // SPDK has called on_started()
  bool canceled_ = false;  // a signal came before
  bool ending_ = false;
  bool ended_ = false;
  std::deque<core_thread> threads_;  // the first is main's
  std::atomic<std::size_t> starting_{0};
  std::atomic<std::size_t> running_{0};
  detail::owned_coroutine root_;
  std::optional<error> failure_;

  std::mutex escaped_mutex_;
  std::exception_ptr escaped_;
};

std::atomic<application*> current_app{nullptr};

// Checks what SPDK would say less clearly, and copies what it keeps pointers to.
result<void> application::check() {
  auto invalid = [](std::string_view why) { return refuse(std::errc::invalid_argument, why); };
  const app_options& o = options_;
  if (o.name.empty() || o.name.size() > 64 || o.name.find('\0') != o.name.npos)
    return invalid("the name must have 1 to 64 characters and no NUL");
  if (o.memory_mib < 0)
    return invalid(detail::concat("memory_mib is ", o.memory_mib,
                                  "; use 0 for the default, or a number of MiB above 0"));
  if (o.shm_id < -1) return invalid("shm_id must be -1 (none) or a number from 0");
  if (o.main_core < -1) return invalid("main_core must be -1 (the first) or a core's number");
  for (auto [option, text] : {std::pair("core_mask", o.core_mask),
                              {"rpc_socket", o.rpc_socket},
                              {"extra_args", o.extra_args}}) {
    if (text.find('\0') != text.npos) return invalid(detail::concat(option, " contains a NUL"));
  }
  if (!o.config.empty() && !o.config_file.empty())
    return invalid("config and config_file exclude each other; give one of them");
  name_ = o.name;
  mask_ = o.core_mask;
  rpc_ = o.rpc_socket;
  extra_ = o.extra_args;
  config_ = o.config;
  if (auto ok = detail::check_core_mask(mask_, "app"); !ok) return ok;
  if (o.config_file.empty()) return {};
  auto text = detail::read_configuration_file(std::string(o.config_file), "app");
  if (!text) return std::unexpected(text.error());
  config_ = std::move(*text);
  return {};
}

result<void> application::run() {
  if (auto ok = check(); !ok) return ok;
  if (auto ok = detail::claim_env(detail::env_phase::framework); !ok) return ok;
  if (options_.log) set_log(options_.log, options_.most_logged);
  detail::open_log();
  detail::affinity before;
  result<void> ran;
  {
    kept_signals signals(options_.signals);
    current_app = this;
    ran = start_framework();
    current_app = nullptr;
  }
  if (!options_.keep_affinity) before.restore();
  detail::release_env(detail::env_phase::ended);
  if (escaped_) std::rethrow_exception(escaped_);
  return ran;
}

result<void> application::start_framework() {
  spdk_app_opts opts = {};
  spdk_app_opts_init(&opts, sizeof(opts));
  opts.name = name_.c_str();
  opts.reactor_mask = mask_.empty() ? nullptr : mask_.c_str();
  opts.main_core = options_.main_core;
  opts.rpc_addr = rpc_.empty() ? nullptr : rpc_.c_str();
  if (!config_.empty()) {
    opts.json_data = config_.data();
    opts.json_data_size = config_.size();
  }
  opts.json_config_ignore_errors = options_.ignore_config_errors;
  if (options_.memory_mib > 0) opts.mem_size = options_.memory_mib;
  if (!options_.hugepages && options_.memory_mib == 0) opts.mem_size = 512;
  opts.no_huge = !options_.hugepages;
  opts.no_pci = !options_.pci;
  opts.interrupt_mode = options_.interrupt;
  opts.shm_id = options_.shm_id;
  opts.disable_cpumask_locks = !options_.core_locks;
  opts.disable_signal_handlers = !options_.signals;
  opts.shutdown_cb = on_shutdown;
  opts.env_context = extra_.empty() ? nullptr : extra_.data();
  opts.log = detail::spdk_log_function();
  // SPDK waits ten seconds on a console that it would print to.
  opts.print_level = SPDK_LOG_DISABLED;
  opts.enable_coredump = false;  // the limits of the process are the program's
  opts.num_entries = 0;          // no trace file in shared memory

  log_.emplace();
  const int rc = spdk_app_start(&opts, on_started, this);
  if (log_) log_text_ = log_->text();
  log_.reset();
  if (started_ && !ended_) {
    detail::fatal(
        "spdk_app_stop() was called while the coroutine of app::run() was running; call "
        "app::stop(), and let the coroutine end");
  }
  spdk_app_fini();
  if (failure_) return std::unexpected(*failure_);
  if (started_) return {};
  if (canceled_ && rc == 0) {
    return refuse(std::errc::operation_canceled, "stopped before it had started");
  }
  return std::unexpected(why_not_started(rc, log_text_));
}

error application::why_not_started(int rc, const std::string& log) const {
  // 1 says no more than that it failed.
  auto failure = detail::read_failure(log, rc < 0 ? rc : -EINVAL);
  std::string why = "SPDK's application framework did not start: " + failure.text;
  if (rc > 0) {
    // "Cannot create lock on core 0, probably process 17 has claimed it."
    if (options_.core_locks && failure.text.find("probably") != log.npos) {
      failure.code = std::errc::device_or_resource_busy;
      why += "; choose another core_mask, or set .core_locks = false";
    } else {
      if (!mask_.empty()) why += "; check core_mask \"" + mask_ + "\"";
      if (options_.main_core >= 0)
        why += detail::concat("; check that core_mask holds main_core ", options_.main_core);
      if (options_.hugepages) why += "; without hugepages on this machine set .hugepages = false";
      if (options_.memory_mib > 0)
        why += detail::concat("; check memory_mib ", options_.memory_mib);
      if (!extra_.empty()) why += "; check extra_args \"" + extra_ + "\"";
    }
  } else if (!options_.config_file.empty()) {
    why += detail::concat(" (config_file \"", options_.config_file, "\")");
  }
  return error(failure.code, operation_kind::start_env, detail::concat("app: ", why));
}

void application::on_shutdown() {
  application* self = current_app;
  if (!self) return;
  stop_event().request();
  if (self->started_) return;
  self->canceled_ = true;
  spdk_app_stop(0);
}

void application::on_started(void* argument) {
  auto& self = *static_cast<application*>(argument);
  if (self.canceled_) return;
  self.started_ = true;
  self.log_.reset();
  self.make_threads();
}

// Main's is SPDK's first thread, whose poll this is inside of. The others run where their cpuset
// says, and are taken there, in a message.
void application::make_threads() {
  const std::uint32_t here = spdk_env_get_current_core();
  add(here, spdk_get_thread());
  std::unique_ptr<spdk_cpuset, decltype(&spdk_cpuset_free)> set(spdk_cpuset_alloc(),
                                                                spdk_cpuset_free);
  std::uint32_t core = 0;
  SPDK_ENV_FOREACH_CORE(core) {
    if (core == here) continue;
    spdk_cpuset_zero(set.get());
    spdk_cpuset_set_cpu(set.get(), core, true);
    const std::string name = detail::concat("reactor_", core);
    if (spdk_thread* native = spdk_thread_create(name.c_str(), set.get())) {
      add(core, native);
    } else {
      failure_ = error(std::errc::not_enough_memory, operation_kind::start_env,
                       detail::concat("app: SPDK cannot create thread \"", name,
                                      "\" (out of memory: more memory_mib?)"));
    }
  }
  starting_ = threads_.size();
  for (core_thread& each : threads_) {
    if (each.core != here) spdk_thread_send_msg(each.native, on_core, &each);
  }
  take(threads_.front(), detail::native_end::leave);
}

core_thread& application::add(std::uint32_t core, spdk_thread* native) {
  return threads_.emplace_back(
      core_thread{.app = this, .core = core, .native = native, .handle = {}, .driver = nullptr});
}

void application::on_core(void* argument) {
  auto& of = *static_cast<core_thread*>(argument);
  of.app->take(of, detail::native_end::exit);
}

void application::take(core_thread& of, detail::native_end at_end) {
  auto state = detail::wrap_thread(of.native);
  if (!state) detail::fatal("app: SPDK's first thread is the library's already");
  state->at_end = at_end;
  of.driver = &detail::reactor_driver::start(state, on_exception, &of);
  of.handle.emplace(thread::from_state(std::move(state)));
  one_is_ready();
}

void application::one_is_ready() {
  if (starting_.fetch_sub(1) != 1) return;
  auto main_thread = detail::find_thread(threads_.front().native);
  if (auto sent = thread_ref(std::move(main_thread)).send([this] { begin(); }); !sent) {
    detail::fatal(sent.error().message());
  }
}

// In the first thread's turn, all others being there.
void application::begin() {
  if (failure_) return end_main();
  root_ = main_.make(main_, *threads_.front().handle);
  root_.start(main_ended, this);
}

void application::main_ended(void* argument) { static_cast<application*>(argument)->end_main(); }

// On the first reactor. What goes on does so at the end of the turn.
void application::end_main() {
  if (std::exchange(ending_, true)) return;
  stop_event().request();
  threads_.front().driver->stop(stop_main_thread, this);
}

void application::on_exception(void* argument, std::exception_ptr e) {
  application& self = *static_cast<core_thread*>(argument)->app;
  {
    std::lock_guard lock(self.escaped_mutex_);
    if (!self.escaped_) self.escaped_ = std::move(e);
  }
  // If main's thread has ended, so has main.
  if (auto main_thread = detail::find_thread(self.threads_.front().native)) {
    (void)thread_ref(std::move(main_thread)).send([&self] { self.end_main(); });
  }
}

// In an event of the first reactor, at the bottom of its stack: main can be destroyed if it has
// not ended. Its thread goes first, while the others can still bring its calls home.
void application::stop_main_thread(void* argument) {
  auto& self = *static_cast<application*>(argument);
  core_thread& first = self.threads_.front();
  detail::reset_as(first.handle->state(), self.root_);
  first.handle.reset();
  self.ended_ = true;
  self.running_ = self.threads_.size() - 1;
  if (self.running_ == 0) return spdk_app_stop(0);
  for (core_thread& each : self.threads_) {
    if (&each == &first) continue;
    spdk_event_call(spdk_event_allocate(each.core, stop_core, &each, nullptr));
  }
}

void application::stop_core(void* argument, void*) {
  auto& of = *static_cast<core_thread*>(argument);
  of.driver->stop(core_stopped, &of);
}

void application::core_stopped(void* argument) {
  auto& of = *static_cast<core_thread*>(argument);
  of.handle.reset();
  if (of.app->running_.fetch_sub(1) == 1) spdk_app_stop(0);
}

}  // namespace

result<void> detail::run_app(const app_options& options, app_main& main) {
  return application(options, main).run();
}

void app::stop() noexcept {
  if (current_app.load()) stop_event().request();
}

bool app::stop_requested() noexcept { return stop_event().requested(); }

detail::stop_wait app::wait_for_stop() noexcept {
  return detail::stop_wait(current_app.load() ? &stop_event() : nullptr);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
