// SPDX-License-Identifier: BSD-3-Clause
// Runtime initialisation on a loop of one's own, here plain epoll: SPDK is one more task of it.
#include "epoll_loop.hpp"
#include "runtime_app.hpp"

#include <sys/timerfd.h>

#include <cstdint>
#include <iostream>

int main() {
  auto env = sio::env::start({.name = "epoll", .hugepages = false, .pci = false}).value();

  epoll_loop loop;  // the application's own: a timer beside the storage
  int fired = 0;
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  itimerspec period = {.it_interval = {.tv_sec = 0, .tv_nsec = 1'000'000},
                       .it_value = {.tv_sec = 0, .tv_nsec = 1'000'000}};
  timerfd_settime(timer, 0, &period, nullptr);
  loop.watch(timer, [&] {
    std::uint64_t count = 0;
    if (read(timer, &count, sizeof(count)) == sizeof(count)) ++fired;
  });

  auto thread = sio::thread::attach("worker-0").value();
  epoll_loop::executor executor{&loop};
  auto r = sio::run_until(executor, thread, run_app(), sio::idle::spin());
  close(timer);
  return report(r, fired);
}
