// SPDX-License-Identifier: BSD-3-Clause
// What loops are measured with: SPDK's environment, one thread, and a device of some kind, opened.
#pragma once

#include <spdk_io/spdk_io.hpp>

#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace bench {

namespace sio = spdk_io;

struct loop_device {
  std::string kind = "null";  // malloc, null, uring, aio; delay and error: on a malloc device
  std::string file;           // of uring and aio: it exists, and has a MiB or more
};

class loop_world {
 public:
  static constexpr std::uint64_t io_size = 4096;  // bytes

  // With interrupt_mode, which is the process's, idle threads may sleep in SPDK.
  loop_world(const loop_device& device, bool interrupt_mode);

  sio::thread& thread() noexcept { return thread_; }
  sio::io_channel& channel() noexcept { return channel_; }
  sio::dma_buffer& buffer() noexcept { return buffer_; }  // of io_size

 private:
  sio::env env_;
  sio::thread thread_;
  sio::bdev_desc disk_;
  sio::io_channel channel_;
  sio::dma_buffer buffer_;
};

}  // namespace bench
