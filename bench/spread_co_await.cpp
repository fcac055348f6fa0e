// SPDX-License-Identifier: BSD-3-Clause
#include "spread_io.hpp"

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

namespace bench {
namespace {

sio::task<> reads(sio::dma_buffer& buffer, std::vector<sio::io_channel>& channels,
                  spread_load& load) {
  spread_load::place at{};
  while (load.take(at)) {
    if (auto r = co_await channels[at.device].read(buffer, at.offset); !r) load.failed();
  }
}

template <class Prepare>
void run_coroutines(spread_world& world, spread_run run, Prepare prepare) {
  spread_load load(world, run.count);
  sio::run_loop loop;
  std::deque<sio::task_scope> scopes;  // a thread's coroutines end on it
  std::vector<sio::running_poller_task<sio::run_loop::executor>> polling;
  auto start = [&](std::uint32_t thread, sio::task_scope& scope) -> sio::task<> {
    for (std::uint32_t i = 0; i < run.depth; ++i) {
      scope.spawn(prepare(reads(world.buffer(), world.channels(thread), load)));
    }
    co_return;
  };
  for (std::uint32_t i = 0; i < world.threads(); ++i) {
    sio::block_on(world.thread(i), start(i, scopes.emplace_back()));
    polling.push_back(
        must(sio::poller_task(world.thread(i), loop.get_executor(), sio::idle::spin{}, patient)));
  }
  for (sio::task_scope& scope : scopes) {
    while (scope.running() > 0) loop.run_one();
  }
  polling.clear();
  load.check();
}

}  // namespace

void spread_co_await(spread_world& world, spread_run run) {
  run_coroutines(world, run, [](sio::task<> each) { return sio::unstoppable(std::move(each)); });
}

void spread_co_await_stoppable(spread_world& world, spread_run run) {
  run_coroutines(world, run, [](sio::task<> each) { return each; });
}

}  // namespace bench
