// SPDX-License-Identifier: BSD-3-Clause
// Takes all bdev_ios that a thread can get, so that further I/O on it waits for one.
#pragma once

#include "world.hpp"

#include <algorithm>
#include <cstddef>
#include <list>
#include <optional>

namespace lifetimes {

// Of the process; few, so that they are soon taken.
constexpr unsigned pool_size = 24;
constexpr unsigned pool_cache = 1;  // of each thread

class memory_hog {
 public:
  // On thread `t`, which is acting, with zcopy on a device that has it. Polls nobody.
  void take_all(sio::thread& t, const sio::bdev_desc& from) {
    for (;;) {
      taken_.emplace_back(from.zcopy_read(0, 512));
      if (waiting(t) > 0) break;
    }
    taken_.pop_back();
  }
  // They complete by themselves, and are held then.
  std::size_t size() const noexcept { return taken_.size(); }
  void give_back() { taken_.clear(); }

 private:
  static std::size_t waiting(const sio::thread& t) {
    const auto all = t.operations();
    return static_cast<std::size_t>(std::ranges::count(
        all, sio::operation_state::waiting_for_memory, &sio::operation_info::state));
  }
  std::list<spdk_io_test::started<sio::zcopy_operation>> taken_;
};

}  // namespace lifetimes
