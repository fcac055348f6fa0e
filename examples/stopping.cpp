// SPDX-License-Identifier: BSD-3-Clause
// Ending I/O early: time limits, stop tokens, scopes. The device is one that takes an hour.
#include <spdk_io/spdk_io.hpp>

#include <chrono>
#include <iostream>
#include <stop_token>
#include <thread>

namespace sio = spdk_io;
using namespace std::chrono_literals;

// [timeout]
sio::task<void> limited(const sio::bdev_desc& disk, sio::dma_span block) {
  auto r = co_await sio::with_timeout(disk.read(block, 0), 5ms);
  // SPDK has let go of the block here, whatever r says.
  if (!r && r.error() == std::errc::timed_out) std::cout << r.error() << '\n';
}
// [/timeout]

// [default]
sio::task<sio::result<void>> limited_throughout(sio::dma_span block) {
  auto disk =
      sio::bdev_desc::open("slow", {.timeout = 5ms});  // each I/O that has no limit of its own
  if (!disk) co_return std::unexpected(disk.error());
  co_return co_await disk->read(block, 4096);
}
// [/default]

// [task]
// A task follows a token in all that it awaits, and hands it on to the tasks that it awaits.
sio::task<sio::result<void>> copy_block(const sio::bdev_desc& disk, sio::dma_span block,
                                        std::uint64_t from, std::uint64_t to) {
  if (auto r = co_await disk.read(block, from); !r) co_return r;
  co_return co_await disk.write(block, to);
}

sio::task<void> stopped_by_another_thread(const sio::bdev_desc& disk, sio::dma_span block) {
  std::stop_source stop;  // the standard's own: the request may be made on any thread
  std::jthread other([&] { stop.request_stop(); });
  auto r = co_await sio::with_stop_token(stop.get_token(), copy_block(disk, block, 8192, 0));
  if (!r && r.error() == std::errc::operation_canceled) std::cout << "stopped\n";
}
// [/task]

// [scope]
sio::task<sio::result<void>> failing() {
  co_return std::unexpected(sio::error(std::errc::io_error, sio::operation_kind::none, "enough"));
}

// The first failure asks the rest to stop; join() comes when all have ended.
sio::task<sio::result<void>> side_by_side(const sio::bdev_desc& disk, sio::dma_span blocks) {
  sio::task_scope scope;
  for (std::uint64_t i = 0; i < 8; ++i) {
    scope.spawn(disk.read(blocks.subspan(i * 4096, 4096), i * 4096));
  }
  scope.spawn(failing());
  co_return co_await scope.join();
}
// [/scope]

// [unstoppable]
// What must be done also when the task is asked to stop, and what may be given up.
sio::task<sio::result<void>> session(const sio::bdev_desc& log, const sio::bdev_desc& disk,
                                     sio::dma_span block) {
  auto r = co_await disk.read(block, 0);
  if (auto end = co_await sio::unstoppable(log.write(block, 0)); !end) co_return end;
  std::cout << "the log has its last block\n";
  co_return r;
}
// [/unstoppable]

sio::task<sio::result<void>> app() {
  auto base = co_await sio::create_bdev(
      sio::malloc_bdev{.name = "disk0", .size = 1 << 20, .block_size = 4096});
  if (!base) co_return std::unexpected(base.error());
  auto slow = co_await sio::create_bdev(
      sio::delay_bdev{.name = "slow", .base = *base, .average_read = 1h, .average_write = 1h});
  if (!slow) co_return std::unexpected(slow.error());
  auto made = co_await sio::create_bdev(sio::malloc_bdev{.name = "log", .size = 1 << 20});
  if (!made) co_return std::unexpected(made.error());
  auto disk = sio::bdev_desc::open("slow").value();
  auto log = sio::bdev_desc::open("log").value();
  auto blocks = sio::dma_buffer::zeroed(8 * 4096).value();
  auto block = blocks.first(4096);

  co_await limited(disk, block);
  if (auto r = co_await limited_throughout(block); !r) std::cout << r.error() << '\n';
  co_await stopped_by_another_thread(disk, block);
  if (auto r = co_await side_by_side(disk, blocks); !r) std::cout << r.error() << '\n';
  auto r = co_await sio::with_timeout(session(log, disk, block), 5ms);
  if (!r) std::cout << r.error() << '\n';
  co_return sio::result<void>();
}

int main() {
  auto env = sio::env::start({.name = "stopping", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  auto r = sio::run_until(thread, app());
  if (!r) std::cerr << r.error() << '\n';
  return r ? 0 : 1;
}
