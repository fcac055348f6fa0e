// SPDX-License-Identifier: BSD-3-Clause
// On an asio::io_context that the program owns, with both kinds of completion token.
#include "io_candidates.hpp"

#include <spdk_io/adapters/asio.hpp>

#include <cstdint>
#include <exception>

namespace bench {
namespace {

struct asio_state {
  io_world& world;
  io_load load;
  std::uint32_t running = 0;
};

struct on_read {
  asio_state* state;
  void operator()(sio::result<void> r) const {
    if (!r) state->load.failed();
    next();
  }
  void next() const {
    std::uint64_t offset = 0;
    if (!state->load.take(offset)) {
      --state->running;
      return;
    }
    state->world.channel().read(state->world.buffer(), offset).async(*this);
  }
};

asio::awaitable<void> reads(asio_state& state) {
  std::uint64_t offset = 0;
  while (state.load.take(offset)) {
    auto r = co_await state.world.channel()
                 .read(state.world.buffer(), offset)
                 .async(asio::use_awaitable);
    if (!r) state.load.failed();
  }
  --state.running;
}

template <class Start>
void run_on_asio(io_world& world, io_run run, Start start) {
  asio::io_context context(1);
  asio_state state{.world = world, .load = {world, run.count}};
  auto polling = must(sio::poller_task(world.thread(), sio::adapters::asio::executor(context),
                                       sio::idle::spin{}, patient));
  for (std::uint32_t i = 0; i < run.depth; ++i) {
    ++state.running;
    start(context, state);
  }
  while (state.running > 0) context.run_one();
  polling.stop();
  state.load.check();
}

}  // namespace

void asio_callbacks(io_world& world, io_run run) {
  run_on_asio(world, run, [](asio::io_context&, asio_state& state) { on_read{&state}.next(); });
}

void asio_use_awaitable(io_world& world, io_run run) {
  run_on_asio(world, run, [](asio::io_context& context, asio_state& state) {
    asio::co_spawn(context, reads(state), [](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
  });
}

}  // namespace bench
