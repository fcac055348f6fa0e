// SPDX-License-Identifier: BSD-3-Clause
// Operations under way, and what their ends must be like.
#pragma once

#include "block_states.hpp"
#include "device.hpp"
#include "fuzz.hpp"
#include "started.hpp"

#include <spdk_io/spdk_io.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

namespace fuzz {

// How it is awaited.
enum class manner : std::uint8_t { plain, token, std_token, no_time, hour };

// What may come of an operation, besides success.
struct excuses {
  excuses() = default;
  explicit excuses(device& d) : on(&d), deletions(d.deletions), resets(d.resets_ended) {
    was_deleting = d.deleting;
    // It fails I/O for which there is no second bdev_io.
    fails_anyway = d.kind == device_kind::error;
  }

  bool stopped = false;       // was asked to
  bool limited = false;       // had no time
  bool bad_range = false;     // then it cannot succeed
  bool ended = false;         // what it waits for may go first
  bool busy = false;          // another one of its kind may be under way
  bool fails_anyway = false;  // for reasons of the device

  void check_failure(const sio::error& e) const {
    const std::string text = e.message();
    check(!text.empty() && text.find('\n') == text.npos, "not a line", text);
    check(may(e), "an error without a cause", text);
  }

 private:
  bool may(const sio::error& e) const {
    const bool gone = on && (was_deleting || on->deletions > deletions);
    if (e == std::errc::operation_canceled) {
      return stopped || ended || gone || (on && on->resets > resets);
    }
    if (e == std::errc::timed_out) return limited;
    if (e == std::errc::invalid_argument) return bad_range || (on && on->resized);
    if (e == std::errc::device_or_resource_busy) return busy;
    if (e == std::errc::no_such_device) return gone;
    if (e == std::errc::not_supported) return on != nullptr;  // the device has no such command
    return e == std::errc::io_error && (gone || fails_anyway || (on && on->injected));
  }

  device* on = nullptr;
  std::uint64_t deletions = 0;  // of the device, when it began
  std::uint64_t resets = 0;     // that had ended then
  bool was_deleting = false;
};

class running {
 public:
  running() = default;
  running(const running&) = delete;
  running& operator=(const running&) = delete;
  virtual ~running() = default;
  virtual bool done() const = 0;
  virtual void finish() = 0;  // once, when it is done: looks at the result
  void stop() {
    may.stopped = true;
    token.request_stop();
    std_token.request_stop();
  }

  excuses may;
  std::uint64_t weight = 0;  // I/Os that it has in flight
  bool stacked = false;      // on a device that is built on another
  bool on_second = false;    // on the second thread
  sio::local_stop_source token;
  std::stop_source std_token;
};

// `Keep` is what must live as long: the buffer, the model's ticket. It is told how it ended, with
// ended(result<T>*): null if it was destroyed before.
template <class A, class Keep>
class running_one final : public running {
 public:
  using value = typename spdk_io_test::started<A>::value;

  explicit running_one(std::unique_ptr<Keep> keep) : keep_(std::move(keep)) {}
  ~running_one() override {
    const bool unknown = started_ && !taken_;
    started_.reset();  // SPDK has let go of it then
    if (unknown) keep_->ended(nullptr);
  }
  void begin(A what) { started_.emplace(std::move(what)); }
  bool done() const override { return started_->done(); }
  void finish() override {
    taken_ = true;
    value r = started_->take();
    if (!r) may.check_failure(r.error());
    check(!r || !may.bad_range, "a success that cannot be");
    keep_->ended(&r);
  }

 private:
  std::unique_ptr<Keep> keep_;
  std::optional<spdk_io_test::started<A>> started_;
  bool taken_ = false;
};

// Any awaitable with a result, as a task: one type for all manners.
template <class T, class A>
sio::task<sio::result<T>> in_manner(manner how, running& r, A what) {
  switch (how) {
    case manner::plain: co_return co_await std::move(what);
    case manner::token:
      co_return co_await sio::with_stop_token(r.token.get_token(), std::move(what));
    case manner::std_token:
      co_return co_await sio::with_stop_token(r.std_token.get_token(), std::move(what));
    case manner::no_time:
      co_return co_await sio::with_timeout(std::move(what), std::chrono::nanoseconds(0));
    case manner::hour: co_return co_await sio::with_timeout(std::move(what), std::chrono::hours(1));
  }
  found("no such manner");
}

}  // namespace fuzz
