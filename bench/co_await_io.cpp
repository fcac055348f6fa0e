// SPDX-License-Identifier: BSD-3-Clause
// The library as it is meant to be used: one coroutine for each I/O in flight.
#include "io_candidates.hpp"

namespace bench {
namespace {

sio::task<> reads(io_world& world, io_load& load) {
  sio::io_channel& disk = world.channel();
  std::uint64_t offset = 0;
  while (load.take(offset)) {
    if (auto r = co_await disk.read(world.buffer(), offset); !r) load.failed();
  }
}

// A scope gives what it runs a stop token of its own.
sio::task<sio::result<void>> without_token(io_world& world, io_load& load, std::uint32_t depth) {
  sio::task_scope scope;
  for (std::uint32_t i = 0; i < depth; ++i) scope.spawn(sio::unstoppable(reads(world, load)));
  co_return co_await scope.join();
}

sio::task<sio::result<void>> with_token(io_world& world, io_load& load, std::uint32_t depth) {
  sio::task_scope scope;
  for (std::uint32_t i = 0; i < depth; ++i) scope.spawn(reads(world, load));
  co_return co_await scope.join();
}

}  // namespace

void co_await_io(io_world& world, io_run run) {
  io_load load(world, run.count);
  must(sio::run_until(world.thread(), without_token(world, load, run.depth), sio::idle::spin{}));
  load.check();
}

void co_await_stoppable(io_world& world, io_run run) {
  io_load load(world, run.count);
  must(sio::run_until(world.thread(), with_token(world, load, run.depth), sio::idle::spin{}));
  load.check();
}

}  // namespace bench
