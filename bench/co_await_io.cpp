// SPDX-License-Identifier: BSD-3-Clause
// The library as it is meant to be used: one coroutine for each I/O in flight.
#include "io_candidates.hpp"

#include <cstdint>
#include <utility>

namespace bench {
namespace {

sio::task<> reads(io_world& world, io_load& load) {
  sio::io_channel& disk = world.channel();
  std::uint64_t offset = 0;
  while (load.take(offset)) {
    if (auto r = co_await disk.read(world.buffer(), offset); !r) load.failed();
  }
}

template <class Prepare>
void run_coroutines(io_world& world, io_run run, Prepare prepare) {
  io_load load(world, run.count);
  sio::run_loop loop;
  auto polling =
      must(sio::poller_task(world.thread(), loop.get_executor(), sio::idle::spin{}, patient));
  sio::task_scope scope;
  for (std::uint32_t i = 0; i < run.depth; ++i) scope.spawn(prepare(reads(world, load)));
  while (scope.running() > 0) loop.run_one();
  polling.stop();
  load.check();
}

}  // namespace

void co_await_io(io_world& world, io_run run) {
  run_coroutines(world, run, [](sio::task<> each) { return sio::unstoppable(std::move(each)); });
}

// A scope gives what it runs a stop token of its own.
void co_await_stoppable(io_world& world, io_run run) {
  run_coroutines(world, run, [](sio::task<> each) { return each; });
}

}  // namespace bench
