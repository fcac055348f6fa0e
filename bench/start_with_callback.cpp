// SPDX-License-Identifier: BSD-3-Clause
// Code without coroutines: `pending`, an operation with its callback, in a place that the caller
// has. A callback makes the next one there.
#include "io_candidates.hpp"

#include <cstdint>
#include <deque>
#include <optional>

namespace bench {
namespace {

struct callback_state {
  io_world& world;
  io_load load;
  std::uint32_t running = 0;
};

class callback_io {
 public:
  explicit callback_io(callback_state& state) noexcept : state_(state) {}

  void next() {
    std::uint64_t offset = 0;
    if (!state_.load.take(offset)) {
      --state_.running;
      return;
    }
    pending_.emplace(state_.world.channel().read(state_.world.buffer(), offset), on_read{this});
    pending_->start();
  }

 private:
  struct on_read {
    callback_io* self;
    void operator()(sio::result<void> r) const {
      if (!r) self->state_.load.failed();
      self->next();
    }
  };

  callback_state& state_;
  std::optional<sio::pending<sio::io_operation, on_read>> pending_;
};

}  // namespace

void start_with_callback(io_world& world, io_run run) {
  callback_state state{.world = world, .load = {world, run.count}};
  std::deque<callback_io> ios;
  sio::run_loop loop;
  auto polling =
      must(sio::poller_task(world.thread(), loop.get_executor(), sio::idle::spin{}, patient));
  for (std::uint32_t i = 0; i < run.depth; ++i) {
    ++state.running;
    ios.emplace_back(state).next();
  }
  while (state.running > 0) loop.run_one();
  polling.stop();
  state.load.check();
}

}  // namespace bench
