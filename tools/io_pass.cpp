// SPDX-License-Identifier: BSD-3-Clause
// The workers of a pass: each has one buffer and takes the next block when its last is done.
#include "io_pass.hpp"

#include <spdk_io/task_scope.hpp>

namespace spdk_io_tool {

namespace sio = spdk_io;

io_pass::clock::duration io_pass::elapsed() const noexcept {
  if (started_ == clock::time_point()) return {};
  return (ended_ == clock::time_point() ? clock::now() : ended_) - started_;
}

std::optional<std::uint64_t> io_pass::next_block() noexcept {
  if (next_ == plan_.blocks || failed_ || plan_.stop_signal != 0) return std::nullopt;
  const std::uint64_t index = next_++;
  return plan_.order ? (*plan_.order)[index] : index;
}

void io_pass::note(const mismatch& wrong) {
  ++mismatch_count_;
  if (mismatches_.size() < most_kept) mismatches_.push_back(wrong);
}

sio::task<sio::result<void>> io_pass::write(const sio::io_channel& disk,
                                            std::span<sio::dma_buffer> buffers) {
  return run(&io_pass::write_blocks, disk, buffers);
}

sio::task<sio::result<void>> io_pass::read(const sio::io_channel& disk,
                                           std::span<sio::dma_buffer> buffers) {
  return run(&io_pass::read_blocks, disk, buffers);
}

sio::task<sio::result<void>> io_pass::run(worker work, const sio::io_channel& disk,
                                          std::span<sio::dma_buffer> buffers) {
  sio::task_scope scope;
  started_ = clock::now();
  for (auto& buffer : buffers) scope.spawn((this->*work)(disk, buffer));
  auto joined = co_await scope.join();
  ended_ = clock::now();
  co_return joined;
}

sio::task<sio::result<void>> io_pass::write_blocks(const sio::io_channel& disk,
                                                   sio::dma_buffer& buffer) {
  while (auto block = next_block()) {
    plan_.data.fill(*block, buffer.bytes());
    const auto start = clock::now();
    auto written = co_await disk.write(buffer, *block * plan_.block_size);
    if (!written) {
      failed_ = true;
      co_return written;
    }
    latency_.record(clock::now() - start);
  }
  co_return sio::result<void>();
}

sio::task<sio::result<void>> io_pass::read_blocks(const sio::io_channel& disk,
                                                  sio::dma_buffer& buffer) {
  while (auto block = next_block()) {
    const auto start = clock::now();
    auto got = co_await disk.read(buffer, *block * plan_.block_size);
    if (!got) {
      failed_ = true;
      co_return got;
    }
    latency_.record(clock::now() - start);
    if (auto wrong = plan_.data.check(*block, buffer.bytes())) note(*wrong);
  }
  co_return sio::result<void>();
}

}  // namespace spdk_io_tool
