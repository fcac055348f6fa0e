// SPDX-License-Identifier: BSD-3-Clause
// The library's operations as senders of std::execution, an SPDK thread as a scheduler, and a
// scheduler as an executor for poller_task().
//
// Whose std::execution: the standard library's where it has senders, else that which CMake's target
// spdk_io::execution has found: stdexec (SPDK_IO_EXECUTION_STDEXEC is defined) or Beman.execution
// (SPDK_IO_EXECUTION_BEMAN). Where there is none, or with SPDK_IO_EXECUTION_OWN, the few words of
// it that are needed are the library's own (adapters/detail/execution_own.hpp): operations are
// connected to receivers and started, and there are no algorithms. All of a program uses one.
#pragma once

#if defined(SPDK_IO_EXECUTION_OWN)
#include <spdk_io/adapters/detail/execution_own.hpp>
#elif defined(SPDK_IO_EXECUTION_STDEXEC)
#include <spdk_io/adapters/detail/execution_stdexec.hpp>
#elif defined(SPDK_IO_EXECUTION_BEMAN)
#include <spdk_io/adapters/detail/execution_beman.hpp>
#else
#if __has_include(<version>)
#include <version>
#endif
#if defined(__cpp_lib_senders)
#include <spdk_io/adapters/detail/execution_standard.hpp>
#else
#include <spdk_io/adapters/detail/execution_own.hpp>
#endif
#endif

// These use the words, and so come after them.
// clang-format off
#include <spdk_io/adapters/detail/execution_operation.hpp>
#include <spdk_io/adapters/detail/execution_task.hpp>
#include <spdk_io/adapters/detail/execution_scheduler.hpp>
#include <spdk_io/adapters/detail/execution_executor.hpp>
// clang-format on
#undef SPDK_IO_EXECUTION_VOCABULARY
