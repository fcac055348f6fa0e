// SPDX-License-Identifier: BSD-3-Clause
// For bad times and busy ones: try again, bound what is in flight, and reuse a pool of buffers.
#include <spdk_io/spdk_io.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <vector>

namespace sio = spdk_io;
using namespace std::chrono_literals;

// [retry]
// A write at an offset may be done twice, so it may be tried again.
sio::task<sio::result<void>> write_block(const sio::bdev_desc& disk, sio::const_dma_span block,
                                         std::uint64_t offset) {
  auto write = [&] { return disk.write(block, offset); };
  co_return co_await sio::retry(write, {.attempts = 3, .first_delay = 1ms, .max_delay = 100ms});
}
// [/retry]

// [one]
// Any number of these may be spawned: they wait for a buffer, then for their turn at the device.
sio::task<sio::result<void>> fill_block(const sio::bdev_desc& disk, sio::dma_pool& pool,
                                        sio::in_flight_limiter& limiter, std::uint64_t number) {
  auto block = co_await pool.allocate();
  if (!block) co_return std::unexpected(block.error());
  std::ranges::fill(*block, static_cast<std::byte>(number));
  auto permit = co_await limiter.acquire(1, block->size());
  if (!permit) co_return std::unexpected(permit.error());
  co_return co_await write_block(disk, *block, number * block->size());
}  // permit and buffer go to whoever waited longest
// [/one]

// [many]
sio::task<sio::result<void>> fill(const sio::bdev_desc& disk, std::uint64_t blocks) {
  auto pool = sio::dma_pool::create({.buffers = 8, .size = 4096});
  if (!pool) co_return std::unexpected(pool.error());
  sio::in_flight_limiter limiter({.ios = 4, .bytes = 1 << 20});
  sio::task_scope scope;
  for (std::uint64_t i = 0; i < blocks; ++i) scope.spawn(fill_block(disk, *pool, limiter, i));
  co_return co_await scope.join();  // the first error asks the others to stop
}
// [/many]

// [shed]
// Where waiting is no use: say no at once, or after a while.
sio::task<sio::result<void>> when_all_are_out(sio::dma_pool& pool) {
  std::vector<sio::pooled_buffer> out;
  while (auto buffer = pool.try_allocate()) out.push_back(std::move(*buffer));
  auto late = co_await sio::with_timeout(pool.allocate(), 1ms);
  if (!late) co_return std::unexpected(late.error());
  co_return sio::result<void>();
}
// [/shed]

sio::task<sio::result<void>> app() {
  auto made = co_await sio::create_bdev(
      sio::malloc_bdev{.name = "disk0", .size = 1 << 20, .block_size = 4096});
  if (!made) co_return std::unexpected(made.error());
  auto failing = co_await sio::create_bdev(sio::error_bdev{.base = *made});
  if (!failing) co_return std::unexpected(failing.error());
  auto disk = sio::bdev_desc::open(*failing);
  if (!disk) co_return std::unexpected(disk.error());

  auto few = co_await sio::inject_error(*failing, {.on = sio::inject_on::write, .count = 3});
  if (!few) co_return few;
  auto filled = co_await fill(*disk, 200);
  std::cout << "with 3 errors: " << (filled ? "done" : filled.error().message()) << '\n';

  auto many = co_await sio::inject_error(*failing, {.on = sio::inject_on::write, .count = 1000});
  if (!many) co_return many;
  auto pool = sio::dma_pool::create({.buffers = 2, .size = 4096});
  if (!pool) co_return std::unexpected(pool.error());
  {
    auto block = co_await pool->allocate();
    if (!block) co_return std::unexpected(block.error());
    auto r = co_await write_block(*disk, *block, 8192);
    std::cout << "with 1000: " << (r ? "done" : r.error().message()) << '\n';
  }
  auto served = co_await when_all_are_out(*pool);
  std::cout << (served ? "a third one of two" : served.error().message()) << '\n';
  co_return sio::result<void>();
}

int main() {
  auto env = sio::env::start({.name = "resilience", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  auto r = sio::run_until(thread, app());
  if (!r) std::cerr << r.error() << '\n';
  return r ? 0 : 1;
}
