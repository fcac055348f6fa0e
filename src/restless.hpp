// SPDX-License-Identifier: BSD-3-Clause
// Which pollers may keep a thread in interrupt mode from sleeping, so that it can be said, and so
// that it is noticed when they have gone. SPDK does not tell which of its pollers have a file
// descriptor: those that were there when the thread last slept are above suspicion.
#pragma once

#include <spdk_io/abi.hpp>

#include <string>
#include <vector>

struct spdk_poller;

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;

class restless {
 public:
  explicit restless(thread_state& t) noexcept : thread_(t) {}

  // The thread goes to sleep, with all that it has now.
  void sleeps();

  // It cannot: says on stderr what may be the cause, where the thread has not said so yet.
  void accuse();

  // Since then, one of those that were named.
  bool one_has_gone() const noexcept;

 private:
  std::vector<std::string> names_of_devices() const;
  void say(const std::vector<std::string>& pollers, const std::vector<std::string>& devices);

  thread_state& thread_;
  std::vector<const spdk_poller*> innocent_;
  std::vector<const spdk_poller*> accused_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
