// SPDX-License-Identifier: BSD-3-Clause
// block_on: awaits from code that is no coroutine, by polling the thread meanwhile.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/blocking_wait.hpp>
#include <spdk_io/detail/root.hpp>
#include <spdk_io/thread.hpp>

#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

// Runs `what` to its end on this OS thread, polling `t`, and returns what it gives or rethrows.
// It spins: meant for start-up, tools and tests. May be nested: from a coroutine that `t` runs,
// or with another thread of this OS thread. Requires: `t` belongs to this OS thread. Inside a raw
// SPDK callback of `t`, where it would wait for ever, it ends the program with a message.
// An exception of some other continuation leaves it too; `what` is then destroyed.
template <awaitable A>
std::remove_cvref_t<await_result_t<A>> block_on(thread& t, A&& what) {
  detail::outcome<std::remove_cvref_t<await_result_t<A>>> outcome;
  auto root = detail::run_into<A&&>(std::forward<A>(what), outcome);
  detail::start_as(t.state(), root);
  if (!root.done()) detail::expect_outside_spdk(t.state(), "block_on()");
  while (!root.done()) t.poll();
  return outcome.take();
}

}  // namespace spdk_io::inline SPDK_IO_ABI
