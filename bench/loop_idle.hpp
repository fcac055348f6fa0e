// SPDX-License-Identifier: BSD-3-Clause
// What the process costs while there is nothing to do: a device is open, its channel is there, and
// no I/O is in flight.
#pragma once

#include "loop_world.hpp"
#include "must.hpp"

#include <nlohmann/json.hpp>

#include <sys/resource.h>

#include <chrono>
#include <ctime>
#include <thread>

namespace bench {

// Of the process, all its threads.
struct usage {
  std::chrono::steady_clock::time_point time;
  std::chrono::nanoseconds cpu{0};
  long waits = 0;  // how often a thread of it went to sleep

  static usage now() {
    rusage all{};
    ::getrusage(RUSAGE_SELF, &all);
    timespec cpu{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    return {.time = std::chrono::steady_clock::now(),
            .cpu = std::chrono::seconds(cpu.tv_sec) + std::chrono::nanoseconds(cpu.tv_nsec),
            .waits = all.ru_nvcsw};
  }
};

// `cpu` is the part of one core. The first 0.3 s are left out: the policy takes its time to sleep.
template <class Loop, class Policy>
nlohmann::json idle_cost(loop_world& world, std::chrono::duration<double> how_long) {
  Loop loop;
  auto polling = must(sio::poller_task(world.thread(), loop.executor(), Policy()));
  usage begin;
  usage end;
  bool over = false;
  std::jthread other([&, there = world.thread().ref()] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    must(there.send([&] { begin = usage::now(); }));
    std::this_thread::sleep_for(how_long);
    must(there.send([&] {
      end = usage::now();
      over = true;
    }));
  });
  while (!over) loop.run_one();
  polling.stop();
  const std::chrono::duration<double> time = end.time - begin.time;
  const std::chrono::duration<double> cpu = end.cpu - begin.cpu;
  return {{"seconds", time.count()},
          {"cpu", cpu / time},
          {"waits_per_second", static_cast<double>(end.waits - begin.waits) / time.count()}};
}

}  // namespace bench
