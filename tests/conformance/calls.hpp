// SPDX-License-Identifier: BSD-3-Clause
// Calls to another thread, one after the other: each answer comes at another moment between the
// loop's last look and its sleep.
#pragma once

#include <spdk_io/task.hpp>
#include <spdk_io/thread_ref.hpp>

namespace spdk_io_test {

inline spdk_io::task<void> call_again_and_again(spdk_io::thread_ref to, int times, int& answered) {
  for (int i = 0; i < times; ++i) {
    auto r = co_await to.call([] { return 1; });
    answered += r.value_or(0);
  }
}

}  // namespace spdk_io_test
