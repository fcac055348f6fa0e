// SPDX-License-Identifier: BSD-3-Clause
// Something to run at the current thread's next turn, unless it is destroyed first.
#pragma once

#include <spdk_io/detail/node_ring.hpp>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;

class deferred : public ready_node {
 public:
  deferred() = default;
  deferred(const deferred&) = delete;
  deferred& operator=(const deferred&) = delete;
  ~deferred();

  // False if no thread is attached here: nothing will run.
  bool defer(run_function f, void* argument) noexcept;  // f finds it in `context`

 private:
  thread_state* home_ = nullptr;
};

// Runs `node` at the current thread's next turn. Its owner erases it, or does not die before.
// False if no thread is attached here.
bool run_later(ready_node& node) noexcept;

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
