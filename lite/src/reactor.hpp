// SPDX-License-Identifier: BSD-3-Clause
// The reactors: one per core of the environment, each an OS thread that runs the events and polls
// the SPDK threads of its core.
#pragma once

#include <cstddef>

namespace spdk_lite {

/// Starts the thread library and makes the reactors. Requires: the environment is up. From here
/// on SPDK threads can be created; they run once the reactors do. 0 or negative.
int reactors_init(std::size_t msg_mempool_size);

/// Runs the reactors, that of the calling OS thread included, until reactors_stop() and the exit
/// of all SPDK threads.
void reactors_run();

/// Ends the reactors once every event that is under way on any of them has run. On a reactor.
void reactors_stop();

/// Undoes reactors_init(), if there was one.
void reactors_fini();

}  // namespace spdk_lite
