// SPDX-License-Identifier: BSD-3-Clause
// Takes turns: one coroutine of a thread at a time, in order. For SPDK's configuration calls,
// which share one socket and one state.
#pragma once

#include "thread_state.hpp"

#include <spdk_io/detail/operation.hpp>

#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// All of it on one thread.
class turns {
 public:
  class held {
   public:
    explicit held(turns* of) noexcept : of_(of) {}
    held(held&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    held& operator=(held&&) = delete;
    ~held() {
      if (of_) of_->pass_on();
    }

   private:
    turns* of_;
  };

  class [[nodiscard]] request : public operation_base<request, held> {
   public:
    explicit request(turns& of) noexcept : of_(of) {}
    request(const request&) = delete;
    request& operator=(const request&) = delete;
    ~request() {
      if (waiting_ && linked()) of_.queue_.erase(*this);
      if (granted_ && linked()) home_->ready.erase(*this);
      if (granted_) of_.pass_on();
    }
    bool begin() noexcept {
      if (!std::exchange(of_.taken_, true)) {
        granted_ = true;
        return false;
      }
      home_ = acting_thread();
      waiting_ = true;
      of_.queue_.push_back(*this);
      return true;
    }
    held finish() noexcept {
      granted_ = false;
      return held(&of_);
    }

   private:
    friend class turns;
    turns& of_;
    thread_state* home_ = nullptr;
    bool waiting_ = false;
    bool granted_ = false;
  };

  request take() noexcept { return request(*this); }

 private:
  void pass_on() noexcept {
    if (queue_.empty()) {
      taken_ = false;
      return;
    }
    auto& next = static_cast<request&>(queue_.pop_front());
    next.waiting_ = false;
    next.granted_ = true;
    next.home_->make_ready(next);
  }

  bool taken_ = false;
  node_ring queue_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
