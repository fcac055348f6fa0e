// SPDX-License-Identifier: BSD-3-Clause
// `spdk-io soak`: load and trouble for a long time, with a check of everything.
#pragma once

#include "failure.hpp"
#include "soak_options.hpp"

namespace spdk_io_tool {

// Runs the job and prints its report to stdout. Gives exit_ok or, for errors that the report tells
// of, exit_failed; a failure is yet to be printed. Starts SPDK: once per process.
outcome<int> soak(soak_options options);

}  // namespace spdk_io_tool
