// SPDX-License-Identifier: BSD-3-Clause
// A boost::asio::io_context, for the conformance suite.
#pragma once

#include <spdk_io/adapters/boost_asio.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

namespace spdk_io_test {

class loop_under_test {
  using descriptor = boost::asio::posix::stream_descriptor;

 public:
  static constexpr std::string_view name = "boost_asio";
  static constexpr bool watches_files = true;

  auto executor() { return spdk_io::adapters::boost_asio::executor(context_); }
  bool run_one() { return context_.run_one() != 0; }
  void stop() { context_.stop(); }
  void restart() { context_.restart(); }
  void after(std::chrono::nanoseconds duration, std::function<void()> f) {
    auto timer = std::make_shared<boost::asio::steady_timer>(context_, duration);
    timer->async_wait([timer, f = std::move(f)](const boost::system::error_code& e) {
      if (!e) f();
    });
  }
  void every(std::chrono::nanoseconds period, std::function<void()> f) {
    repeat(std::make_shared<boost::asio::steady_timer>(context_, period), period, std::move(f));
  }
  // f() each time when `file` is readable. The file is the caller's.
  void watch(int file, std::function<void()> f) {
    wait(std::make_shared<descriptor>(context_, ::dup(file)), std::move(f));
  }

 private:
  static void repeat(std::shared_ptr<boost::asio::steady_timer> timer,
                     std::chrono::nanoseconds period, std::function<void()> f) {
    auto& each = *timer;
    each.async_wait([timer = std::move(timer), period,
                     f = std::move(f)](const boost::system::error_code& e) mutable {
      if (e) return;
      f();
      timer->expires_after(period);
      repeat(std::move(timer), period, std::move(f));
    });
  }
  static void wait(std::shared_ptr<descriptor> file, std::function<void()> f) {
    auto& each = *file;
    each.async_wait(descriptor::wait_read, [file = std::move(file), f = std::move(f)](
                                               const boost::system::error_code& e) mutable {
      if (e) return;
      f();
      wait(std::move(file), std::move(f));
    });
  }

  boost::asio::io_context context_{1};
  // Else it would be out of work, and stopped, whenever there is nothing to wait for.
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      context_.get_executor()};
};

}  // namespace spdk_io_test
