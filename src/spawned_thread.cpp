// SPDX-License-Identifier: BSD-3-Clause
// The life of a spawned thread.
#include <spdk_io/spawned_thread.hpp>

#include "affinity.hpp"
#include "concat.hpp"
#include "thread_registry.hpp"

#include <spdk_io/detail/fatal.hpp>
#include <spdk_io/run_until.hpp>

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <variant>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

task<void> nothing() { co_return; }

using main_function = std::move_only_function<task<void>(thread&, std::stop_token)>;

using polling = running_poller_task<run_loop::executor>;

result<polling> start_polling(thread& t, run_loop& loop, const idle_policy& policy) {
  return std::visit([&](const auto& p) { return poller_task(t, loop.get_executor(), p); }, policy);
}

// Runs main to its end, and the loop until a stop is requested as well.
void serve(thread& t, run_loop& loop, polling& task, main_function& main, std::stop_token stop) {
  detail::outcome<void> outcome;
  auto root = detail::run_into<spdk_io::task<void>>(main ? main(t, stop) : nothing(), outcome);
  // The callback runs on the thread that requests the stop; it wakes this one, which may sleep.
  std::stop_callback wake(stop, [&loop] { loop.post([] {}); });
  root.start();
  for (;;) {
    if (outcome.exception()) std::rethrow_exception(outcome.exception());
    if (outcome.done() && stop.stop_requested()) break;
    loop.run_one();
  }
  task.stop();
  detail::drain(t);
}

error not_started(std::string_view name, const std::system_error& e) {
  return error(std::errc{e.code().value()}, operation_kind::attach_thread,
               detail::concat("thread \"", name, "\": ", e.what()));
}

error cannot_run_there(std::string_view name, const std::vector<std::uint32_t>& cores, int why) {
  std::string text = detail::concat("thread \"", name, "\": cannot run on core");
  for (std::uint32_t core : cores) text += detail::concat(' ', core);
  return error(std::errc{why}, operation_kind::attach_thread,
               detail::concat(text, ": ", std::generic_category().message(why)));
}

class at_end {
 public:
  explicit at_end(std::atomic<bool>& told) noexcept : told_(told) {}
  at_end(const at_end&) = delete;
  at_end& operator=(const at_end&) = delete;
  ~at_end() { told_.store(true, std::memory_order_release); }

 private:
  std::atomic<bool>& told_;
};

}  // namespace

result<spawned_thread> spawned_thread::start(std::string_view name, main_function main,
                                             idle_policy policy, std::vector<std::uint32_t> cores) {
  auto ended = std::make_shared<std::atomic<bool>>(false);
  std::promise<result<thread_ref>> promise;
  auto ready = promise.get_future();
  auto body = [label = std::string(name), main = std::move(main), policy, cores = std::move(cores),
               promise = std::move(promise), ended](std::stop_token stop) mutable {
    const at_end tell(*ended);  // last of all
    // Before anything is allocated, so that its memory is near.
    if (const int why = detail::affinity::narrow(cores); why != 0) {
      promise.set_value(std::unexpected(cannot_run_there(label, cores, why)));
      return;
    }
    auto t = thread::attach(label);
    if (!t) {
      promise.set_value(std::unexpected(t.error()));
      return;
    }
    std::optional<run_loop> loop;
    try {
      loop.emplace();
    } catch (const std::system_error& e) {
      promise.set_value(std::unexpected(not_started(label, e)));
      return;
    }
    auto task = start_polling(*t, *loop, policy);
    if (!task) {
      promise.set_value(std::unexpected(task.error()));
      return;
    }
    promise.set_value(t->ref());
    try {
      serve(*t, *loop, *task, main, std::move(stop));
    } catch (...) {
      detail::fatal_exception(detail::concat("thread \"", label, '"'));
    }
  };
  try {
    std::jthread os_thread(std::move(body));
    auto ref = ready.get();
    if (!ref) return std::unexpected(ref.error());
    return spawned_thread(std::move(*ref), std::move(ended), std::move(os_thread));
  } catch (const std::system_error& e) {
    return std::unexpected(not_started(name, e));
  }
}

void spawned_thread::request_stop() noexcept { os_thread_.request_stop(); }

void spawned_thread::join() noexcept {
  if (!os_thread_.joinable()) return;
  if (is_this_os_thread()) {
    detail::fatal(detail::concat("thread \"", ref_.name(),
                                 "\" was joined on its own OS thread, and would wait for itself"));
  }
  request_stop();
  // What ends there may wait for what must be given back here: a channel of a device opened there.
  while (detail::has_local_threads() && !ended_->load(std::memory_order_acquire)) {
    detail::poll_local_threads();
    std::this_thread::yield();
  }
  os_thread_.join();
}

result<spawned_thread> thread::spawn(std::string_view name, idle_policy policy) {
  return spawned_thread::start(name, nullptr, policy);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
