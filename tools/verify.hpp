// SPDX-License-Identifier: BSD-3-Clause
// `spdk-io verify`: a file as a block device, written, read back and checked.
#pragma once

#include "failure.hpp"
#include "verify_options.hpp"

namespace spdk_io_tool {

// Runs the job and prints its report to stdout. Gives exit_ok or, for wrong data that the report
// tells of, exit_failed; a failure is yet to be printed. Starts SPDK: once per process.
outcome<int> verify(verify_options options);

}  // namespace spdk_io_tool
