// SPDX-License-Identifier: BSD-3-Clause
// Making and removing the layers, some of which come and go by themselves.
#include "soak_stack.hpp"

#include <spdk_io/bdev.hpp>
#include <spdk_io/bdev_options.hpp>
#include <spdk_io/sleep_for.hpp>
#include <spdk_io/stacked_bdev_options.hpp>

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <utility>

namespace spdk_io_tool {

namespace sio = spdk_io;
using namespace std::chrono_literals;

namespace {

constexpr std::array shapes = {
    soak_shape{.errors = true}, soak_shape{.on_file = true, .delays = true},
    soak_shape{.errors = true, .delays = true}, soak_shape{.on_file = true}};

bool exists(const std::string& name) { return sio::bdev::find(name).has_value(); }

// Drops the name, for creation in steps that are alike.
sio::task<sio::result<void>> without_name(sio::task<sio::result<std::string>> creation) {
  auto made = co_await std::move(creation);
  if (!made) co_return std::unexpected(made.error());
  co_return sio::result<void>();
}

}  // namespace

soak_shape shape_of(std::size_t number, const soak_options& options) noexcept {
  soak_shape out = shapes[number % shapes.size()];
  if (!options.stacked()) out.errors = out.delays = false;
  return out;
}

std::string to_string(const soak_shape& shape) {
  return fmt::format("{}{}{}", shape.on_file ? "uring" : "malloc", shape.errors ? "+error" : "",
                     shape.delays ? "+delay" : "");
}

soak_stack::soak_stack(const soak_options& options, std::size_t number, std::string file)
    : options_(options), shape_(shape_of(number, options)), file_(std::move(file)) {
  names_.push_back(fmt::format("soak{}", number));
  if (shape_.errors) names_.push_back("EE_" + names_.back());
  if (shape_.delays) names_.push_back(fmt::format("delay{}", number));
}

sio::task<sio::result<bool>> soak_stack::create() {
  const bool lost = !shape_.on_file && !exists(names_.front());
  for (std::size_t layer = 0; layer < names_.size(); ++layer) {
    if (exists(names_[layer])) continue;
    if (auto made = co_await make(layer); made)
      continue;
    else if (made.error() != std::errc::file_exists &&
             made.error() != std::errc::device_or_resource_busy) {
      co_return std::unexpected(made.error());
    }
    // A delay device is there again by itself once what it was built on is.
    while (!exists(names_[layer])) co_await sio::sleep_for(100us);
  }
  co_return lost;
}

sio::task<sio::result<void>> soak_stack::make(std::size_t layer) {
  if (layer == 0) {
    const auto block = static_cast<std::uint32_t>(soak_options::block_size);
    if (shape_.on_file) {
      return without_name(
          sio::create_bdev(sio::uring_bdev{.name = names_[0], .file = file_, .block_size = block}));
    }
    return without_name(sio::create_bdev(
        sio::malloc_bdev{.name = names_[0], .size = options_.size, .block_size = block}));
  }
  if (shape_.errors && layer == 1) {
    return without_name(sio::create_bdev(sio::error_bdev{.base = names_[0]}));
  }
  return without_name(sio::create_bdev(sio::delay_bdev{.name = names_[layer],
                                                       .base = names_[layer - 1],
                                                       .average_read = 10us,
                                                       .p99_read = 200us,
                                                       .average_write = 20us,
                                                       .p99_write = 400us}));
}

sio::task<sio::result<void>> soak_stack::remove(std::size_t layer) {
  if (auto gone = co_await sio::delete_bdev(names_[layer]); !gone) co_return gone;
  // Those above take a moment longer.
  for (std::size_t above = layer + 1; above < names_.size(); ++above) {
    while (exists(names_[above])) co_await sio::sleep_for(100us);
  }
  co_return sio::result<void>();
}

}  // namespace spdk_io_tool
