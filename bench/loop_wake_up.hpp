// SPDX-License-Identifier: BSD-3-Clause
// How soon an idle loop is at work again: from the sending of a message on another OS thread until
// it runs, and from the submission of a read, which that message does, until it is complete.
#pragma once

#include "loop_world.hpp"
#include "must.hpp"
#include "samples.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <random>
#include <thread>
#include <utility>

namespace bench {

// Long enough for every policy to sleep as deeply as it does, and never the same: the beginning of
// a sleep must not decide where in it the message comes.
class idle_pause {
 public:
  void operator()() { std::this_thread::sleep_for(std::chrono::microseconds(range_(random_))); }

 private:
  std::minstd_rand random_;
  std::uniform_int_distribution<int> range_{5000, 7000};
};

// Runs the loop while another OS thread sends `count` messages, each when one(sent) has called
// done() for the one before, and a pause is over.
template <class Loop, class Policy, class One>
void with_messages(loop_world& world, std::size_t count, One one) {
  Loop loop;
  auto polling = must(sio::poller_task(world.thread(), loop.executor(), Policy()));
  std::atomic<std::size_t> done{0};
  bool over = false;
  const auto finished = [&] {
    over = done.fetch_add(1, std::memory_order_release) + 1 == count;
    done.notify_one();
  };
  std::jthread other([&, there = world.thread().ref()] {
    idle_pause pause;
    for (std::size_t sent = 0; sent < count; ++sent) {
      pause();
      must(there.send([&, at = std::chrono::steady_clock::now()] { one(at, finished); }));
      for (std::size_t seen = sent; seen == sent; seen = done.load(std::memory_order_acquire)) {
        done.wait(sent, std::memory_order_acquire);
      }
    }
  });
  while (!over) loop.run_one();
  polling.stop();
}

template <class Loop, class Policy>
nlohmann::json message_latency(loop_world& world, std::size_t count) {
  samples took(count);
  with_messages<Loop, Policy>(world, count, [&](auto sent, const auto& finished) {
    took.add(std::chrono::steady_clock::now() - sent);
    finished();
  });
  return std::move(took).summary();
}

template <class Loop, class Policy>
nlohmann::json read_latency(loop_world& world, std::size_t count) {
  samples took(count);
  sio::task_scope scope;
  const auto read = [&](const auto& finished) -> sio::task<sio::result<void>> {
    const auto submitted = std::chrono::steady_clock::now();
    auto r = co_await world.channel().read(world.buffer(), 0);
    took.add(std::chrono::steady_clock::now() - submitted);
    finished();
    co_return r;
  };
  with_messages<Loop, Policy>(world, count,
                              [&](auto, const auto& finished) { scope.spawn(read(finished)); });
  must(sio::block_on(world.thread(), scope.join()));
  return std::move(took).summary();
}

}  // namespace bench
