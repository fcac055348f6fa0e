// SPDX-License-Identifier: BSD-3-Clause
// The counterpart of SPDK's accel framework with its software module, as far as it shows: who
// moves memory with it hears of the end from a poller, one for each thread, that starts with
// the first use. The work itself is done by the caller, before.
#pragma once

#include "spdk/thread.h"
#include "tail_queue.hpp"

namespace spdk_lite {

struct accel_task {
  void (*done)(accel_task* task);
  tail_link<accel_task> link;
};

/// The subsystem "accel".
void accel_start();
void accel_stop(void (*done)());

/// This thread's channel. Every block device channel holds one, whatever its module.
spdk_io_channel* accel_get_io_channel();

/// Calls task->done from the next run of the channel's poller.
void accel_complete_later(spdk_io_channel* ch, accel_task* task);

}  // namespace spdk_lite
