// SPDX-License-Identifier: BSD-3-Clause
// Senders: connect() and start() into a place that the caller has, with a receiver that cannot be
// stopped. Its completion connects the next one there. In whichever words of std::execution.
#include "io_candidates.hpp"

#include <spdk_io/adapters/execution.hpp>

#include <cstdint>
#include <deque>
#include <optional>

namespace bench {
namespace {

namespace words = sio::adapters::execution::vocabulary;

struct sender_state {
  io_world& world;
  io_load load;
  std::uint32_t running = 0;
};

class sender_io {
 public:
  explicit sender_io(sender_state& state) noexcept : state_(state) {}

  void next() {
    std::uint64_t offset = 0;
    if (!state_.load.take(offset)) {
      --state_.running;
      return;
    }
    reading_.emplace(connected{state_.world, offset, this});
    words::start(*reading_);
  }

 private:
  struct receiver {
    using receiver_concept = words::receiver_tag;
    sender_io* self;
    void set_value() noexcept { self->next(); }
    void set_error(const sio::error&) noexcept {
      self->state_.load.failed();
      self->next();
    }
    void set_stopped() noexcept { set_error(sio::error()); }
  };
  using reading = words::connect_result_t<sio::io_operation, receiver>;

  // An operation state is not moved: this becomes one where it is to be.
  struct connected {
    io_world& world;
    std::uint64_t offset;
    sender_io* self;
    operator reading() const {
      return words::connect(world.channel().read(world.buffer(), offset), receiver{self});
    }
  };

  sender_state& state_;
  std::optional<reading> reading_;
};

}  // namespace

void senders(io_world& world, io_run run) {
  sender_state state{.world = world, .load = {world, run.count}};
  std::deque<sender_io> ios;
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
