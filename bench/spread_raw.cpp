// SPDX-License-Identifier: BSD-3-Clause
#include "spread_io.hpp"

#include <spdk/bdev.h>
#include <spdk/thread.h>

#include <cstdint>
#include <vector>

namespace bench {
namespace {

struct opened {
  spdk_bdev_desc* desc;
  spdk_io_channel* channel;
};

struct raw_state {
  void* buffer;
  spread_load load;
  std::uint32_t running = 0;
};

struct raw_io {
  raw_state* state;
  const opened* devices;  // of its thread
  spread_load::place at;
};

void submit(raw_io& io);

void on_read(spdk_bdev_io* done, bool success, void* argument) {
  auto& io = *static_cast<raw_io*>(argument);
  raw_state& state = *io.state;
  spdk_bdev_free_io(done);
  if (!success) [[unlikely]]
    state.load.failed();
  if (state.load.take(io.at)) {
    submit(io);
  } else {
    --state.running;
  }
}

// Fewer are in flight than SPDK's pool holds, so that it is never out of memory.
void submit(raw_io& io) {
  raw_state& state = *io.state;
  const opened& device = io.devices[io.at.device];
  const int rc = spdk_bdev_read(device.desc, device.channel, state.buffer, io.at.offset,
                                io_world::io_size, on_read, &io);
  if (rc == 0) [[likely]]
    return;
  state.load.failed();
  --state.running;
}

std::vector<opened> devices_of(spread_world& world, std::uint32_t thread) {
  std::vector<opened> out;
  for (std::uint32_t i = 0; i < world.devices(); ++i) {
    out.push_back({world.disk(i).native_handle(), world.channels(thread)[i].native_handle()});
  }
  return out;
}

}  // namespace

void spread_raw(spread_world& world, spread_run run) {
  raw_state state{.buffer = world.buffer().data(), .load = {world, run.count}};
  std::vector<std::vector<opened>> devices;
  std::vector<spdk_thread*> threads;
  std::vector<raw_io> ios(std::size_t(run.depth) * world.threads());
  spdk_thread* const before = spdk_get_thread();
  std::size_t next = 0;
  for (std::uint32_t i = 0; i < world.threads(); ++i) {
    devices.push_back(devices_of(world, i));
    threads.push_back(world.thread(i).native_handle());
  }
  for (std::uint32_t i = 0; i < world.threads(); ++i) {
    spdk_set_thread(threads[i]);
    for (std::uint32_t k = 0; k < run.depth; ++k) {
      raw_io& io = ios[next++];
      io = {.state = &state, .devices = devices[i].data(), .at = {}};
      if (!state.load.take(io.at)) break;
      ++state.running;
      submit(io);
    }
  }
  spdk_set_thread(before);
  while (state.running > 0) {
    for (spdk_thread* thread : threads) spdk_thread_poll(thread, 0, 0);
  }
  state.load.check();
}

}  // namespace bench
