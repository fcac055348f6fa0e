// SPDX-License-Identifier: BSD-3-Clause
// Awaits one C callback of the form void(int rc, void* context).
#pragma once

#include "thread_state.hpp"

#include <spdk_io/detail/operation.hpp>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// Made and awaited on an attached thread; on_done runs there too, perhaps before it is awaited.
//   callback_wait done("the start of SPDK's subsystems");
//   spdk_subsystem_init(callback_wait::on_done, &done);
//   int rc = co_await done;
// Destroyed before the callback came, it waits for it, since SPDK holds its address.
class callback_wait : public operation_base<callback_wait, int> {
 public:
  // Counted from here: the thread does not end before the callback has come.
  explicit callback_wait(std::string_view what) noexcept : home_(*acting_thread()), what_(what) {
    ++home_.calls_out;
  }
  callback_wait(const callback_wait&) = delete;
  callback_wait& operator=(const callback_wait&) = delete;
  ~callback_wait() {
    pump_until(
        home_, [](const void* self) { return static_cast<const callback_wait*>(self)->done_; },
        this, what_);
    if (linked()) home_.ready.erase(*this);
  }

  static void on_done(int rc, void* context) {
    auto& self = *static_cast<callback_wait*>(context);
    self.rc_ = rc;
    self.done_ = true;
    --self.home_.calls_out;
    if (self.awaited_) self.home_.ready.push_back(self);
  }

  bool begin() noexcept {
    awaited_ = true;
    return !done_;
  }
  int finish() const noexcept { return rc_; }

 private:
  thread_state& home_;
  std::string_view what_;
  int rc_ = 0;
  bool done_ = false;
  bool awaited_ = false;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
