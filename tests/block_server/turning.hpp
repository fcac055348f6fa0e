// SPDX-License-Identifier: BSD-3-Clause
// The loop that server and clients of a test share, turned by hand.
#pragma once

#include "spdk_test.hpp"

#include <asio/io_context.hpp>

namespace block_test {

class turning {
 public:
  void turn() {
    spdk_io_test::main_thread().poll();
    ctx.restart();
    ctx.poll();
  }
  // For "and nothing happens".
  void turns(int n = 100) {
    for (int i = 0; i < n; ++i) turn();
  }
  template <class Done>
  void until(Done done) {
    while (!done()) turn();
  }

  asio::io_context ctx;
};

}  // namespace block_test
