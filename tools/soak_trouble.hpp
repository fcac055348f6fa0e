// SPDX-License-Identifier: BSD-3-Clause
// What goes wrong with one device while it is in use: errors, resets, removals.
#pragma once

#include "failure.hpp"
#include "soak_lane.hpp"
#include "soak_options.hpp"
#include "soak_stack.hpp"
#include "splitmix.hpp"

#include <spdk_io/bdev_desc.hpp>
#include <spdk_io/task.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace spdk_io_tool {

struct trouble_counts {
  std::uint64_t injections = 0;
  std::uint64_t resets = 0;
  std::uint64_t removals = 0;
  std::uint64_t from_below = 0;  // of these, with a device below it
  trouble_counts& operator+=(const trouble_counts& other) noexcept;
};

// Owns the descriptor; the lanes get copies. Thread: the one that first runs a task of it.
class soak_trouble {
 public:
  // The references outlive it. `lanes`: of all threads, for this device.
  soak_trouble(const soak_options& options, soak_stack& stack, std::vector<soak_lane*> lanes,
               std::uint64_t seed, const std::atomic<bool>& ending);

  // Makes the device, hands it to the lanes, and makes trouble until `ending`. Leaves the device
  // open in the lanes, without errors to come.
  spdk_io::task<outcome<void>> run();

  // Takes it from the lanes and removes it for good.
  spdk_io::task<outcome<void>> finish();

  const trouble_counts& counts() const noexcept { return counts_; }

 private:
  spdk_io::task<spdk_io::result<void>> open();
  spdk_io::task<spdk_io::result<void>> one();
  spdk_io::task<spdk_io::result<void>> inject();
  spdk_io::task<spdk_io::result<void>> reset();
  spdk_io::task<spdk_io::result<void>> remove_and_make_again();
  spdk_io::task<spdk_io::result<void>> take_back();

  const soak_options& options_;
  soak_stack& stack_;
  std::vector<soak_lane*> lanes_;
  splitmix random_;
  const std::atomic<bool>& ending_;
  std::optional<spdk_io::bdev_desc> disk_;
  trouble_counts counts_;
};

}  // namespace spdk_io_tool
