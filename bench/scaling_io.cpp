// SPDX-License-Identifier: BSD-3-Clause
// Reads with raw callbacks, and with the library.
#include "scaling_io.hpp"

#include <spdk/bdev.h>
#include <spdk/thread.h>

#include <atomic>
#include <cstdint>
#include <vector>

namespace bench {
namespace {

struct raw_state {
  scaling_lane& lane;
  spdk_bdev_desc* desc;
  spdk_io_channel* channel;
  void* buffer;
  std::uint32_t running = 0;
};

struct raw_io {
  raw_state* state;
  std::uint64_t offset;
};

void submit(raw_io& io);

void on_read(spdk_bdev_io* done, bool success, void* argument) {
  auto& io = *static_cast<raw_io*>(argument);
  raw_state& state = *io.state;
  spdk_bdev_free_io(done);
  if (!success) [[unlikely]]
    state.lane.failed();
  if (state.lane.take(io.offset)) {
    submit(io);
  } else {
    --state.running;
  }
}

// The pool has bdev_ios for all.
void submit(raw_io& io) {
  raw_state& state = *io.state;
  const int rc = spdk_bdev_read(state.desc, state.channel, state.buffer, io.offset,
                                scaling_lane::io_size, on_read, &io);
  if (rc == 0) [[likely]]
    return;
  state.lane.failed();
  --state.running;
}

void run_raw(scaling_lane& lane, scaling_run run) {
  spdk_thread* thread = spdk_get_thread();
  raw_state state{.lane = lane,
                  .desc = lane.disk().native_handle(),
                  .channel = lane.channel().native_handle(),
                  .buffer = lane.buffer().data()};
  lane.begin(run.count);
  std::vector<raw_io> ios(run.depth);
  for (raw_io& io : ios) {
    io.state = &state;
    if (!lane.take(io.offset)) break;
    ++state.running;
    submit(io);
  }
  while (state.running > 0) spdk_thread_poll(thread, 0, 0);
}

sio::task<> reads(scaling_lane& lane) {
  sio::io_channel& disk = lane.channel();
  std::uint64_t offset = 0;
  while (lane.take(offset)) {
    if (auto r = co_await disk.read(lane.buffer(), offset); !r) lane.failed();
  }
}

std::atomic<std::uint64_t> shared_count{0};

sio::task<> counted_reads(scaling_lane& lane) {
  sio::io_channel& disk = lane.channel();
  std::uint64_t offset = 0;
  while (lane.take(offset)) {
    if (auto r = co_await disk.read(lane.buffer(), offset); !r) lane.failed();
    shared_count.fetch_add(1, std::memory_order_relaxed);
  }
}

sio::task<void> run_coroutines(scaling_lane& lane, scaling_run run,
                               sio::task<> (*one)(scaling_lane&)) {
  lane.begin(run.count);
  sio::task_scope scope;
  for (std::uint32_t i = 0; i < run.depth; ++i) scope.spawn(sio::unstoppable(one(lane)));
  if (auto r = co_await scope.join(); !r) lane.failed();
}

}  // namespace

sio::task<void> scaling_raw(scaling_lane& lane, scaling_run run) {
  run_raw(lane, run);
  co_return;
}

sio::task<void> scaling_co_await(scaling_lane& lane, scaling_run run) {
  return run_coroutines(lane, run, reads);
}

sio::task<void> scaling_shared(scaling_lane& lane, scaling_run run) {
  return run_coroutines(lane, run, counted_reads);
}

}  // namespace bench
