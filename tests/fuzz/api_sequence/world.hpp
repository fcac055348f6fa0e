// SPDX-License-Identifier: BSD-3-Clause
// Devices, threads and operations of one input, and the steps that it takes with them.
#pragma once

#include "device.hpp"
#include "fuzz.hpp"
#include "running.hpp"

#include <spdk_io/spdk_io.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace fuzz {

class world {
 public:
  world(environment& env, reader& in) : env_(env), in_(in) {}

  void step();
  // Drops everything in an order that the input says, and sees that nothing is left.
  void end();

 private:
  // Kinds of steps.
  void create(device& d);
  void open(device& d);
  void close(device& d);
  void toggle_channel(device& d);
  void remove(device& d);
  void resize(device& d);
  void inject(device& d);
  void wait_for_event(device& d);
  void read(device& d);
  void write(device& d);
  void zero(device& d, bool unmap);
  void copy(device& d);
  void flush(device& d);
  void reset(device& d);
  void read_on_second(device& d);
  void read_in_scope(device& d);
  void read_with_retry(device& d);
  void take_buffer();
  void take_permit();
  void sleep();
  void toggle_second();
  void drop_second();
  void poll();

  device& any_device() { return devices_[in_.u8() % devices_.size()]; }
  running* any_operation();
  block_states::range any_range();
  // Bytes: mostly a range of blocks, sometimes anything.
  struct extent {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    bool bad = false;
    block_states::range blocks() const;
  };
  extent any_extent(const device& d, std::uint64_t most);
  bool room(const device& d, std::uint64_t ios) const;

  // Starts it in some manner; `what` makes the operation from what is kept.
  template <class Keep, class Make>
  running& start(excuses may, std::unique_ptr<Keep> keep, Make what);
  template <class Keep, class Make>
  void start_io(device& d, bool bad, std::unique_ptr<Keep> keep, Make what);
  template <class F>
  auto through(const device& d, F f);  // f(descriptor or channel)

  environment& env_;
  reader& in_;
  std::array<device, 5> devices_ = {device(0), device(1), device(2), device(3), device(4)};
  std::uint64_t writer_ = 0;
  std::optional<sio::thread> second_;
  std::optional<sio::dma_pool> pool_;
  std::optional<sio::in_flight_limiter> limiter_;
  std::vector<sio::pooled_buffer> buffers_;
  std::vector<sio::in_flight_limiter::permit> permits_;
  std::vector<std::unique_ptr<running>> deletions_;  // which wait until all is closed
  std::vector<std::unique_ptr<running>> operations_;
};

}  // namespace fuzz
