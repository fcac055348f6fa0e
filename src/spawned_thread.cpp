// SPDX-License-Identifier: BSD-3-Clause
// The life of a spawned thread.
#include <spdk_io/spawned_thread.hpp>

#include "concat.hpp"

#include <spdk_io/detail/fatal.hpp>
#include <spdk_io/run_until.hpp>

#include <future>
#include <string>
#include <system_error>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

task<void> nothing() { co_return; }

using main_function = std::move_only_function<task<void>(thread&, std::stop_token)>;

// Runs main to its end, and the loop until a stop is requested as well.
void serve(thread& t, main_function& main, std::stop_token stop) {
  run_loop loop;
  auto polling = poller_task(t, loop.get_executor()).value();
  detail::outcome<void> outcome;
  auto root = detail::run_into<task<void>>(main ? main(t, stop) : nothing(), outcome);
  // The callback runs on the thread that requests the stop; it wakes this one, which may sleep.
  std::stop_callback wake(stop, [&loop] { loop.post([] {}); });
  root.start();
  for (;;) {
    if (outcome.exception()) std::rethrow_exception(outcome.exception());
    if (outcome.done() && stop.stop_requested()) break;
    loop.run_one();
  }
  polling.stop();
  detail::drain(t);
}

}  // namespace

result<spawned_thread> spawned_thread::start(std::string_view name, main_function main) {
  std::promise<result<thread_ref>> promise;
  auto ready = promise.get_future();
  auto body = [label = std::string(name), main = std::move(main),
               promise = std::move(promise)](std::stop_token stop) mutable {
    auto t = thread::attach(label);
    if (!t) {
      promise.set_value(std::unexpected(t.error()));
      return;
    }
    promise.set_value(t->ref());
    try {
      serve(*t, main, std::move(stop));
    } catch (...) {
      detail::fatal_exception(detail::concat("thread \"", label, '"'));
    }
  };
  try {
    std::jthread os_thread(std::move(body));
    auto ref = ready.get();
    if (!ref) return std::unexpected(ref.error());
    return spawned_thread(std::move(*ref), std::move(os_thread));
  } catch (const std::system_error& e) {
    return std::unexpected(error(std::errc{e.code().value()}, operation_kind::attach_thread,
                                 detail::concat("thread \"", name, "\": ", e.what())));
  }
}

void spawned_thread::request_stop() noexcept { os_thread_.request_stop(); }

void spawned_thread::join() noexcept {
  if (!os_thread_.joinable()) return;
  request_stop();
  os_thread_.join();
}

result<spawned_thread> thread::spawn(std::string_view name) {
  return spawned_thread::start(name, nullptr);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
