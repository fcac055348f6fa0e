// SPDX-License-Identifier: BSD-3-Clause
// Devices built on other devices, made at run time with typed options: for tests of what a
// program does when storage is slow or fails, and for sharing one device.
#pragma once

#include <spdk_io/error.hpp>
#include <spdk_io/task.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI {

// As for other kinds, the texts are views, which need to live until create_bdev() has returned
// its task. `base` names the device below. It must exist and nothing may be built on it yet: its
// module claims it, and from then on others can only open it for reading. It may itself be built
// on another one.
//
// When the device below goes, so does the one above; those who have it open are told, as for any
// removal. A passthru or delay device then comes again with a device of the base's name, until it
// is deleted itself. None of them follows when the device below is resized.

// Hands everything on.
struct passthru_bdev {
  std::string_view name;
  std::string_view base;
  std::string_view uuid = {};  // empty: SPDK makes one from that of the base
};

// Completes reads and writes that much later than the base; the rest at once.
struct delay_bdev {
  std::string_view name;
  std::string_view base;
  std::chrono::microseconds average_read{0};
  std::chrono::microseconds p99_read{0};  // of one read in a hundred; 0: as average_read
  std::chrono::microseconds average_write{0};
  std::chrono::microseconds p99_write{0};
  std::string_view uuid = {};
};

// Hands everything on, but for the errors that inject_error() (error_injection.hpp) puts in. Its
// name is "EE_" and the name of the base.
// Of errors of the base it tells only that there was one. Once an I/O is under way in the base it
// cannot be aborted: SPDK (v26.05) would never complete the abort. The same is true for what is
// built on it; and since SPDK does not say what that is, no device of a stacking module that is
// made while something stands on an error device is asked to abort.
struct error_bdev {
  std::string_view base;
};

// Cuts the base into devices of equal size, named as the base with p0, p1, … behind. The rest of
// the base is unused.
struct split_bdev {
  std::string_view base;
  std::uint32_t count = 2;
  std::uint64_t size = 0;  // bytes of each, a multiple of 1 MiB; 0: as large as possible
};

// Creates the device and gives its name, or the names of the parts in order. Thread, cancellation
// and destruction as for the other create_bdev().
// Errors: no_such_device (the base); device_or_resource_busy (something is built on it already);
// file_exists (the name is taken); invalid_argument (latencies and sizes; the message says which).
task<result<std::string>> create_bdev(const passthru_bdev& options);
task<result<std::string>> create_bdev(const delay_bdev& options);
task<result<std::string>> create_bdev(const error_bdev& options);
task<result<std::vector<std::string>>> create_bdev(const split_bdev& options);

// Which latencies of a delay device to change; those without a value stay.
struct delay_latencies {
  std::optional<std::chrono::microseconds> average_read = {};
  std::optional<std::chrono::microseconds> p99_read = {};
  std::optional<std::chrono::microseconds> average_write = {};
  std::optional<std::chrono::microseconds> p99_write = {};
};

// Changes latencies of a delay device, for what the base completes from now on. The device keeps
// each kind (the average and the hundredth, reads and writes) in order, so after a decrease
// that still waits for what was completed under the longer latency.
// Any attached thread. Errors: no_such_device; not_supported (not a delay device);
// invalid_argument (a negative latency).
task<result<void>> set_delay(std::string_view name, delay_latencies latencies);

}  // namespace spdk_io::inline SPDK_IO_ABI
