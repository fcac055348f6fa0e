// SPDX-License-Identifier: BSD-3-Clause
// The course of a case: stage, request, what goes first, the end, and what must be true then.
#include "scenario.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace lifetimes {

namespace {

constexpr int some = 20;  // polls

}  // namespace

sio::task<void> scenario::run() {
  co_await prepare();
  if (c_.ending == ending::left_loop) {
    if (c_.stage == stage::queued) world_.on(io_thread(), [&] { take_all_memory(); });
    leave_loop();
  } else {
    co_await reach_stage();
    request_stop(false);
    start_reset();
    let_go();
    if (c_.gone == gone::descriptor_long) co_await world_.turns(some);
    request_stop(true);
    co_await end();
  }
  co_await check_silence();
  co_await check_device();
}

sio::task<void> scenario::prepare() {
  probe_ = need(sio::bdev_desc::open(target_.name()));
  if (c_.two_threads()) world_.second().emplace(need(sio::thread::create("second")));
  sio::thread& opener = c_.where == where::second_alone || c_.where == where::opened_by_second
                            ? *world_.second()
                            : world_.first();
  world_.on(opener, [&] { disk_ = need(sio::bdev_desc::open(target_.name())); });
  world_.on(io_thread(), [&] { channel_ = need(disk_.channel()); });
  co_await target_.inject(world_, static_cast<std::uint32_t>(victims_.count()));
  if (c_.gone == gone::loop) polling_ = std::make_unique<polled_by_loop>(io_thread());
}

sio::task<void> scenario::reach_stage() {
  const bool rests = c_.stage == stage::under_way ||
                     (c_.stage == stage::starved && c_.device == device::delay_hours);
  // In one go: the second thread is polled for each of these calls.
  world_.on(io_thread(), [&] {
    if (c_.stage == stage::queued) take_all_memory();
    start_victims();
    if (c_.stage == stage::starved && !rests) take_all_memory();
  });
  failures_.expect(in_flight() == victims_.count(), "not all were started");
  if (rests) {
    co_await world_.turns(c_.device == device::error_short ? 1 : some);
    if (c_.stage == stage::starved) world_.on(io_thread(), [&] { take_all_memory(); });
  }
  if (c_.stage == stage::completed) pump_until_completed();
  if (c_.stage != stage::under_way || c_.device != device::error_short) {
    failures_.expect(seen_.results().empty(), "resumed before its time");
  }
  using state = sio::operation_state;
  if (c_.stage == stage::queued) {
    failures_.expect(count_in(state::waiting_for_memory) == victims_.count(), "not queued");
  } else if (c_.stage == stage::completed) {
    failures_.expect(count_in(state::completed) == victims_.count(), "not completed");
  } else if (c_.device != device::error_short) {
    failures_.expect(count_in(state::in_flight) == victims_.count(), "not in flight");
  }
}

void scenario::start_victims() {
  witness::silence now(seen_, "the start");
  if (c_.gone == gone::channel || c_.gone == gone::nothing) {
    victims_.start(channel_);
  } else {
    victims_.start(disk_);
  }
}

void scenario::take_all_memory() {
  hog_.take_all(io_thread(), shared_.zcopy);
  failures_.expect(hog_.size() > pool_size / 2, "bdev_ios have been lost");
}

// Destroying another I/O polls all threads and runs no user code.
void scenario::pump_until_completed() {
  witness::silence now(seen_, "the destruction of another I/O");
  while (in_flight() > 0) {
    plain_buffer buffer;
    auto nothing = [](sio::result<void>) {};
    sio::pending<sio::io_operation, decltype(nothing)> pumping(shared_.other.read(buffer.span(), 0),
                                                               nothing);
    pumping.start();
  }
}

void scenario::request_stop(bool late) {
  witness::silence now(seen_, "a request to stop");
  if (c_.request == request::local && !late) victims_.request_local();
  if (c_.request == request::late_local && late) victims_.request_local();
  if (c_.request == request::standard && !late) victims_.request_standard();
}

void scenario::start_reset() {
  if (c_.device != device::error_holds) return;
  auto body = [](const sio::bdev_desc& disk, witness& seen) -> sio::task<void> {
    auto r = co_await disk.reset();
    seen.code_runs("whoever reset the device");
    need(r);
  };
  reset_.emplace(body(probe_, seen_));
}

void scenario::announce_bystanders() {
  auto to = [&](sio::thread& t) {
    ++bystanders_;
    need(t.ref().send([&] {
      seen_.code_runs("a message");
      --bystanders_;
    }));
  };
  to(world_.first());
  if (world_.second()) to(*world_.second());
}

