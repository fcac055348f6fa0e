// SPDX-License-Identifier: BSD-3-Clause
// The job of `spdk-io verify` on its loop: make the device, write, settle, read back, check.
#pragma once

#include "failure.hpp"
#include "io_pass.hpp"
#include "pattern.hpp"
#include "periodic_timer.hpp"
#include "permutation.hpp"
#include "progress.hpp"
#include "test_file.hpp"
#include "verify_options.hpp"

#include <spdk_io/bdev.hpp>
#include <spdk_io/dma_buffer.hpp>
#include <spdk_io/spawned_thread.hpp>
#include <spdk_io/task.hpp>
#include <spdk_io/thread.hpp>

#include <asio/io_context.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

namespace spdk_io_tool {

// Thread: the loop's. Destroyed after run()'s task, and before the thread.
class verify_job {
 public:
  // All of it outlives the job. `file` is null for a device without one; the job stops early
  // once `stop_signal` is not 0. The options are complete().
  verify_job(asio::io_context& loop, spdk_io::thread& thread, const verify_options& options,
             const test_file* file, const int& stop_signal);

  // Fails if the job could not be done or was stopped; wrong data is no failure of the job.
  spdk_io::task<outcome<void>> run();

  // What came of it.
  const io_pass& write_pass() const noexcept { return write_; }
  const io_pass& read_pass() const noexcept { return read_; }
  const periodic_timer& timer() const noexcept { return timer_; }
  const pattern& data() const noexcept { return data_; }
  const spdk_io::bdev_info& device() const noexcept { return device_; }
  std::optional<bool> direct() const noexcept { return direct_; }
  std::chrono::nanoseconds settling() const noexcept { return settling_; }
  std::uint64_t memory_waits() const noexcept { return memory_waits_; }

 private:
  spdk_io::task<outcome<void>> use_device();
  spdk_io::task<outcome<void>> both_passes(const spdk_io::io_channel& disk,
                                           std::span<spdk_io::dma_buffer> buffers);
  spdk_io::task<outcome<void>> settle();
  outcome<void> settle_file() const;

  spdk_io::thread& thread_;
  const verify_options& options_;
  const test_file* file_;
  const int& stop_signal_;

  pattern data_;
  permutation order_;
  io_pass write_;
  io_pass read_;
  periodic_timer timer_;
  progress progress_;
  std::optional<spdk_io::spawned_thread> helper_;  // for calls that block

  spdk_io::bdev_info device_;
  std::optional<bool> direct_;
  std::chrono::nanoseconds settling_{};
  std::uint64_t memory_waits_ = 0;
};

}  // namespace spdk_io_tool
