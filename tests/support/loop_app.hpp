// SPDX-License-Identifier: BSD-3-Clause
// What the tests of the loops' adapters run on them.
#pragma once

#include "spdk_test.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <utility>

namespace spdk_io_test {

inline constexpr sio::idle::backoff long_sleep{.spin_for = std::chrono::nanoseconds(0),
                                               .max_sleep = std::chrono::hours(1)};

inline sio::task<int> sleepy(int value) {
  auto r = co_await sio::sleep_for(std::chrono::microseconds(100));
  co_return r ? value : -1;
}

inline sio::task<sio::result<int>> sleeps_for_a_day() {
  auto slept = co_await sio::sleep_for(std::chrono::hours(24));
  if (!slept) co_return std::unexpected(slept.error());
  co_return 0;
}

// A fixed number of calls to another OS thread, of which each answer is a message to this one.
inline sio::task<int> call_often(const sio::thread_ref& other, int calls) {
  int total = 0;
  for (int i = 0; i < calls; ++i) {
    auto r = co_await other.call([] { return 1; });
    total += r.value();
  }
  co_return total;
}

// Keeps `depth` reads in flight, so that the thread is never idle, until it is stopped.
class saturation {
 public:
  explicit saturation(const sio::bdev_desc& disk) : disk_(&disk) {}

  sio::task<sio::result<void>> run(int depth) {
    sio::task_scope scope;
    for (int i = 0; i < depth; ++i) scope.spawn(reader());
    co_return co_await scope.join();
  }
  void stop() { stopped_ = true; }
  std::uint64_t reads() const { return reads_; }

 private:
  sio::task<sio::result<void>> reader() {
    auto buffer = must(sio::dma_buffer::allocate(4096));
    while (!stopped_) {
      if (auto r = co_await disk_->read(buffer, 0); !r) co_return r;
      ++reads_;
      if (reads_ == most_reads) {
        co_return std::unexpected(
            sio::error(std::errc::timed_out, sio::operation_kind::none, "nobody stopped it"));
      }
    }
    co_return sio::result<void>();
  }

  // Whatever else the loop has to do is done long before.
  static constexpr std::uint64_t most_reads = 5'000'000;

  const sio::bdev_desc* disk_;
  std::uint64_t reads_ = 0;
  bool stopped_ = false;
};

// Two connected sockets that do not block.
class socket_pair {
 public:
  socket_pair() {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds_.data()) != 0) {
      throw std::runtime_error("socketpair failed");
    }
  }
  socket_pair(const socket_pair&) = delete;
  socket_pair& operator=(const socket_pair&) = delete;
  ~socket_pair() {
    ::close(fds_[0]);
    ::close(fds_[1]);
  }

  int reading_end() const { return fds_[0]; }
  void send() { EXPECT_EQ(::write(fds_[1], "x", 1), 1); }
  void receive() {
    char c = 0;
    EXPECT_EQ(::read(fds_[0], &c, 1), 1);
  }

 private:
  std::array<int, 2> fds_{};
};

}  // namespace spdk_io_test