void scenario::let_go() {
  announce_bystanders();
  if (c_.gone == gone::thread) {
    // Its destructor drains, and so runs what is ready there.
    world_.second().reset();
    thread_ended_ = true;
    return;
  }
  witness::silence now(seen_, std::string(to_string(c_.gone)) + " going");
  switch (c_.gone) {
    case gone::descriptor:
    case gone::descriptor_long: disk_ = {}; [[fallthrough]];
    case gone::channel: channel_ = {}; break;
    case gone::loop: polling_.reset(); break;
    default: break;
  }
}

sio::task<void> scenario::end() {
  if (c_.ending == ending::completion) {
    co_await await_completion();
    check_results();
    victims_.destroy();
    co_return;
  }
  const std::size_t before = seen_.results().size();
  {
    witness::silence now(seen_, "the destruction");
    victims_.destroy();
  }
  failures_.expect(in_flight() == 0, "in flight after the destruction");
  failures_.expect(seen_.results().size() == before, "resumed by the destruction");
  if (thread_ended_ && c_.io_on_second()) {
    failures_.expect(victims_.done(), "its thread has ended without completing it");
    check_results();
  }
}

void scenario::leave_loop() {
  sio::run_loop loop;
  auto app = [](sio::run_loop& l, sio::task<void> body) -> sio::task<sio::result<void>> {
    l.post([&l] { l.stop(); });
    co_await std::move(body);
    co_return sio::result<void>();
  };
  auto r = sio::run_until(loop.get_executor(), io_thread(), app(loop, victims_.main_task(disk_)));
  if (!r) {
    failures_.expect(r.error() == std::errc::operation_canceled, r.error().message());
    failures_.expect(seen_.results().empty(), "destroyed, but had been resumed");
  }
  failures_.expect(in_flight() == 0, "in flight after the loop was left");
  victims_.destroy();
}

sio::task<void> scenario::await_completion() {
  if (thread_ended_ && c_.io_on_second()) {
    failures_.expect(victims_.done(), "its thread has ended without completing it");
  }
  // Whatever waits for memory, and has to, still does.
  if ((c_.stage == stage::queued || c_.stage == stage::starved) && !thread_ended_) {
    co_await world_.turns(some);
    const bool needs_memory =
        c_.stage == stage::queued ? c_.request == request::none : c_.device == device::delay_hours;
    if (needs_memory) failures_.expect(!victims_.done(), "complete without memory");
    hog_.give_back();
  }
  co_await world_.turn_until([&] { return victims_.done(); });
  failures_.expect(in_flight() == 0, "in flight after the completion");
}

void scenario::check_results() {
  const bool on_request = c_.request == request::local || c_.request == request::late_local ||
                          c_.request == request::standard;
  for (const auto& r : seen_.results()) {
    const bool ok = target_.may_give(r) ||
                    (!r && on_request && r.error() == std::errc::operation_canceled) ||
                    (!r && c_.request == request::timeout && r.error() == std::errc::timed_out);
    failures_.expect(ok, "unexpected result: " + (r ? "success" : r.error().message()));
    if (c_.stage == stage::queued && c_.request == request::local) {
      failures_.expect(!r && r.error() == std::errc::operation_canceled,
                       "not stopped while it waited for memory");
    }
    if (c_.stage == stage::completed && c_.request != request::timeout) {
      failures_.expect(target_.may_give(r), "changed after it was complete");
    }
  }
}

sio::task<void> scenario::check_silence() {
  const std::size_t before = seen_.results().size();
  hog_.give_back();
  co_await world_.turns(some);
  if (reset_) {
    co_await world_.turn_until([&] { return reset_->done(); });
    reset_->take();
  }
  failures_.expect(seen_.results().size() == before, "resumed afterwards");
  failures_.expect(victims_.untouched(), "a buffer was written to afterwards");
  failures_.expect(bystanders_ == 0, "a message was lost");
}

sio::task<void> scenario::check_device() {
  {
    plain_buffer buffer;
    auto r = co_await target_.probe(world_, probe_, buffer.span());
    failures_.expect(r.has_value(), "the device is of no use: " + (r ? "" : r.error().message()));
  }
  polling_.reset();
  probe_ = {};
  channel_ = {};
  disk_ = {};
  auto none = [&](sio::thread& t) {
    const auto left = t.operations();
    failures_.expect(left.empty(), "left under way: " + (left.empty() ? "" : left[0].message()));
  };
  none(world_.first());
  if (world_.second()) none(*world_.second());
  world_.second().reset();
  co_await world_.turns(some);
}

std::size_t scenario::count_in(sio::operation_state state) {
  std::size_t count = 0;
  auto add = [&](sio::thread& t) {
    for (const auto& each : t.operations()) {
      if (each.device == target_.name() && each.kind != sio::operation_kind::reset &&
          each.state == state) {
        ++count;
      }
    }
  };
  add(world_.first());
  if (world_.second()) add(*world_.second());
  return count;
}

std::size_t scenario::in_flight() {
  return count_in(sio::operation_state::in_flight) +
         count_in(sio::operation_state::waiting_for_memory);
}

}  // namespace lifetimes
