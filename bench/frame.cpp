// SPDX-License-Identifier: BSD-3-Clause
// How large the frame of a coroutine is that waits for I/O: a plain loop of reads with one await,
// and with further ones. Prints bytes, as JSON; nothing is started.
#include "counted_malloc.hpp"
#include "io_world.hpp"

#include <cstdio>

namespace {

namespace sio = spdk_io;

sio::task<> one_await(sio::io_channel& disk, sio::dma_buffer& buffer, bench::io_load& load) {
  std::uint64_t offset = 0;
  while (load.take(offset)) {
    if (auto r = co_await disk.read(buffer, offset); !r) load.failed();
  }
}

sio::task<> two_awaits(sio::io_channel& disk, sio::dma_buffer& buffer, bench::io_load& load) {
  std::uint64_t offset = 0;
  while (load.take(offset)) {
    if (auto r = co_await disk.read(buffer, offset); !r) load.failed();
    if (auto r = co_await disk.write(buffer, offset); !r) load.failed();
  }
}

sio::task<> three_awaits(sio::io_channel& disk, sio::dma_buffer& buffer, bench::io_load& load) {
  std::uint64_t offset = 0;
  while (load.take(offset)) {
    if (auto r = co_await disk.read(buffer, offset); !r) load.failed();
    if (auto r = co_await disk.write(buffer, offset); !r) load.failed();
    if (auto r = co_await disk.flush(offset, bench::io_world::io_size); !r) load.failed();
  }
}

// Not started, so nothing of the world is touched.
template <class F>
unsigned long long frame_of(F* coroutine) {
  alignas(sio::io_channel) static std::byte disk[sizeof(sio::io_channel)];
  static sio::dma_buffer buffer;
  alignas(bench::io_load) static std::byte load[sizeof(bench::io_load)];
  allocated = 0;
  measuring = true;
  {
    // Through a pointer that may change: else Clang sees that the frame is not needed.
    F* volatile unknown = coroutine;
    auto task = unknown(reinterpret_cast<sio::io_channel&>(disk), buffer,
                        reinterpret_cast<bench::io_load&>(load));
    measuring = false;
  }
  return allocated;
}

}  // namespace

int main() {
  std::printf("{\"operation\": %zu, \"one\": %llu, \"two\": %llu, \"three\": %llu}\n",
              sizeof(sio::io_operation), frame_of(one_await), frame_of(two_awaits),
              frame_of(three_awaits));
}
