// A device shared out among threads: each fills and verifies a part of its own, by its own channel,
// with several requests in flight.
#include <spdk_io/spdk_io.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <span>
#include <utility>
#include <vector>

namespace sio = spdk_io;

constexpr std::size_t chunk = 16;  // blocks of one request
constexpr std::size_t depth = 8;   // requests in flight on each thread

// What block `number` has to hold.
void stamp(std::span<std::byte> block, std::uint64_t number) {
  std::ranges::fill(block, static_cast<std::byte>(number * 31 % 251));
}

bool has_stamps(std::span<const std::byte> blocks, std::uint64_t first, std::size_t block_size) {
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::uint64_t number = first + i / block_size;
    if (blocks[i] != static_cast<std::byte>(number * 31 % 251)) return false;
  }
  return true;
}

// [lane]
// One of the requests in flight: every depth-th chunk of the part, filled and read back. Returns
// how many of its blocks held what they should.
sio::task<sio::result<std::uint64_t>> lane(sio::io_channel& disk, sio::shard part,
                                           std::uint64_t number) {
  const std::size_t block = disk.block_size();
  auto buffer = sio::dma_buffer::allocate(chunk * block, 4096);
  if (!buffer) co_return std::unexpected(buffer.error());
  std::uint64_t good = 0;
  for (std::uint64_t at = number * chunk; at < part.count; at += depth * chunk) {
    const std::uint64_t first = part.first + at;
    const std::uint64_t blocks = std::min<std::uint64_t>(chunk, part.count - at);
    auto data = std::span(buffer->data(), blocks * block);
    for (std::uint64_t i = 0; i < blocks; ++i) stamp(data.subspan(i * block, block), first + i);
    if (auto r = co_await disk.write_blocks(*buffer, first, blocks); !r) {
      co_return std::unexpected(r.error());
    }
    std::ranges::fill(data, std::byte(0));
    if (auto r = co_await disk.read_blocks(*buffer, first, blocks); !r) {
      co_return std::unexpected(r.error());
    }
    if (has_stamps(data, first, block)) good += blocks;
  }
  co_return good;
}
// [/lane]

// [part]
// Runs on each thread of the pool, with that thread's channel.
sio::task<sio::result<std::uint64_t>> fill_and_verify(sio::io_channel& disk, sio::shard part) {
  std::vector<sio::task<sio::result<std::uint64_t>>> lanes;
  for (std::uint64_t i = 0; i < depth; ++i) lanes.push_back(lane(disk, part, i));
  std::uint64_t good = 0;
  for (auto& each : co_await sio::when_all(std::move(lanes))) {
    if (!each) co_return std::unexpected(each.error());
    good += *each;
  }
  co_return good;
}
// [/part]

// [spread]
sio::task<sio::result<void>> app() {
  auto made = co_await sio::create_bdev(
      sio::malloc_bdev{.name = "disk0", .size = 8'191 * 512, .block_size = 512});
  if (!made) co_return std::unexpected(made.error());
  auto disk = sio::bdev_desc::open("disk0");
  if (!disk) co_return std::unexpected(disk.error());
  auto pool = sio::thread_pool::start({.threads = 3, .name = "worker"});  // 0: one for each core
  if (!pool) co_return std::unexpected(pool.error());

  const std::uint64_t blocks = disk->bdev().block_count();
  auto verify = [&](sio::io_channel& channel, std::size_t index) {
    return fill_and_verify(channel, sio::shard_of(blocks, pool->size(), index));
  };
  auto each = co_await pool->spread(*disk, verify);
  for (std::size_t i = 0; i < each.size(); ++i) {
    const sio::shard part = sio::shard_of(blocks, pool->size(), i);
    std::cout << (*pool)[i].name() << ": blocks " << part.first << " to " << part.end() - 1 << ", ";
    if (!each[i]) co_return std::unexpected(each[i].error());
    std::cout << *each[i] << " verified\n";
  }

  // Where there is nothing to bring back: the first failure stops the others, and is what comes
  // out.
  auto unmap = [](sio::io_channel& channel, sio::shard part) -> sio::task<sio::result<void>> {
    co_return co_await channel.unmap_blocks(part.first, part.count);
  };
  co_return co_await pool->for_each_shard(*disk, blocks, unmap);
}
// [/spread]

int main() {
  auto env = sio::env::start({.name = "sharding", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  auto r = sio::run_until(thread, app());
  if (!r) std::cerr << r.error() << '\n';
  return r ? 0 : 1;
}
