// SPDX-License-Identifier: BSD-3-Clause
// An error device passes an abort on as if its I/O had been split, and then waits for parts that
// there are not: the abort never completes. So neither it nor what is built on it can be asked.
#include "abort_support.hpp"

#include <spdk/bdev.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

std::string_view module_of(const spdk_bdev* bdev) noexcept {
  return spdk_bdev_get_module_name(bdev);
}

// Those that build on nothing, so that there is no need to look.
bool stands_alone(std::string_view module) noexcept {
  static constexpr std::array<std::string_view, 5> known = {"nvme", "malloc", "null", "uring",
                                                            "aio"};
  return std::ranges::find(known, module) != known.end();
}

struct search {
  const spdk_bdev* from;
  std::vector<const spdk_bdev*> error_devices;  // registered before it
};

int note_error_device(void* argument, spdk_bdev* each) noexcept {
  auto& s = *static_cast<search*>(argument);
  if (each == s.from) return 1;
  if (module_of(each) == "error") s.error_devices.push_back(each);
  return 0;
}

int forget_leaf(void* argument, spdk_bdev* each) noexcept {
  std::erase(static_cast<search*>(argument)->error_devices, each);
  return 0;
}

// SPDK does not say what a device is built on. But that was there before, and is no leaf.
bool may_be_above_an_error_device(const spdk_bdev* bdev) noexcept {
  search s{.from = bdev, .error_devices = {}};
  spdk_for_each_bdev(&s, note_error_device);
  if (!s.error_devices.empty()) spdk_for_each_bdev_leaf(&s, forget_leaf);
  return !s.error_devices.empty();
}

}  // namespace

bool can_abort(spdk_bdev* bdev) noexcept {
  if (!spdk_bdev_io_type_supported(bdev, SPDK_BDEV_IO_TYPE_ABORT)) return false;
  const std::string_view module = module_of(bdev);
  if (stands_alone(module)) return true;
  return module != "error" && !may_be_above_an_error_device(bdev);
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
