// SPDX-License-Identifier: BSD-3-Clause
// SPDK's subsystems (block devices and what they need), started on the user's own loop.
#pragma once

#include <spdk_io/error.hpp>
#include <spdk_io/task.hpp>

#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI {

// Names a file that holds the configuration.
struct config_file {
  std::string_view path;
};

// Starts SPDK's subsystems with a configuration in SPDK's JSON format, the one that its
// save_config and load_config use; empty: no devices, and SPDK's default options. Calls that
// are for start-up (bdev_set_options, …) run first, then the others, which create devices.
//
// Once per process, on the first thread that was attached, which must outlive all use of
// devices: its destructor stops the subsystems again. Until it has completed, that thread must
// be polled, as for any operation.
// Errors: the configuration does not parse, or a call in it fails (the message says which and
// why: SPDK's own words); not the first thread; started already; the file cannot be read.
// Destroying it while it runs waits for it to end.
task<result<void>> init_subsystems(std::string_view json = {});
task<result<void>> init_subsystems(const config_file& file);

}  // namespace spdk_io::inline SPDK_IO_ABI
