// SPDX-License-Identifier: BSD-3-Clause
#include "streams.hpp"

#include "peer.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace bench {
namespace {

// A device, and memory for both sides.
struct stream_world {
  stream_world(io_world& w, const stream_case& what, std::uint64_t chunks)
      : world(w), chunk(what.chunk), depth(what.depth), count(chunks) {
    if (what.device == "malloc") {
      const auto made = sio::block_on(
          world.thread(),
          sio::create_bdev(sio::malloc_bdev{.name = "streams0", .size = malloc_size}));
      if (!made && made.error() != std::errc::file_exists) must(made);
      device = must(sio::bdev_desc::open("streams0"));
      size = malloc_size;
    } else {
      device = world.disk();
      size = world.device_size();
    }
    disk = must(device.channel());
    size -= size % chunk;
    buffers = must(sio::dma_buffer::zeroed(chunk * depth));
    source = must(sio::dma_buffer::zeroed(chunk));
  }

  static constexpr std::uint64_t malloc_size = 64 << 20;

  io_world& world;
  std::size_t chunk;
  std::uint32_t depth;
  std::uint64_t count;
  std::uint64_t size = 0;
  sio::bdev_desc device;
  sio::io_channel disk;
  sio::dma_buffer buffers;
  sio::dma_buffer source;  // aligned: how fast it is copied depends on where it lies
  std::uint64_t next = 0;
};

// The next chunk, over and over the device; each pass over it is a range of its own.
bool take(stream_world& w, std::uint64_t& offset) {
  if (w.next == w.count) return false;
  offset = w.next++ * w.chunk % w.size;
  return true;
}

template <class Task>
void run(stream_world& w, std::uint32_t tasks, Task task) {
  sio::run_loop loop;
  auto polling =
      must(sio::poller_task(w.world.thread(), loop.get_executor(), sio::idle::spin{}, patient));
  sio::task_scope scope;
  w.next = 0;
  for (std::uint32_t i = 0; i < tasks; ++i) scope.spawn(task(w, i));
  while (scope.running() > 0) loop.run_one();
  must(sio::block_on(w.world.thread(), scope.join()));
  polling.stop();
}

sio::task<sio::result<void>> read_by_hand(stream_world& w, std::uint32_t number) {
  const sio::dma_span buffer = w.buffers.subspan(number * w.chunk, w.chunk);
  std::uint64_t offset = 0;
  while (take(w, offset)) {
    if (auto r = co_await w.disk.read(buffer, offset); !r) co_return r;
  }
  co_return sio::result<void>();
}

sio::task<sio::result<void>> read_by_stream(stream_world& w, std::uint32_t) {
  for (std::uint64_t left = w.count; left > 0;) {
    const std::uint64_t now = std::min(left, w.size / w.chunk);
    sio::read_stream in(w.disk, {.length = now * w.chunk, .chunk = w.chunk, .depth = w.depth});
    for (;;) {
      auto chunk = co_await in.next();
      if (!chunk) co_return std::unexpected(chunk.error());
      if (!*chunk) break;
      --left;
    }
  }
  co_return sio::result<void>();
}

sio::task<sio::result<void>> write_by_hand(stream_world& w, std::uint32_t number) {
  const sio::dma_span buffer = w.buffers.subspan(number * w.chunk, w.chunk);
  std::uint64_t offset = 0;
  while (take(w, offset)) {
    std::memcpy(buffer.data(), w.source.data(), w.chunk);
    if (auto r = co_await w.disk.write(buffer, offset); !r) co_return r;
  }
  co_return sio::result<void>();
}

sio::task<sio::result<void>> write_by_sink(stream_world& w, std::uint32_t) {
  for (std::uint64_t left = w.count; left > 0;) {
    const std::uint64_t now = std::min(left, w.size / w.chunk);
    sio::write_sink out(w.disk, {.length = now * w.chunk, .chunk = w.chunk, .depth = w.depth});
    for (std::uint64_t i = 0; i < now; ++i) {
      if (auto r = co_await out.send({w.source.data(), w.source.size()}); !r) co_return r;
    }
    if (auto r = co_await out.close(); !r) co_return r;
    left -= now;
  }
  co_return sio::result<void>();
}

using trips = sio::channel<std::uint64_t>;

// What comes back from over there; the end when its channel is closed.
sio::task<> echo(trips& there, trips::sender back) {
  for (;;) {
    auto each = co_await there.next();
    if (!each || !*each) break;
    if (auto r = co_await back.send(**each); !r) break;
  }
}

sio::task<sio::result<void>> go_there_and_back(trips& there, trips& back, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    if (auto r = co_await there.send(i); !r) co_return r;
    auto each = co_await back.next();
    if (!each) co_return std::unexpected(each.error());
    if (!*each || **each != i)
      throw std::runtime_error("a round trip came back with another number");
  }
  there.close();
  co_return sio::result<void>();
}

template <class Call>
sio::task<sio::result<void>> both_ways(Call echoing, sio::task<sio::result<void>> trips_here) {
  auto [over_there, here] = co_await sio::when_all(std::move(echoing), std::move(trips_here));
  co_return over_there ? here : over_there;
}

void channel_round_trips(io_world& world, peer& other, std::uint64_t count) {
  other.poll_as(polled_by::library);
  trips there(1);
  trips back(1);
  must(sio::run_until(world.thread(),
                      both_ways(other.ref().call([&] { return echo(there, back.get_sender()); }),
                                go_there_and_back(there, back, count)),
                      sio::idle::spin{}));
}

// SPDK's heap for DMA keeps what is freed. On lite it is the C library's, which would give a
// stream's memory back to the kernel, for the next stream to fetch it page by page.
void keep_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

}  // namespace

std::vector<stream_case> stream_cases() {
  std::vector<stream_case> out;
  for (std::uint32_t depth : {8u, 32u}) {
    out.push_back({.device = "null", .chunk = 4096, .depth = depth});
    out.push_back({.device = "malloc", .chunk = 64 << 10, .depth = depth});
  }
  return out;
}

std::vector<candidate> stream_candidates(io_world& world, const stream_case& what,
                                         std::uint64_t count) {
  keep_freed_memory();
  auto w = std::make_shared<stream_world>(world, what, count);
  return {{"read_by_hand", [w] { run(*w, w->depth, read_by_hand); }},
          {"read_stream", [w] { run(*w, 1, read_by_stream); }},
          {"write_by_hand", [w] { run(*w, w->depth, write_by_hand); }},
          {"write_sink", [w] { run(*w, 1, write_by_sink); }}};
}

std::vector<candidate> channel_candidates(io_world& world, std::uint64_t count) {
  auto other = std::make_shared<peer>();
  return {{"raw", [=, &world] { raw_round_trips(world, *other, count); }},
          {"channel", [=, &world] { channel_round_trips(world, *other, count); }}};
}

}  // namespace bench
