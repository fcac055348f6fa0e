// SPDX-License-Identifier: BSD-3-Clause
// The baseline: what a C program does. No checks, no lists, one struct for each I/O in flight.
#include "io_candidates.hpp"

#include <spdk/bdev.h>
#include <spdk/thread.h>

#include <cerrno>
#include <cstdint>
#include <vector>

namespace bench {
namespace {

struct raw_state {
  spdk_bdev* bdev;
  spdk_bdev_desc* desc;
  spdk_io_channel* channel;
  void* buffer;
  io_load load;
  std::uint32_t running = 0;
};

struct raw_io {
  raw_state* state;
  std::uint64_t offset;
  spdk_bdev_io_wait_entry wait;  // only touched when SPDK has no memory left
};

void submit(raw_io& io);

void on_read(spdk_bdev_io* done, bool success, void* argument) {
  auto& io = *static_cast<raw_io*>(argument);
  raw_state& state = *io.state;
  spdk_bdev_free_io(done);
  if (!success) [[unlikely]]
    state.load.failed();
  if (state.load.take(io.offset)) {
    submit(io);
  } else {
    --state.running;
  }
}

[[gnu::cold]] void wait_for_memory(raw_io& io) {
  raw_state& state = *io.state;
  io.wait = {};
  io.wait.bdev = state.bdev;
  io.wait.cb_fn = [](void* argument) { submit(*static_cast<raw_io*>(argument)); };
  io.wait.cb_arg = &io;
  if (spdk_bdev_queue_io_wait(state.bdev, state.channel, &io.wait) != 0) {
    state.load.failed();
    --state.running;
  }
}

void submit(raw_io& io) {
  raw_state& state = *io.state;
  const int rc = spdk_bdev_read(state.desc, state.channel, state.buffer, io.offset,
                                io_world::io_size, on_read, &io);
  if (rc == 0) [[likely]]
    return;
  if (rc == -ENOMEM) return wait_for_memory(io);
  state.load.failed();
  --state.running;
}

}  // namespace

void raw_callbacks(io_world& world, io_run run) {
  spdk_thread* thread = world.thread().native_handle();
  raw_state state{.bdev = spdk_bdev_desc_get_bdev(world.disk().native_handle()),
                  .desc = world.disk().native_handle(),
                  .channel = world.channel().native_handle(),
                  .buffer = world.buffer().data(),
                  .load = {world, run.count}};
  std::vector<raw_io> ios(run.depth);
  for (raw_io& io : ios) {
    io.state = &state;
    if (!state.load.take(io.offset)) break;
    ++state.running;
    submit(io);
  }
  while (state.running > 0) spdk_thread_poll(thread, 0, 0);
  state.load.check();
}

}  // namespace bench
