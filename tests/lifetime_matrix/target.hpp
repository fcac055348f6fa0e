// SPDX-License-Identifier: BSD-3-Clause
// A device, for one case or a few, with what it takes to make its I/O behave as its kind does.
#pragma once

#include "devices.hpp"
#include "world.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace lifetimes {

constexpr std::size_t io_size = 1024;  // bytes

class target {
 public:
  // `number` makes names that no other case has.
  target(device kind, int number) : kind_(kind), base_("base" + std::to_string(number)) {
    const std::string n = std::to_string(number);
    const bool on_base = kind >= device::delay_hours;
    const bool is_error = kind >= device::error_fails;
    name_ = is_error ? "EE_" + base_ : on_base ? "delay" + n : base_;
  }

  const std::string& name() const noexcept { return name_; }

  sio::task<void> make(world& w) {
    using namespace spdk_io_test;
    constexpr std::uint64_t size = 1 << 16;
    switch (kind_) {
      case device::null:
        need(co_await w.complete(sio::create_bdev(sio::null_bdev{.name = base_, .size = size})));
        co_return;
      case device::uring:
      case device::aio: {
        folder_.emplace();
        const std::string file = folder_->file(base_, size);
        if (kind_ == device::uring) {
          need(co_await w.complete(
              sio::create_bdev(sio::uring_bdev{.name = base_, .file = file, .block_size = 512})));
        } else {
          need(co_await w.complete(
              sio::create_bdev(sio::aio_bdev{.name = base_, .file = file, .block_size = 512})));
        }
        co_return;
      }
      default: break;
    }
    need(co_await w.complete(
        sio::create_bdev(sio::malloc_bdev{.name = base_, .size = size, .block_size = 512})));
    if (kind_ == device::delay_hours) co_await make_delay(w, std::chrono::hours(1));
    if (kind_ == device::delay_short) co_await make_delay(w, std::chrono::microseconds(200));
    if (is_error()) {
      need(co_await w.complete(sio::create_bdev(sio::error_bdev{.base = base_})));
    }
  }

  // The next `count` reads and writes get the error of the device's kind.
  sio::task<void> inject(world& w, std::uint32_t count) {
    if (!is_error()) co_return;
    sio::injected_error e{.how = kind_ == device::error_fails   ? sio::inject_how::failure
                                 : kind_ == device::error_short ? sio::inject_how::no_memory
                                                                : sio::inject_how::pending,
                          .count = count};
    need(co_await w.complete(sio::inject_error(name_, e)));
  }

  // After a case: that it is of use.
  sio::task<sio::result<void>> probe(world& w, const sio::bdev_desc& disk, sio::dma_span buffer) {
    if (is_error()) need(co_await w.complete(sio::clear_errors(name_)));
    if (kind_ != device::delay_hours) co_return co_await w.complete(disk.read(buffer, 0));
    sio::local_stop_source stop;
    spdk_io_test::started reading(sio::with_stop_token(stop.get_token(), disk.read(buffer, 0)));
    co_await w.turns(20);
    stop.request_stop();
    co_await w.turn_until([&] { return reading.done(); });
    auto r = reading.take();
    if (!r && r.error() == std::errc::operation_canceled) r = {};
    co_return r;
  }

  // Requires: nobody has it open.
  sio::task<void> remove(world& w) {
    need(co_await w.complete(sio::delete_bdev(name_)));
    if (name_ != base_) need(co_await w.complete(sio::delete_bdev(base_)));
  }

  // Whether that may be the result of an I/O that nobody asked to stop.
  bool may_give(const sio::result<void>& r) const {
    switch (kind_) {
      case device::delay_hours: return false;
      case device::error_fails: return !r && r.error() == std::errc::io_error;
      case device::error_holds: return !r && r.error() == std::errc::operation_canceled;
      default: return r.has_value();
    }
  }

 private:
  bool is_error() const { return kind_ >= device::error_fails; }

  sio::task<void> make_delay(world& w, std::chrono::microseconds latency) {
    sio::delay_bdev options{.name = name_,
                            .base = base_,
                            .average_read = latency,
                            .p99_read = latency,
                            .average_write = latency,
                            .p99_write = latency};
    need(co_await w.complete(sio::create_bdev(options)));
  }

  device kind_;
  std::string base_;
  std::string name_;
  std::optional<spdk_io_test::temp_folder> folder_;
};

}  // namespace lifetimes
