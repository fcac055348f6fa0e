// SPDX-License-Identifier: BSD-3-Clause
// Errors put into an error_bdev, to see what a program makes of them.
#pragma once

#include <spdk_io/error.hpp>
#include <spdk_io/task.hpp>

#include <cstdint>
#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI {

// Which I/O.
enum class inject_on : std::uint8_t { all, read, write, unmap, flush };

// What happens to it.
enum class inject_how : std::uint8_t {
  failure,       // fails, with the status "internal device error"
  nvme_failure,  // fails, with the status of injected_error::status
  no_memory,     // the device has no resources for it now: SPDK retries, the user sees nothing
  pending,       // does not complete, until the device is reset or resume_pending() is called
  corrupt_data,  // succeeds, with a byte changed: of what is read, or of the buffer to write
};

struct injected_error {
  inject_on on = inject_on::all;  // all: each of the four kinds gets one of its own
  inject_how how = inject_how::failure;
  std::uint32_t count = 1;        // the next so many I/Os
  std::uint64_t queue_depth = 0;  // only while at least so many are in flight in the channel
  // nvme_failure. {0, 07h} is an abort.
  nvme_status status = {};
  // corrupt_data: the byte at this offset from the beginning of the I/O is XORed with the value,
  // which must not be 0; an I/O that is shorter is left as it is.
  std::uint64_t corrupt_offset = 0;  // bytes
  std::uint8_t corrupt_value = 0xff;
};

// Puts an error into an error device ("EE_…"), in place of one that is there already for the same
// kind of I/O. All threads' channels share the count. It is in effect when this completes.
// Any attached thread. Errors: no_such_device; not_supported (not an error device, or this release
// of SPDK has no such error); invalid_argument (a status of {0, 0}, a corrupt_value of 0).
// Destroying it while it runs waits for it to end.
task<result<void>> inject_error(std::string_view name, injected_error error);

// Takes all errors out again. What is pending stays so. Thread and errors as for inject_error().
task<result<void>> clear_errors(std::string_view name);

// Submits what is pending again, and injects no more of those. Thread and errors as for
// inject_error(); not_supported also where SPDK's release cannot (before v26.05): a reset of the
// device then ends what is pending.
task<result<void>> resume_pending(std::string_view name);

}  // namespace spdk_io::inline SPDK_IO_ABI
