// SPDX-License-Identifier: BSD-3-Clause
// Runtime initialisation on libuv: SPDK is one more task of the uv_loop_t, beside a timer of the
// application.
#include "runtime_app.hpp"

#include <spdk_io/adapters/libuv.hpp>

int main() {
  auto env = sio::env::start({.name = "libuv", .hugepages = false, .pci = false}).value();
  // [run]
  uv_loop_t loop;
  uv_loop_init(&loop);
  auto thread = sio::thread::attach("worker-0").value();
  // [/run]
  int fired = 0;
  uv_timer_t ticker;
  uv_timer_init(&loop, &ticker);
  ticker.data = &fired;
  uv_timer_start(&ticker, [](uv_timer_t* t) { ++*static_cast<int*>(t->data); }, 1, 1);

  // [run]
  // The whole life of a program in one call: runs it, stops the poller task, drains …
  auto r = sio::run_until(loop, thread, run_app());
  // [/run]

  // … or by hand, as any other work of the loop, which ends when nothing keeps it alive.
  {
    auto polling = sio::poller_task(thread, loop).value();
    auto disk = sio::bdev_desc::open("disk0").value();
    auto block = sio::dma_buffer::allocate(4096).value();
    sio::start(disk.read(block, 0), [&](sio::result<void> done) {
      r = done;
      polling.stop();
      uv_close(reinterpret_cast<uv_handle_t*>(&ticker), nullptr);
    });
    uv_run(&loop, UV_RUN_DEFAULT);
    sio::adapters::libuv::rethrow(loop);  // what a callback has thrown, if anything
  }
  uv_run(&loop, UV_RUN_DEFAULT);  // closes what the poller task had
  if (uv_loop_close(&loop) != 0) std::cerr << "the loop is still in use\n";
  return report(r, fired);
}
