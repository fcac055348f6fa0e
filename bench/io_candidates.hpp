// SPDX-License-Identifier: BSD-3-Clause
// The ways to do the same I/O that are measured against each other: `count` reads, `depth` of them
// in flight at a time. Each has a file of its own.
#pragma once

#include "io_world.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace bench {

struct io_run {
  std::uint64_t count;
  std::uint32_t depth;
};

// SPDK's C API, callbacks that submit the next one, and a loop around spdk_thread_poll().
void raw_callbacks(io_world& world, io_run run);
// co_await on the library's run loop, in coroutines without a stop token.
void co_await_io(io_world& world, io_run run);
// The same with a token that may say stop at any time.
void co_await_stoppable(io_world& world, io_run run);
// start(), with state that the caller keeps, on the run loop.
void start_with_callback(io_world& world, io_run run);
// A sender, connected to a receiver without a stop token, on the run loop.
void senders(io_world& world, io_run run);
// On an asio::io_context: with handlers, and with asio::use_awaitable.
void asio_callbacks(io_world& world, io_run run);
void asio_use_awaitable(io_world& world, io_run run);
// What is written at first: a completion on the heap for each I/O, which the callback resumes.
void naive_awaiter(io_world& world, io_run run);

struct io_candidate {
  std::string_view name;
  std::string_view what;
  void (*run)(io_world&, io_run);
};

// The first is the one that the others are compared with.
std::span<const io_candidate> io_candidates() noexcept;
const io_candidate& io_candidate_named(std::string_view name);

}  // namespace bench
