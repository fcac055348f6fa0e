// SPDX-License-Identifier: BSD-3-Clause
// A reactor-driven program: SPDK's application framework has the loops, one on each core.
#include "shared_work.hpp"

#include <chrono>
#include <iostream>

using namespace std::chrono_literals;

// [app]
sio::task<sio::result<void>> app() {
  if (auto r = co_await work(); !r) co_return r;

  // Every core of the mask has a reactor, which can be called like a thread.
  for (std::uint32_t core : sio::cores()) {
    auto there = co_await sio::run_on(core, [] { return sio::current_core(); });
    if (!there) co_return std::unexpected(there.error());
    if (*there == core) std::cout << "core " << core << " answers\n";
  }

  // A server goes on until SIGINT, SIGTERM or app::stop().
  auto ending = sio::thread::current().value().send([] { sio::app::stop(); });
  if (!ending) co_return ending;
  auto stopped = co_await sio::app::wait_for_stop();
  if (stopped) std::cout << "stopped\n";
  co_return stopped;
}

int main() {
  auto r = sio::app::run({.name = "reactor_driven",
                          .core_mask = "0x1",
                          .hugepages = false,
                          .pci = false,
                          .core_locks = false},  // other SPDK programs may use the core as well
                         app());
  if (!r) std::cerr << r.error() << '\n';
  return r ? 0 : 1;
}
// [/app]
