// SPDX-License-Identifier: BSD-3-Clause
// One case of the matrix, on a device that nobody has open before and after it.
#pragma once

#include "memory_hog.hpp"
#include "target.hpp"
#include "victims.hpp"
#include "witness.hpp"
#include "world.hpp"

#include <cstddef>
#include <memory>
#include <optional>

namespace lifetimes {

// Devices that a process's cases share.
struct fixtures {
  sio::bdev_desc zcopy;  // has zcopy: for the memory_hog
  sio::bdev_desc other;  // reads from it end at the next poll
};

// A poller task of the I/O's thread, on a loop of its own that has begun to turn.
struct polled_by_loop {
  explicit polled_by_loop(sio::thread& t) : task(need(sio::poller_task(t, loop.get_executor()))) {
    for (int i = 0; i < 3; ++i) loop.run_one();
  }
  sio::run_loop loop;
  sio::running_poller_task<sio::run_loop::executor> task;
};

class scenario {
 public:
  scenario(const combination& c, target& on, sio::thread& first, const fixtures& shared,
           failures& f)
      : c_(c), world_(c.driver, first), shared_(shared), target_(on), failures_(f) {}

  sio::task<void> run();

 private:
  sio::task<void> prepare();
  sio::task<void> reach_stage();
  void start_victims();
  void take_all_memory();
  void pump_until_completed();
  void request_stop(bool late);
  void start_reset();
  void let_go();
  void announce_bystanders();
  sio::task<void> end();
  void leave_loop();
  sio::task<void> await_completion();
  void check_results();
  sio::task<void> check_silence();
  sio::task<void> check_device();

  sio::thread& io_thread() { return c_.io_on_second() ? *world_.second() : world_.first(); }
  // Of the victims.
  std::size_t count_in(sio::operation_state state);
  std::size_t in_flight();

  const combination& c_;
  world world_;
  const fixtures& shared_;
  target& target_;
  failures& failures_;
  witness seen_{failures_};
  sio::bdev_desc probe_;  // the first thread's own, opened before all else
  sio::bdev_desc disk_;
  sio::io_channel channel_;
  memory_hog hog_;
  std::unique_ptr<polled_by_loop> polling_;
  std::optional<spdk_io_test::started<sio::task<void>>> reset_;
  std::size_t bystanders_ = 0;  // messages on their way
  victims victims_{c_, seen_};
  bool thread_ended_ = false;
};

}  // namespace lifetimes
