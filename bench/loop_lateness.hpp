// SPDX-License-Identifier: BSD-3-Clause
// How late the application's own repeating timer of a millisecond comes: each time from the one
// before it on, less the millisecond. Below zero, a loop makes up for one that was late.
#pragma once

#include "loop_throughput.hpp"
#include "loop_world.hpp"
#include "must.hpp"
#include "samples.hpp"

#include <sys/resource.h>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace bench {

class ticks {
 public:
  static constexpr std::chrono::milliseconds period{1};

  explicit ticks(std::size_t count) : count_(count), late_(count) {}

  void operator()() {
    const auto now = std::chrono::steady_clock::now();
    const auto since = now - before_;
    before_ = now;
    if (++seen_ == dropped) preempted_ = preemptions();
    if (seen_ <= dropped || enough()) return;
    late_.add(since - period);
    if (enough()) preempted_ = preemptions() - preempted_;
  }
  bool enough() const noexcept { return late_.size() == count_; }
  nlohmann::json summary() && {
    nlohmann::json out = std::move(late_).summary();
    out["preempted"] = preempted_;
    return out;
  }

 private:
  static constexpr std::size_t dropped = 10;  // while all begins

  // How often this OS thread had to give its core to somebody else.
  static long preemptions() noexcept {
    rusage all{};
    ::getrusage(RUSAGE_THREAD, &all);
    return all.ru_nivcsw;
  }

  std::size_t count_;
  std::size_t seen_ = 0;
  long preempted_ = 0;
  std::chrono::steady_clock::time_point before_;
  samples late_;
};

inline sio::task<sio::result<void>> reads_until_enough(loop_world& world, const ticks& timer,
                                                       std::uint64_t& reads) {
  while (!timer.enough()) {
    if (auto r = co_await world.channel().read(world.buffer(), 0); !r) co_return r;
    ++reads;
  }
  co_return sio::result<void>();
}

inline sio::task<sio::result<void>> saturate(loop_world& world, const ticks& timer,
                                             std::uint64_t& reads) {
  sio::task_scope scope;
  for (std::uint32_t i = 0; i < loop_depth; ++i) {
    scope.spawn(sio::unstoppable(reads_until_enough(world, timer, reads)));
  }
  co_return co_await scope.join();
}

template <class Loop, class Policy>
nlohmann::json lateness_under_io(loop_world& world, std::size_t count) {
  Loop loop;
  ticks timer(count);
  loop.every(ticks::period, [&] { timer(); });
  std::uint64_t reads = 0;
  must(sio::run_until(loop.executor(), world.thread(), saturate(world, timer, reads), Policy()));
  nlohmann::json out = std::move(timer).summary();
  out["reads"] = reads;
  return out;
}

// The measure: a loop that has nothing else to do, and waits for its timer.
template <class Loop>
nlohmann::json lateness_alone(std::size_t count) {
  Loop loop;
  ticks timer(count);
  loop.every(ticks::period, [&] { timer(); });
  while (!timer.enough()) loop.run_one();
  return std::move(timer).summary();
}

}  // namespace bench
