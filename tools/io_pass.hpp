// SPDX-License-Identifier: BSD-3-Clause
// One pass over all blocks of the test, writing or reading, with many requests in flight.
#pragma once

#include "latency_histogram.hpp"
#include "pattern.hpp"
#include "permutation.hpp"

#include <spdk_io/dma_buffer.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/io_channel.hpp>
#include <spdk_io/task.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace spdk_io_tool {

// A pass and what came of it. The workers share it; nothing is allocated for an I/O.
// Thread: the loop's. It must outlive the task that run() returns.
class io_pass {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr std::size_t most_kept = 8;  // mismatches kept in full; all are counted

  struct plan {
    const pattern& data;
    std::uint64_t blocks = 0;
    std::uint32_t block_size = 0;        // bytes: of a request
    const permutation* order = nullptr;  // null: ascending
    const int& stop_signal;              // nonzero: start no more I/O
  };
  explicit io_pass(const plan& p) : plan_(p) { mismatches_.reserve(most_kept); }

  // Writes every block, or reads and checks every block, with one request in flight for each
  // buffer. Ends early, after what is in flight, when stopped or at the first failed I/O, which
  // is the result.
  spdk_io::task<spdk_io::result<void>> write(const spdk_io::io_channel& disk,
                                             std::span<spdk_io::dma_buffer> buffers);
  spdk_io::task<spdk_io::result<void>> read(const spdk_io::io_channel& disk,
                                            std::span<spdk_io::dma_buffer> buffers);

  std::uint64_t blocks() const noexcept { return plan_.blocks; }
  std::uint64_t done() const noexcept { return latency_.count(); }  // blocks
  std::uint64_t bytes_done() const noexcept { return done() * plan_.block_size; }
  bool complete() const noexcept { return done() == plan_.blocks; }
  clock::duration elapsed() const noexcept;  // until now, or its end
  const latency_histogram& latency() const noexcept { return latency_; }

  std::uint64_t mismatch_count() const noexcept { return mismatch_count_; }
  std::span<const mismatch> mismatches() const noexcept { return mismatches_; }  // the first few

 private:
  using worker = spdk_io::task<spdk_io::result<void>> (io_pass::*)(const spdk_io::io_channel&,
                                                                   spdk_io::dma_buffer&);

  spdk_io::task<spdk_io::result<void>> run(worker work, const spdk_io::io_channel& disk,
                                           std::span<spdk_io::dma_buffer> buffers);
  spdk_io::task<spdk_io::result<void>> write_blocks(const spdk_io::io_channel& disk,
                                                    spdk_io::dma_buffer& buffer);
  spdk_io::task<spdk_io::result<void>> read_blocks(const spdk_io::io_channel& disk,
                                                   spdk_io::dma_buffer& buffer);
  std::optional<std::uint64_t> next_block() noexcept;
  void note(const mismatch& wrong);

  plan plan_;
  std::uint64_t next_ = 0;
  bool failed_ = false;
  clock::time_point started_{};
  clock::time_point ended_{};
  latency_histogram latency_;
  std::uint64_t mismatch_count_ = 0;
  std::vector<mismatch> mismatches_;
};

}  // namespace spdk_io_tool
