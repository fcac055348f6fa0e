// SPDX-License-Identifier: BSD-3-Clause
// An asio::io_context, for the conformance suite.
#pragma once

#include <spdk_io/adapters/asio.hpp>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

namespace spdk_io_test {

class loop_under_test {
 public:
  static constexpr std::string_view name = "asio";
  static constexpr bool watches_files = true;

  auto executor() { return spdk_io::adapters::asio::executor(context_); }
  bool run_one() { return context_.run_one() != 0; }
  void stop() { context_.stop(); }
  void restart() { context_.restart(); }
  void after(std::chrono::nanoseconds duration, std::function<void()> f) {
    auto timer = std::make_shared<asio::steady_timer>(context_, duration);
    timer->async_wait([timer, f = std::move(f)](const asio::error_code& e) {
      if (!e) f();
    });
  }
  void every(std::chrono::nanoseconds period, std::function<void()> f) {
    repeat(std::make_shared<asio::steady_timer>(context_, period), period, std::move(f));
  }
  // f() each time when `file` is readable. The file is the caller's.
  void watch(int file, std::function<void()> f) {
    auto own = std::make_shared<asio::posix::stream_descriptor>(context_, ::dup(file));
    wait(std::move(own), std::move(f));
  }

 private:
  static void repeat(std::shared_ptr<asio::steady_timer> timer, std::chrono::nanoseconds period,
                     std::function<void()> f) {
    auto& each = *timer;
    each.async_wait(
        [timer = std::move(timer), period, f = std::move(f)](const asio::error_code& e) mutable {
          if (e) return;
          f();
          timer->expires_after(period);
          repeat(std::move(timer), period, std::move(f));
        });
  }
  static void wait(std::shared_ptr<asio::posix::stream_descriptor> file, std::function<void()> f) {
    auto& each = *file;
    each.async_wait(asio::posix::stream_descriptor::wait_read,
                    [file = std::move(file), f = std::move(f)](const asio::error_code& e) mutable {
                      if (e) return;
                      f();
                      wait(std::move(file), std::move(f));
                    });
  }

  asio::io_context context_{1};
  // Else it would be out of work, and stopped, whenever there is nothing to wait for.
  asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
};

}  // namespace spdk_io_test
