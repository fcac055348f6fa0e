// SPDX-License-Identifier: BSD-3-Clause
// The steps of the job, one after the other.
#include "verify_job.hpp"

#include "splitmix.hpp"

#include <spdk_io/bdev_desc.hpp>
#include <spdk_io/bdev_options.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

namespace spdk_io_tool {

namespace sio = spdk_io;

namespace {

constexpr std::string_view device_name = "verify0";
constexpr std::chrono::milliseconds timer_period(1);

std::unexpected<failure> from(const sio::error& e) { return failed(e.message()); }

std::unexpected<failure> interrupted(int signal) {
  return std::unexpected(failure{exit_signal_base + signal, "interrupted"});
}

sio::task<sio::result<std::string>> make_device(const verify_options& o, const test_file* file) {
  if (o.device == device_kind::malloc) {
    return sio::create_bdev(sio::malloc_bdev{.name = device_name, .size = o.size});
  }
  // A block device knows its own; a file is as most disks would like it, where requests permit.
  std::uint32_t block = 0;
  if (!file->block_device()) block = o.block_size % 4096 == 0 ? 4096 : 512;
  if (o.device == device_kind::aio) {
    return sio::create_bdev(
        sio::aio_bdev{.name = device_name, .file = o.file, .block_size = block});
  }
  return sio::create_bdev(
      sio::uring_bdev{.name = device_name, .file = o.file, .block_size = block});
}

sio::result<std::vector<sio::dma_buffer>> make_buffers(const verify_options& o,
                                                       std::size_t alignment) {
  std::vector<sio::dma_buffer> out(std::min<std::uint64_t>(o.depth, o.blocks()));
  for (auto& buffer : out) {
    auto made = sio::dma_buffer::allocate(o.block_size, std::max<std::size_t>(alignment, 4096));
    if (!made) return std::unexpected(made.error());
    buffer = std::move(*made);
  }
  return out;
}

}  // namespace

verify_job::verify_job(asio::io_context& loop, sio::thread& thread, const verify_options& options,
                       const test_file* file, const int& stop_signal)
    : thread_(thread),
      options_(options),
      file_(file),
      stop_signal_(stop_signal),
      data_(options.seed.value_or(0), options.generation),
      order_(options.blocks(), mix(data_.seed() ^ data_.generation())),
      write_({.data = data_,
              .blocks = options.blocks(),
              .block_size = static_cast<std::uint32_t>(options.block_size),
              .stop_signal = stop_signal}),
      read_({.data = data_,
             .blocks = options.blocks(),
             .block_size = static_cast<std::uint32_t>(options.block_size),
             .order = &order_,
             .stop_signal = stop_signal}),
      timer_(loop, timer_period),
      progress_(loop) {}

sio::task<outcome<void>> verify_job::run() {
  auto made = co_await make_device(options_, file_);
  if (!made) co_return from(made.error());
  auto used = co_await use_device();
  progress_.clear();
  timer_.stop();
  memory_waits_ = thread_.statistics().memory_waits;
  auto deleted = co_await sio::delete_bdev(device_name);
  if (used && !deleted) co_return from(deleted.error());
  co_return used;
}

// Its handles are dropped when it ends: the device can be deleted then.
sio::task<outcome<void>> verify_job::use_device() {
  auto disk = sio::bdev_desc::open(device_name, sio::access::read_write);
  if (!disk) co_return from(disk.error());
  device_ = disk->bdev().info();
  if (file_) direct_ = file_->opened_direct();
  if (options_.block_size % device_.block_size != 0) {
    co_return refused(fmt::format("--block-size {} is not a multiple of the device's {}",
                                  options_.block_size, device_.block_size));
  }
  auto channel = disk->channel();
  if (!channel) co_return from(channel.error());
  auto buffers = make_buffers(options_, device_.alignment);
  if (!buffers) co_return from(buffers.error());
  timer_.start();
  auto passed = co_await both_passes(*channel, *buffers);
  co_return passed;
}

sio::task<outcome<void>> verify_job::both_passes(const sio::io_channel& disk,
                                                 std::span<sio::dma_buffer> buffers) {
  progress_.show("write", write_);
  auto written = co_await write_.write(disk, buffers);
  if (!written) co_return from(written.error());
  if (stop_signal_ != 0) co_return interrupted(stop_signal_);
  if (file_) {
    auto settled = co_await settle();
    if (!settled) co_return settled;
  }
  progress_.show("read", read_);
  auto got = co_await read_.read(disk, buffers);
  if (!got) co_return from(got.error());
  if (!read_.complete()) co_return interrupted(stop_signal_);
  co_return outcome<void>();
}

// On another thread: the loop, its timer and the progress line go on meanwhile.
sio::task<outcome<void>> verify_job::settle() {
  auto helper = sio::thread::spawn("files");
  if (!helper) co_return from(helper.error());
  helper_.emplace(std::move(*helper));
  const auto start = std::chrono::steady_clock::now();
  auto work = [this] { return settle_file(); };
  auto settled = co_await helper_->ref().call(work);
  settling_ = std::chrono::steady_clock::now() - start;
  helper_->request_stop();
  if (!settled) co_return from(settled.error());
  co_return *settled;
}

outcome<void> verify_job::settle_file() const {
  if (auto ok = file_->settle(); !ok || !options_.corrupt_block) return ok;
  const std::uint64_t byte = mix(data_.seed() + *options_.corrupt_block) % options_.block_size;
  return file_->flip_byte(*options_.corrupt_block * options_.block_size + byte);
}

}  // namespace spdk_io_tool
