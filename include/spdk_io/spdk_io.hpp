// SPDX-License-Identifier: BSD-3-Clause
// All of the core. Adapters for executors are headers of their own, in spdk_io/adapters/.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/bdev.hpp>
#include <spdk_io/bdev_desc.hpp>
#include <spdk_io/bdev_options.hpp>
#include <spdk_io/block_on.hpp>
#include <spdk_io/bounce.hpp>
#include <spdk_io/cores.hpp>
#include <spdk_io/dma_buffer.hpp>
#include <spdk_io/env.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/executor.hpp>
#include <spdk_io/idle.hpp>
#include <spdk_io/io_channel.hpp>
#include <spdk_io/io_operation.hpp>
#include <spdk_io/log.hpp>
#include <spdk_io/operation_info.hpp>
#include <spdk_io/ownership.hpp>
#include <spdk_io/poller.hpp>
#include <spdk_io/poller_coroutine.hpp>
#include <spdk_io/poller_task.hpp>
#include <spdk_io/registered_memory.hpp>
#include <spdk_io/run_loop.hpp>
#include <spdk_io/run_until.hpp>
#include <spdk_io/sleep_for.hpp>
#include <spdk_io/spawned_thread.hpp>
#include <spdk_io/start.hpp>
#include <spdk_io/subsystems.hpp>
#include <spdk_io/task.hpp>
#include <spdk_io/task_scope.hpp>
#include <spdk_io/thread.hpp>
#include <spdk_io/thread_ref.hpp>
#include <spdk_io/when_all.hpp>
#include <spdk_io/yield.hpp>
