// SPDX-License-Identifier: BSD-3-Clause
// Which threads there are: of the process, and of this OS thread. And the hook through which
// SPDK tells of threads that its modules make.
#pragma once

#include <spdk_io/abi.hpp>

#include <spdk/thread.h>

#include <memory>
#include <string>
#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;

// Makes an SPDK thread that the library drives on this OS thread; null if SPDK refuses.
std::shared_ptr<thread_state> make_thread(std::string_view name);
// The same around a thread that exists already; null if the library has it already.
std::shared_ptr<thread_state> wrap_thread(spdk_thread* native);
void forget_thread(thread_state& state) noexcept;

// The library's state for an SPDK thread: of this OS thread; of any.
thread_state* find_local_thread(const spdk_thread* native) noexcept;
std::shared_ptr<thread_state> find_thread(const spdk_thread* native);

// Whether `state` is a thread of this OS thread that has not ended.
bool is_live(const thread_state* state) noexcept;

// Polls every thread of this OS thread that is not being polled already; no user code.
void poll_local_threads() noexcept;

// The same for all but `except`, user code included: calls from `except` to them can come back.
void turn_other_local_threads(const thread_state& except);

// For all of them, user code included; and whether there is one.
void turn_local_threads();
bool has_local_threads() noexcept;

// The names of the process's threads, each quoted after a space; empty if there are none.
std::string live_thread_names();

int on_thread_operation(spdk_thread* thread, spdk_thread_op op);
bool supports_thread_operation(spdk_thread_op op);

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
