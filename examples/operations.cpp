// SPDX-License-Identifier: BSD-3-Clause
// What a device can do besides reading and writing, what SPDK counts of it, and what is under way.
#include <spdk_io/spdk_io.hpp>

#include <algorithm>
#include <array>
#include <iostream>
#include <string_view>

namespace sio = spdk_io;

void put(sio::dma_span block, std::string_view text) {
  std::ranges::fill(block, std::byte(0));
  std::ranges::copy(std::as_bytes(std::span(text)), block.begin());
}

// [ranges]
sio::task<sio::result<void>> ranges(const sio::bdev_desc& disk) {
  if (auto r = co_await disk.write_zeroes(0, 1 << 20); !r) co_return r;  // bytes: offset, length
  if (auto r = co_await disk.unmap_blocks(0, 256); !r) co_return r;      // blocks: first, count
  // A struct, so that from and to cannot be mistaken for one another.
  if (auto r = co_await disk.copy({.from = 0, .to = 65536, .length = 4096}); !r) co_return r;
  co_return co_await disk.flush(0, 1 << 20);
}
// [/ranges]

// [compare]
// The device decides who gets the lease: it writes only what still was as we think.
sio::task<sio::result<bool>> take_lease(const sio::bdev_desc& disk, sio::dma_span free,
                                        sio::dma_span mine) {
  auto r = co_await disk.compare_and_write(free, mine, 0);
  if (r) co_return true;
  if (r.error() == std::errc::illegal_byte_sequence) co_return false;  // a miscompare
  co_return std::unexpected(r.error());
}
// [/compare]

// [vectored]
// A header and a payload that lie apart in memory, as one write.
sio::task<sio::result<void>> append(const sio::bdev_desc& disk, sio::dma_span header,
                                    sio::dma_span payload, std::uint64_t offset) {
  const std::array parts = {header, payload};
  co_return co_await disk.writev(parts, offset);
}
// [/vectored]

// [zcopy]
// In the device's own memory, without a copy, where it lends it (malloc devices do).
sio::task<sio::result<void>> fill_in_place(const sio::bdev_desc& disk) {
  auto lent = co_await disk.zcopy_write(8192, 4096);
  if (!lent) co_return std::unexpected(lent.error());
  for (sio::dma_span part : lent->parts()) std::ranges::fill(part, std::byte(0xa5));
  co_return co_await lent->commit();  // dropped instead, nothing is promised to have changed
}
// [/zcopy]

// [watch]
sio::task<sio::result<void>> watch(const sio::bdev_desc& disk, sio::dma_span block) {
  if (auto r = co_await sio::enable_histogram(disk); !r) co_return r;
  auto limits = co_await sio::set_qos(disk, {.iops = 1'000'500});
  if (!limits) co_return std::unexpected(limits.error());
  std::cout << "limit: " << limits->iops << " I/Os a second\n";  // SPDK rounds up

  // From here on: SPDK's own modules have read the new device, to see what is on it.
  auto before = co_await sio::device_statistics(disk, sio::statistics_reset::all);
  if (!before) co_return std::unexpected(before.error());
  for (int i = 0; i < 100; ++i) {
    if (auto r = co_await disk.read(block, 0); !r) co_return r;
  }
  auto counted = co_await sio::device_statistics(disk);
  if (!counted) co_return std::unexpected(counted.error());
  auto latencies = co_await sio::device_histogram(disk);
  if (!latencies) co_return std::unexpected(latencies.error());
  std::cout << counted->read.count << " reads, " << counted->read.bytes << " bytes; "
            << latencies->count() << " latencies, p99 "
            << (latencies->percentile(0.99).count() > 0 ? "known" : "unknown") << '\n';
  co_return sio::result<void>();
}
// [/watch]

// [list]
// When something hangs: what this thread has started and not heard of.
void print_what_is_under_way() {
  auto here = sio::thread::current();
  if (!here) return;
  auto operations = here->operations();
  if (!operations) return;
  for (const auto& each : *operations) std::cout << each << '\n';
}
// [/list]

sio::task<sio::result<void>> app() {
  auto made = co_await sio::create_bdev(
      sio::malloc_bdev{.name = "disk0", .size = 4 << 20, .block_size = 4096});
  if (!made) co_return std::unexpected(made.error());
  auto disk = sio::bdev_desc::open("disk0");
  if (!disk) co_return std::unexpected(disk.error());
  auto memory = sio::dma_buffer::zeroed(2 * 4096);
  if (!memory) co_return std::unexpected(memory.error());
  const auto first = memory->first(4096);
  const auto second = memory->subspan(4096, 4096);

  if (auto r = co_await ranges(*disk); !r) co_return r;

  put(second, "mine");
  for (int attempt = 1; attempt <= 2; ++attempt) {
    auto taken = co_await take_lease(*disk, first, second);
    if (!taken) co_return std::unexpected(taken.error());
    std::cout << "attempt " << attempt << ": " << (*taken ? "taken" : "held by another") << '\n';
  }
  if (auto r = co_await append(*disk, first, second, 16384); !r) co_return r;
  if (auto r = co_await fill_in_place(*disk); !r) co_return r;
  if (auto r = co_await watch(*disk, first); !r) co_return r;

  sio::task_scope scope;
  scope.spawn([](const sio::bdev_desc& d, sio::dma_span into) -> sio::task<sio::result<void>> {
    co_return co_await d.read(into, 8192);
  }(*disk, first));
  print_what_is_under_way();
  co_return co_await scope.join();
}

int main() {
  auto env = sio::env::start({.name = "operations", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  auto r = sio::run_until(thread, app());
  if (!r) std::cerr << r.error() << '\n';
  return r ? 0 : 1;
}
