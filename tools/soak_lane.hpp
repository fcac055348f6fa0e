// SPDX-License-Identifier: BSD-3-Clause
// The load of one thread on its part of one device: random operations, ended in every way.
#pragma once

#include "block_model.hpp"
#include "failure.hpp"
#include "soak_options.hpp"
#include "soak_stack.hpp"
#include "splitmix.hpp"
#include "stop_caller.hpp"

#include <spdk_io/bdev_desc.hpp>
#include <spdk_io/dma_buffer.hpp>
#include <spdk_io/local_stop_token.hpp>
#include <spdk_io/task.hpp>
#include <spdk_io/thread_ref.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace spdk_io_tool {

struct soak_counts {
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::uint64_t zeroes = 0;
  std::uint64_t copies = 0;
  std::uint64_t flushes = 0;

  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t removed = 0;    // the device was
  std::uint64_t destroyed = 0;  // in flight: nobody learnt how it ended

  std::uint64_t checked = 0;     // blocks that were read
  std::uint64_t wrong = 0;       // reads that brought what nobody wrote
  std::uint64_t unexpected = 0;  // errors without a cause

  std::uint64_t operations() const noexcept {
    return succeeded + failed + cancelled + timed_out + removed + destroyed;
  }
  soak_counts& operator+=(const soak_counts& other) noexcept;
};

// Thread: `home`'s, apart from the constructor and where it says so.
class soak_lane {
 public:
  // The references outlive it.
  soak_lane(const soak_options& options, const soak_shape& shape, block_range part,
            std::uint64_t seed, spdk_io::thread_ref home, stop_caller& other_thread,
            const std::atomic<bool>& ending);

  const spdk_io::thread_ref& home() const noexcept { return home_; }

  // Runs the load until `ending`.
  spdk_io::task<outcome<void>> run();

  // The device is there; `lost`: all of it is zero.
  void open(spdk_io::bdev_desc disk, bool lost);
  // It is no longer used when this ends, and its handle dropped.
  spdk_io::task<void> close();

  // Reads every block. Requires: run() has ended.
  spdk_io::task<outcome<void>> verify();

  const soak_counts& counts() const noexcept { return counts_; }
  const std::vector<std::string>& problems() const noexcept { return problems_; }  // the first few
  std::uint64_t ended() const noexcept { return ended_.load(std::memory_order_relaxed); }  // any

 private:
  enum class way { plain, limited, stopped, stopped_elsewhere, pending_destroyed, task_destroyed };
  enum class end { success, failure, unknown };

  spdk_io::task<void> work(spdk_io::dma_span buffer);
  spdk_io::task<void> one(const spdk_io::bdev_desc& disk, spdk_io::dma_span buffer);
  spdk_io::task<void> read(const spdk_io::bdev_desc& disk, spdk_io::dma_span into, block_range at);
  spdk_io::task<void> write(const spdk_io::bdev_desc& disk, spdk_io::dma_span from, block_range at);
  spdk_io::task<void> zero(const spdk_io::bdev_desc& disk, block_range at);
  spdk_io::task<void> copy(const spdk_io::bdev_desc& disk, block_range from, block_range room);

  // Awaits it in one of the ways, and counts how it ended.
  template <class Op>
  spdk_io::task<end> await(Op op);
  template <class Op>
  spdk_io::task<spdk_io::result<void>> stopped(Op op);
  template <class Op>
  spdk_io::task<spdk_io::result<void>> stopped_elsewhere(Op op);
  template <class Op>
  spdk_io::task<std::optional<spdk_io::result<void>>> pending_destroyed(Op op);
  template <class Op>
  spdk_io::task<std::optional<spdk_io::result<void>>> task_destroyed(Op op);
  spdk_io::task<void> wait_a_little();

  bool can_copy(const spdk_io::bdev_desc& disk) const noexcept;
  way choose_way() noexcept;
  end count(way how, const std::optional<spdk_io::result<void>>& result);
  bool has_a_cause(way how, const spdk_io::error& e) const noexcept;
  void stop_another();
  void problem(std::string text);
  bool one_in(std::uint64_t n) noexcept { return random_() % n == 0; }

  const soak_options& options_;
  soak_shape shape_;
  block_model model_;
  splitmix random_;
  spdk_io::thread_ref home_;
  stop_caller& other_thread_;
  const std::atomic<bool>& ending_;

  std::optional<spdk_io::bdev_desc> disk_;
  std::size_t busy_ = 0;                                // operations under way
  std::vector<spdk_io::local_stop_source*> stoppable_;  // of operations under way
  soak_counts counts_;
  std::vector<std::string> problems_;
  std::atomic<std::uint64_t> ended_ = 0;
};

}  // namespace spdk_io_tool
