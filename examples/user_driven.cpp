// SPDX-License-Identifier: BSD-3-Clause
// A user-driven program: the loop is the program's, SPDK is one task of it.
#include "shared_work.hpp"

#include <iostream>

// [main]
int main() {
  auto env = sio::env::start({.name = "user_driven", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  sio::run_loop loop;
  auto r = sio::run_until(loop.get_executor(), thread, work());
  if (!r) std::cerr << r.error() << '\n';
  return r ? 0 : 1;
}
// [/main]
