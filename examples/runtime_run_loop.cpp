// SPDX-License-Identifier: BSD-3-Clause
// Runtime initialisation on the library's own loop, for programs that have no other.
#include "runtime_app.hpp"

#include <chrono>

using namespace std::chrono_literals;

int main() {
  auto env = sio::env::start({.name = "run_loop", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("worker-0").value();
  sio::run_loop loop;
  int fired = 0;
  sio::run_loop::timer timer(loop);  // a timer of the application beside the storage
  std::function<void()> tick = [&] {
    ++fired;
    timer.start(1ms, tick);
  };
  timer.start(1ms, tick);
  auto r = sio::run_until(loop.get_executor(), thread, run_app(), sio::idle::backoff{50us, 1ms});
  return report(r, fired);
}
