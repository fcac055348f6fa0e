// SPDX-License-Identifier: BSD-3-Clause
// The cold parts of run_until().
#include <spdk_io/run_until.hpp>

#include "concat.hpp"
#include "thread_state.hpp"

namespace spdk_io::inline SPDK_IO_ABI::detail {

// I/O that is still in flight finishes; what is ready runs, though not for ever: a coroutine
// that only yields is always ready.
void drain(thread& t) {
  thread_state& state = t.state();
  for (int turn = 0; turn < 1000 && !state.nothing_ready(); ++turn) t.poll();
  while (state.any_io()) t.poll();
}

error loop_stopped(const thread& t) {
  return error(std::errc::operation_canceled, operation_kind::run,
               concat("run_until: the loop of thread \"", t.name(),
                      "\" was stopped before the application had ended"));
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
