// SPDX-License-Identifier: BSD-3-Clause
// Waiting without a coroutine: by polling, on an OS thread that has SPDK threads; by sleeping, on
// one that has none and waits for a call.
#pragma once

#include <spdk_io/detail/node_ring.hpp>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;

// Ends the program, with a message that names `what`, where waiting would be for ever: inside
// spdk_thread_poll() of the thread that has to be polled.
void expect_outside_spdk(const thread_state& t, std::string_view what) noexcept;

// Whether this OS thread acts for an SPDK thread.
bool attached_here() noexcept;

// What an operation continues with while its starter polls.
class polling_wait {
 public:
  static void done(ready_node& node) noexcept {
    static_cast<polling_wait*>(node.context)->done_ = true;
  }

  // Polls the SPDK threads of this OS thread, user code included, until done() was called. What
  // leaves that code leaves this.
  void wait() const;

 private:
  bool done_ = false;
};

// A caller on an OS thread that no SPDK thread is attached to.
class sleeping_caller {
 public:
  // Until wake(). Where this OS thread has SPDK threads without acting for one, it polls them,
  // since the call may be to one of these. An exception of what runs there is kept for rethrow().
  void wait() noexcept;
  void rethrow();

  // On any OS thread, once. Nothing of the caller may be touched afterwards.
  void wake() noexcept;

 private:
  bool woken() noexcept;
  void poll_until_woken() noexcept;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  std::exception_ptr exception_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
